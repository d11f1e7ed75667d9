#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "stats/bootstrap.h"
#include "stats/histogram.h"
#include "stats/sample.h"
#include "stats/significance.h"

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("got %.10g, want %.10g within %g", got, want, tolerance);
}

static void buckets_cover_all_values_without_gaps(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t low = histogram_bucket_low(i), width = histogram_bucket_width(i);
        assert_int_equal(histogram_bucket(low), i);
        assert_int_equal(histogram_bucket(low + width - 1), i);
        if (i + 1 < HISTOGRAM_BUCKETS)
            assert_true(histogram_bucket_low(i + 1) == low + width);
        else
            assert_true(low + (width - 1) == UINT64_MAX);
        if (low >= 256)
            assert_true((double)width / (double)low <= 1.0 / 128);
        else
            assert_int_equal(width, 1);
    }
}

/* Against the exact quantiles of the same values, over eight powers of ten. */
static void histogram_quantiles_are_within_their_error(void **state)
{
    (void)state;
    enum { N = 50000 };
    struct rng rng = rng_seed(test_seed());
    struct histogram *h = calloc(3, sizeof *h);
    double *exact = malloc(N * sizeof *exact);
    for (int i = 0; i < N; i++) {
        uint64_t value = (uint64_t)exp(rng_f64(&rng) * 18);
        exact[i] = (double)value;
        histogram_record(&h[i % 2], value);
    }
    histogram_merge(&h[2], &h[0]);
    histogram_merge(&h[2], &h[1]);
    double mean = sample_mean(exact, N), sd = sample_sd(exact, N);
    sample_sort(exact, N);
    static const double quantiles[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        size_t rank = (size_t)ceil(quantiles[i] * N);
        double want = exact[rank == 0 ? 0 : rank - 1];
        assert_near(histogram_quantile(&h[2], quantiles[i]), want, 0.0079 * want);
    }
    assert_int_equal(h[2].n, N);
    assert_true((double)h[2].min == exact[0] && (double)h[2].max == exact[N - 1]);
    assert_near(histogram_mean(&h[2]), mean, 1e-9 * mean);
    assert_near(histogram_sd(&h[2]), sd, 1e-6 * sd);
    assert_int_equal(histogram_count_to(&h[2], h[2].max), N);
    histogram_reset(&h[2]);
    assert_true(histogram_quantile(&h[2], 0.5) == 0);
    free(exact);
    free(h);
}

static void quantiles_ask_for_ten_samples_above(void **state)
{
    (void)state;
    assert_true(quantile_has_enough(1000, 0.99));
    assert_false(quantile_has_enough(999, 0.99));
    assert_true(quantile_has_enough(10000, 0.999));
    assert_false(quantile_has_enough(9000, 0.999));
    assert_false(quantile_has_enough(1000000, 1));
}

static void moments_quantiles_and_fences_match_worked_examples(void **state)
{
    (void)state;
    double x[] = {2, 4, 4, 4, 5, 5, 7, 9}; /* mean 5, population variance 4 */
    assert_near(sample_mean(x, 8), 5, 1e-15);
    assert_near(sample_variance(x, 8), 32.0 / 7, 1e-14);
    double huge[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}; /* variance 30, lost by the naive formula */
    assert_near(sample_variance(huge, 4), 30, 1e-6);
    double y[] = {4, 1, 3, 2};
    sample_sort(y, 4);
    assert_near(sample_quantile(y, 4, 0.25), 1.75, 1e-15); /* R: quantile(1:4, 0.25) */
    assert_near(sample_median(y, 4), 2.5, 1e-15);
    assert_near(sample_quantile(y, 4, 1), 4, 0);
    double z[] = {-40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 25, 100}; /* quartiles 3 and 9, range 6 */
    struct sample_outliers o = sample_outliers(z, 13);
    assert_near(o.low_mild, -6, 1e-12);
    assert_near(o.high_severe, 27, 1e-12);
    assert_int_equal(o.n_low_severe, 1);
    assert_int_equal(o.n_low_mild, 0);
    assert_int_equal(o.n_high_mild, 1);
    assert_int_equal(o.n_high_severe, 1);
    double xs[] = {1, 2, 3}, ys[] = {2.1, 3.9, 6.1};
    struct sample_slope s = sample_slope_through_origin(xs, ys, 3);
    assert_near(s.slope, 28.2 / 14, 1e-12);
    assert_true(s.r2 > 0.998 && s.r2 < 1);
}

