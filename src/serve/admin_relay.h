/* serve/admin_relay.h - the supervisor's end: brings orders to all processes, one order at a time.
 *
 * Each process prepares an order: it loads and warms what the order asks for beside what it serves. When all
 * could, all are told to put it in force; when one could not, all are told to forget it, and nothing has
 * changed anywhere. Who asked gets one answer that says so. Then comes the next order.
 *
 * A process that dies takes no part; the one that is started in its place has the orders of the past from the
 * journal when it is forked, and is told of the one under way once that is decided. A process that does not
 * answer in time, or cannot put in force what it prepared, is started again: it comes back as the others are.
 *
 *     admin_relay_create(n, &options, &relay, &err);
 *     admin_relay_before_fork(relay, i, &fd, &err); ...fork; admin_relay_forked(relay, i, now_ns);
 *     poll(admin_relay_fds(relay)...); admin_relay_read(relay, i); admin_relay_look(relay, now_ns);
 *
 * Threads: one, the supervisor's. */
#ifndef SERVE_ADMIN_RELAY_H
#define SERVE_ADMIN_RELAY_H

#include "serve/admin_journal.h"

struct admin_relay;

struct admin_relay_options {
    uint32_t n_processes;
    uint64_t patience_ns;          /* with all processes, in each of the two steps of an order */
    struct admin_journal *journal; /* borrowed */
    void *context;
    void (*restart)(void *context, uint32_t process); /* it is not as the others are, or hangs */
};

ONNXD_MUST_USE onnxd_status admin_relay_create(const struct admin_relay_options *options,
                                               struct admin_relay **ret_relay, onnxd_error *err);
void admin_relay_free(struct admin_relay *relay); /* takes NULL */

/* Who restarts processes; until it is set, nobody is. */
void admin_relay_set_restart(struct admin_relay *relay, void (*restart)(void *context, uint32_t process),
                             void *context);

/* Around a fork: before it, which gives the end of the child's; in the child, where nothing but that end
 * stays open; in the parent, which closes that end itself. */
ONNXD_MUST_USE onnxd_status admin_relay_before_fork(struct admin_relay *relay, uint32_t process,
                                                    int *ret_child_fd, onnxd_error *err);
void admin_relay_leave(struct admin_relay *relay);
void admin_relay_forked(struct admin_relay *relay, uint32_t process, uint64_t now_ns);

/* The descriptors to wait for input on, [n_processes]; -1: none. */
const int *admin_relay_fds(const struct admin_relay *relay);

/* Takes what process i said. */
void admin_relay_read(struct admin_relay *relay, uint32_t process, uint64_t now_ns);

/* It has died. */
void admin_relay_gone(struct admin_relay *relay, uint32_t process, uint64_t now_ns);

/* Ends what took too long. Returns when to call it again at the latest, UINT64_MAX: no time. */
uint64_t admin_relay_look(struct admin_relay *relay, uint64_t now_ns);

/* The server stops: what is not in force yet is dropped and answered so, as is all that is asked later. */
void admin_relay_stop(struct admin_relay *relay);

#endif
