/* bench/modes_suite.h - the same model and rows in this process and through a server, in turns.
 *
 * A mode is a way for one caller to have rows answered:
 *   cpu[:BATCH]    a session in this process, BATCH rows a run (1 when not given)
 *   remote:BATCH   HTTP to `onnxd serve` on this machine, one connection, one request under way, BATCH rows
 * each each with one or more engines. Modes take turns in slices, in the order A B C, C B A, ..., so that a
 * drift of the machine meets all of them. Every call gets other rows; copying or encoding them is part of its
 * time.
 *
 * Latency is the time from having rows to having their answers. Processor time is that of this process and
 * the server's together; memory is resident: this process without any model, and what loading the model added
 * (cpu) or the server's whole process (remote).
 *
 * Servers are children that are stopped whatever happens (child_process.h).
 *
 * Ownership: modes_suite_done frees. Threads: call from the main thread. */
#ifndef BENCH_MODES_SUITE_H
#define BENCH_MODES_SUITE_H

#include "bench/bench_run.h"
#include "bench/decision.h"
#include "onnxd/onnxd.h"
#include "stats/histogram.h"

enum { MODES_MAX = 24, MODES_MAX_ENGINES = 2, MODES_MAX_SLICES = 1000 };

enum modes_protocol { MODES_BINARY, MODES_JSON };

struct modes_kind {
    bool remote;
    uint32_t batch;
};

/* "cpu,remote:1,remote:8" into kinds[MODES_MAX]. Batches 1..65536. ONNXD_ERR_ARGUMENT tells the word. */
ONNXD_MUST_USE onnxd_status modes_parse(const char *text, struct modes_kind *kinds, uint32_t *ret_n,
                                        onnxd_error *err);

struct modes_options {
    const char *model;
    const char *rows; /* a file of rows by its ending, or NULL: drawn */
    struct modes_kind kinds[MODES_MAX];
    uint32_t n_kinds;
    onnxd_engine engines[MODES_MAX_ENGINES]; /* native, onnxruntime */
    uint32_t n_engines;
    enum modes_protocol protocol; /* of remote modes: v2 binary tensors, or JSON to /predict */
    double seconds;               /* of each mode, all slices together */
    uint32_t n_slices;            /* of each mode, 2..1000 */
    uint32_t workers;             /* of the server */
    uint64_t seed;
    const char *program; /* onnxd, to start servers with; NULL: the program that runs now */
};

struct modes_figures { /* of one mode */
    char name[48];     /* "native cpu", "onnxruntime remote:8"; without the engine when there is only one */
    onnxd_engine engine;
    struct modes_kind kind;
    double p50_us, p95_us, p99_us;
    struct interval rows_per_s;
    double own_cpu_us, server_cpu_us; /* a row */
    double own_memory_bytes, server_memory_bytes;
    uint64_t n_calls, n_rows;
    bool p99_is_sound; /* enough calls above it */
    double
        worst_difference; /* of its answers to those of the first cpu mode or, without one, the model's own */
    double slice_rates[MODES_MAX_SLICES];
    uint32_t n_slices;
};

struct modes_suite {
    struct modes_figures *figures; /* [n_figures] */
    uint32_t n_figures;
    struct decision decision;                /* with the weights given; names point into figures */
    char skipped[ONNXD_ERROR_MESSAGE_BYTES]; /* engines that could not be had, and why; "" */
};

/* Called before each slice; may be NULL. */
typedef void (*modes_progress_fn)(void *context, const char *mode, uint32_t done, uint32_t all);

/* An engine that this machine lacks is left out and told in `skipped` when another remains.
 * ONNXD_ERR_ARGUMENT; ONNXD_ERR_UNSUPPORTED: the model does not go by rows; ONNXD_ERR_IO, _TIMEOUT: the
 * server; what loading and running say. */
ONNXD_MUST_USE onnxd_status modes_suite_run(const struct modes_options *options,
                                            const struct decision_weights *weights,
                                            modes_progress_fn progress, void *context,
                                            struct modes_suite *ret, onnxd_error *err);
void modes_suite_done(struct modes_suite *suite); /* takes a zeroed one */

void modes_to_run(const struct modes_suite *suite, struct bench_run *run);

/* ---- forms: the figures, then the decision ---- */
void modes_report_text(const struct modes_suite *suite, struct buf *buf);
void modes_report_markdown(const struct modes_suite *suite, struct buf *buf);
void modes_report_json(const struct modes_suite *suite, const struct bench_run *run, struct buf *buf);
void modes_report_html(const struct modes_suite *suite, const struct bench_run *run, struct buf *buf);

#endif
