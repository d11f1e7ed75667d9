/* stats/significance.h - could two samples come from one source? Two-sided p values.
 *
 * Welch's t (1947) compares means without assuming equal variances. Mann and Whitney's U (1947) compares
 * ranks and so minds no outliers; it is what to use for timings. Distribution functions follow
 * Abramowitz and Stegun, chapters 6 and 26.
 *
 * Threads: pure functions. */
#ifndef STATS_SIGNIFICANCE_H
#define STATS_SIGNIFICANCE_H

#include <stddef.h>

#include "onnxd/status.h"

struct welch {
    double t, df, p; /* p is 1 when either sample has fewer than two values or nothing varies and the
                        means are equal; 0 when nothing varies and they differ */
};
struct welch welch_test(const double *a, size_t n_a, const double *b, size_t n_b);

struct mann_whitney {
    double u; /* of the first sample: pairs in which its value is the larger, ties counting a half */
    double
        p; /* exact for up to 20 values each without ties, else normal with tie and continuity correction */
    double effect; /* P(a > b) + P(a = b) / 2: 0.5 means no shift */
};
/* n_a, n_b >= 1. ONNXD_ERR_NOMEM, ONNXD_ERR_ARGUMENT. */
ONNXD_MUST_USE onnxd_status mann_whitney_test(const double *a, size_t n_a, const double *b, size_t n_b,
                                              struct mann_whitney *ret, onnxd_error *err);

double normal_cdf(double z);
double student_t_cdf(double t, double df);
double student_t_quantile(double p, double df);       /* 0 < p < 1 */
double incomplete_beta(double a, double b, double x); /* regularised */

#endif
