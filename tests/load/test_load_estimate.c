/* Percentiles and how sure they are; taking turns; records by status and target. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "load/load_estimate.h"
#include "load/load_target.h"

/* ---- taking turns ---------------------------------------------------------------------------------- */

static void turns_follow_the_weights(void **state)
{
    (void)state;
    struct load_mix mix = {.n = 0};
    load_mix_add(&mix, 7, 3);
    load_mix_add(&mix, 8, 1);
    load_mix_add(&mix, 9, 0.5);
    uint32_t counts[10] = {0}, longest = 0, run = 0, last = 0;
    for (int i = 0; i < 9000; i++) {
        uint32_t member = load_mix_next(&mix);
        counts[member]++;
        run = member == last ? run + 1 : 1;
        last = member;
        if (run > longest) longest = run;
    }
    assert_int_equal(counts[7], 6000);
    assert_int_equal(counts[8], 2000);
    assert_int_equal(counts[9], 1000);
    assert_true(longest <= 3); /* evenly spread, not in blocks */
    struct load_mix alone = {.n = 0};
    load_mix_add(&alone, 4, 0.1);
    assert_int_equal(load_mix_next(&alone), 4);
}

static void servers_share_connections(void **state)
{
    (void)state;
    struct load_endpoints e;
    struct load_target targets[3] = {{.weight = 6}, {.weight = 1}, {.weight = 3}};
    struct load_options options = {.n_threads = 1};
    uint32_t shares[LOAD_MAX_TARGETS];
    onnxd_error err;
    assert_ok(load_url_parse("http://127.0.0.1:1/a", &targets[0].url, &err), err);
    assert_ok(load_url_parse("http://127.0.0.1:2/b", &targets[1].url, &err), err);
    assert_ok(load_url_parse("http://127.0.0.1:1/c", &targets[2].url, &err), err);
    assert_ok(load_endpoints_init(&e, targets, 3, &options, &err), err);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.items[0].n_targets, 2);
    assert_true(e.of_target[0] == 0 && e.of_target[1] == 1 && e.of_target[2] == 0);
    load_share_connections(&e, 102, shares);
    assert_true(shares[0] == 91 && shares[1] == 11); /* one each, and a hundred by weight */
    load_share_connections(&e, 2, shares);
    assert_true(shares[0] == 1 && shares[1] == 1);
    load_endpoints_done(&e);
    targets[1].weight = 0;
    assert_fails(load_endpoints_init(&e, targets, 3, &options, &err), ONNXD_ERR_ARGUMENT, err,
                 "weight of target 2");
    assert_fails(load_endpoints_init(&e, targets, 0, &options, &err), ONNXD_ERR_ARGUMENT, err, "targets");
}

/* ---- records --------------------------------------------------------------------------------------- */

static void records_tell_status_and_target_apart(void **state)
{
    (void)state;
    struct load_record *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
    struct histogram h;
    histogram_record_n(&load_record_slot(a, 0, 200)->response, 1000, 5);
    histogram_record_n(&load_record_slot(a, 1, 200)->response, 2000, 3);
    histogram_record_n(&load_record_slot(b, 1, 503)->response, 9000, 2);
    histogram_record_n(&load_record_slot(b, 0, 200)->response, 1000, 1);
    assert_int_equal(a->n_slots, 2);
    load_record_merge(a, b);
    assert_int_equal(a->n_slots, 3);
    assert_true(a->status[200] == 9 && a->status[503] == 2 && a->response.n == 11);
    load_record_select(a, UINT32_MAX, 503, &h);
    assert_true(h.n == 2 && h.min == 9000);
    load_record_select(a, 1, 0, &h);
    assert_true(h.n == 5 && h.max == 9000);
    for (uint16_t s = 300; s < 300 + LOAD_MAX_SLOTS; s++) /* no slot is left in the end; nothing is lost */
        histogram_record(&load_record_slot(a, 0, s)->response, 5);
    load_record_sum(a);
    assert_int_equal(a->response.n, 11 + LOAD_MAX_SLOTS);
    load_record_free(a);
    load_record_free(b);
}

/* ---- how sure the figures are ---------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct run { /* made up: n_intervals of n samples, each interval with a level of its own */
    struct load_result result;
    struct histogram *course;
    const struct histogram **by_interval;
};

