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

/* Two numbers below n < 2^32 from one draw; their bias, n / 2^32, is far below what resampling resolves. */
static inline void draw_two(struct rng *rng, uint64_t n, size_t *ret_first, size_t *ret_second)
{
    uint64_t x = rng_u64(rng);
    *ret_first = (x >> 32) * n >> 32;
    *ret_second = (x & UINT32_MAX) * n >> 32;
}

static void draw(const double *x, size_t n, struct rng *rng, double *out)
{
    size_t i, j;
    for (size_t k = 0; k + 1 < n; k += 2) {
        draw_two(rng, n, &i, &j);
        out[k] = x[i];
        out[k + 1] = x[j];
    }
    if (n % 2 == 1) draw_two(rng, n, &i, &j), out[n - 1] = x[i];
}

static onnxd_status check_options(struct bootstrap_options *options, size_t n, onnxd_error *err)
{
    if (options->n_resamples == 0) options->n_resamples = DEFAULT_RESAMPLES;
    if (options->confidence == 0) options->confidence = DEFAULT_CONFIDENCE;
    if (n == 0) return error_set(err, ONNXD_ERR_ARGUMENT, "bootstrap: the sample is empty");
    if (n > UINT32_MAX) return error_set(err, ONNXD_ERR_ARGUMENT, "bootstrap: %zu values are too many", n);
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
        size_t j, k;
        for (size_t pair = 0; pair + 1 < n; pair += 2) {
            draw_two(rng, n, &j, &k);
            xx += x[j] * x[j] + x[k] * x[k];
            xy += x[j] * y[j] + x[k] * y[k];
        }
        if (n % 2 == 1) {
            draw_two(rng, n, &j, &k);
            xx += x[j] * x[j];
            xy += x[j] * y[j];
        }
        results[i] = xx > 0 ? xy / xx : 0;
    }
    *ret = percentiles(sample_slope_through_origin(x, y, n).slope, results, &options, n);
    free(results);
    return ONNXD_OK;
}

/* The mean of n values drawn from x, and the sum of squares about it. */
static void draw_moments(const double *x, size_t n_x, size_t n, struct rng *rng, double *ret_mean,
                         double *ret_squares)
{
    double sum = 0, squares = 0;
    size_t i, j;
    for (size_t k = 0; k + 1 < n; k += 2) {
        draw_two(rng, n_x, &i, &j);
        sum += x[i] + x[j];
        squares += x[i] * x[i] + x[j] * x[j];
    }
    if (n % 2 == 1) {
        draw_two(rng, n_x, &i, &j);
        sum += x[i];
        squares += x[i] * x[i];
    }
    *ret_mean = sum / (double)n;
    *ret_squares = fmax(0, squares - sum * sum / (double)n);
}

onnxd_status bootstrap_welch(const double *a, size_t n_a, const double *b, size_t n_b,
                             struct bootstrap_options options, struct rng *rng, double *ret_p,
                             onnxd_error *err)
{
    onnxd_status status = check_options(&options, n_a < n_b ? n_a : n_b, err);
    if (status != ONNXD_OK) return status;
    struct welch found = welch_test(a, n_a, b, n_b);
    *ret_p = found.p;
    if (n_a < 2 || n_b < 2 || found.df == 0) return ONNXD_OK; /* nothing varies: the p value is exact */
    size_t n = n_a + n_b;
    double *pooled = calloc(n, sizeof *pooled), center = sample_mean(a, n_a);
    if (pooled == NULL) return error_set(err, ONNXD_ERR_NOMEM, "bootstrap: no memory for %zu values", n);
    /* About a value amid them, so that squares do not drown the spread. */
    for (size_t i = 0; i < n; i++) pooled[i] = (i < n_a ? a[i] : b[i - n_a]) - center;
    uint32_t n_beyond = 0;
    for (uint32_t i = 0; i < options.n_resamples; i++) {
        double mean_a, mean_b, squares_a, squares_b;
        draw_moments(pooled, n, n_a, rng, &mean_a, &squares_a);
        draw_moments(pooled, n, n_b, rng, &mean_b, &squares_b);
        double variance = squares_a / ((double)n_a * (double)(n_a - 1)) +
                          squares_b / ((double)n_b * (double)(n_b - 1));
        double t2 = (mean_a - mean_b) * (mean_a - mean_b);
        n_beyond += t2 >= found.t * found.t * variance; /* no variance: counts, which is the careful side */
    }
    free(pooled);
    *ret_p = (n_beyond + 1.0) / (options.n_resamples + 1.0);
    return ONNXD_OK;
}
