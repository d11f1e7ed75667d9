/* The simulated ad log: pure, within its cardinalities, at its click rate, honest about its probabilities. */
#include <math.h>
#include <stdlib.h>

#include "sim/ad_log.h"
#include "support/test.h"

static struct ad_log *make_log(uint64_t seed, double rate, uint32_t tags)
{
    struct ad_log_options options = {.seed = seed, .click_rate = rate, .max_tags = tags};
    struct ad_log *log = NULL;
    onnxd_error err;
    assert_ok(ad_log_create(&options, &log, &err), err);
    return log;
}

static void test_rows_depend_on_seed_and_number_alone(void **state)
{
    struct ad_log *a = make_log(test_seed(), 0.01, 3), *b = make_log(test_seed(), 0.01, 3);
    struct ad_log *other = make_log(test_seed() + 1, 0.01, 3);
    uint32_t n_same = 0;
    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        struct ad_row x = {0}, y = {0}, z = {0};
        ad_log_row(a, i, &x);
        ad_log_row(b, 1999 - i, &z);
        ad_log_row(b, i, &y);
        assert_memory_equal(&x, &y, sizeof x);
        ad_log_row(other, i, &z);
        n_same += z.domain == x.domain && z.city == x.city;
    }
    assert_in_range(n_same, 0, 100);
    assert_true(ad_log_domain_name(a, 7) == ad_log_domain_name(b, 7));
    assert_true(ad_log_domain_name(a, 7) != ad_log_domain_name(a, 8));
    ad_log_free(a);
    ad_log_free(b);
    ad_log_free(other);
}

static void check_row(const struct ad_row *row, uint32_t max_tags)
{
    assert_true(row->weekday < AD_WEEKDAYS && row->hour < AD_HOURS && row->region < AD_REGIONS);
    assert_true(row->city < AD_CITIES && row->exchange < AD_EXCHANGES && row->domain < AD_DOMAINS);
    assert_true(row->slot < AD_SLOTS && row->format < AD_FORMATS && row->creative < AD_CREATIVES);
    assert_in_range(row->n_tags, 1, max_tags);
    for (uint32_t i = 0; i < row->n_tags; i++) assert_true(row->tags[i] < AD_TAGS);
    assert_true(row->visibility <= 100 && row->price <= 30000 && row->advertiser <= 999);
    assert_true(row->probability > 0 && row->probability < 1);
}

static void test_click_rate_and_calibration(void **state)
{
    static const double rates[] = {0.3, 0.01, 0.001};
    enum { N = 300000 };
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct ad_log *log = make_log(test_seed() + (uint64_t)k, rates[k], 1 + (uint32_t)k);
        double sum = 0, variance = 0, n_clicks = 0, high_sum = 0, high_clicks = 0;
        for (uint32_t i = 0; i < N; i++) {
            struct ad_row row;
            ad_log_row(log, i, &row);
            check_row(&row, 1 + (uint32_t)k);
            sum += row.probability;
            variance += row.probability * (1 - row.probability);
            n_clicks += row.click;
            if (row.probability < 2 * rates[k]) continue;
            high_sum += row.probability;
            high_clicks += row.click;
        }
        /* The mean of the true probabilities: within 2 % of the asked rate. Clicks: within 5 deviations of
         * what the probabilities say, in all rows and in those of high probability. */
        if (fabs(sum / N / rates[k] - 1) > 0.02) fail_msg("rate %g: mean %g", rates[k], sum / N);
        if (fabs(n_clicks - sum) > 5 * sqrt(variance)) fail_msg("%g clicks, %g expected", n_clicks, sum);
        if (fabs(high_clicks - high_sum) > 5 * sqrt(high_sum) + 1)
            fail_msg("%g clicks of high probability, %g expected", high_clicks, high_sum);
        ad_log_free(log);
    }
}

static void test_skew_and_ties_between_fields(void **state)
{
    struct ad_log *log = make_log(test_seed(), 0.01, 1);
    static uint32_t seen[AD_DOMAINS], region_of[AD_CITIES], width_of[AD_SLOTS];
    uint32_t n_domains = 0, most = 0;
    enum { N = 200000 };
    (void)state;
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < N; i++) {
        struct ad_row row;
        ad_log_row(log, i, &row);
        if (region_of[row.city] != 0) assert_int_equal(region_of[row.city], row.region + 1);
        if (width_of[row.slot] != 0) assert_int_equal(width_of[row.slot], row.width);
        region_of[row.city] = row.region + 1;
        width_of[row.slot] = row.width;
        n_domains += seen[row.domain]++ == 0;
        if (seen[row.domain] > most) most = seen[row.domain];
    }
    /* Zipf with exponent 1 over 20000: the first has 1/10.48 of the rows. */
    assert_in_range(most, N / 11, N / 10);
    assert_in_range(n_domains, 14000, 20000);
    ad_log_free(log);
}

static void test_options_out_of_range(void **state)
{
    struct ad_log *log = NULL;
    onnxd_error err;
    (void)state;
    struct ad_log_options options = {.seed = 1, .click_rate = 0, .max_tags = 1};
    assert_fails(ad_log_create(&options, &log, &err), ONNXD_ERR_RANGE, err, "click rate");
    options.click_rate = NAN;
    assert_fails(ad_log_create(&options, &log, &err), ONNXD_ERR_RANGE, err, "click rate");
    options.click_rate = 0.1;
    options.max_tags = AD_MAX_TAGS + 1;
    assert_fails(ad_log_create(&options, &log, &err), ONNXD_ERR_RANGE, err, "tags");
    assert_null(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_depend_on_seed_and_number_alone),
        cmocka_unit_test(test_click_rate_and_calibration),
        cmocka_unit_test(test_skew_and_ties_between_fields),
        cmocka_unit_test(test_options_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
