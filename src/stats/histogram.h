/* stats/histogram.h - counts of values on a log-linear scale: under 0.8 % error over all 64 bits.
 *
 * Every power of two is cut into 128 equal buckets, so a value is known to within 1/128 of itself; values
 * below 256 exactly. The count, the sum, the smallest and the largest value are exact. Recording is a
 * few instructions; histograms of many threads are merged by adding.
 *
 * Ownership: plain memory (58 KiB); zeroed is empty; copy and free as you like.
 * Threads:   one writer, nobody else meanwhile. */
#ifndef STATS_HISTOGRAM_H
#define STATS_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS - 1) * 128 + 256)

struct histogram {
    uint64_t n;
    uint64_t min, max; /* meaningful when n > 0 */
    uint64_t sum;
    double sum_squares;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    int shift = 63 - HISTOGRAM_SUB_BITS - __builtin_clzll(value | 1);
    if (shift < 0) shift = 0;
    return ((uint32_t)shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

/* The smallest value of a bucket, and how many values it holds. */
uint64_t histogram_bucket_low(uint32_t bucket);
uint64_t histogram_bucket_width(uint32_t bucket);

static inline void histogram_record_n(struct histogram *h, uint64_t value, uint64_t n)
{
    if (h->n == 0 || value < h->min) h->min = value;
    if (value > h->max) h->max = value;
    h->n += n;
    h->sum += value * n;
    h->sum_squares += (double)value * (double)value * (double)n;
    h->counts[histogram_bucket(value)] += n;
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
    histogram_record_n(h, value, 1);
}

void histogram_reset(struct histogram *h);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that a share q (0..1) of all values do not exceed: the middle of its bucket, within the exact
 * smallest and largest. 0 when empty. */
double histogram_quantile(const struct histogram *h, double q);

double histogram_mean(const struct histogram *h);
double histogram_sd(const struct histogram *h); /* of the sample, n - 1; 0 below two values */

/* How many values are at most `value`, counting the bucket of `value` whole. */
uint64_t histogram_count_to(const struct histogram *h, uint64_t value);

/* A quantile with fewer than ten samples above it is luck, not a figure. */
static inline bool quantile_has_enough(uint64_t n, double q)
{
    return (double)n * (1 - q) >= 10 - 1e-6;
}

#endif
