/* load/load_worker.h - one thread of a load run: an epoll loop over its share of the connections.
 *
 * Closed loop: every connection always has `pipeline` requests under way; a reply sends the next. A
 * request is due when it is sent.
 * Open loop: requests fall due by the clock whether the server keeps up or not. One that finds no free
 * connection waits in order; its response time counts from when it was due (service time from when it was
 * sent). Waiting for the next one sleeps with nanosecond timers and ends in a short poll, or never sleeps.
 *
 * Threads: worker_run is the thread; `stop` and the recorder's fields marked so may be used by others. */
#ifndef LOAD_LOAD_WORKER_H
#define LOAD_LOAD_WORKER_H

#include "load/load_conn.h"
#include "load/load_recorder.h"
#include "load/load_target.h"

struct load_due { /* a request that waits for a connection */
    uint64_t due_ns;
    uint32_t target;
};

struct load_worker;

struct load_lane { /* a thread's connections to one server */
    struct load_worker *worker;
    struct load_wire *wire;
    const struct load_endpoint *endpoint;
    uint32_t *n_under_way;   /* of the worker */
    struct load_mix mix;     /* of the endpoint's targets; closed loop */
    struct load_conn *conns; /* [n_conns] */
    uint32_t n_conns;
    struct load_conn *free_conns;
    struct load_due *backlog; /* a ring */
    uint32_t backlog_size, backlog_first, backlog_n;
};

struct load_worker {
    /* set before the thread runs */
    const struct load_options *options;
    const struct load_target *targets;
    const struct load_endpoints *endpoints;
    uint32_t n_targets;
    uint32_t index, n_workers, n_conns; /* n_conns: at least one for each endpoint */
    struct rng rng;
    struct load_recorder recorder;

    _Atomic bool stop; /* asks the thread to end early */

    onnxd_status status; /* why the thread could not run; after joining it */
    onnxd_error error;

    /* of the thread alone */
    struct load_lane lanes[LOAD_MAX_TARGETS]; /* as the endpoints */
    struct load_wire wire;
    struct load_mix mix; /* of all targets; open loop */
    uint32_t next_request[LOAD_MAX_TARGETS];
    uint64_t next_due_ns;
    uint32_t n_under_way, n_waiting;
    uint64_t next_sweep_ns;
    uint64_t cpu_start_ns;
};

/* The thread's function; `worker` is a struct load_worker. Returns NULL. */
void *load_worker_run(void *worker);

#endif
