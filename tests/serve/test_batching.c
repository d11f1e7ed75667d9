/* Which requests share runs, when, where and in which order. */
#include <pthread.h>
#include <stdlib.h>

#include "support/serve_bench.h"

static const char row[] = "{\"features\":[1,2,3]}";

/* Each on a connection of its own. */
static struct wire *give_new(struct bench *bench, const char *target, const char *body)
{
    struct wire *wire = wire_open(&bench->rig);
    give(bench, wire, target, body);
    return wire;
}

static void give_n(struct bench *bench, struct wire **wires, int n, const char *target, const char *body)
{
    for (int i = 0; i < n; i++) wires[i] = give_new(bench, target, body);
}

static void begin(struct bench *bench, const struct version_settings *settings)
{
    fake_model_reset();
    bench_init_with(bench, settings);
}

static void free_n(struct bench *bench, struct wire **wires, int n)
{
    for (int i = 0; i < n; i++) wire_free(&bench->rig, wires[i]);
}

static void end(struct bench *bench, struct wire **wires, int n)
{
    free_n(bench, wires, n);
    bench_done(bench);
}

/* Settings of a model whose runs are made by compute threads. */
static struct version_settings on_threads(uint32_t max_batch)
{
    struct version_settings settings = bench_settings(max_batch);
    settings.place = VERSION_PLACE_THREADS;
    return settings;
}

/* ---- a delay on the loop ---------------------------------------------------------------------------- */

static void requests_wait_for_company_until_the_delay(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = bench_settings(8);
    settings.max_queue_delay_ns = 500 * NS_PER_US;
    begin(&bench, &settings);
    struct wire *wires[3];
    uint64_t start_ns = bench.rig.now_ns;
    give_n(&bench, wires, 1, "/predict", row);
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 0);
    assert_int_equal(http_host_next_ns(bench.rig.host), start_ns + 500 * NS_PER_US);
    bench.rig.now_ns += 400 * NS_PER_US;
    /* What the second one points to is gone before it is run: its id must have been copied. */
    wires[1] = give_new(
        &bench, "/v2/models/sum/infer",
        "{\"id\":\"second\",\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[1,0,"
        "1]}]}");
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 0);
    bench.rig.now_ns += 100 * NS_PER_US; /* the first one's delay is over */
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 1);
    assert_int_equal(fake_model.run_rows[0], 2);
    assert_response(wires[0], 0, 200, "\"ctr\":6,");
    assert_response(wires[1], 0, 200, "\"id\":\"second\"");
    assert_non_null(memmem(bench.access.data, bench.access.n, "POST /v2/models/sum/infer 200 0.10ms", 36));
    end(&bench, wires, 2);
}

static void a_preferred_size_is_run_without_waiting_on(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = bench_settings(8);
    settings.max_queue_size = 64;
    settings.max_queue_delay_ns = NS_PER_S;
    settings.preferred[0] = 2;
    settings.preferred[1] = 4;
    settings.n_preferred = 2;
    begin(&bench, &settings);
    struct wire *wires[7];
    give_n(&bench, wires, 7, "/predict", row);
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 3); /* the largest that fit first */
    assert_int_equal(fake_model.run_rows[0], 4);
    assert_int_equal(fake_model.run_rows[1], 2);
    assert_int_equal(fake_model.run_rows[2], 1);
    for (int i = 0; i < 7; i++) assert_response(wires[i], 0, 200, "\"ctr\":6,");
    end(&bench, wires, 7);
}

static void what_waits_is_failed_when_the_server_stops(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = bench_settings(8);
    settings.max_queue_delay_ns = NS_PER_S;
    begin(&bench, &settings);
    struct wire *wires[1];
    give_n(&bench, wires, 1, "/predict", row);
    rig_wake(&bench.rig);
    worker_cancel(&bench.worker);
    rig_wake(&bench.rig);
    assert_response(wires[0], 0, 503, "stopping");
    end(&bench, wires, 1);
}

/* ---- order ------------------------------------------------------------------------------------------ */

#define V2(priority, value)                                                                     \
    "{\"parameters\":{\"priority\":" #priority "},\"inputs\":[{\"name\":\"x\",\"shape\":[1,3]," \
    "\"datatype\":\"FP32\",\"data\":[" #value ",0,0]}]}"

