/* serve/handover.h - listening sockets that a program is given when it starts.
 *
 * They come from the program before it, in an upgrade, or from a service manager that listens in its place
 * (LISTEN_FDS, see sd_listen_fds(3)); both ways end in the same list.
 *
 * Threads: at start and end, from the main thread. */
#ifndef SERVE_HANDOVER_H
#define SERVE_HANDOVER_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "onnxd/status.h"

/* The sockets given: fills fds[max] and returns their number, 0 when there are none. They are then
 * non-blocking and closed on exec. Forgets them: a second call returns 0.
 * ONNXD_ERR_FORMAT: a mangled list, something that does not listen, or more than max. */
ONNXD_MUST_USE onnxd_status handover_take(int *fds, uint32_t max, uint32_t *ret_n, onnxd_error *err);

/* Spreads what was given: a unix socket goes to *unix_fd, which stays as it is when there is none; the others
 * to fds[n_fds], each to a block of places, as copies where one is used more than once. *ret_n_tcp: how many
 * others there were; with 0, fds is left alone. Takes the descriptors over. ONNXD_ERR_ARGUMENT: more sockets
 * than places, so that one would be left without anybody to accept, or two unix sockets; ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status handover_spread(const int *given, uint32_t n_given, int *fds, uint32_t n_fds,
                                            int *unix_fd, uint32_t *ret_n_tcp, onnxd_error *err);

/* Once this program serves: asks the one before it to stop, in a way that it can tell from other requests to
 * stop (handover_successor). Does nothing when there was none. */
void handover_finish(void);

/* Who asked to stop by handover_finish, or 0 when the signal came another way. */
pid_t handover_successor(const siginfo_t *info);

/* The file given beside the sockets, which holds orders to the repository (serve/admin_journal.h), or -1. Its
 * content is for the caller to check, who closes it. Forgets it. ONNXD_ERR_FORMAT: a mangled variable. */
ONNXD_MUST_USE onnxd_status handover_take_orders(int *ret_fd, onnxd_error *err);

struct handover {       /* what a program is given, all borrowed */
    const int *sockets; /* [n_sockets] */
    uint32_t n_sockets;
    int orders; /* -1: none */
};

/* Starts `path` with argv and these. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status handover_start(const char *path, char *const *argv,
                                           const struct handover *handover, onnxd_error *err);

#endif
