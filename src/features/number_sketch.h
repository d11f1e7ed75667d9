/* features/number_sketch.h - mean, deviation, range and quantiles of numbers that pass by once.
 *
 * Means and deviations are running (Welford 1962); quantiles come from a reservoir of uniformly drawn
 * numbers (Vitter 1985, algorithm R) with a fixed seed, so the same numbers give the same sketch.
 *
 * Threads: one at a time. */
#ifndef FEATURES_NUMBER_SKETCH_H
#define FEATURES_NUMBER_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

enum { SKETCH_RESERVOIR = 1 << 16 };

struct number_moments {
    double mean, squares; /* squares: sum of squared differences from the mean */
};

struct number_sketch {
    uint64_t n;
    double min, max;
    struct number_moments plain, log; /* of x and of sign(x) log(1 + |x|) */
    double *reservoir;                /* [SKETCH_RESERVOIR], or NULL until the first number */
    uint32_t n_kept;
    struct rng rng;
};

void number_sketch_init(struct number_sketch *sketch);
void number_sketch_done(struct number_sketch *sketch);

/* x must be finite. False when memory runs out. */
bool number_sketch_add(struct number_sketch *sketch, double x);

/* The standard deviation; 0 for fewer than two numbers. */
double number_moments_deviation(const struct number_moments *moments, uint64_t n);

/* Bounds of at most n_buckets buckets that share the numbers evenly, as far as equal numbers allow: a number
 * that fills a bucket by itself leaves the others to the rest. bounds[] has room for n_buckets - 1,
 * ascending; returns how many there are. Sorts the reservoir. */
uint32_t number_sketch_bounds(struct number_sketch *sketch, uint32_t n_buckets, double *bounds);

#endif