static struct run make_run(struct rng *rng, uint32_t n_intervals, uint32_t n, double level_sd,
                           bool keep_samples)
{
    struct run run = {
        .result = {.n_intervals = n_intervals, .elapsed_s = 10, .interval_s = 10.0 / n_intervals}};
    run.result.record = calloc(1, sizeof *run.result.record);
    run.result.samples = malloc((size_t)n_intervals * n * sizeof(uint64_t));
    run.course = calloc(n_intervals, sizeof *run.course);
    run.by_interval = calloc(n_intervals, sizeof *run.by_interval);
    struct load_slot *slot = load_record_slot(run.result.record, 0, 200);
    for (uint32_t b = 0; b < n_intervals; b++) {
        double level = 1e6 * exp(level_sd * rng_normal(rng));
        run.by_interval[b] = &run.course[b];
        for (uint32_t i = 0; i < n; i++) {
            uint64_t ns = (uint64_t)(level * exp(0.3 * rng_normal(rng)));
            run.result.samples[run.result.n_samples++] = load_sample_pack(ns, b);
            histogram_record(&slot->response, ns);
            histogram_record(&run.course[b], ns);
        }
    }
    run.result.record->n_done = run.result.n_samples;
    load_record_sum(run.result.record);
    qsort(run.result.samples, run.result.n_samples, sizeof(uint64_t), compare);
    if (!keep_samples) {
        free(run.result.samples);
        run.result.samples = NULL;
    }
    return run;
}

static void run_done(struct run *run)
{
    load_result_done(&run->result);
    free(run->course);
    free(run->by_interval);
}

static void exact_samples_give_exact_percentiles(void **state)
{
    (void)state;
    struct load_result r = {.n_intervals = 1, .elapsed_s = 1, .interval_s = 1};
    uint64_t values[1000];
    r.record = calloc(1, sizeof *r.record);
    for (uint32_t i = 0; i < 1000; i++) {
        values[i] = load_sample_pack(1000001 + i, i % 100);
        assert_true(load_sample_ns(values[i]) == 1000001 + i && load_sample_interval(values[i]) == i % 100);
        histogram_record(&r.record->response, 1000001 + i);
    }
    r.samples = values;
    r.n_samples = 1000;
    assert_true(load_response_quantile(&r, 0.5) == 1000500 && load_response_quantile(&r, 0.999) == 1000999);
    assert_true(load_response_quantile(&r, 0) == 1000001 && load_response_quantile(&r, 1) == 1001000);
    r.samples = NULL; /* without them: the histogram, within 0.8 % */
    double found = load_response_quantile(&r, 0.5);
    assert_true(fabs(found / 1000500 - 1) < 0.008);
    load_record_free(r.record);
}

/* The interval holds the truth about as often as it says, with samples that share the fate of their interval;
 * one that resampled single requests would miss it nearly always. */
static void intervals_hold_the_truth(void **state)
{
    (void)state;
    enum { RUNS = 200 };
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    uint32_t n_hit = 0, n_naive = 0;
    for (int k = 0; k < RUNS; k++) {
        struct run run = make_run(&rng, 40, 60, 0.2, k % 2 == 0);
        assert_ok(load_estimate(&run.result, run.by_interval, &rng, &err), err);
        const struct load_estimates *e = &run.result.estimates;
        assert_true(e->n_blocks == 40 && e->n_resamples > 0);
        assert_true(e->quantiles[0].low <= e->quantiles[0].point &&
                    e->quantiles[0].point <= e->quantiles[0].high);
        n_hit += e->quantiles[0].low <= 1e6 && 1e6 <= e->quantiles[0].high; /* the median is e^0 */
        double naive = 1e6 * 0.36 * 1.253 * 1.96 / sqrt(40 * 60);
        n_naive += fabs(e->quantiles[0].point - 1e6) <= naive;
        assert_true(isnan(e->quantiles[LOAD_N_QUANTILES - 1].low)); /* 2,400 samples say nothing of p99.99 */
        assert_true(e->rate.low <= e->rate.point && fabs(e->rate.point - 240) < 1e-9);
        run_done(&run);
    }
    /* 95 % of 200 is 190; 20 blocks make the percentile method a little narrow. Six standard deviations below
     * 92 %. */
    if (n_hit < 161) fail_msg("%u of %d intervals hold the truth", n_hit, RUNS);
    assert_true(n_naive < n_hit);
}

static void short_runs_have_no_intervals(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1);
    onnxd_error err;
    struct run run = make_run(&rng, LOAD_MIN_BLOCKS - 1, 50, 0.1, true);
    assert_ok(load_estimate(&run.result, run.by_interval, &rng, &err), err);
    assert_true(run.result.estimates.n_blocks == 0 && isnan(run.result.estimates.quantiles[0].low));
    assert_true(run.result.estimates.quantiles[0].point > 0);
    run_done(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_follow_the_weights),
        cmocka_unit_test(servers_share_connections),
        cmocka_unit_test(records_tell_status_and_target_apart),
        cmocka_unit_test(exact_samples_give_exact_percentiles),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(short_runs_have_no_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
