#include <stdlib.h>

#include "base/clock.h"
#include "serve/telemetry.h"
#include "support/test.h"

static struct telemetry make(uint32_t n_processes, uint32_t n_workers, uint32_t n_compute)
{
    onnxd_error err;
    struct telemetry telemetry;
    assert_ok(telemetry_create(n_processes, n_workers, n_compute, &telemetry, &err), err);
    return telemetry;
}

static char *text_of(const struct telemetry *telemetry)
{
    struct buf buf;
    buf_init(&buf, 16 << 20);
    assert_true(telemetry_write(telemetry, &buf));
    assert_true(buf_append_char(&buf, 0));
    return buf.data;
}

static void threads_of_all_processes_are_added_up(void **state)
{
    (void)state;
    struct telemetry t = make(2, 2, 1);
    struct telemetry_model model = telemetry_model(&t, 0, "m", 3), same = telemetry_model(&t, 0, "m", 3);
    assert_int_equal(model.rows.cell, same.rows.cell);
    struct telemetry_writer writers[2][3];
    for (uint32_t p = 0; p < 2; p++) {
        for (uint32_t i = 0; i < 3; i++) {
            telemetry_writer_init(&writers[p][i], &t, p, i);
            telemetry_count_run(&writers[p][i], &model, 5, 1500000);
            telemetry_show_cpu(&writers[p][i], 2 * NS_PER_S);
        }
        telemetry_count_request(&writers[p][0], ROUTE_PREDICT, 200, 30000);
        telemetry_count_request(&writers[p][1], ROUTE_PREDICT, 418, 30000);
        telemetry_count_failure(&writers[p][1], &model, FAIL_REJECTED);
        telemetry_change_pending(&writers[p][1], &model, 4);
        telemetry_change_pending(&writers[p][1], &model, -1);
    }
    struct http_stats http = {.n_accepted = 7, .bytes_in = 100};
    telemetry_show_host(&writers[0][0], &http, 5);
    http.n_accepted = 9;
    telemetry_show_host(&writers[0][0], &http, 2);
    telemetry_count_restart(&t, 1);
    telemetry_process_began(&t, 0);
    static const char *const lines[] = {
        "nv_inference_count{model=\"m\",version=\"3\"} 30\n",
        "nv_inference_exec_count{model=\"m\",version=\"3\"} 6\n",
        "nv_inference_compute_infer_duration_us{model=\"m\",version=\"3\"} 9000\n",
        "nv_inference_pending_request_count{model=\"m\",version=\"3\"} 6\n",
        "nv_inference_request_failure{model=\"m\",version=\"3\",reason=\"REJECTED\"} 2\n",
        "onnxd_run_seconds_bucket{model=\"m\",version=\"3\",le=\"1e-05\"} 0\n",
        "onnxd_run_seconds_bucket{model=\"m\",version=\"3\",le=\"0.0025\"} 6\n",
        "onnxd_batch_rows_bucket{model=\"m\",version=\"3\",le=\"4\"} 0\n",
        "onnxd_batch_rows_bucket{model=\"m\",version=\"3\",le=\"8\"} 6\n",
        "onnxd_http_requests_total{route=\"/predict\",status=\"200\"} 2\n",
        "onnxd_http_requests_total{route=\"/predict\",status=\"other\"} 2\n",
        "onnxd_http_request_seconds_count 4\n",
        "onnxd_worker_cpu_seconds_total{process=\"1\",worker=\"1\"} 2\n",
        "onnxd_compute_cpu_seconds_total{process=\"1\",thread=\"0\"} 2\n",
        "onnxd_process_restarts_total{process=\"0\"} 0\n",
        "onnxd_process_restarts_total{process=\"1\"} 1\n",
        "onnxd_connections_accepted_total 9\n",
        "onnxd_connections_open 2\n",
        "process_resident_memory_bytes{process=\"0\"} ",
        "process_open_fds{process=\"0\"} ",
        "process_cpu_seconds_total{process=\"0\"} ",
    };
    char *text = text_of(&t);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(text, lines[i]) == NULL) fail_msg("lacks %s", lines[i]);
    assert_null(strstr(text, "(others)"));
    assert_null(strstr(text, "process_open_fds{process=\"1\"}")); /* it has not begun */
    assert_null(strstr(text, "_sizes"));                          /* tallies are told in another form */
    free(text);
    telemetry_writer_init(&writers[1][1], &t, 1, 1); /* a process that was started again */
    text = text_of(&t);
    assert_non_null(strstr(text, "nv_inference_pending_request_count{model=\"m\",version=\"3\"} 3\n"));
    assert_non_null(strstr(text, "nv_inference_count{model=\"m\",version=\"3\"} 30\n"));
    free(text);
    telemetry_done(&t);
}

