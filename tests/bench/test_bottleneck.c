/* What limits a deployment is told from what a trial saw; what others print is read. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bottleneck.h"

static struct trial *make_trial(void)
{
    struct trial *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->median = (struct trial_round){.rate = 10000, .client_cpu_us = 5, .client_busy = 0.05};
    t->server_cpus = 0.1;
    t->client_cpus = 0.05;
    return t;
}

static bool finds(const struct trial *t, bool open, enum bottleneck_kind kind)
{
    struct bottleneck found[BOTTLENECK_MAX];
    uint32_t n = bottleneck_find(t, open, 4, 2, found);
    assert_in_range(n, 1, BOTTLENECK_MAX);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(found[i].finding[0] != 0 && found[i].advice[0] != 0);
        if (found[i].kind == kind) return true;
    }
    return false;
}

static void each_limit_is_found(void **state)
{
    (void)state;
    struct trial *t = make_trial();
    assert_true(finds(t, true, BOTTLENECK_NONE) &&
                finds(t, false, BOTTLENECK_IO)); /* idle in a closed loop */
    t->median.client_busy = 0.95;
    assert_true(finds(t, false, BOTTLENECK_CLIENT) && !finds(t, false, BOTTLENECK_IO));
    t->median.client_busy = 0.2;
    t->server_cpus = 3.7;
    assert_true(finds(t, true, BOTTLENECK_CPU));
    t->server_cpus = t->busiest_server = 1.9; /* of the two that its workers can use */
    assert_true(finds(t, true, BOTTLENECK_CPU));
    t->busiest_server = 1.2;
    assert_false(finds(t, true, BOTTLENECK_CPU));
    t->waits_per_request = 3;
    assert_true(finds(t, true, BOTTLENECK_LOCKS));
    t->io_wait_share = 0.2;
    assert_true(finds(t, true, BOTTLENECK_IO) && !finds(t, true, BOTTLENECK_LOCKS));
    t->median.steal_cpus = 0.2;
    t->foreign_cpus = 0.5;
    t->median.error_share = 0.01;
    assert_true(finds(t, true, BOTTLENECK_STOLEN) && finds(t, true, BOTTLENECK_FOREIGN));
    assert_true(finds(t, true, BOTTLENECK_ERRORS));
    assert_string_equal(bottleneck_name(BOTTLENECK_ERRORS), "errors");
    free(t);
}

/* A leak of 2 MB a minute, and a start that only settles. */
static void growing_memory_is_told_from_settling(void **state)
{
    (void)state;
    for (int leaks = 0; leaks < 2; leaks++) {
        struct trial *t = make_trial();
        t->n_rounds = 1;
        t->rounds[0] = t->median;
        t->split.requests = 1000;
        t->processes[0] = (struct process_usage){.pid = 1, .resident_bytes = 20u << 20};
        t->n_processes = t->n_server_processes = 1;
        t->seconds = 60;
        for (; t->n_memory < 240; t->n_memory++) {
            double at = t->n_memory / 4.0;
            t->memory_at_s[t->n_memory] = at;
            t->memory[t->n_memory] = (20 << 20) + (at < 10 ? at * 1e6 : 10e6) + leaks * at * (2 << 20) / 60;
        }
        trial_finish(t);
        if (leaks == 0) assert_true(fabs(t->memory_growth_bytes_s) < 1);
        if (leaks == 1) assert_true(fabs(t->memory_growth_bytes_s * 60 / (2 << 20) - 1) < 1e-6);
        assert_int_equal(finds(t, true, BOTTLENECK_MEMORY), leaks);
        free(t);
    }
}

static void set_cpu(struct trial *t, double first, double second, double third)
{
    const double us[] = {first, second, third};
    t->n_rounds = 3;
    for (uint32_t i = 0; i < t->n_rounds; i++) t->rounds[i].server_cpu_us = us[i];
}

static void scaling_tells_rate_and_cost_apart(void **state)
{
    (void)state;
    struct trial *one = make_trial(), *many = make_trial();
    struct scaling_ground ground = {.n_cpus = 8};
    set_cpu(one, 6, 6, 9);
    set_cpu(many, 6.3, 12, 9);
    many->median.rate = 38000;
    many->client_cpus = 0.5;
    struct scaling s = scaling_judge(one, many, 4, &ground);
    assert_true(fabs(s.rate - 0.95) < 1e-9 && fabs(s.cpu - 6 / 6.3) < 1e-9 && !s.shared);
    assert_true(s.cpu_low == 0.5 && s.cpu_high == 1);
    assert_non_null(strstr(s.verdict, "good: 4 processes do 3.80 times what one does"));
    ground.n_cpus = 2;
    s = scaling_judge(one, many, 4, &ground);
    assert_true(s.shared);
    assert_non_null(strstr(s.verdict, "4 processes and the client share 2 CPUs"));
    ground.own_cpus = true;
    assert_non_null(strstr(scaling_judge(one, many, 4, &ground).verdict, "4 processes share 2 CPUs"));
    assert_false(scaling_judge(one, many, 2, &ground).shared); /* the client is elsewhere */
    ground.n_cpus = 8;
    many->median.rate = 12000;
    assert_non_null(strstr(scaling_judge(one, many, 4, &ground).verdict, "poor"));
    free(one);
    free(many);
}