/* With a batch of one, each request has a run of its own, and the access log tells their order. */
static void priorities_are_kept(enum version_place place)
{
    struct bench bench;
    struct version_settings settings = bench_settings(1);
    settings.place = place;
    begin(&bench, &settings);
    static const char *const targets[4] = {"/v2/models/sum/infer?none", "/v2/models/sum/versions/1/infer",
                                           "/v2/models/sum/infer", "/v2/models/s%75m/infer"};
    static const char *const bodies[4] = {V2(0, 1), V2(7, 1), V2(2, 1), V2(7, 1)};
    static const char expected[] = "POST /v2/models/sum/infer 200 0.00ms\n"
                                   "POST /v2/models/sum/versions/1/infer 200 0.00ms\n"
                                   "POST /v2/models/s%75m/infer 200 0.00ms\n"
                                   "POST /v2/models/sum/infer 200 0.00ms\n";
    struct wire *wires[4];
    for (int i = 0; i < 4; i++) {
        wires[i] = give_new(&bench, targets[i], bodies[i]);
    }
    bench_settle(&bench);
    assert_int_equal(bench.access.n, sizeof expected - 1);
    assert_memory_equal(bench.access.data, expected, sizeof expected - 1);
    end(&bench, wires, 4);
}

static void urgent_requests_go_first_on_the_loop(void **state)
{
    (void)state;
    priorities_are_kept(VERSION_PLACE_LOOP);
}

static void urgent_requests_go_first_on_compute_threads(void **state)
{
    (void)state;
    priorities_are_kept(VERSION_PLACE_THREADS);
}

/* ---- compute threads -------------------------------------------------------------------------------- */

static void jobs_share_runs_and_a_bad_row_fails_alone(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = on_threads(8);
    settings.max_queue_size = 64;
    begin(&bench, &settings);
    struct wire *wires[5];
    for (int i = 0; i < 5; i++) {
        wires[i] = give_new(&bench, "/predict", i == 2 ? "{\"instances\":[[1,1,1],[2,2,2]]}" : row);
    }
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 0); /* nothing on the loop */
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 1);
    assert_int_equal(fake_model.run_rows[0], 6);
    assert_response(wires[2], 0, 200, "\"predictions\":[3,6]");
    assert_response(wires[4], 0, 200, "\"ctr\":6,");
    fake_model_reset_runs();
    give(&bench, wires[0], "/predict", row);
    give(&bench, wires[1], "/predict", "{\"features\":[1,-7,1]}");
    give(&bench, wires[2], "/predict", "{\"features\":[1,1]}");
    give(&bench, wires[3], "/predict", row);
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 4); /* three together, then each alone */
    assert_response(wires[0], 1, 200, "\"ctr\":6,");
    assert_response(wires[1], 1, 400, "index -7 is outside its table");
    assert_response(wires[2], 1, 400, "features");
    assert_response(wires[3], 1, 200, "\"ctr\":6,");
    fake_model.run_status = ONNXD_ERR_INTERNAL;
    give(&bench, wires[0], "/predict", row);
    bench_settle(&bench);
    assert_response(wires[0], 2, 500, "the run failed");
    end(&bench, wires, 5);
}

static void a_long_run_is_measured_at_load(void **state)
{
    (void)state;
    fake_model_reset();
    fake_model.run_takes_ns = 2 * NS_PER_MS;
    struct bench bench;
    bench_init(&bench, 4);
    assert_true(catalog_first(bench.worker.catalog)->on_threads);
    struct wire *wires[1];
    give_n(&bench, wires, 1, "/predict", row);
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 0);
    bench_settle(&bench);
    assert_response(wires[0], 0, 200, "\"ctr\":6,");
    end(&bench, wires, 1);
    fake_model.run_takes_ns = 0;
    struct version_settings settings = bench_settings(4); /* without a first run nothing is known */
    settings.warm_up_rows = 0;
    bench_init_with(&bench, &settings);
    assert_false(catalog_first(bench.worker.catalog)->on_threads);
    bench_done(&bench);
}

