#include "support/test.h"

#include <math.h>

#include "bench/decision.h"
#include "json/json_reader.h"

static struct decision_option option(const char *name, double latency_us, double rows_per_s, double cpu_us,
                                     double memory, unsigned parts)
{
    return (struct decision_option){.name = name,
                                    .p50_us = latency_us,
                                    .p95_us = latency_us,
                                    .p99_us = latency_us,
                                    .rows_per_s = rows_per_s,
                                    .cpu_us_per_row = cpu_us,
                                    .memory_bytes = memory,
                                    .parts = parts};
}

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-9)) fail_msg("got %.12g, want %.12g", got, want);
}

/* Worked by hand from the formula in the header. */
static void scores_follow_the_formula(void **state)
{
    (void)state;
    struct decision d = {.weights = decision_weights_default(), .n = 2};
    onnxd_error err;
    d.options[0] = option("here", 10, 1000, 4, 100, 0);
    d.options[1] = option("there", 1000, 100000, 4, 10000,
                          DECISION_SERVER | DECISION_NETWORK | DECISION_BATCHING);
    d.options[1].p50_us = 100; /* geometric mean with p99 1000: sqrt(1e5) = 316.2, 31.62 times 10 */
    assert_ok(decision_make(&d, &err), err);
    near(d.options[0].scores[DECISION_LATENCY], 100);
    near(d.options[1].scores[DECISION_LATENCY], 100 * (1 - 1.5 / 3));
    near(d.options[0].scores[DECISION_THROUGHPUT], 100 * (1 - 2.0 / 3));
    near(d.options[1].scores[DECISION_THROUGHPUT], 100);
    near(d.options[1].scores[DECISION_RESOURCES], 100 * (1 - 1.0 / 3)); /* sqrt(100): a factor of ten */
    near(d.options[0].scores[DECISION_COMPLEXITY], 100);
    near(d.options[1].scores[DECISION_COMPLEXITY], 35);
    near(d.options[0].total, 0.4 * 100 + 0.3 * 100 / 3 + 0.2 * 100 + 0.1 * 100);
    near(d.options[1].total, 0.4 * 50 + 0.3 * 100 + 0.2 * 200 / 3 + 0.1 * 35);
    assert_int_equal(d.best, 0);
    assert_int_equal(d.options[0].dominated_by, -1);
    assert_int_equal(d.options[1].dominated_by, -1);
    assert_non_null(strstr(d.sentence, "here is recommended with 80 of 100 points, 13 ahead of there"));
    assert_non_null(strstr(d.sensitivity, "there if only throughput counted"));
    /* The weights decide. */
    assert_ok(decision_weights_parse("latency=0,complexity=0,throughput=100,resources=0", &d.weights, &err),
              err);
    assert_ok(decision_make(&d, &err), err);
    assert_int_equal(d.best, 1);
    assert_non_null(strstr(d.sentence, "100000 rows a second against 1000"));
}

static void far_worse_options_have_no_points_and_dominated_ones_are_marked(void **state)
{
    (void)state;
    struct decision d = {.weights = decision_weights_default(), .n = 3};
    onnxd_error err;
    d.options[0] = option("slow", 1e7, 1, 1, 1, DECISION_SERVER);
    d.options[1] = option("best", 1, 1e6, 1, 1, 0);
    d.options[2] = option("same", 1, 1e6, 1, 1, 0);
    assert_ok(decision_make(&d, &err), err);
    near(d.options[0].scores[DECISION_LATENCY], 0);
    near(d.options[0].scores[DECISION_THROUGHPUT], 0);
    assert_int_equal(d.options[0].dominated_by, 1);
    assert_int_equal(d.options[1].dominated_by, -1); /* an equal does not dominate */
    assert_int_equal(d.options[2].dominated_by, -1);
    assert_non_null(strstr(d.sentence, "count as equal"));
    assert_non_null(strstr(d.sensitivity, "No other weights"));
}

