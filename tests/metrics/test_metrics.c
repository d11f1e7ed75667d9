#include "support/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/metrics.h"

static struct metrics *shared_metrics(struct metrics_size size)
{
    void *block = mmap(NULL, metrics_block_bytes(&size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);
    assert_true(block != MAP_FAILED);
    return metrics_create(block, &size);
}

static void text_has_prometheus_form(void **state)
{
    (void)state;
    struct metrics *m = shared_metrics((struct metrics_size){.n_slots = 2});
    const struct metric_label a[] = {{"model", "x\"\\\n"}, {"version", "1"}}, b[] = {{"model", "y"}};
    static const uint64_t bounds[] = {10000, 25000};
    struct metric count_a, count_b, open, time;
    onnxd_error err;
    assert_ok(metrics_counter(m, "nv_inference_request_duration_us", "Time in\nrequests.", a, 2, 1e-3,
                              &count_a, &err),
              err);
    assert_ok(metrics_gauge(m, "connections", NULL, NULL, 0, 1, &open, &err), err);
    assert_ok(metrics_counter(m, "nv_inference_request_duration_us", NULL, b, 1, 1e-3, &count_b, &err), err);
    assert_ok(metrics_histogram(m, "run_seconds", "Runs.", b, 1, 1e-9, bounds, 2, &time, &err), err);
    struct metrics_writer w0 = metrics_writer(m, 0), w1 = metrics_writer(m, 1);
    metrics_add(&w0, count_a, 1500);
    metrics_add(&w1, count_a, 2000);
    metrics_set(&w0, open, 7);
    metrics_change(&w1, open, -2);
    metrics_observe(&w0, time, 10000);
    metrics_observe(&w1, time, 10001);
    metrics_observe(&w1, time, 99999);
    struct buf buf;
    buf_init(&buf, 1 << 20);
    metrics_render(m, &buf);
    buf_append_char(&buf, 0);
    assert_string_equal(buf.data,
                        "# HELP nv_inference_request_duration_us Time in\\nrequests.\n"
                        "# TYPE nv_inference_request_duration_us counter\n"
                        "nv_inference_request_duration_us{model=\"x\\\"\\\\\\n\",version=\"1\"} 3.5\n"
                        "nv_inference_request_duration_us{model=\"y\"} 0\n"
                        "# TYPE connections gauge\n"
                        "connections 5\n"
                        "# HELP run_seconds Runs.\n"
                        "# TYPE run_seconds histogram\n"
                        "run_seconds_bucket{model=\"y\",le=\"1e-05\"} 1\n"
                        "run_seconds_bucket{model=\"y\",le=\"2.5e-05\"} 2\n"
                        "run_seconds_bucket{model=\"y\",le=\"+Inf\"} 3\n"
                        "run_seconds_sum{model=\"y\"} 0.00012\n"
                        "run_seconds_count{model=\"y\"} 3\n");
    metrics_hide(m, count_a);
    metrics_reset_gauges(m, 0);
    assert_true(metrics_read(m, open) == -2);
    buf_reset(&buf);
    metrics_render(m, &buf);
    buf_append_char(&buf, 0);
    assert_null(strstr(buf.data, "version=\"1\""));
    assert_non_null(strstr(buf.data, "# HELP nv_inference_request_duration_us"));
    buf_done(&buf);
}

static void a_series_may_be_given_to_another(void **state)
{
    (void)state;
    struct metrics *m = shared_metrics((struct metrics_size){.n_slots = 2, .max_series = 3, .max_cells = 8});
    struct metric a, found;
    onnxd_error err;
    const struct metric_label old[] = {{"model", "a"}}, new[] = {{"model", "b"}}, bad[] = {{"a-b", "x"}};
    assert_ok(metrics_counter(m, "n", NULL, old, 1, 1, &a, &err), err);
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct metrics_writer w = metrics_writer(m, slot);
        metrics_add(&w, a, 5);
    }
    assert_true(metrics_find(m, "n", old, 1, &found) && found.cell == a.cell);
    assert_int_equal(metrics_relabel(m, a, bad, 1, &err), ONNXD_ERR_ARGUMENT);
    assert_int_equal(metrics_read(m, a), 10);
    metrics_hide(m, a);
    assert_false(metrics_find(m, "n", old, 1, &found));
    assert_ok(metrics_relabel(m, a, new, 1, &err), err);
    assert_int_equal(metrics_read(m, a), 0);
    assert_false(metrics_find(m, "n", old, 1, &found));
    assert_true(metrics_find(m, "n", new, 1, &found) && found.cell == a.cell);
}

