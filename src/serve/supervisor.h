/* serve/supervisor.h - several processes that serve together, and a new program in place of an old one.
 *
 * The supervising process opens the listening sockets, forks, and starts again what dies, at once the
 * first time and with growing pauses when it keeps dying. The sockets stay open in it, so connections
 * made while a process is being replaced wait instead of being refused.
 *
 * An upgrade starts the program anew with the listening sockets in its hands; once it serves, it asks the
 * old one to stop, which answers what is under way and ends. Both take connections from the same queues
 * meanwhile, so none is lost.
 *
 * Threads: none may run in the supervising process when it forks. */
#ifndef SERVE_SUPERVISOR_H
#define SERVE_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/status.h"

struct supervisor_options {
    uint32_t n_processes;
    void *context;
    /* The work of process `process`: serves until SIGTERM and returns the exit status. It calls
     * supervisor_ready once when requests can be served. */
    int (*run)(void *context, uint32_t process);
    void (*all_ready)(void *context);                   /* every process serves */
    void (*restarted)(void *context, uint32_t process); /* before a dead one is started again */
    void (*upgrade)(void *context);                     /* on SIGUSR2 */
};

/* Runs until SIGTERM or SIGINT, or until a process fails before it served; SIGHUP is passed on to all.
 * Returns the exit status: 0, or that of the process that failed. Blocks the signals it takes in its process.
 */
int supervisor_run(const struct supervisor_options *options);

/* In a child: tells the supervisor that it serves. */
void supervisor_ready(void);

/* ---- taking over listening sockets ------------------------------------------------------------------ */

/* The sockets that a program before this one handed over: fills fds[max] and returns their number, 0 when
 * there are none. Forgets them: a second call returns 0. ONNXD_ERR_FORMAT on a mangled list. */
ONNXD_MUST_USE onnxd_status handover_take(int *fds, uint32_t max, uint32_t *ret_n, onnxd_error *err);

/* Once this program serves: asks the one before it to stop. Does nothing when there was none. */
void handover_finish(void);

/* Starts `path` with argv and the sockets. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status handover_start(const char *path, char *const *argv, const int *fds, uint32_t n,
                                           onnxd_error *err);

#endif
