#include "stats/histogram.h"

#include <math.h>
#include <string.h>

uint64_t histogram_bucket_width(uint32_t bucket)
{
    return bucket < 256 ? 1 : 1ull << ((bucket >> HISTOGRAM_SUB_BITS) - 1);
}

uint64_t histogram_bucket_low(uint32_t bucket)
{
    if (bucket < 256) return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    return (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->n == 0) return;
    if (into->n == 0 || from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
    into->n += from->n;
    into->sum += from->sum;
    into->sum_squares += from->sum_squares;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
}

double histogram_quantile(const struct histogram *h, double q)
{
    if (h->n == 0) return 0;
    double wanted = ceil(q * (double)h->n - 1e-9);
    uint64_t rank = wanted < 1 ? 1 : wanted >= (double)h->n ? h->n : (uint64_t)wanted, seen = 0;
    if (rank == h->n) return (double)h->max;
    uint32_t i = histogram_bucket(h->min);
    for (; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += h->counts[i];
        if (seen >= rank) break;
    }
    double value = (double)histogram_bucket_low(i) + (double)(histogram_bucket_width(i) - 1) / 2;
    return fmin(fmax(value, (double)h->min), (double)h->max);
}

double histogram_mean(const struct histogram *h)
{
    return h->n == 0 ? 0 : (double)h->sum / (double)h->n;
}

double histogram_sd(const struct histogram *h)
{
    if (h->n < 2) return 0;
    double n = (double)h->n, mean = (double)h->sum / n;
    return sqrt(fmax(0, (h->sum_squares - n * mean * mean) / (n - 1)));
}

uint64_t histogram_count_to(const struct histogram *h, uint64_t value)
{
    uint64_t n = 0;
    for (uint32_t i = 0, last = histogram_bucket(value); i <= last; i++) n += h->counts[i];
    return n;
}
