/* bench/bench_run.h - one run of a suite as it may be kept: what was measured, how, where, and the figures.
 *
 *     struct bench_run run;
 *     bench_run_begin(&run, "load");
 *     bench_run_setting(&run, "connections", "%u", 64);
 *     bench_run_figure(&run, "p99", "ns", BENCH_LOWER, (struct interval){312e3, 300e3, 325e3}, samples, n);
 *     if (audit.client_limited) bench_run_verdict(&run, BENCH_CLIENT_LIMITED, audit.verdict);
 *     status = bench_history_keep(path, &run, &err);          // bench_history.h
 *     bench_run_done(&run);
 *
 * Runs with the same suite, settings and machine are alike; only such are compared. Settings are therefore
 * what was asked for (connections, model, batch), never what came out of it.
 *
 * Ownership: the run copies everything; bench_run_done frees. A shortage of memory sticks and is told when
 *            the run is kept.
 * Threads:   one at a time. */
#ifndef BENCH_BENCH_RUN_H
#define BENCH_BENCH_RUN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "bench/fingerprint.h"
#include "stats/bootstrap.h"

enum {
    BENCH_MAX_FIGURES = 4096, /* of a run */
    BENCH_MAX_SAMPLES = 65536 /* of a figure; of more, every nth is kept */
};

enum bench_better { BENCH_NEITHER, BENCH_LOWER, BENCH_HIGHER };

/* In the order of their weight; the numbers are also the exit codes of `onnxd bench check`. */
enum bench_verdict {
    BENCH_OK = 0,
    BENCH_REGRESSION = 1, /* found by comparison only */
    BENCH_UNSTABLE = 2,
    BENCH_OBJECTIVE_BROKEN = 3,
    BENCH_CLIENT_LIMITED = 4
};

struct bench_figure {
    const char *name; /* "model run, batch 8"; once in a run */
    const char *unit; /* "ns", "1/s", "bytes", "" */
    enum bench_better better;
    struct interval value; /* low and high equal the point when nothing is known of its spread */
    const double *samples; /* [n_samples] independent repetitions of the value, or NULL */
    uint32_t n_samples;
};

struct bench_run {
    int64_t id;                   /* in the file it was read from */
    int64_t unix_ms;              /* when it began */
    const char *suite;            /* "engine", "micro", "load", "modes", "single", "multi" */
    const char *settings;         /* "connections=64 model=deepfm.onnx", by rising name */
    const char *version, *commit; /* of onnxd */
    double load;                  /* runnable processes before the run; negative: unknown */
    enum bench_verdict verdict;
    const char *remark; /* why the verdict; "" */
    struct fingerprint machine;
    struct bench_figure *figures; /* [n_figures] */
    uint32_t n_figures, figure_capacity;
    struct arena arena;
    bool failed;
};

/* Fills time, version, commit, load and machine. */
void bench_run_begin(struct bench_run *run, const char *suite);
void bench_run_done(struct bench_run *run); /* takes a zeroed one */

/* A setting given again replaces the earlier one. Blanks and '=' in the value become '_'. */
__attribute__((format(printf, 3, 4))) void bench_run_setting(struct bench_run *run, const char *name,
                                                             const char *format, ...);

/* Values that are not finite are left out: the figure was not measured. Samples are copied; NULL, 0: none. */
void bench_run_figure(struct bench_run *run, const char *name, const char *unit, enum bench_better better,
                      struct interval value, const double *samples, size_t n_samples);

/* The same for a value of which only one is known. */
void bench_run_value(struct bench_run *run, const char *name, const char *unit, enum bench_better better,
                     double value);

/* A weightier verdict replaces a lighter one. */
void bench_run_verdict(struct bench_run *run, enum bench_verdict verdict, const char *remark);

/* The figure of this name, or NULL. */
const struct bench_figure *bench_run_find(const struct bench_run *run, const char *name);

const char *bench_verdict_name(enum bench_verdict verdict); /* "ok", "regression", ... */

/* "31.2 us", "1.20 GB", "12,300 /s": a value in its unit for people. */
void bench_format_value(double value, const char *unit, char *out, size_t size);

#endif