static void jobs_wait_for_company_too(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = on_threads(3);
    settings.max_queue_size = 64;
    settings.max_queue_delay_ns = NS_PER_MS;
    begin(&bench, &settings);
    struct wire *wires[4];
    give_n(&bench, wires, 2, "/predict", row);
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 0);
    bench.rig.now_ns += NS_PER_MS;
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 1);
    assert_int_equal(fake_model.run_rows[0], 2);
    free_n(&bench, wires, 2);
    give_n(&bench, wires, 3, "/predict", row); /* a full run does not wait */
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 2);
    assert_int_equal(fake_model.run_rows[1], 3);
    end(&bench, wires, 3);
}

static void a_full_queue_is_told_at_once(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = on_threads(8);
    begin(&bench, &settings);
    struct wire *wires[6];
    give_n(&bench, wires, 6, "/predict", row); /* four may wait */
    rig_wake(&bench.rig);
    for (int i = 0; i < 4; i++) assert_int_equal(wires[i]->got.n, 0);
    for (int i = 4; i < 6; i++) {
        assert_response(wires[i], 0, 503, "max-queue-size = 4");
        assert_non_null(memmem(wires[i]->got.data, wires[i]->got.n, "Retry-After: 1\r\n", 16));
    }
    bench_settle(&bench);
    for (int i = 0; i < 4; i++) assert_response(wires[i], 0, 200, "\"ctr\":6,");
    give(&bench, wires[5], "/predict", row); /* there is room again */
    bench_settle(&bench);
    assert_response(wires[5], 1, 200, "\"ctr\":6,");
    end(&bench, wires, 6);
}

static void a_timeout_is_told_and_not_run(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = on_threads(8);
    begin(&bench, &settings);
    struct wire *wires[2];
    give_n(&bench, wires, 1, "/v2/models/sum/infer",
           "{\"parameters\":{\"timeout\":2000},\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":"
           "\"FP32\","
           "\"data\":[1,0,0]}]}");
    wires[1] = give_new(&bench, "/predict", row);
    rig_wake(&bench.rig);
    bench.rig.now_ns += 3 * NS_PER_MS;
    bench_settle(&bench);
    assert_response(wires[0], 0, 504, "deadline");
    assert_response(wires[1], 0, 200, "\"ctr\":6,");
    assert_int_equal(fake_model.run_rows[0], 1);
    end(&bench, wires, 2);
}

/* What is left of a large request, and what has not begun, is not run for nobody. */
static void requests_whose_client_has_gone_are_not_run_on(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    char *body = many_rows(40);
    struct wire *running = wire_open(&bench.rig), *waiting = wire_open(&bench.rig);
    struct wire *other = wire_open(&bench.rig);
    give(&bench, running, "/predict", body);
    rig_wake(&bench.rig);
    assert_true(compute_step(bench.config.compute)); /* its first slice */
    assert_int_equal(fake_model.n_runs, 1);
    give(&bench, waiting, "/predict", body);
    give(&bench, other, "/predict", body);
    rig_wake(&bench.rig);
    wire_free(&bench.rig, running);
    wire_free(&bench.rig, waiting);
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 1 + 10);
    assert_response(other, 0, 200, "\"predictions\":[");
    const struct telemetry_model *stats = &bench.worker.catalog->versions[0]->stats;
    assert_int_equal(metrics_read(bench.telemetry.metrics, stats->failure[FAIL_CANCELED]), 2);
    assert_int_equal(metrics_read(bench.telemetry.metrics, stats->pending), 0);
    assert_int_equal(http_host_stats(bench.rig.host)->n_abandoned, 2);
    free(body);
    wire_free(&bench.rig, other);
    bench_done(&bench);
}

static void large_bodies_are_read_elsewhere(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 64);
    char *body = many_rows(5000);
    assert_true(strlen(body) > 32768);
    struct wire *wires[2];
    give_n(&bench, wires, 2, "/predict", body);
    rig_wake(&bench.rig);
    assert_int_equal(wires[0]->got.n, 0);
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 2 * ((5000 + 63) / 64));
    for (int i = 0; i < 2; i++)
        assert_non_null(memmem(wires[i]->got.data, wires[i]->got.n, ",4997,4998,4999],\"latency_ms\":", 29));
    size_t n = strlen(body);
    body[n - 1] = 0; /* the brace */
    give(&bench, wires[0], "/predict", body);
    bench_settle(&bench);
    const char *last = wires[0]->got.data + wires[0]->got.n - 120;
    assert_non_null(memmem(last, 120, "{\"error\":\"", 10));
    free(body);
    end(&bench, wires, 2);
}

