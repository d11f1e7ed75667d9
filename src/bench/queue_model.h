/* bench/queue_model.h - predicts the latency of several server instances under a load, by simulation.
 *
 * Requests arrive as a Poisson stream. An instance that wakes up takes all requests that wait for it, up to
 * max_batch, works for wake_s + the sum of their own times, and then answers all of them: the way of a worker
 * of `onnxd serve`. With max_batch 1 and wake_s 0 it is the textbook's queue (M/M/1, M/D/1, M/M/c), against
 * whose closed forms it is tested.
 *
 *     struct queue_model model = {.arrival_rate = 50000, .n_instances = 2, .wake_s = 8e-6, .request_s = 6e-6,
 *                                 .max_batch = 64, .n_requests = 1000000, .seed = 1};
 *     queue_model_run(&model, &figures, &err);
 *
 * What it leaves out: instances do not compete for processors, the network and the client take no time.
 *
 * Threads: pure functions; the same seed gives the same figures. */
#ifndef BENCH_QUEUE_MODEL_H
#define BENCH_QUEUE_MODEL_H

#include <stdint.h>

#include "onnxd/status.h"

#define QUEUE_MAX_INSTANCES 256u
#define QUEUE_MAX_BATCH     4096u
#define QUEUE_MAX_REQUESTS  UINT64_C(100000000)
#define QUEUE_N_BLOCKS      10u /* that the requests are cut into, to say how sure a quantile is */

enum queue_balance {                 /* which instance a request goes to */
                     QUEUE_RANDOM,   /* any: connections spread by hash, a queue for each instance */
                     QUEUE_SHORTEST, /* the one with the fewest requests: least_conn of a balancer */
                     QUEUE_SHARED    /* one queue for all: the best that could be */
};

enum queue_service { QUEUE_FIXED, QUEUE_EXPONENTIAL }; /* how request_s varies */

struct queue_model {
    double arrival_rate; /* requests a second, of all instances together; > 0 */
    uint32_t n_instances;
    enum queue_balance balance;
    enum queue_service service;
    double wake_s, request_s; /* for each wake-up, and on average for each request; >= 0, not both 0 */
    uint32_t max_batch;
    uint64_t n_requests; /* the first tenth is not counted */
    uint64_t seed;
};

struct queue_figures {
    double mean_s, p50_s, p90_s, p99_s, p999_s; /* from arrival to answer */
    double p99_error_s;                         /* half of the 95 % interval of p99, from blocks */
    double mean_batch;                          /* requests of a wake-up */
    double utilisation;                         /* share of time in which an instance works */
    double mean_in_system;                      /* requests waiting or worked on, over time */
};

/* Requests a second that the instances could answer if all of them always worked. */
double queue_model_capacity(const struct queue_model *model);

/* ONNXD_ERR_RANGE names the figure that is out of its range, or says that the load is beyond the capacity;
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status queue_model_run(const struct queue_model *model, struct queue_figures *ret,
                                            onnxd_error *err);

/* The highest rate, within one in a hundred, whose p99 is at most objective_s; 0 when an idle server already
 * misses it. arrival_rate is not looked at. */
ONNXD_MUST_USE onnxd_status queue_model_highest_rate(const struct queue_model *model, double objective_s,
                                                     double *ret_rate, onnxd_error *err);

/* ---- service times from what a server counted ------------------------------------------------------- */

struct queue_sample { /* between two scrapes of /metrics, over all workers */
    double cpu_s, wakeups, requests;
};

/* cpu_s = wake_s wakeups + request_s requests by least squares of the relative error, neither below 0.
 * Samples of at least two loads, whose mean batches differ, are needed to tell the two apart:
 * ONNXD_ERR_RANGE. */
ONNXD_MUST_USE onnxd_status queue_model_fit(const struct queue_sample *samples, uint32_t n,
                                            double *ret_wake_s, double *ret_request_s, onnxd_error *err);

#endif
