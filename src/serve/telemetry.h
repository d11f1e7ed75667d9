/* serve/telemetry.h - what the server counts, and its Prometheus text.
 *
 * Every worker has a block of its own, written by its thread alone and read by whoever is asked for
 * /metrics. All blocks of all processes lie in one piece of shared memory that is made before
 * processes are forked, so one scrape shows them all.
 *
 * Times are counted in nanoseconds and shown in microseconds (nv_inference_*) or seconds.
 *
 * Threads: a block has one writer; reading is free for all. */
#ifndef SERVE_TELEMETRY_H
#define SERVE_TELEMETRY_H

#include <stdatomic.h>

#include "base/buf.h"
#include "net/http_host.h"
#include "onnxd/status.h"

#define TELEMETRY_MAX_MODELS 64u /* name and version pairs; the last place gathers what is beyond */
#define TELEMETRY_N_BUCKETS  20u /* of a time histogram, the last without an upper bound */
#define TELEMETRY_N_BATCH    16u /* powers of two: 1, 2, 4, ... */

typedef _Atomic uint64_t tally;

static inline void tally_add(tally *at, uint64_t n) /* by the one writer */
{
    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline uint64_t tally_get(const tally *at)
{
    return atomic_load_explicit((tally *)(uintptr_t)at, memory_order_relaxed);
}

struct time_stat {
    tally count, sum_ns;
    tally buckets[TELEMETRY_N_BUCKETS];
};

enum fail_reason {                /* labels of nv_inference_request_failure */
                   FAIL_REJECTED, /* queue full */
                   FAIL_CANCELED, /* nobody waits, deadline */
                   FAIL_BACKEND,
                   FAIL_OTHER, /* the request's own fault */
                   N_FAIL_REASONS
};

struct model_stats { /* of one model version on one worker */
    tally success, rows, runs, pending;
    tally failure[N_FAIL_REASONS];
    tally last_ms; /* wall clock of the last inference */
    struct time_stat request, queue, parse, run, write;
    tally batch[TELEMETRY_N_BATCH];
};

enum http_route_id {
    ROUTE_PREDICT,
    ROUTE_INFER,
    ROUTE_V2,
    ROUTE_V1,
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_ROOT,
    ROUTE_UNKNOWN,
    N_ROUTES
};
#define TELEMETRY_N_STATUS 16u /* see telemetry.c */

struct worker_stats {
    tally requests[N_ROUTES][TELEMETRY_N_STATUS];
    tally connections_open, connections_accepted, connections_refused, connections_reset;
    tally malformed, timed_out, bytes_in, bytes_out, wakeups;
    tally cpu_ns; /* of the worker's thread */
    struct time_stat request;
    struct model_stats models[TELEMETRY_MAX_MODELS];
};

struct model_slot {
    _Atomic uint32_t used;
    char name[128];
    uint64_t version;
};

struct telemetry_process {
    struct model_slot slots[TELEMETRY_MAX_MODELS];
    tally restarts, loads, load_failures;
    tally turns;                   /* times that all its workers were seen to go round, for a watchdog */
    struct worker_stats workers[]; /* [n_workers + n_compute] */
};

struct telemetry {
    void *memory; /* shared */
    size_t n_bytes, process_bytes;
    uint32_t n_processes;
    uint32_t n_workers; /* of each process */
    uint32_t n_compute; /* compute threads of each process, counted behind its workers */
};

ONNXD_MUST_USE onnxd_status telemetry_create(uint32_t n_processes, uint32_t n_workers, uint32_t n_compute,
                                             struct telemetry *ret, onnxd_error *err);
void telemetry_done(struct telemetry *telemetry);

struct telemetry_process *telemetry_process(const struct telemetry *telemetry, uint32_t process);
struct worker_stats *telemetry_worker(const struct telemetry *telemetry, uint32_t process, uint32_t worker);

/* The place of a model version, found or taken. One caller at a time in each process. */
uint32_t telemetry_slot(struct telemetry_process *process, const char *name, uint64_t version);

/* The place of a model version, or TELEMETRY_MAX_MODELS. Any thread. */
uint32_t telemetry_find_slot(struct telemetry_process *process, const char *name, uint64_t version);

void time_stat_add(struct time_stat *time, uint64_t ns);
/* One run of a model, of n_rows. */
void telemetry_count_run(struct worker_stats *worker, uint32_t slot, uint32_t n_rows, uint64_t ns);

void telemetry_count_request(struct worker_stats *worker, enum http_route_id route, uint16_t status);

/* Shows the host's own counters. `base`: what this place showed when the host began, so that a worker started
 * again goes on counting from there. */
void telemetry_copy_http(struct worker_stats *worker, const struct http_stats *http,
                         const struct http_stats *base);
struct http_stats telemetry_http_base(const struct worker_stats *worker);

/* Appends the text of everything. False when it does not fit. */
bool telemetry_write(const struct telemetry *telemetry, struct buf *out);

#endif