static void models_beyond_the_limit_count_together(void **state)
{
    (void)state;
    struct telemetry t = make(1, 1, 1);
    struct telemetry_writer writer;
    telemetry_writer_init(&writer, &t, 0, 0);
    for (uint64_t i = 0; i < 200; i++) {
        struct telemetry_model model = telemetry_model(&t, 0, "m", i + 1);
        telemetry_count_run(&writer, &model, 1, 1000);
        telemetry_count_request(&writer, ROUTE_PREDICT, 200, 1000);
    }
    char *text = text_of(&t);
    unsigned long long others = 0;
    const char *line = strstr(text, "nv_inference_count{model=\"(others)\",version=\"0\"} ");
    assert_non_null(line);
    assert_int_equal(sscanf(strchr(line, '}'), "} %llu", &others), 1);
    assert_true(others >= 200 - 2 * TELEMETRY_MAX_MODELS && others <= 200 - TELEMETRY_MAX_MODELS);
    assert_non_null(strstr(text, "nv_inference_count{model=\"m\",version=\"64\"} 1\n"));
    free(text);
    telemetry_done(&t);
}

static uint64_t rows_of(const struct telemetry *t, const char *model, uint64_t version)
{
    char name[128];
    unsigned long long n = UINT64_MAX;
    char *text = text_of(t);
    snprintf(name, sizeof name, "nv_inference_count{model=\"%s\",version=\"%llu\"} ", model,
             (unsigned long long)version);
    const char *line = strstr(text, name);
    if (line != NULL) assert_int_equal(sscanf(strchr(line, '}'), "} %llu", &n), 1);
    free(text);
    return n;
}

/* However many versions come and go, each that is there has numbers of its own. */
static void series_of_versions_that_went_are_used_again(void **state)
{
    (void)state;
    struct telemetry t = make(2, 1, 1);
    struct telemetry_writer writer;
    telemetry_writer_init(&writer, &t, 0, 0);
    struct telemetry_model kept = telemetry_model(&t, 0, "kept", 1),
                           elsewhere = telemetry_model(&t, 1, "there", 1);
    telemetry_count_run(&writer, &kept, 7, 1000);
    assert_true(telemetry_field(&t, &kept, "f").is_shown);
    for (uint64_t i = 1; i <= 500; i++) {
        struct telemetry_model model = telemetry_model(&t, 0, "m", i);
        assert_int_not_equal(model.slot, TELEMETRY_NO_SLOT);
        assert_int_equal(metrics_read(t.metrics, model.runs), 0);
        struct telemetry_field field = telemetry_field(&t, &model, "f");
        assert_true(field.is_shown && metrics_read(t.metrics, field.unknown) == 0);
        telemetry_count_unknowns(&writer, &field, 3);
        telemetry_count_run(&writer, &model, (uint32_t)i, 1000);
        telemetry_release(&t, 0, &model);
    }
    assert_int_equal(rows_of(&t, "kept", 1), 7);
    assert_int_equal(rows_of(&t, "there", 1), 0);
    for (uint64_t i = 1; i <= 500; i++)
        assert_int_equal(rows_of(&t, "m", i), i > 500 - (TELEMETRY_MAX_MODELS - 2) ? i : UINT64_MAX);
    assert_int_equal(rows_of(&t, "(others)", 0), UINT64_MAX);
    struct telemetry_model back = telemetry_model(&t, 0, "m", 500); /* goes on where it was */
    telemetry_count_run(&writer, &back, 1, 1000);
    assert_int_equal(rows_of(&t, "m", 500), 501);
    struct telemetry_model again = telemetry_model(&t, 0, "m", 1); /* begins anew */
    telemetry_count_run(&writer, &again, 1, 1000);
    assert_int_equal(rows_of(&t, "m", 1), 1);
    struct telemetry_totals totals;
    telemetry_read_totals(&t, &totals);
    assert_int_equal(totals.n_rows, 7 + 500 * 501 / 2 + 2); /* of all that ever were */
    assert_int_equal(totals.n_runs, 503);
    (void)elsewhere;
    telemetry_done(&t);
}

static void a_dead_process_holds_no_series(void **state)
{
    (void)state;
    struct telemetry t = make(2, 1, 1);
    for (uint64_t i = 0; i < TELEMETRY_MAX_MODELS; i++) telemetry_model(&t, 1, "m", i + 1);
    assert_int_equal(telemetry_model(&t, 0, "new", 1).slot, TELEMETRY_NO_SLOT);
    telemetry_process_began(&t, 1); /* in its place */
    assert_int_not_equal(telemetry_model(&t, 0, "new", 1).slot, TELEMETRY_NO_SLOT);
    telemetry_done(&t);
}

