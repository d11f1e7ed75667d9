#include "load/load_estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stats/sample.h"

#define N_RESAMPLES  1000
#define CELL_SAMPLES 4096

/* The values in ascending order, cut into cells, with how many of each interval a cell holds: a resample
 * finds the cell of a quantile without looking at every value. */
struct cells {
    uint32_t n, n_blocks;
    uint32_t *counts; /* [n, n_blocks] */
    double *values;   /* [n] the middle of a histogram's bucket; unused for exact samples */
    uint64_t n_values;
};

static onnxd_status allocate(struct cells *cells, uint32_t n, uint32_t n_blocks, onnxd_error *err)
{
    *cells = (struct cells){.n = n, .n_blocks = n_blocks};
    cells->counts = calloc((size_t)n * n_blocks + 1, sizeof *cells->counts);
    cells->values = calloc(n + 1u, sizeof *cells->values);
    if (cells->counts != NULL && cells->values != NULL) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_NOMEM, "no memory for the intervals of percentiles");
}

static onnxd_status cells_of_samples(const struct load_result *r, struct cells *cells, onnxd_error *err)
{
    onnxd_status status = allocate(cells, (uint32_t)((r->n_samples + CELL_SAMPLES - 1) / CELL_SAMPLES),
                                   r->n_intervals, err);
    if (status != ONNXD_OK) return status;
    cells->n_values = r->n_samples;
    for (uint64_t i = 0; i < r->n_samples; i++) {
        uint32_t block = load_sample_interval(r->samples[i]);
        if (block >= r->n_intervals) block = r->n_intervals - 1;
        cells->counts[i / CELL_SAMPLES * r->n_intervals + block]++;
    }
    return ONNXD_OK;
}

static onnxd_status cells_of_histograms(const struct histogram *const *h, uint32_t n_blocks,
                                        struct cells *cells, onnxd_error *err)
{
    onnxd_status status = allocate(cells, HISTOGRAM_BUCKETS, n_blocks, err);
    if (status != ONNXD_OK) return status;
    cells->n = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t *counts = cells->counts + (size_t)cells->n * n_blocks;
        uint64_t before = cells->n_values;
        for (uint32_t b = 0; b < n_blocks; b++) {
            counts[b] = (uint32_t)h[b]->counts[i];
            cells->n_values += counts[b];
        }
        if (cells->n_values == before) continue; /* nearly all are empty */
        cells->values[cells->n++] = (double)histogram_bucket_low(i) + (double)histogram_bucket_width(i) / 2;
    }
    return ONNXD_OK;
}

/* The value of rank `rank` (1, 2, ...) when interval b counts times[b]-fold; `*cell` and `*before` go on from
 * the last call, ranks ascend. */
static double value_at(const struct cells *c, const struct load_result *r, const uint32_t *times, double rank,
                       uint32_t *cell, uint64_t *before)
{
    for (; *cell < c->n; ++*cell) {
        const uint32_t *counts = c->counts + (size_t)*cell * c->n_blocks;
        uint64_t n = 0;
        for (uint32_t b = 0; b < c->n_blocks; b++) n += (uint64_t)counts[b] * times[b];
        if ((double)(*before + n) >= rank) break;
        *before += n;
    }
    if (*cell == c->n) return NAN; /* an empty resample */
    if (r->samples == NULL) return c->values[*cell];
    uint64_t at = *before, i = (uint64_t)*cell * CELL_SAMPLES;
    for (; i + 1 < r->n_samples; i++) {
        at += times[load_sample_interval(r->samples[i])];
        if ((double)at >= rank) break;
    }
    return (double)load_sample_ns(r->samples[i]);
}

/* One run that could have been: quantiles, mean and count into out[LOAD_N_QUANTILES + 2]. */
static void resample(const struct cells *c, const struct load_result *r, const double *sums,
                     const uint64_t *ns, struct rng *rng, double *out)
{
    uint32_t times[1u << LOAD_INTERVAL_BITS] = {0};
    uint64_t n = 0, before = 0;
    double sum = 0;
    uint32_t cell = 0;
    for (uint32_t b = 0; b < c->n_blocks; b++) {
        uint64_t drawn = rng_below(rng, c->n_blocks);
        times[drawn]++;
        n += ns[drawn];
        sum += sums[drawn];
    }
    for (int i = 0; i < LOAD_N_QUANTILES; i++) {
        double rank = ceil(load_quantiles[i].q * (double)n);
        out[i] = n > 0 ? value_at(c, r, times, rank < 1 ? 1 : rank, &cell, &before) : NAN;
    }
    out[LOAD_N_QUANTILES] = n > 0 ? sum / (double)n : NAN;
    out[LOAD_N_QUANTILES + 1] = (double)n;
}