static void registering_again_finds_the_series(void **state)
{
    (void)state;
    struct metrics *m = shared_metrics((struct metrics_size){.max_series = 3, .max_cells = 8});
    struct metric first, again, other;
    static const uint64_t falling[] = {2, 1}, bounds[] = {1, 2, 3, 4, 5};
    const struct metric_label bad[] = {{"a-b", "x"}};
    onnxd_error err;
    assert_ok(metrics_counter(m, "a", NULL, NULL, 0, 1, &first, &err), err);
    assert_ok(metrics_counter(m, "b", NULL, NULL, 0, 1, &other, &err), err);
    assert_ok(metrics_counter(m, "a", NULL, NULL, 0, 1, &again, &err), err);
    assert_int_equal(again.cell, first.cell);
    assert_int_not_equal(other.cell, first.cell);
    assert_fails(metrics_gauge(m, "a", NULL, NULL, 0, 1, &again, &err), ONNXD_ERR_ARGUMENT, err,
                 "another kind");
    assert_fails(metrics_gauge(m, "0a", NULL, NULL, 0, 1, &again, &err), ONNXD_ERR_ARGUMENT, err, "'0a'");
    assert_fails(metrics_gauge(m, "g", NULL, bad, 1, 1, &again, &err), ONNXD_ERR_ARGUMENT, err, "a-b");
    assert_fails(metrics_histogram(m, "h", NULL, NULL, 0, 1, falling, 2, &again, &err), ONNXD_ERR_ARGUMENT,
                 err, "does not rise");
    assert_fails(metrics_histogram(m, "h", NULL, NULL, 0, 1, bounds, 5, &again, &err), ONNXD_ERR_LIMIT, err,
                 "no room");
    char *longest = malloc(1000);
    memset(longest, 'v', 999);
    longest[999] = 0;
    const struct metric_label wide[] = {{"a", longest}};
    assert_fails(metrics_gauge(m, "g", NULL, wide, 1, 1, &again, &err), ONNXD_ERR_ARGUMENT, err,
                 "labels longer");
    free(longest);
    assert_ok(metrics_gauge(m, "g", NULL, NULL, 0, 1, &again, &err), err);
    assert_fails(metrics_gauge(m, "g2", NULL, NULL, 0, 1, &again, &err), ONNXD_ERR_LIMIT, err, "no room");
}

/* Children of a fork register and count in the same block; the parent sees the sum. */
static void processes_share_a_block(void **state)
{
    (void)state;
    enum { CHILDREN = 3, N = 1000 };
    struct metrics *m = shared_metrics((struct metrics_size){.n_slots = CHILDREN});
    pid_t children[CHILDREN];
    for (uint32_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0) continue;
        struct metric common, own;
        char value[8];
        snprintf(value, sizeof value, "%u", i);
        const struct metric_label label = {"worker", value};
        bool ok = metrics_counter(m, "own", NULL, &label, 1, 1, &own, NULL) == ONNXD_OK &&
                  metrics_counter(m, "common", NULL, NULL, 0, 1, &common, NULL) == ONNXD_OK;
        struct metrics_writer w = metrics_writer(m, i);
        for (int k = 0; ok && k < N; k++) metrics_add(&w, common, 1);
        if (ok) metrics_add(&w, own, i + 1);
        _exit(!ok);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status = 1;
        assert_true(waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    struct metric common, own;
    const struct metric_label label = {"worker", "2"};
    onnxd_error err;
    assert_ok(metrics_counter(m, "common", NULL, NULL, 0, 1, &common, &err), err);
    assert_ok(metrics_counter(m, "own", NULL, &label, 1, 1, &own, &err), err);
    assert_true(metrics_read(m, common) == CHILDREN * N);
    assert_true(metrics_read(m, own) == 3);
}

struct work {
    struct metrics *m;
    uint32_t slot;
};

static void *count_up(void *argument)
{
    struct work *work = argument;
    struct metric c, h;
    if (metrics_counter(work->m, "c", NULL, NULL, 0, 1, &c, NULL) != ONNXD_OK ||
        metrics_histogram(work->m, "h", NULL, NULL, 0, 1, metrics_time_bounds_ns, METRICS_N_TIME_BOUNDS, &h,
                          NULL) != ONNXD_OK)
        return work;
    struct metrics_writer w = metrics_writer(work->m, work->slot);
    for (uint64_t i = 0; i < 20000; i++) {
        metrics_add(&w, c, 1);
        metrics_observe(&w, h, i * 1000);
    }
    return NULL;
}

static void threads_count_while_another_reads(void **state)
{
    (void)state;
    struct metrics *m = shared_metrics((struct metrics_size){.n_slots = 2});
    struct work work[2] = {{m, 0}, {m, 1}};
    pthread_t threads[2];
    struct buf buf;
    buf_init(&buf, 1 << 20);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_up, &work[i]), 0);
    for (int i = 0; i < 200; i++) {
        buf_reset(&buf);
        metrics_render(m, &buf);
    }
    for (int i = 0; i < 2; i++) {
        void *result = m;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    struct metric c, h;
    struct metrics_histogram_view view;
    onnxd_error err;
    assert_ok(metrics_counter(m, "c", NULL, NULL, 0, 1, &c, &err), err);
    assert_ok(
        metrics_histogram(m, "h", NULL, NULL, 0, 1, metrics_time_bounds_ns, METRICS_N_TIME_BOUNDS, &h, &err),
        err);
    metrics_histogram_read(m, h, &view);
    assert_true(metrics_read(m, c) == 40000);
    assert_true(view.n == 40000 && view.counts[0] == 22 && view.counts[METRICS_N_TIME_BOUNDS] == 0);
    assert_true(view.sum == 2 * 19999ull * 20000 / 2 * 1000);
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_prometheus_form),
        cmocka_unit_test(a_series_may_be_given_to_another),
        cmocka_unit_test(registering_again_finds_the_series),
        cmocka_unit_test(processes_share_a_block),
        cmocka_unit_test(threads_count_while_another_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