static void batch_sizes_are_told_one_by_one(void **state)
{
    (void)state;
    struct telemetry t = make(1, 2, 1);
    struct telemetry_model model = telemetry_model(&t, 0, "m", 1);
    struct telemetry_writer a, b;
    telemetry_writer_init(&a, &t, 0, 0);
    telemetry_writer_init(&b, &t, 0, 1);
    static const uint32_t rows[] = {1, 7, 7, 64, 65, 128, 129, 65536};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        telemetry_count_run(i % 2 == 0 ? &a : &b, &model, rows[i], 100 + i);
    struct telemetry_size sizes[TELEMETRY_N_SIZES];
    uint64_t last_ms, n = 0;
    telemetry_read_sizes(&t, &model, sizes, &last_ms);
    assert_true(last_ms > UINT64_C(1500000000000));
    for (uint32_t i = 0; i < TELEMETRY_N_SIZES; i++) {
        uint32_t size = telemetry_size_rows(i);
        uint64_t want = size == 7 || size == 128 ? 2
                                                 : size == 1 || size == 64 || size == 256 || size == 65536;
        assert_int_equal(sizes[i].runs, want);
        n += sizes[i].runs;
        if (size == 7) assert_int_equal(sizes[i].ns, 101 + 102);
    }
    assert_int_equal(n, sizeof rows / sizeof *rows);
    telemetry_done(&t);
}

/* Quantiles of an interval within the half width of a step, an eighth of a power of two. */
static void an_interval_tells_its_own_requests(void **state)
{
    (void)state;
    struct telemetry t = make(1, 1, 1);
    struct telemetry_model model = telemetry_model(&t, 0, "m", 1);
    struct telemetry_writer writer;
    struct telemetry_totals before, after;
    telemetry_writer_init(&writer, &t, 0, 0);
    for (int i = 0; i < 5000; i++) telemetry_count_request(&writer, ROUTE_PREDICT, 200, NS_PER_S);
    telemetry_read_totals(&t, &before);
    for (uint64_t i = 1; i <= 1000; i++) telemetry_count_request(&writer, ROUTE_PREDICT, 200, i * NS_PER_US);
    telemetry_count_run(&writer, &model, 10, 1);
    telemetry_count_run(&writer, &model, 15, 1);
    telemetry_read_totals(&t, &after);
    struct telemetry_interval interval = telemetry_between(&before, &after);
    assert_int_equal(interval.n_requests, 1000);
    assert_float_equal(interval.mean_us, 500.5, 0.001);
    assert_float_equal(interval.p50_us, 500, 500 / 16.0 + 1);
    assert_float_equal(interval.p99_us, 990, 990 / 16.0 + 1);
    assert_float_equal(interval.rows_a_run, 12.5, 1e-9);
    interval = telemetry_between(&after, &after);
    assert_int_equal(interval.n_requests, 0);
    assert_float_equal(interval.p99_us, 0, 0);
    telemetry_done(&t);
}

/* A figure, not a check: what counting one request of one row costs. */
static void the_cost_is_told(void **state)
{
    (void)state;
    enum { N = 200000 };
    struct telemetry t = make(1, 1, 1);
    struct telemetry_model model = telemetry_model(&t, 0, "m", 1);
    struct telemetry_writer writer;
    telemetry_writer_init(&writer, &t, 0, 0);
    uint64_t start_ns = monotonic_ns();
    for (uint64_t i = 0; i < N; i++) {
        telemetry_count_stage(&writer, &model, STAGE_PARSE, 500 + i % 100);
        telemetry_count_run(&writer, &model, 1, 2000 + i % 1000);
        telemetry_count_success(&writer, &model);
        telemetry_count_stage(&writer, &model, STAGE_REQUEST, 30000 + i % 1000);
        telemetry_count_stage(&writer, &model, STAGE_QUEUE, 10000 + i % 1000);
        telemetry_count_stage(&writer, &model, STAGE_WRITE, 400 + i % 100);
        telemetry_count_request(&writer, ROUTE_PREDICT, 200, 30000 + i % 1000);
    }
    print_message("counting one request of one row: %.0f ns\n", (double)(monotonic_ns() - start_ns) / N);
    assert_int_equal(metrics_read(t.metrics, model.success), N);
    telemetry_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_of_all_processes_are_added_up),
        cmocka_unit_test(models_beyond_the_limit_count_together),
        cmocka_unit_test(series_of_versions_that_went_are_used_again),
        cmocka_unit_test(a_dead_process_holds_no_series),
        cmocka_unit_test(batch_sizes_are_told_one_by_one),
        cmocka_unit_test(an_interval_tells_its_own_requests),
        cmocka_unit_test(the_cost_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
