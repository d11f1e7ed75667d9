#include "stats/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "stats/sample.h"
#include "stats/significance.h"

#define DEFAULT_RESAMPLES  10000
#define DEFAULT_CONFIDENCE 0.95
#define MAX_RESAMPLES      10000000

double bootstrap_mean(double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

double bootstrap_median(double *x, size_t n)
{
    sample_sort(x, n);
    return sample_median(x, n);
}

static void draw(const double *x, size_t n, struct rng *rng, double *out)
{
    for (size_t i = 0; i < n; i++) out[i] = x[rng_below(rng, n)];
}

static onnxd_status check_options(struct bootstrap_options *options, size_t n, onnxd_error *err)
{
    if (options->n_resamples == 0) options->n_resamples = DEFAULT_RESAMPLES;
    if (options->confidence == 0) options->confidence = DEFAULT_CONFIDENCE;
    if (n == 0) return error_set(err, ONNXD_ERR_ARGUMENT, "bootstrap: the sample is empty");
    if (options->n_resamples > MAX_RESAMPLES || !(options->confidence > 0 && options->confidence < 1))
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "bootstrap: expected 1..%d resamples and a confidence in (0, 1)", MAX_RESAMPLES);
    return ONNXD_OK;
}

/* Room for the statistic of every resample and `n` values behind them. */
static double *allocate(const struct bootstrap_options *options, size_t n, onnxd_error *err)
{
    size_t total = 0;
    double *memory = NULL;
    if (checked_add_size(n, options->n_resamples, &total)) memory = calloc(total, sizeof *memory);
    if (memory == NULL) error_set(err, ONNXD_ERR_NOMEM, "bootstrap: no memory for %zu values", total);
    return memory;
}

/* `n`: values behind each result, the smaller number for two samples. */
static struct interval percentiles(double point, double *results, const struct bootstrap_options *options,
                                   size_t n)
{
    double tail = (1 - options->confidence) / 2, freedom = (double)n - 1;
    if (n > 1) tail = normal_cdf(student_t_quantile(tail, freedom) * sqrt((double)n / freedom));
    sample_sort(results, options->n_resamples);
    return (struct interval){point, sample_quantile(results, options->n_resamples, tail),
                             sample_quantile(results, options->n_resamples, 1 - tail)};
}

onnxd_status bootstrap_interval(const double *x, size_t n, bootstrap_statistic statistic,
                                struct bootstrap_options options, struct rng *rng, struct interval *ret,
                                onnxd_error *err)
{
    onnxd_status status = check_options(&options, n, err);
    if (status != ONNXD_OK) return status;
    double *results = allocate(&options, n, err);
    if (results == NULL) return ONNXD_ERR_NOMEM;
    double *scratch = results + options.n_resamples;
    memcpy(scratch, x, n * sizeof *x);
    double point = statistic(scratch, n);
    for (uint32_t i = 0; i < options.n_resamples; i++) {
        draw(x, n, rng, scratch);
        results[i] = statistic(scratch, n);
    }
    *ret = percentiles(point, results, &options, n);
    free(results);
    return ONNXD_OK;
}

onnxd_status bootstrap_change(const double *before, size_t n_before, const double *after, size_t n_after,
                              bootstrap_statistic statistic, struct bootstrap_options options,
                              struct rng *rng, struct interval *ret, onnxd_error *err)
{
    onnxd_status status = check_options(&options, n_before < n_after ? n_before : n_after, err);
    if (status != ONNXD_OK) return status;
    size_t n = n_before > n_after ? n_before : n_after;
    double *results = allocate(&options, n, err);
    if (results == NULL) return ONNXD_ERR_NOMEM;
    double *scratch = results + options.n_resamples;
    memcpy(scratch, before, n_before * sizeof *before);
    double base = statistic(scratch, n_before);
    memcpy(scratch, after, n_after * sizeof *after);
    double point = statistic(scratch, n_after) / base - 1;
    for (uint32_t i = 0; i < options.n_resamples; i++) {
        draw(before, n_before, rng, scratch);
        base = statistic(scratch, n_before);
        draw(after, n_after, rng, scratch);
        results[i] = statistic(scratch, n_after) / base - 1;
    }
    *ret = percentiles(point, results, &options, n_before < n_after ? n_before : n_after);
    free(results);
    return ONNXD_OK;
}

onnxd_status bootstrap_slope(const double *x, const double *y, size_t n, struct bootstrap_options options,
                             struct rng *rng, struct interval *ret, onnxd_error *err)
{
    onnxd_status status = check_options(&options, n, err);
    if (status != ONNXD_OK) return status;
    double *results = allocate(&options, 0, err);
    if (results == NULL) return ONNXD_ERR_NOMEM;
    for (uint32_t i = 0; i < options.n_resamples; i++) {
        double xx = 0, xy = 0;
        for (size_t j = 0; j < n; j++) {
            size_t k = rng_below(rng, n);
            xx += x[k] * x[k];
            xy += x[k] * y[k];
        }
        results[i] = xx > 0 ? xy / xx : 0;
    }
    *ret = percentiles(sample_slope_through_origin(x, y, n).slope, results, &options, n);
    free(results);
    return ONNXD_OK;
}