static void sum_blocks(const struct cells *c, const struct load_result *r, double *sums, uint64_t *ns)
{
    for (uint64_t i = 0; r->samples != NULL && i < r->n_samples; i++)
        sums[load_sample_interval(r->samples[i])] += (double)load_sample_ns(r->samples[i]);
    for (uint32_t cell = 0; cell < c->n; cell++)
        for (uint32_t b = 0; b < c->n_blocks; b++) {
            uint32_t n = c->counts[(size_t)cell * c->n_blocks + b];
            ns[b] += n;
            if (r->samples == NULL) sums[b] += n * c->values[cell];
        }
}

/* The middle 95 % of what the resamples gave for one figure; the point stays within. */
static void set_interval(struct interval *i, double *values, uint32_t n)
{
    uint32_t n_finite = 0;
    for (uint32_t k = 0; k < n; k++)
        if (isfinite(values[k])) values[n_finite++] = values[k];
    if (n_finite < n / 2) return;
    sample_sort(values, n_finite);
    i->low = fmin(sample_quantile(values, n_finite, 0.025), i->point);
    i->high = fmax(sample_quantile(values, n_finite, 0.975), i->point);
}

static onnxd_status resample_all(struct load_result *r, const struct cells *c, struct rng *rng,
                                 onnxd_error *err)
{
    enum { N_FIGURES = LOAD_N_QUANTILES + 2 };
    struct load_estimates *e = &r->estimates;
    double sums[1u << LOAD_INTERVAL_BITS] = {0}, out[N_FIGURES];
    uint64_t ns[1u << LOAD_INTERVAL_BITS] = {0};
    double *figures = malloc(N_FIGURES * N_RESAMPLES * sizeof *figures);
    if (figures == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the intervals of percentiles");
    sum_blocks(c, r, sums, ns);
    for (uint32_t k = 0; k < N_RESAMPLES; k++) {
        resample(c, r, sums, ns, rng, out);
        for (uint32_t f = 0; f < N_FIGURES; f++) figures[f * N_RESAMPLES + k] = out[f];
    }
    for (uint32_t f = 0; f < LOAD_N_QUANTILES; f++)
        if (quantile_has_enough(c->n_values, load_quantiles[f].q))
            set_interval(&e->quantiles[f], figures + f * N_RESAMPLES, N_RESAMPLES);
    set_interval(&e->mean_ns, figures + LOAD_N_QUANTILES * N_RESAMPLES, N_RESAMPLES);
    double *rates = figures + (LOAD_N_QUANTILES + 1) * N_RESAMPLES;
    double seconds = r->elapsed_s + r->lag_s;
    for (uint32_t k = 0; k < N_RESAMPLES; k++) rates[k] /= seconds;
    set_interval(&e->rate, rates, N_RESAMPLES);
    e->n_blocks = c->n_blocks;
    e->n_resamples = N_RESAMPLES;
    free(figures);
    return ONNXD_OK;
}

onnxd_status load_estimate(struct load_result *r, const struct histogram *const *by_interval, struct rng *rng,
                           onnxd_error *err)
{
    struct load_estimates *e = &r->estimates;
    double seconds = r->elapsed_s + r->lag_s;
    *e = (struct load_estimates){.mean_ns = {histogram_mean(&r->record->response), NAN, NAN},
                                 .rate = {seconds > 0 ? (double)r->record->n_done / seconds : 0, NAN, NAN}};
    for (int i = 0; i < LOAD_N_QUANTILES; i++)
        e->quantiles[i] = (struct interval){load_response_quantile(r, load_quantiles[i].q), NAN, NAN};
    if (r->n_intervals < LOAD_MIN_BLOCKS || r->record->n_done == 0 ||
        (r->samples == NULL && by_interval == NULL))
        return ONNXD_OK;
    struct cells cells = {0};
    onnxd_status status = r->samples != NULL ? cells_of_samples(r, &cells, err)
                                             : cells_of_histograms(by_interval, r->n_intervals, &cells, err);
    if (status == ONNXD_OK && cells.n_values > 0) status = resample_all(r, &cells, rng, err);
    free(cells.counts);
    free(cells.values);
    return status;
}