static void scaling_by_the_clock_is_judged_by_cost(void **state)
{
    (void)state;
    struct trial *one = make_trial(), *many = make_trial();
    struct scaling_ground ground = {.n_cpus = 2, .open_loop = true};
    set_cpu(one, 6, 6, 6);
    set_cpu(many, 8, 8, 8);
    struct scaling s = scaling_judge(one, many, 4, &ground);
    assert_true(fabs(s.rate - 1) < 1e-9 && fabs(s.cpu - 0.75) < 1e-9);
    assert_non_null(strstr(s.verdict, "fair: at this rate 4 processes take 1.33 times the CPU"));
    assert_null(strstr(s.verdict, "wake-up"));
    ground.per_process = true;
    many->median.rate = 40000;
    assert_true(fabs(scaling_judge(one, many, 4, &ground).rate - 1) < 1e-9);
    one->rows_per_wakeup = 3;
    many->rows_per_wakeup = 2.8;
    assert_null(strstr(scaling_judge(one, many, 4, &ground).verdict, "wake-up"));
    many->rows_per_wakeup = 1.5; /* which alone explains a difference */
    assert_non_null(
        strstr(scaling_judge(one, many, 4, &ground).verdict, "brought 1.50 rows in place of 3.00"));

    struct load_options load = {.n_connections = 64, .n_stages = 1, .stages = {{NS_PER_S, 500, 500}}};
    char text[160];
    scaling_describe(&ground, &load, text, sizeof text);
    assert_string_equal(text, "constant rate: 500 requests/s and 64 connections for each process");
    load_multiply(&load, 4);
    assert_true(load.n_connections == 256 && load.stages[0].rate_from == 2000 &&
                load.stages[0].rate_to == 2000);
    ground = (struct scaling_ground){.n_cpus = 2};
    scaling_describe(&ground, &load, text, sizeof text);
    assert_string_equal(text, "saturated (closed loop): 256 connections for all processes together");
    free(one);
    free(many);
}

static void metrics_are_summed(void **state)
{
    (void)state;
    static const char text[] =
        "# HELP nv_inference_count Rows\n# TYPE nv_inference_count counter\n"
        "nv_inference_count{model=\"a b\",version=\"1\"} 10\n"
        "nv_inference_count{model=\"b\",version=\"2\"} 5\n"
        "nv_inference_request_success{model=\"a\"} 7\nnv_inference_countdown 99\n"
        "nv_inference_queue_duration_us{model=\"a\"} 1.5e3\n"
        "nv_inference_request_failure{reason=\"OTHER\"} 2\nonnxd_wakeups_total 4\nother 3";
    struct server_split split = {0}, zero = {0};
    assert_true(server_split_read(text, sizeof text - 1, &split));
    assert_true(split.rows == 15 && split.requests == 7 && split.queue_us == 1500 && split.failures == 2 &&
                split.wakeups == 4);
    struct server_split since = server_split_since(&split, &zero);
    assert_true(since.rows == -15 && since.requests == -7);
    static const char nothing[] = "a 1\n\n{ 2\nnv_inference_count";
    assert_false(server_split_read(nothing, sizeof nothing - 1, &zero));
    for (size_t n = 0; n < sizeof text; n++) server_split_read(text, n, &zero); /* cut anywhere */
}

static void wrk_is_read(void **state)
{
    (void)state;
    static const char text[] =
        "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n"
        "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   401.05us  102.10us   3.44ms   "
        "86.32%\n"
        "    Req/Sec   152.75k     4.46k  158.06k    85.00%\n  Latency Distribution\n     50%  382.00us\n"
        "     75%  440.00us\n     90%  503.00us\n     99%  721.00us\n  303983 requests in 2.00s, 49.00MB "
        "read\n"
        "  Socket errors: connect 0, read 3, write 0, timeout 4\n  Non-2xx or 3xx responses: 13\n"
        "Requests/sec: 151843.21\nTransfer/sec:     24.48MB\n";
    struct trial_round r;
    assert_true(trial_read_wrk(text, &r));
    assert_true(r.rate == 151843.21 && r.p50_ns == 382e3 && r.p99_ns == 721e3);
    assert_true(fabs(r.max_ns - 3.44e6) < 1e-3 && fabs(r.error_share - 20.0 / 303983) < 1e-12);
    assert_false(trial_read_wrk("unable to connect to 127.0.0.1:1 Connection refused\n", &r));
    assert_false(trial_read_wrk("", &r));
}

static void nginx_is_told_of_every_server(void **state)
{
    (void)state;
    static const uint16_t ports[] = {1234, 2345};
    struct nginx_config config = {"/tmp/x", 8080, ports, 2, 3000, 3, true};
    struct buf buf;
    buf_init(&buf, 65536);
    nginx_config_write(&config, &buf);
    buf_append_char(&buf, 0);
    static const char *const pieces[] = {"worker_processes 3;",
                                         "least_conn;",
                                         "server 127.0.0.1:1234;",
                                         "server 127.0.0.1:2345;",
                                         "keepalive 3000;",
                                         "listen 127.0.0.1:8080 ",
                                         "worker_connections 6064;",
                                         "proxy_http_version 1.1;",
                                         "user root;"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        if (strstr(buf.data, pieces[i]) == NULL) fail_msg("'%s' is missing in:\n%s", pieces[i], buf.data);
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_is_found),
        cmocka_unit_test(growing_memory_is_told_from_settling),
        cmocka_unit_test(scaling_tells_rate_and_cost_apart),
        cmocka_unit_test(scaling_by_the_clock_is_judged_by_cost),
        cmocka_unit_test(metrics_are_summed),
        cmocka_unit_test(wrk_is_read),
        cmocka_unit_test(nginx_is_told_of_every_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