static void of_equals_the_simplest_is_recommended(void **state)
{
    (void)state;
    struct decision d = {.weights = decision_weights_default(), .n = 2};
    onnxd_error err;
    d.options[0] = option("remote", 1.0, 1e6, 1, 1, DECISION_NETWORK); /* 98 points */
    d.options[1] = option("here", 1.4, 0.9e6, 1, 1, 0);                /* 97.6 */
    assert_ok(decision_make(&d, &err), err);
    assert_true(d.options[0].total > d.options[1].total);
    assert_int_equal(d.best, 1);
    assert_non_null(strstr(d.sentence, "simpler"));
    d.n = 1;
    assert_ok(decision_make(&d, &err), err);
    assert_non_null(strstr(d.sentence, "only option"));
}

static void weights_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "40,30,20",
                                      "40,30,20,10,0",
                                      "40,30,20,x",
                                      "nan,30,20,10",
                                      "-1,50,50,1",
                                      "40,30,20,10,",
                                      "101,0,0,-1",
                                      "40 30 20 10",
                                      "inf,0,0,0",
                                      "latency=40,latency=30,resources=20,complexity=10",
                                      "speed=40,30,20,10",
                                      "latency=40,30,20,1e999"};
    struct decision_weights w = {{1, 2, 3, 4}};
    onnxd_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(decision_weights_parse(bad[i], &w, &err), ONNXD_ERR_ARGUMENT, err, "weights");
    assert_fails(decision_weights_parse("40,30,20,11", &w, &err), ONNXD_ERR_ARGUMENT, err, "sum to 101");
    assert_true(w.of[0] == 1 && w.of[3] == 4); /* untouched */
    assert_ok(decision_weights_parse("0.5,99.5,0,0", &w, &err), err);
    assert_true(w.of[1] == 99.5);
}

static void what_was_not_measured_is_named(void **state)
{
    (void)state;
    onnxd_error err;
    struct decision d = {.weights = decision_weights_default()};
    assert_fails(decision_make(&d, &err), ONNXD_ERR_ARGUMENT, err, "1..32");
    d.n = 1;
    d.options[0] = option("x", 1, 1, 1, 0, 0);
    assert_fails(decision_make(&d, &err), ONNXD_ERR_ARGUMENT, err, "x: memory");
    d.options[0] = option("x", 1, NAN, 1, 1, 0);
    assert_fails(decision_make(&d, &err), ONNXD_ERR_ARGUMENT, err, "rows a second");
}

static void forms_hold_the_decision_and_escape_names(void **state)
{
    (void)state;
    struct decision d = {.weights = decision_weights_default(), .n = 2};
    struct json_writer w;
    struct json_reader r;
    struct buf buf;
    onnxd_error err;
    d.options[0] = option("<b>|\"", 1, 10, 1, 1, 0);
    d.options[1] = option("plain", 5, 1, 2, 2, DECISION_SERVER);
    assert_ok(decision_make(&d, &err), err);
    buf_init(&buf, 1 << 20);
    json_writer_init(&w, &buf, JSON_REFUSE_NON_FINITE);
    decision_json(&d, &w);
    assert_ok(json_writer_finish(&w, &err), err);
    json_reader_init(&r, buf.data, buf.n, &err);
    json_skip(&r);
    assert_ok(json_finish(&r), err);
    buf_append_char(&buf, 0);
    assert_non_null(strstr(buf.data, "\"dominated_by\":\"<b>|\\\"\""));
    buf_reset(&buf);
    decision_html(&d, &buf);
    buf_append_char(&buf, 0);
    assert_non_null(strstr(buf.data, "&lt;b&gt;|&quot;"));
    assert_null(strstr(buf.data, "<b>|"));
    buf_reset(&buf);
    decision_markdown(&d, &buf);
    buf_append_char(&buf, 0);
    assert_non_null(strstr(buf.data, "| <b>\\|\" | 100"));
    buf_reset(&buf);
    decision_text(&d, &buf);
    buf_append_char(&buf, 0);
    assert_non_null(strstr(buf.data, "recommended"));
    assert_non_null(strstr(buf.data, "dominated by"));
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_follow_the_formula),
        cmocka_unit_test(far_worse_options_have_no_points_and_dominated_ones_are_marked),
        cmocka_unit_test(of_equals_the_simplest_is_recommended),
        cmocka_unit_test(weights_are_checked),
        cmocka_unit_test(what_was_not_measured_is_named),
        cmocka_unit_test(forms_hold_the_decision_and_escape_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
