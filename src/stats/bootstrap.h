/* stats/bootstrap.h - confidence intervals by resampling (Efron 1979), percentile method.
 *
 * A resample draws n of the n values with replacement; the statistic is computed for each of many; the
 * interval holds the middle of the results. Plain percentiles are too narrow for small n, so the
 * percentiles are moved outwards as Student's t is from the normal (Hesterberg 2015, "What teachers
 * should know about the bootstrap", expanded percentile interval); for large n nothing changes.
 * Deterministic for a given *rng.
 *
 * Threads: pure functions but for *rng. */
#ifndef STATS_BOOTSTRAP_H
#define STATS_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "onnxd/status.h"

struct interval {
    double point, low, high;
};

/* A figure of a sample; `x` may be reordered. */
typedef double (*bootstrap_statistic)(double *x, size_t n);
double bootstrap_mean(double *x, size_t n);
double bootstrap_median(double *x, size_t n);

struct bootstrap_options { /* {0} selects the defaults */
    uint32_t n_resamples;  /* 0 means 10,000 */
    double confidence;     /* 0 means 0.95 */
};

/* n >= 1. ONNXD_ERR_ARGUMENT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status bootstrap_interval(const double *x, size_t n, bootstrap_statistic statistic,
                                               struct bootstrap_options options, struct rng *rng,
                                               struct interval *ret, onnxd_error *err);

/* The relative change statistic(after) / statistic(before) - 1 of two independent samples. */
ONNXD_MUST_USE onnxd_status bootstrap_change(const double *before, size_t n_before, const double *after,
                                             size_t n_after, bootstrap_statistic statistic,
                                             struct bootstrap_options options, struct rng *rng,
                                             struct interval *ret, onnxd_error *err);

/* The slope through the origin of y over x, resampling the pairs. */
ONNXD_MUST_USE onnxd_status bootstrap_slope(const double *x, const double *y, size_t n,
                                            struct bootstrap_options options, struct rng *rng,
                                            struct interval *ret, onnxd_error *err);

/* Do two samples differ in their mean? Welch's t against its own distribution when both are drawn from the
 * pooled values, which assumes no normality: the two-sided p value. 1 when either sample has fewer than two
 * values. */
ONNXD_MUST_USE onnxd_status bootstrap_welch(const double *a, size_t n_a, const double *b, size_t n_b,
                                            struct bootstrap_options options, struct rng *rng, double *ret_p,
                                            onnxd_error *err);

#endif
