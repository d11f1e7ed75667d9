#include "stats/sample.h"

#include <math.h>
#include <stdlib.h>

double sample_mean(const double *x, size_t n)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += (x[i] - mean) / (double)(i + 1);
    return mean;
}

double sample_variance(const double *x, size_t n)
{
    double mean = 0, squares = 0; /* Welford 1962 */
    for (size_t i = 0; i < n; i++) {
        double delta = x[i] - mean;
        mean += delta / (double)(i + 1);
        squares += delta * (x[i] - mean);
    }
    return n < 2 ? 0 : squares / (double)(n - 1);
}

double sample_sd(const double *x, size_t n)
{
    return sqrt(sample_variance(x, n));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sample_sort(double *x, size_t n)
{
    if (n > 1) qsort(x, n, sizeof *x, compare);
}

double sample_quantile(const double *sorted, size_t n, double q)
{
    double place = q * (double)(n - 1);
    size_t low = (size_t)place;
    if (low + 1 >= n) return sorted[n - 1];
    return sorted[low] + (place - (double)low) * (sorted[low + 1] - sorted[low]);
}

double sample_median(const double *sorted, size_t n)
{
    return sample_quantile(sorted, n, 0.5);
}

struct sample_outliers sample_outliers(const double *sorted, size_t n)
{
    struct sample_outliers o = {0};
    if (n == 0) return o;
    double q1 = sample_quantile(sorted, n, 0.25), q3 = sample_quantile(sorted, n, 0.75), range = q3 - q1;
    o.low_severe = q1 - 3 * range;
    o.low_mild = q1 - 1.5 * range;
    o.high_mild = q3 + 1.5 * range;
    o.high_severe = q3 + 3 * range;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] < o.low_severe)
            o.n_low_severe++;
        else if (sorted[i] < o.low_mild)
            o.n_low_mild++;
        else if (sorted[i] > o.high_severe)
            o.n_high_severe++;
        else if (sorted[i] > o.high_mild)
            o.n_high_mild++;
    }
    return o;
}

struct sample_slope sample_slope_through_origin(const double *x, const double *y, size_t n)
{
    double xx = 0, xy = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xx += x[i] * x[i];
        xy += x[i] * y[i];
        yy += y[i] * y[i];
    }
    if (!(xx > 0) || !(yy > 0)) return (struct sample_slope){0, 0};
    return (struct sample_slope){xy / xx, xy * xy / (xx * yy)};
}

double sample_poisson_gap(struct rng *rng, double rate)
{
    return -log1p(-rng_f64(rng)) / rate;
}
