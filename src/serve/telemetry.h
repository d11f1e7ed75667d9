/* serve/telemetry.h - what the server counts: the series of src/metrics that it keeps, and their writers.
 *
 * Every thread writes cells of its own; all cells of all processes lie in one piece of shared memory that is
 * made before processes are forked, so one scrape shows them all, and what a dead process counted stays
 * counted.
 *
 * Times are counted in nanoseconds and shown in microseconds (nv_inference_*) or seconds.
 *
 * Threads: a writer has one thread; registering and reading are free for all. */
#ifndef SERVE_TELEMETRY_H
#define SERVE_TELEMETRY_H

#include <stdatomic.h>

#include "base/buf.h"
#include "metrics/metrics.h"
#include "net/http_host.h"
#include "onnxd/status.h"

#define TELEMETRY_MAX_MODELS 64u  /* versions loaded at a time; what is beyond counts as model "(others)" */
#define TELEMETRY_NAME_BYTES 128u /* of a model's name */
#define TELEMETRY_NO_SLOT    UINT32_MAX
#define TELEMETRY_MAX_FIELDS 1024u /* of all models' feature descriptions */
#define TELEMETRY_N_SIZES    74u   /* batch sizes told one by one to 64, then by powers of two to 65536 */
#define TELEMETRY_N_FINE     217u  /* see telemetry_fine_ns */
#define TELEMETRY_N_STATUS   16u

