/* stats/sample.h - figures of a sample held in memory: moments, quantiles, outliers, slope.
 *
 * Arrays are borrowed; "sorted" ones must be ascending (sample_sort). NaN is not allowed.
 * Threads: pure functions. */
#ifndef STATS_SAMPLE_H
#define STATS_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

double sample_mean(const double *x, size_t n);     /* 0 when empty */
double sample_variance(const double *x, size_t n); /* n - 1 in the denominator; 0 below two values */
double sample_sd(const double *x, size_t n);

void sample_sort(double *x, size_t n);

/* Linear between the two nearest ranks (Hyndman and Fan 1996, type 7). n > 0, 0 <= q <= 1. */
double sample_quantile(const double *sorted, size_t n, double q);
double sample_median(const double *sorted, size_t n);

/* Outliers by Tukey's fences, 1.5 and 3 interquartile ranges beyond the quartiles. They are labelled,
 * never removed. */
struct sample_outliers {
    double low_severe, low_mild, high_mild, high_severe; /* the fences */
    size_t n_low_severe, n_low_mild, n_high_mild, n_high_severe;
};
struct sample_outliers sample_outliers(const double *sorted, size_t n);

/* The slope of y = slope x by least squares, and the share of y's spread about zero that it explains. */
struct sample_slope {
    double slope, r2;
};
struct sample_slope sample_slope_through_origin(const double *x, const double *y, size_t n);

/* The time to the next arrival of a Poisson stream: exponential with mean 1 / rate. rate > 0. */
double sample_poisson_gap(struct rng *rng, double rate);

#endif
