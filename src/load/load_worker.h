/* load/load_worker.h - one thread of a load run: an epoll loop over its share of the connections.
 *
 * Closed loop: every connection always has `pipeline` requests under way; a reply sends the next. A
 * request is due when it is sent.
 * Open loop: requests fall due by the clock whether the server keeps up or not. One that finds no free
 * connection waits in order; its response time counts from when it was due (service time from when it was
 * sent). Waiting for the next one sleeps with nanosecond timers and ends in a short poll.
 *
 * Threads: worker_run is the thread; the fields marked shared may be read by others meanwhile. */
#ifndef LOAD_LOAD_WORKER_H
#define LOAD_LOAD_WORKER_H

#include <stdatomic.h>

#include "load/load_corpus.h"
#include "load/load_result.h"
#include "net/net_socket.h"

struct load_conn;

struct load_course { /* one interval of one thread */
    uint64_t n, n_errors;
    struct histogram response;
};

struct load_worker {
    const struct load_options *options;
    const struct load_corpus *corpus;
    const struct net_address *address;
    uint32_t index, n_workers, n_conns;
    uint64_t start_ns; /* of the measured time; set before the thread runs */
    uint64_t end_ns;
    struct rng rng;

    struct load_record *record;
    struct load_course *course; /* [n_intervals] */
    uint32_t n_intervals;
    uint64_t interval_ns;

    _Atomic uint32_t n_whole;    /* shared: intervals of `course` that will not change any more */
    _Atomic uint64_t n_done_now; /* shared: replies so far, warm-up included */
    _Atomic bool stop;           /* shared: asks the thread to end early */

    onnxd_status status; /* why the thread could not run; after joining it */
    onnxd_error error;

    /* of the thread alone */
    struct load_conn *conns; /* [n_conns] */
    struct load_conn *free_conns;
    int epoll_fd;
    uint32_t next_request;
    uint64_t next_due_ns;
    uint64_t *backlog; /* due times of requests that wait for a connection, a ring */
    uint32_t backlog_size, backlog_first, backlog_n;
    uint32_t n_under_way;
    uint64_t next_sweep_ns;
    uint64_t cpu_start_ns;
    uint64_t last_reply_ns; /* of a request that counts */
    char *scratch;
};

/* The thread's function; `worker` is a struct load_worker. Returns NULL. */
void *load_worker_run(void *worker);

#endif
