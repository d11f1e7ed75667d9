/* serve/admin_wire.h - messages between the supervising process and the ones that serve, over a pair of
 * sequenced packet sockets: each arrives whole or not at all, in order, some with a descriptor.
 *
 *     a process                  the supervisor                the processes
 *     ASK id, order         ->
 *                                PREPARE number, order    ->
 *                                                         <-   PREPARED number, status
 *                                COMMIT or ABORT number   ->
 *                                                         <-   COMMITTED number, status
 *                           <-   ANSWER id, status
 *
 * One that began meanwhile is sent PERFORM number, order in place of COMMIT, and answers the same.
 *
 * Threads: sending from any, receiving from one. */
#ifndef SERVE_ADMIN_WIRE_H
#define SERVE_ADMIN_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/status.h"

enum admin_kind {
    ADMIN_ASK,
    ADMIN_PREPARE,
    ADMIN_PREPARED,
    ADMIN_COMMIT,
    ADMIN_COMMITTED,
    ADMIN_ABORT,
    ADMIN_PERFORM,
    ADMIN_ANSWER
};

struct admin_message {
    uint32_t kind;                        /* enum admin_kind */
    uint32_t status;                      /* of PREPARED, COMMITTED, ANSWER: onnxd_status */
    uint64_t id;                          /* ASK, ANSWER: the asker's number; else the supervisor's */
    uint32_t has_files;                   /* of PREPARED: there are files of this model */
    char text[ONNXD_ERROR_MESSAGE_BYTES]; /* when status is not ONNXD_OK */
};

/* Two ends, closed on exec. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status admin_wire_pair(int ret_fds[2], onnxd_error *err);

/* Sends a message and, unless passed is -1, a copy of that descriptor. False: the other end has gone, or does
 * not read. */
bool admin_wire_send(int fd, const struct admin_message *message, int passed);

enum admin_received { ADMIN_RECEIVED, ADMIN_NOTHING_YET, ADMIN_GONE };

/* Takes a message; *ret_passed is the caller's to close, -1 when none came with it. Never blocks. */
enum admin_received admin_wire_receive(int fd, struct admin_message *ret, int *ret_passed);

#endif