/* Student's sleep data (1908), as R's documentation of t.test prints it: t = -1.8608, df = 17.776,
 * p = 0.07939. */
static void welch_matches_the_published_example(void **state)
{
    (void)state;
    static const double a[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
    static const double b[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
    struct welch w = welch_test(a, 10, b, 10);
    assert_near(w.t, -1.8608, 5e-5);
    assert_near(w.df, 17.776, 5e-4);
    assert_near(w.p, 0.07939, 5e-6);
    static const double flat[] = {1, 1, 1}, other[] = {2, 2};
    assert_true(welch_test(flat, 3, flat, 3).p == 1);
    assert_true(welch_test(flat, 3, other, 2).p == 0);
    assert_true(welch_test(flat, 1, other, 2).p == 1);
}

/* Tables of the t and normal distributions. */
static void distributions_match_their_tables(void **state)
{
    (void)state;
    assert_near(normal_cdf(1.959963985), 0.975, 1e-10);
    assert_near(normal_cdf(-2.326347874), 0.01, 1e-10);
    assert_near(student_t_cdf(2.228138852, 10), 0.975, 1e-9);
    assert_near(student_t_cdf(12.70620474, 1), 0.975, 1e-9);
    assert_near(student_t_cdf(-2.750, 30), 0.005, 1e-5);
    assert_near(student_t_cdf(0, 5), 0.5, 1e-12);
    assert_near(student_t_quantile(0.975, 10), 2.228138852, 1e-8);
    assert_near(student_t_quantile(0.025, 1), -12.70620474, 1e-7);
    assert_near(incomplete_beta(2, 3, 0.4), 0.5248, 1e-12); /* 1 - P(Bin(4, 0.4) <= 1) */
}

/* Hollander and Wolfe (1973), p. 69: permeability of membranes; W = 35, exact two-sided p = 0.2544. */
static void mann_whitney_matches_the_published_example(void **state)
{
    (void)state;
    static const double x[] = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
    static const double y[] = {1.15, 0.88, 0.90, 0.74, 1.21};
    struct mann_whitney m;
    onnxd_error err;
    assert_ok(mann_whitney_test(x, 10, y, 5, &m, &err), err);
    assert_near(m.u, 35, 0);
    assert_near(m.p, 0.2544, 5e-5);
    assert_near(m.effect, 0.7, 1e-12);
    /* With ties: by hand, ranks 1, 2.5, 2.5, 4, 5.5, 5.5; U = 6, variance 9/12 * (7 - 12/30) = 4.95. */
    static const double a[] = {2, 3, 4}, b[] = {1, 2, 4};
    assert_ok(mann_whitney_test(a, 3, b, 3, &m, &err), err);
    assert_near(m.u, 6, 0);
    assert_near(m.p, 2 * normal_cdf(-1 / sqrt(4.95)), 1e-12);
    static const double same[] = {1, 1, 1};
    assert_ok(mann_whitney_test(same, 3, same, 3, &m, &err), err);
    assert_true(m.p == 1);
    assert_fails(mann_whitney_test(a, 0, b, 3, &m, &err), ONNXD_ERR_ARGUMENT, err, "empty");
}

/* 95 % intervals hold the truth in 93 to 97 % of 1,000 simulations. */
static void bootstrap_intervals_cover_what_they_claim(void **state)
{
    (void)state;
    enum { SIMULATIONS = 1000, N = 100 };
    struct rng rng = rng_seed(test_seed());
    struct bootstrap_options options = {.n_resamples = 600};
    int mean = 0, median = 0, slope = 0, change = 0;
    for (int i = 0; i < SIMULATIONS; i++) {
        double x[N], y[N], t[N];
        struct interval interval;
        onnxd_error err;
        for (int j = 0; j < N; j++) {
            x[j] = 5 + rng_normal(&rng);
            t[j] = j + 1;
            y[j] = 3 * t[j] + 4 * rng_normal(&rng);
        }
        assert_ok(bootstrap_interval(x, N, bootstrap_mean, options, &rng, &interval, &err), err);
        mean += interval.low <= 5 && 5 <= interval.high;
        assert_ok(bootstrap_interval(x, N, bootstrap_median, options, &rng, &interval, &err), err);
        median += interval.low <= 5 && 5 <= interval.high;
        assert_ok(bootstrap_slope(t, y, N, options, &rng, &interval, &err), err);
        slope += interval.low <= 3 && 3 <= interval.high;
        for (int j = 0; j < N; j++) y[j] = 6 + rng_normal(&rng);
        assert_ok(bootstrap_change(x, N, y, N, bootstrap_mean, options, &rng, &interval, &err), err);
        change += interval.low <= 0.2 && 0.2 <= interval.high;
    }
    print_message("covered: mean %d, median %d, slope %d, change %d of %d\n", mean, median, slope, change,
                  SIMULATIONS);
    assert_in_range(mean, 930, 970);
    assert_in_range(median, 930, 970);
    assert_in_range(slope, 930, 970);
    assert_in_range(change, 930, 970);
}

/* When nothing differs a test at 5 % alarms in about 5 % of cases; a real shift is nearly always seen. */
static void tests_alarm_as_often_as_they_say(void **state)
{
    (void)state;
    enum { SIMULATIONS = 2000, N = 30 };
    struct rng rng = rng_seed(test_seed() + 1);
    int welch = 0, ranks = 0, welch_shift = 0, ranks_shift = 0;
    for (int i = 0; i < SIMULATIONS; i++) {
        double a[N], b[N];
        struct mann_whitney m;
        onnxd_error err;
        for (int j = 0; j < N; j++) {
            a[j] = rng_normal(&rng);
            b[j] = 3 * rng_normal(&rng);
        }
        welch += welch_test(a, N, b, N).p < 0.05;
        for (int j = 0; j < N; j++) b[j] = rng_normal(&rng);
        assert_ok(mann_whitney_test(a, N, b, N, &m, &err), err);
        ranks += m.p < 0.05;
        for (int j = 0; j < N; j++) b[j] += 1.5;
        welch_shift += welch_test(a, N, b, N).p < 0.05;
        assert_ok(mann_whitney_test(a, N, b, N, &m, &err), err);
        ranks_shift += m.p < 0.05;
    }
    print_message("alarms of %d: Welch %d, Mann-Whitney %d\n", SIMULATIONS, welch, ranks);
    assert_in_range(welch, SIMULATIONS * 3 / 100, SIMULATIONS * 7 / 100);
    assert_in_range(ranks, SIMULATIONS * 3 / 100, SIMULATIONS * 7 / 100);
    assert_true(welch_shift > SIMULATIONS * 98 / 100);
    assert_true(ranks_shift > SIMULATIONS * 98 / 100);
}

static void poisson_gaps_are_exponential(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct rng rng = rng_seed(test_seed());
    double sum = 0, squares = 0, longest = 0;
    for (int i = 0; i < N; i++) {
        double gap = sample_poisson_gap(&rng, 1000);
        assert_true(gap >= 0 && isfinite(gap));
        sum += gap;
        squares += gap * gap;
        longest = fmax(longest, gap);
    }
    assert_near(sum / N, 1e-3, 6e-3 / sqrt(N));
    assert_near(squares / N, 2e-6, 6 * sqrt(20.0) * 1e-6 / sqrt(N));
    assert_true(longest > 8e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_all_values_without_gaps),
        cmocka_unit_test(histogram_quantiles_are_within_their_error),
        cmocka_unit_test(quantiles_ask_for_ten_samples_above),
        cmocka_unit_test(moments_quantiles_and_fences_match_worked_examples),
        cmocka_unit_test(welch_matches_the_published_example),
        cmocka_unit_test(distributions_match_their_tables),
        cmocka_unit_test(mann_whitney_matches_the_published_example),
        cmocka_unit_test(bootstrap_intervals_cover_what_they_claim),
        cmocka_unit_test(tests_alarm_as_often_as_they_say),
        cmocka_unit_test(poisson_gaps_are_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