enum fail_reason {                /* labels of nv_inference_request_failure */
                   FAIL_REJECTED, /* queue full */
                   FAIL_CANCELED, /* nobody waits, deadline */
                   FAIL_BACKEND,
                   FAIL_OTHER, /* the request's own fault */
                   N_FAIL_REASONS
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

enum telemetry_stage { STAGE_REQUEST, STAGE_QUEUE, STAGE_PARSE, STAGE_RUN, STAGE_WRITE, N_STAGES };

struct telemetry_model { /* the series of one model version; a plain value */
    struct metric success, rows, runs, pending;
    struct metric failure[N_FAIL_REASONS];
    struct metric total_us[N_STAGES], time[N_STAGES]; /* Triton's counters, and histograms */
    struct metric batch;
    uint32_t slot;       /* among those told apart; TELEMETRY_NO_SLOT: "(others)" */
    struct metric sizes; /* tallies: runs of each size, time of each size, wall clock of the last run */
};

struct telemetry_field { /* the series of a field of a model's feature description */
    struct metric unknown;
    bool is_shown; /* false: there was no room for a series */
};

struct telemetry_process {  /* shared */
    _Atomic int32_t pid;    /* 0: it has not begun */
    _Atomic uint64_t turns; /* times that all its workers were seen to go round, for a watchdog */
};

struct telemetry_slots;

struct telemetry { /* immutable once made, but for what it points to */
    void *memory;  /* shared */
    size_t n_bytes;
    struct metrics *metrics;
    struct telemetry_slots *slots;
    struct telemetry_process *processes; /* [n_processes] */
    uint32_t n_processes;
    uint32_t n_workers; /* of each process */
    uint32_t n_compute; /* compute threads of each process, counted behind its workers */
    struct metric request, fine, wakeups, open;
    struct metric http[8]; /* counters of struct http_stats; see telemetry.c */
    struct telemetry_model others;
};

ONNXD_MUST_USE onnxd_status telemetry_create(uint32_t n_processes, uint32_t n_workers, uint32_t n_compute,
                                             struct telemetry *ret, onnxd_error *err);
void telemetry_done(struct telemetry *telemetry); /* takes a zeroed one */

/* The series of a model version, which are its own until the process releases them as often as it asked for
 * them. A version that comes back goes on counting where it was, unless so many others were loaded meanwhile
 * that its series are another's; then it begins with 0. While TELEMETRY_MAX_MODELS are held, those of
 * "(others)". */
struct telemetry_model telemetry_model(const struct telemetry *telemetry, uint32_t process, const char *name,
                                       uint64_t version);
void telemetry_release(const struct telemetry *telemetry, uint32_t process,
                       const struct telemetry_model *model);

/* The series of a field of raw data, for as long as the model's; past TELEMETRY_MAX_FIELDS in all none is
 * shown. */
struct telemetry_field telemetry_field(const struct telemetry *telemetry, const struct telemetry_model *model,
                                       const char *name);

/* In a process that begins to serve: its processor time, memory and descriptors are told from now on. */
void telemetry_process_began(const struct telemetry *telemetry, uint32_t process);

/* On the thread that loads models: one was loaded, or could not be. */
void telemetry_count_load(const struct telemetry *telemetry, uint32_t process, bool ok);

/* In the supervising process. */
void telemetry_count_restart(const struct telemetry *telemetry, uint32_t process);

/* ---- writing ---------------------------------------------------------------------------------------- */

struct telemetry_writer {
    const struct telemetry *telemetry;
    struct metrics_writer cells;
    struct metric cpu;
    struct metric requests[N_ROUTES]
                          [TELEMETRY_N_STATUS]; /* series are made when there is something to count */
    bool has_requests[N_ROUTES][TELEMETRY_N_STATUS];
    struct http_stats shown; /* what was added already */
    uint32_t open_shown;
    uint64_t cpu_shown_ns;
};

/* `thread` counts workers, then compute threads of `process`. Gauges that a dead one left are zeroed. */
void telemetry_writer_init(struct telemetry_writer *writer, const struct telemetry *telemetry,
                           uint32_t process, uint32_t thread);

/* An answered HTTP request. */
void telemetry_count_request(struct telemetry_writer *writer, enum http_route_id route, uint16_t status,
                             uint64_t ns);
void telemetry_count_stage(struct telemetry_writer *writer, const struct telemetry_model *model,
                           enum telemetry_stage stage, uint64_t ns);
void telemetry_count_success(struct telemetry_writer *writer, const struct telemetry_model *model);
void telemetry_count_failure(struct telemetry_writer *writer, const struct telemetry_model *model,
                             enum fail_reason reason);
void telemetry_count_unknowns(struct telemetry_writer *writer, const struct telemetry_field *field,
                              uint64_t n);
void telemetry_change_pending(struct telemetry_writer *writer, const struct telemetry_model *model, int by);

/* One run, of n_rows. */
void telemetry_count_run(struct telemetry_writer *writer, const struct telemetry_model *model,
                         uint32_t n_rows, uint64_t ns);

/* Takes over the host's own counters, and counts a wake-up. False when nothing has changed since the one
 * before. */
bool telemetry_show_host(struct telemetry_writer *writer, const struct http_stats *stats, uint32_t n_open);
/* Takes over the thread's processor time. */
void telemetry_show_cpu(struct telemetry_writer *writer, uint64_t cpu_ns);

/* ---- reading ---------------------------------------------------------------------------------------- */

/* Rows that size i of telemetry_model.sizes stands for; from 65 on the upper end of a range. */
uint32_t telemetry_size_rows(uint32_t i);

struct telemetry_size {
    uint64_t runs, ns;
};
void telemetry_read_sizes(const struct telemetry *telemetry, const struct telemetry_model *model,
                          struct telemetry_size ret[TELEMETRY_N_SIZES], uint64_t *ret_last_ms);

/* Times of requests in steps of an eighth of a power of two, to tell quantiles of an interval. */
double telemetry_fine_ns(uint32_t i); /* the middle of step i */

struct telemetry_totals { /* over all processes, since the start */
    uint64_t n_requests, request_ns, n_rows, n_runs;
    uint64_t fine[TELEMETRY_N_FINE];
};
void telemetry_read_totals(const struct telemetry *telemetry, struct telemetry_totals *ret);

struct telemetry_interval { /* what lies between two readings */
    uint64_t n_requests;
    double mean_us, p50_us, p99_us, rows_a_run; /* 0 when there was nothing */
};
struct telemetry_interval telemetry_between(const struct telemetry_totals *before,
                                            const struct telemetry_totals *after);

/* Appends the text of everything. False when it does not fit. */
bool telemetry_write(const struct telemetry *telemetry, struct buf *out);

#endif