static void what_is_not_run_is_given_back(void **state)
{
    (void)state;
    struct bench bench;
    struct version_settings settings = on_threads(8);
    begin(&bench, &settings);
    struct wire *wires[3];
    give_n(&bench, wires, 3, "/predict", row);
    rig_wake(&bench.rig);
    assert_int_equal(atomic_load(&bench.worker.n_jobs), 3);
    end(&bench, wires, 3); /* and nothing is left: see there */
}

/* ---- with threads ----------------------------------------------------------------------------------- */

#define N_THREADS 3
#define N_JOBS    300

static _Atomic uint32_t n_right, n_ended;

static void check_job(struct job *job)
{
    uint32_t *wanted = job->owner;
    char text[64];
    snprintf(text, sizeof text, "{\"ctr\":%u,", *wanted);
    if (job->status == ONNXD_OK && job->answer.n > strlen(text) &&
        memcmp(job->answer.data, text, strlen(text)) == 0)
        atomic_fetch_add(&n_right, 1);
    job_free(job);
    atomic_fetch_add(&n_ended, 1);
}

static void threads_answer_every_job_once(void **state)
{
    (void)state;
    fake_model_reset();
    onnxd_error err;
    struct telemetry telemetry;
    struct clock clock = clock_real();
    struct compute *compute;
    struct version *version = NULL;
    struct version_settings settings = bench_settings(16);
    settings.max_queue_size = N_JOBS;
    settings.place = VERSION_PLACE_THREADS;
    struct version_source source = {.path = "fake.onnx"};
    struct version_host host = {1, N_THREADS, &telemetry};
    static uint32_t wanted[N_JOBS];
    atomic_store(&n_right, 0);
    atomic_store(&n_ended, 0);
    assert_ok(telemetry_create(1, 1, N_THREADS, &telemetry, &err), err);
    assert_ok(compute_create(N_THREADS, &telemetry, 0, &clock, &compute, &err), err);
    assert_ok(version_create(&model_backend_fake, "sum", 1, &source, &settings, &host, &version, &err), err);
    for (uint32_t i = 0; i < N_JOBS; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "{\"features\":[%u,0,0]}", i);
        struct call call = {.form = CALL_PREDICT, .deadline_ns = UINT64_MAX, .parsed_ns = monotonic_ns()};
        struct call_body body = {{text, (size_t)n}, V2_ALL_JSON};
        struct job *job = job_create(version, &call, &body);
        assert_non_null(job);
        wanted[i] = i;
        job->owner = &wanted[i];
        job->done = check_job;
        assert_ok(compute_submit(compute, job, &err), err);
    }
    version_unref(version); /* its jobs keep it */
    while (atomic_load(&n_ended) < N_JOBS) sched_yield();
    compute_free(compute);
    telemetry_done(&telemetry);
    assert_int_equal(atomic_load(&n_right), N_JOBS);
    assert_int_equal(fake_model.n_models, 0);
    assert_int_equal(fake_model.n_sessions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_wait_for_company_until_the_delay),
        cmocka_unit_test(a_preferred_size_is_run_without_waiting_on),
        cmocka_unit_test(what_waits_is_failed_when_the_server_stops),
        cmocka_unit_test(urgent_requests_go_first_on_the_loop),
        cmocka_unit_test(urgent_requests_go_first_on_compute_threads),
        cmocka_unit_test(jobs_share_runs_and_a_bad_row_fails_alone),
        cmocka_unit_test(a_long_run_is_measured_at_load),
        cmocka_unit_test(jobs_wait_for_company_too),
        cmocka_unit_test(a_full_queue_is_told_at_once),
        cmocka_unit_test(a_timeout_is_told_and_not_run),
        cmocka_unit_test(requests_whose_client_has_gone_are_not_run_on),
        cmocka_unit_test(large_bodies_are_read_elsewhere),
        cmocka_unit_test(what_is_not_run_is_given_back),
        cmocka_unit_test(threads_answer_every_job_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
