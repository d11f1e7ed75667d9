#include "stats/significance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stats/sample.h"

#define MAX_EXACT 20 /* values in either sample for the exact distribution of U */

double normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/* The continued fraction of the incomplete beta function, by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double result = d;
    for (int m = 1; m < 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int half = 0; half < 2; half++) {
            double factor = half == 0 ? even : odd;
            d = 1 + factor * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + factor / c;
            if (fabs(c) < tiny) c = tiny;
            step = c * d;
            result *= step;
        }
        if (fabs(step - 1) < 1e-15) break;
    }
    return result;
}

double incomplete_beta(double a, double b, double x)
{
    if (!(x > 0)) return 0;
    if (x >= 1) return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    /* The fraction converges fast on one side of the mean; the other side is its complement. */
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_t_cdf(double t, double df)
{
    double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
    return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double p, double df)
{
    double low = -1, high = 1;
    while (student_t_cdf(low, df) > p && low > -1e8) low *= 2;
    while (student_t_cdf(high, df) < p && high < 1e8) high *= 2;
    for (int i = 0; i < 80; i++) {
        double middle = (low + high) / 2;
        if (student_t_cdf(middle, df) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

struct welch welch_test(const double *a, size_t n_a, const double *b, size_t n_b)
{
    struct welch result = {0, 0, 1};
    if (n_a < 2 || n_b < 2) return result;
    double va = sample_variance(a, n_a) / (double)n_a, vb = sample_variance(b, n_b) / (double)n_b;
    double difference = sample_mean(a, n_a) - sample_mean(b, n_b);
    if (!(va + vb > 0)) {
        result.p = difference == 0 ? 1 : 0;
        return result;
    }
    result.t = difference / sqrt(va + vb);
    result.df = (va + vb) * (va + vb) / (va * va / (double)(n_a - 1) + vb * vb / (double)(n_b - 1));
    result.p = incomplete_beta(result.df / 2, 0.5, result.df / (result.df + result.t * result.t));
    return result;
}

/* P(U <= u) for samples of m and n values without ties: the number of arrangements with each U are the
 * coefficients of the Gaussian binomial, built factor by factor. m, n <= MAX_EXACT. */
static double exact_cdf(size_t m, size_t n, double u)
{
    double ways[MAX_EXACT * MAX_EXACT + 1] = {1};
    size_t top = m * n;
    for (size_t i = 1; i <= m; i++) {
        for (size_t k = top; k >= n + i; k--) ways[k] -= ways[k - n - i]; /* times 1 - q^(n+i) */
        for (size_t k = i; k <= top; k++) ways[k] += ways[k - i];         /* over 1 - q^i */
    }
    double below = 0, all = 0;
    for (size_t k = 0; k <= top; k++) {
        all += ways[k];
        if ((double)k <= u) below += ways[k];
    }
    return below / all;
}

struct ranked {
    double value;
    int first; /* of sample a */
};

static int compare_ranked(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;
    return (x > y) - (x < y);
}

onnxd_status mann_whitney_test(const double *a, size_t n_a, const double *b, size_t n_b,
                               struct mann_whitney *ret, onnxd_error *err)
{
    if (n_a == 0 || n_b == 0) return error_set(err, ONNXD_ERR_ARGUMENT, "Mann-Whitney: a sample is empty");
    size_t n = n_a + n_b;
    struct ranked *all = calloc(n, sizeof *all);
    if (all == NULL) return error_set(err, ONNXD_ERR_NOMEM, "Mann-Whitney: no memory for %zu values", n);
    for (size_t i = 0; i < n; i++) all[i] = (struct ranked){i < n_a ? a[i] : b[i - n_a], i < n_a};
    qsort(all, n, sizeof *all, compare_ranked);
    double rank_sum = 0, ties = 0;
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && all[next].value == all[i].value;) next++;
        double rank = (double)(i + 1 + next) / 2, same = (double)(next - i);
        ties += same * same * same - same;
        for (size_t j = i; j < next; j++) rank_sum += all[j].first ? rank : 0;
    }
    free(all);
    double pairs = (double)n_a * (double)n_b, u = rank_sum - (double)n_a * (double)(n_a + 1) / 2, p = 1;
    if (ties == 0 && n_a <= MAX_EXACT && n_b <= MAX_EXACT) {
        p = 2 * exact_cdf(n_a, n_b, fmin(u, pairs - u));
    } else {
        double total = (double)n;
        double variance = pairs / 12 * (total + 1 - ties / (total * (total - 1)));
        double distance = fmax(0, fabs(u - pairs / 2) - 0.5);
        if (variance > 0) p = 2 * normal_cdf(-distance / sqrt(variance));
    }
    *ret = (struct mann_whitney){u, fmin(1, p), u / pairs};
    return ONNXD_OK;
}
