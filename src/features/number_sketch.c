#include "features/number_sketch.h"

#include <math.h>
#include <stdlib.h>

#include "features/feature_build.h"

enum { RESERVOIR_SEED = 0x6f6e78 };

void number_sketch_init(struct number_sketch *sketch)
{
    *sketch = (struct number_sketch){.rng = rng_seed(RESERVOIR_SEED)};
}

void number_sketch_done(struct number_sketch *sketch)
{
    free(sketch->reservoir);
    *sketch = (struct number_sketch){0};
}

static void add_moment(struct number_moments *moments, double x, uint64_t n)
{
    double difference = x - moments->mean;
    moments->mean += difference / (double)n;
    moments->squares += difference * (x - moments->mean);
}

bool number_sketch_add(struct number_sketch *sketch, double x)
{
    if (sketch->reservoir == NULL) {
        sketch->reservoir = malloc(SKETCH_RESERVOIR * sizeof *sketch->reservoir);
        if (sketch->reservoir == NULL) return false;
    }
    sketch->n++;
    sketch->min = sketch->n == 1 || x < sketch->min ? x : sketch->min;
    sketch->max = sketch->n == 1 || x > sketch->max ? x : sketch->max;
    add_moment(&sketch->plain, x, sketch->n);
    add_moment(&sketch->log, signed_log(x), sketch->n);
    if (sketch->n_kept < SKETCH_RESERVOIR) {
        sketch->reservoir[sketch->n_kept++] = x;
    } else {
        uint64_t place = rng_below(&sketch->rng, sketch->n);
        if (place < SKETCH_RESERVOIR) sketch->reservoir[place] = x;
    }
    return true;
}

double number_moments_deviation(const struct number_moments *moments, uint64_t n)
{
    return n < 2 ? 0 : sqrt(moments->squares / (double)n);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

uint32_t number_sketch_bounds(struct number_sketch *sketch, uint32_t n_buckets, double *bounds)
{
    uint32_t n = sketch->n_kept, n_bounds = 0, first = 0; /* first: of the bucket being filled */
    if (n > 1) qsort(sketch->reservoir, n, sizeof *sketch->reservoir, by_value);
    for (uint32_t i = 1; i < n && n_bounds + 1 < n_buckets; i++) {
        const double *at = sketch->reservoir + i;
        double share = (double)(n - first) / (n_buckets - n_bounds); /* of each bucket still to be closed */
        if (at[0] == at[-1] || i - first < share) continue;
        bounds[n_bounds++] = *at;
        first = i;
    }
    return n_bounds;
}
