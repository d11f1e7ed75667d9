/* bench/micro_baseline.h - a micro suite saved as JSON, and the comparison of a later one with it.
 *
 * A change counts when both hold (as in Criterion): the means differ by Welch's t against resamples of the
 * pooled sample (p < 0.05), and the 95 % interval of the change lies wholly beyond the noise, the larger of
 * what the two suites measured. Both suites should come from one sitting on a quiet machine: noise within a
 * run knows nothing of what the machine did between runs (`onnxd bench check` compares over a history).
 *
 * Ownership: micro_baseline_done frees. Threads: one at a time. */
#ifndef BENCH_MICRO_BASELINE_H
#define BENCH_MICRO_BASELINE_H

#include "bench/micro.h"

enum { MICRO_MAX_CASES = 1000 };

struct micro_baseline {
    struct micro_result *results; /* [n_results] name, is_slope, calls, times_ns, call_ns */
    uint32_t n_results;
    double noise;
    const char *version, *machine; /* the machine's fingerprint id */
    struct arena arena;
};

/* The suite as JSON: every figure with its samples. `run` tells version and machine. */
void micro_suite_json(const struct micro_suite *suite, const struct bench_run *run, struct buf *buf);

/* Reads what micro_suite_json wrote, from hostile bytes. ONNXD_ERR_FORMAT, _RANGE, _LIMIT, _NOMEM. */
ONNXD_MUST_USE onnxd_status micro_baseline_parse(const char *bytes, size_t n, struct micro_baseline *ret,
                                                 onnxd_error *err);
ONNXD_MUST_USE onnxd_status micro_baseline_read(const char *path, struct micro_baseline *ret,
                                                onnxd_error *err);
void micro_baseline_done(struct micro_baseline *baseline); /* takes a zeroed one */

enum micro_change {
    MICRO_NO_BASELINE,  /* the case is new */
    MICRO_SAME,         /* no difference is shown */
    MICRO_WITHIN_NOISE, /* one is shown, but no larger than noise */
    MICRO_FASTER,
    MICRO_SLOWER
};

struct micro_comparison {
    enum micro_change change;
    struct interval relative; /* new time over old - 1 */
    double p;
};

/* `was` NULL: MICRO_NO_BASELINE. `noise`: a share. */
ONNXD_MUST_USE onnxd_status micro_compare(const struct micro_result *was, const struct micro_result *now,
                                          double noise, struct bootstrap_options options, struct rng *rng,
                                          struct micro_comparison *ret, onnxd_error *err);

/* All results of a suite: ret[suite->n_results]. */
ONNXD_MUST_USE onnxd_status micro_compare_all(const struct micro_baseline *baseline,
                                              const struct micro_suite *suite, struct micro_comparison *ret,
                                              onnxd_error *err);

const char *micro_change_name(enum micro_change change); /* "slower", ... */

/* ---- for people: `changes` is [n_results] or NULL ---- */

void micro_report_text(const struct micro_suite *suite, const struct micro_comparison *changes,
                       struct buf *buf);
void micro_report_csv(const struct micro_suite *suite, const struct micro_comparison *changes,
                      struct buf *buf);

#endif
