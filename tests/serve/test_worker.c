#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "serve/api_keys.h"
#include "support/serve_bench.h"

static void rows_of_one_wake_up_share_runs(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    struct wire *wires[10];
    char body[64], want[64];
    for (int i = 0; i < 10; i++) {
        wires[i] = wire_open(&bench.rig);
        snprintf(body, sizeof body, "{\"features\":[%d,0.5,1]}", i);
        give(&bench, wires[i], "/predict", body);
    }
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 3);
    assert_int_equal(fake_model.run_rows[0], 4);
    assert_int_equal(fake_model.run_rows[1], 4);
    assert_int_equal(fake_model.run_rows[2], 2);
    for (int i = 0; i < 10; i++) {
        snprintf(want, sizeof want, "{\"ctr\":%d.5,\"latency_ms\":0", i + 1);
        assert_response(wires[i], 0, 200, want);
        wire_free(&bench.rig, wires[i]);
    }
    bench_done(&bench);
}

static void forms_and_models_mix_in_one_wake_up(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 64);
    fake_model.scale = 10;
    struct version_settings settings = bench_settings(64);
    struct catalog *both = catalog_with(&bench.telemetry, bench.worker.catalog, "ten", 1, &settings);
    worker_offer_catalog(&bench.worker, both);
    catalog_unref(both);
    rig_wake(&bench.rig);
    fake_model_reset_runs();
    struct wire *wire = wire_open(&bench.rig);
    give(&bench, wire, "/predict",
         "{\"instances\":[[1,2,3],{\"features\":[4,5,6]},{\"inputs\":{\"x\":[7,8,9]}}]}");
    struct wire *other = wire_open(&bench.rig);
    give(&bench, other, "/predict?model=ten", "{\"inputs\":{\"x\":[1,2,3]}}");
    struct wire *third = wire_open(&bench.rig);
    give(&bench, third, "/infer", "{\"inputs\":[[0,0,1],[0,0,2]]}");
    struct wire *fourth = wire_open(&bench.rig);
    give(&bench, fourth, "/infer?model=ten", "{\"inputs\":[[0,0,1]]}");
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 2); /* one for each model */
    assert_int_equal(fake_model.run_rows[0], 5);
    assert_int_equal(fake_model.run_rows[1], 2);
    assert_response(wire, 0, 200, "{\"predictions\":[6,15,24],\"latency_ms\":");
    assert_response(other, 0, 200, "{\"ctr\":60,");
    assert_response(third, 0, 200, "{\"outputs\":[[1],[2]],\"duration_ms\":");
    assert_response(fourth, 0, 200, "{\"outputs\":[[10]],");
    wire_free(&bench.rig, wire);
    wire_free(&bench.rig, other);
    wire_free(&bench.rig, third);
    wire_free(&bench.rig, fourth);
    bench_done(&bench);
}

static void a_bad_row_fails_its_own_request_alone(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 64);
    struct wire *wires[5];
    for (int i = 0; i < 5; i++) {
        wires[i] = wire_open(&bench.rig);
        give(&bench, wires[i], "/predict",
             i == 2   ? "{\"features\":[1,-7,1]}"
             : i == 3 ? "{\"features\":[1,1]}"
             : i == 4 ? "{\"features\":[1,1,1],\"x\":1}"
                      : "{\"features\":[1,1,1]}");
    }
    rig_wake(&bench.rig);
    assert_response(wires[0], 0, 200, "\"ctr\":3,");
    assert_response(wires[1], 0, 200, "\"ctr\":3,");
    assert_response(wires[2], 0, 400, "input 'x': row 0: index -7 is outside its table");
    assert_response(wires[3], 0, 400, "features");
    assert_response(wires[4], 0, 400, "x");
    assert_int_equal(fake_model.n_runs, 4); /* three rows together, then each alone */
    for (int i = 0; i < 5; i++) wire_free(&bench.rig, wires[i]);
    bench_done(&bench);
}

static void an_engine_that_fails_is_told_to_all(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 64);
    fake_model.run_status = ONNXD_ERR_INTERNAL;
    struct wire *a = wire_open(&bench.rig), *b = wire_open(&bench.rig);
    give(&bench, a, "/predict", "{\"features\":[1,1,1]}");
    give(&bench, b, "/predict", "{\"features\":[1,1,1]}");
    rig_wake(&bench.rig);
    assert_response(a, 0, 500, "the run failed");
    assert_response(b, 0, 500, "the run failed");
    assert_int_equal(fake_model.n_runs, 1);
    fake_model.run_status = ONNXD_ERR_NOMEM;
    give(&bench, a, "/predict", "{\"features\":[1,1,1]}");
    rig_wake(&bench.rig);
    assert_response(a, 1, 503, "the run failed");
    assert_non_null(memmem(a->got.data, a->got.n, "Retry-After: 1\r\n", 16));
    wire_free(&bench.rig, a);
    wire_free(&bench.rig, b);
    bench_done(&bench);
}

/* A request of many rows runs a slice at a time, and single rows pass by it. */
static void large_requests_let_small_ones_pass(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 8);
    struct wire *large = wire_open(&bench.rig), *second = wire_open(&bench.rig),
                *small = wire_open(&bench.rig);
    char *body = many_rows(50), *body_2 = many_rows(9);
    give(&bench, large, "/predict", body);
    give(&bench, second, "/predict", body_2);
    rig_wake(&bench.rig);
    for (int i = 0; i < 4; i++) {
        assert_true(compute_step(bench.config.compute)); /* a slice of one of them */
        give(&bench, small, "/predict", "{\"features\":[1,2,3]}");
        rig_wake(&bench.rig);
        assert_response(small, i, 200, "\"ctr\":6,");
        assert_int_equal(large->got.n, 0);
    }
    assert_response(second, 0, 200, "\"predictions\":[0,1,2,3,4,5,6,7,8]"); /* it took its turns */
    bench_settle(&bench);
    assert_response(large, 0, 200, "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26");
    assert_response(large, 0, 200, "46,47,48,49],\"latency_ms\"");
    free(body);
    free(body_2);
    wire_free(&bench.rig, large);
    wire_free(&bench.rig, second);
    wire_free(&bench.rig, small);
    bench_done(&bench);
}

static void large_requests_have_a_queue_and_a_deadline(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 2);
    char *body = many_rows(11);
    struct wire *wires[6];
    for (int i = 0; i < 6; i++) {
        wires[i] = wire_open(&bench.rig);
        give(&bench, wires[i], "/predict", body);
    }
    rig_wake(&bench.rig);
    assert_response(wires[4], 0, 503, "max-queue-size");
    assert_response(wires[5], 0, 503, "max-queue-size");
    assert_int_equal(wires[3]->got.n, 0);
    wire_free(&bench.rig, wires[0]); /* nobody waits for it */
    bench.rig.now_ns += 6 * (uint64_t)NS_PER_S;
    fake_model_reset_runs();
    bench_settle(&bench);
    assert_int_equal(fake_model.n_runs, 0);
    assert_response(wires[1], 0, 504, "deadline");
    for (int i = 1; i < 6; i++) wire_free(&bench.rig, wires[i]);
    free(body);
    bench_done(&bench);
}

static void a_model_with_a_fixed_batch_runs_row_by_row(void **state)
{
    (void)state;
    fake_model_reset();
    fake_model.fixed_batch = true;
    fake_model.is_batchable = false;
    struct bench bench;
    bench_init(&bench, 64);
    struct wire *wire = wire_open(&bench.rig);
    give(&bench, wire, "/predict", "{\"instances\":[[1,2,3],[4,5,6],[0,0,1]]}");
    struct wire *single = wire_open(&bench.rig);
    give(&bench, single, "/predict", "{\"features\":[1,1,1]}");
    bench_settle(&bench);
    assert_response(wire, 0, 200, "\"predictions\":[6,15,1]");
    for (uint32_t i = 0; i < fake_model.n_runs; i++) assert_int_equal(fake_model.run_rows[i], 1);
    assert_int_equal(fake_model.n_runs, 4);
    wire_free(&bench.rig, wire);
    wire_free(&bench.rig, single);
    bench_done(&bench);
}

static void a_model_that_mixes_rows_runs_each_request_alone(void **state)
{
    (void)state;
    fake_model_reset();
    fake_model.is_batchable = false;
    struct bench bench;
    bench_init(&bench, 4);
    struct wire *a = wire_open(&bench.rig), *b = wire_open(&bench.rig);
    char *body = many_rows(9);
    give(&bench, a, "/predict", body);
    give(&bench, b, "/predict", "{\"features\":[1,1,1]}");
    rig_wake(&bench.rig);
    assert_int_equal(fake_model.n_runs, 2);
    assert_int_equal(fake_model.run_rows[0],
                     9); /* whole, whatever max-batch says: its rows belong together */
    assert_int_equal(fake_model.run_rows[1], 1);
    assert_response(a, 0, 200, "\"predictions\":[0,1,2,3,4,5,6,7,8]");
    free(body);
    wire_free(&bench.rig, a);
    wire_free(&bench.rig, b);
    bench_done(&bench);
}

static void a_new_catalog_is_taken_up_between_wake_ups(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 2);
    struct wire *large = wire_open(&bench.rig), *wire = wire_open(&bench.rig);
    char *body = many_rows(7);
    give(&bench, large, "/predict", body);
    rig_wake(&bench.rig);
    fake_model.scale = 100;
    struct version_settings settings = bench_settings(2);
    struct catalog *empty = catalog_create(),
                   *next = catalog_with(&bench.telemetry, empty, "sum", 2, &settings);
    worker_offer_catalog(&bench.worker, next);
    catalog_unref(empty);
    catalog_unref(next);
    give(&bench, wire, "/predict", "{\"features\":[1,1,1]}"); /* still the old one: it came before */
    rig_wake(&bench.rig);
    assert_response(wire, 0, 200, "\"ctr\":3,");
    give(&bench, wire, "/predict", "{\"features\":[1,1,1]}");
    rig_wake(&bench.rig);
    assert_response(wire, 1, 200, "\"ctr\":300,");
    assert_int_equal(fake_model.n_models, 2); /* the old one serves its large request to the end */
    bench_settle(&bench);
    assert_response(large, 0, 200, "[0,1,2,3,4,5,6]");
    assert_int_equal(fake_model.n_models, 1);
    free(body);
    wire_free(&bench.rig, large);
    wire_free(&bench.rig, wire);
    bench_done(&bench);
}

static void the_root_answers_as_asked(void **state)
{
    (void)state;
    static const struct {
        const char *accept, *body;
    } cases[] = {
        {"", "{\"name\":\"onnxd\""},
        {"Accept: */*\r\n", "{\"name\":\"onnxd\""},
        {"Accept: application/json\r\n", "{\"name\":\"onnxd\""},
        {"Accept: text/htm\r\n", "{\"name\":\"onnxd\""},
        {"Accept: text/html\r\n", "<!doctype html>"},
        {"Accept: application/xhtml+xml, TEXT/HTML;q=0.9, */*;q=0.8\r\n", "<!doctype html>"},
    };
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire *wire = wire_open(&bench.rig);
        char request[256];
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].accept);
        wire_send(&bench.rig, wire, request);
        assert_response(wire, 0, 200, cases[i].body);
        wire_free(&bench.rig, wire);
    }
    bench_done(&bench);
}

static void routes_answer_for_themselves(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int status;
        const char *body;
    } cases[] = {
        {"GET", "/health", 200, "{\"status\":\"ok\"}"},
        {"GET", "/v2/health/live", 200, "{\"live\":true}"},
        {"GET", "/v2/health/ready", 200, "{\"ready\":true}"},
        {"GET", "/", 200, "\"models\":[{\"name\":\"sum\",\"version\":1}]"},
        {"GET", "/predict", 405, "GET is not allowed on /predict: use POST"},
        {"POST", "/health", 405, "use GET"},
        {"OPTIONS", "/predict", 204, ""},
        {"BREW", "/", 501, "error"},
        {"GET", "/nothing", 404, "no route /nothing"},
        {"POST", "/predict", 411, "Content-Length is missing"},
        {"POST", "/predict?model=none", 404, "model 'none' is not served"},
    };
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire *wire = wire_open(&bench.rig);
        get(&bench, wire, cases[i].method, cases[i].target);
        assert_response(wire, 0, cases[i].status, cases[i].body);
        wire_free(&bench.rig, wire);
    }
    bench.config.ready = false;
    struct wire *wire = wire_open(&bench.rig);
    get(&bench, wire, "GET", "/health");
    assert_response(wire, 0, 503, "not ready");
    get(&bench, wire, "GET", "/v2/health/ready");
    assert_response(wire, 1, 503, "{\"ready\":false}");
    wire_free(&bench.rig, wire);
    bench_done(&bench);
}

static void bodies_that_are_wrong_are_told_why(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{",
        "[]",
        "{\"features\":[1,2,3]",
        "{\"features\":[1,2,NaN]}",
        "{\"features\":[1,2,1e99]}",
        "null",
        "\xff",
        "{\"features\":[1,2,3,4]}",
        "{\"features\":[1,2,\"3\"]}",
        "{\"instances\":[]}",
        "{}",
        "{\"a\":1}",
        "{\"features\":[1,2,3]}x",
        "{\"features\":[[[1,2,3]]]}",
        "{\"inputs\":{\"y\":[1,2,3]}}",
    };
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    struct wire *wire = wire_open(&bench.rig);
    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        give(&bench, wire, "/predict", bodies[i]);
        rig_wake(&bench.rig);
        assert_response(wire, i, 400, "{\"error\":\"");
    }
    assert_int_equal(fake_model.n_runs, 0);
    give(&bench, wire, "/predict", "{\"features\":[1,2,3]}");
    rig_wake(&bench.rig);
    assert_response(wire, sizeof bodies / sizeof *bodies, 200, "\"ctr\":6");
    wire_free(&bench.rig, wire);
    bench_done(&bench);
}

static void give_gzip(struct bench *bench, struct wire *wire, const char *text, size_t n, size_t cut)
{
    unsigned char packed[4096];
    char head[128];
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)text;
    stream.avail_in = (uInt)n;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t n_packed = sizeof packed - stream.avail_out - cut;
    deflateEnd(&stream);
    int n_head = snprintf(
        head, sizeof head,
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
        n_packed);
    char all[8192];
    memcpy(all, head, (size_t)n_head);
    memcpy(all + n_head, packed, n_packed);
    wire_give(&bench->rig, wire, all, (size_t)n_head + n_packed);
}

static void gzip_bodies_are_unpacked_within_limits(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 8);
    struct wire *wires[5];
    for (int i = 0; i < 5; i++) wires[i] = wire_open(&bench.rig);
    char *bomb = calloc(1, 1 << 20);
    assert_non_null(bomb);
    memset(bomb, ' ', 1 << 20);
    give_gzip(&bench, wires[0], "{\"features\":[1,2,3]}", 20, 0);
    give_gzip(&bench, wires[1], "{\"features\":[1,2,4]}", 20, 0);
    give_gzip(&bench, wires[2], bomb, 1 << 20, 0);
    give_gzip(&bench, wires[3], "{\"features\":[1,2,3]}", 20, 5);
    static const char odd[] =
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx";
    wire_give(&bench.rig, wires[4], odd, sizeof odd - 1);
    rig_wake(&bench.rig);
    assert_response(wires[0], 0, 200, "\"ctr\":6,");
    assert_response(wires[1], 0, 200, "\"ctr\":7,");
    assert_response(wires[2], 0, 413, "unpacked body is larger than max-body-bytes = 2000");
    assert_response(wires[3], 0, 400, "not whole and valid gzip");
    assert_response(wires[4], 0, 415, "expected gzip or identity");
    for (int i = 0; i < 5; i++) wire_free(&bench.rig, wires[i]);
    free(bomb);
    bench_done(&bench);
}

static void keys_open_everything_but_health(void **state)
{
    (void)state;
    char path[] = "/tmp/onnxd-keys-XXXXXX";
    onnxd_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "# clients\nfirst-key-1\n\nsecond-key-22\r\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    struct api_keys *keys = NULL;
    assert_ok(api_keys_read(path, &keys, &err), err);
    static const struct {
        const char *target, *header;
        int status;
    } cases[] = {
        {"/", "", 401},
        {"/metrics", "X-API-Key: first-key-2\r\n", 401},
        {"/", "X-API-Key: first-key-\r\n", 401},
        {"/", "X-API-Key: first-key-11\r\n", 401},
        {"/nothing", "", 401},
        {"/", "Authorization: Basic first-key-1\r\n", 401},
        {"/", "X-API-Key: # clients\r\n", 401},
        {"/", "X-API-Key: first-key-1\r\n", 200},
        {"/", "Authorization: Bearer second-key-22\r\n", 200},
        {"/", "authorization: bearer second-key-22\r\n", 200},
        {"/health", "", 200},
        {"/v2/health/ready", "", 200},
        {"/", "Accept: text/html\r\n", 200}, /* the page, which asks for the key itself */
        {"/metrics", "Accept: text/html\r\n", 401},
    };
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 8);
    bench.config.api_keys = keys;
    struct wire *wire = wire_open(&bench.rig);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].target,
                 cases[i].header);
        wire_send(&bench.rig, wire, request);
        assert_response(wire, i, cases[i].status, "");
    }
    wire_free(&bench.rig, wire);
    bench_done(&bench);
    api_keys_free(keys);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_fails(api_keys_read(path, &keys, &err), ONNXD_ERR_FORMAT, err, "has no key");
    assert_int_equal(pwrite(fd, "good-key\nshort\n", 15, 0), 15);
    assert_fails(api_keys_read(path, &keys, &err), ONNXD_ERR_FORMAT, err, "line 2");
    close(fd);
    unlink(path);
}

static void what_happened_is_counted_and_logged(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    struct wire *wire = wire_open(&bench.rig);
    struct wire *others[5];
    for (int i = 0; i < 5; i++) {
        others[i] = wire_open(&bench.rig);
        if (i < 3) give(&bench, others[i], "/predict", "{\"features\":[1,2,3]}");
    }
    give(&bench, others[3], "/infer", "{\"inputs\":[[1,2,3],[4,5,6]]}");
    give(&bench, others[4], "/predict", "{\"features\":[-1,2,3]}");
    rig_wake(&bench.rig);
    get(&bench, wire, "GET", "/metrics");
    assert_int_equal(wire_n_responses(wire), 0); /* its text is not written by the loop's thread */
    assert_true(compute_step(bench.config.compute));
    assert_int_equal(wire_n_responses(wire), 0);
    rig_wake(&bench.rig);
    char *text = malloc(200000);
    assert_non_null(text);
    assert_int_equal(wire_response(wire, 0, text, 200000), 200);
    static const char *const lines[] = {
        "nv_inference_request_success{model=\"sum\",version=\"1\"} 4\n",
        "nv_inference_count{model=\"sum\",version=\"1\"} 5\n",
        "nv_inference_request_failure{model=\"sum\",version=\"1\",reason=\"OTHER\"} 1\n",
        "onnxd_http_requests_total{route=\"/predict\",status=\"200\"} 3\n",
        "onnxd_http_requests_total{route=\"/predict\",status=\"400\"} 1\n",
        "onnxd_http_requests_total{route=\"/infer\",status=\"200\"} 1\n",
        "onnxd_request_seconds_bucket{model=\"sum\",version=\"1\",le=\"+Inf\"} 4\n",
        "onnxd_http_request_seconds_count 5\n",
        "# TYPE onnxd_run_seconds histogram\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(text, lines[i]) == NULL) fail_msg("/metrics lacks %s", lines[i]);
    assert_true(buf_append_char(&bench.access, 0));
    assert_non_null(strstr(bench.access.data, "POST /predict 200 0.00ms\n"));
    assert_non_null(strstr(bench.access.data, "POST /predict 400 0.00ms\n"));
    assert_non_null(strstr(bench.access.data, "POST /infer 200 0.00ms\n"));
    assert_non_null(strstr(bench.access.data, "GET /metrics 200 0.00ms\n"));
    free(text);
    for (int i = 0; i < 5; i++) wire_free(&bench.rig, others[i]);
    wire_free(&bench.rig, wire);
    bench_done(&bench);
}

/* However many ask for metrics, and whether or not they wait for them. */
static void scrapes_are_bounded_and_may_be_abandoned(void **state)
{
    (void)state;
    fake_model_reset();
    struct bench bench;
    bench_init(&bench, 4);
    struct wire *wires[9];
    for (int i = 0; i < 9; i++) {
        wires[i] = wire_open(&bench.rig);
        get(&bench, wires[i], i == 1 ? "HEAD" : "GET", "/metrics");
    }
    assert_response(wires[8], 0, 503, "at once");
    wire_free(&bench.rig, wires[0]);
    bench_settle(&bench);
    for (int i = 2; i < 8; i++) assert_int_equal(wire_n_responses(wires[i]), 1);
    get(&bench, wires[8], "GET", "/metrics");
    bench_settle(&bench);
    assert_int_equal(wire_n_responses(wires[8]), 2);
    get(&bench, wires[8], "GET", "/metrics"); /* not answered before the end */
    for (int i = 1; i < 9; i++) wire_free(&bench.rig, wires[i]);
    bench_done(&bench);
}

static void loading_fails_with_a_word_and_leaves_nothing(void **state)
{
    (void)state;
    fake_model_reset();
    onnxd_error err;
    struct telemetry telemetry;
    assert_ok(telemetry_create(1, 2, 1, &telemetry, &err), err);
    struct version_host host = {2, 1, &telemetry};
    struct version *version = NULL;
    struct version_source source = {.path = "fake.onnx"};
    struct version_settings settings = {.max_batch = 4, .max_queue_size = 4, .warm_up_rows = 4};
    fake_model.load_status = ONNXD_ERR_FORMAT;
    assert_fails(version_create(&model_backend_fake, "m", 1, &source, &settings, &host, &version, &err),
                 ONNXD_ERR_FORMAT, err, "the file is bad");
    fake_model.load_status = ONNXD_OK;
    fake_model.run_status = ONNXD_ERR_LIMIT; /* warming meets the session's ceiling */
    assert_fails(version_create(&model_backend_fake, "m", 1, &source, &settings, &host, &version, &err),
                 ONNXD_ERR_LIMIT, err, "the run failed");
    assert_null(version);
    assert_int_equal(fake_model.n_models, 0);
    assert_int_equal(fake_model.n_sessions, 0);
    telemetry_done(&telemetry);
}

static void catalogs_keep_the_newest_first(void **state)
{
    (void)state;
    fake_model_reset();
    onnxd_error err;
    struct telemetry telemetry;
    assert_ok(telemetry_create(1, 1, 1, &telemetry, &err), err);
    struct catalog *catalog = catalog_create();
    static const struct {
        const char *name;
        uint64_t number;
    } adds[] = {{"a", 2}, {"b", 1}, {"a", 1}, {"a", 3}, {"b", 7}, {"a", 2}};
    for (size_t i = 0; i < sizeof adds / sizeof *adds; i++) {
        struct version_settings settings = bench_settings(1);
        struct catalog *next = catalog_with(&telemetry, catalog, adds[i].name, adds[i].number, &settings);
        catalog_unref(catalog);
        catalog = next;
    }
    assert_int_equal(catalog->n, 5);
    assert_string_equal(catalog_first(catalog)->name, "a");
    assert_int_equal(catalog_find(catalog, "a", 1, 0)->number, 3);
    assert_int_equal(catalog_find(catalog, "a", 1, 2)->number, 2);
    assert_int_equal(catalog_find(catalog, "b", 1, 0)->number, 7);
    assert_null(catalog_find(catalog, "a", 1, 9));
    assert_null(catalog_find(catalog, "ab", 2, 0));
    assert_null(catalog_find(catalog, "ab", 0, 0));
    assert_int_equal(fake_model.n_models, 5); /* the first a/2 was replaced */
    struct catalog *less = catalog_change(catalog, NULL, catalog_find(catalog, "a", 1, 3));
    catalog_unref(catalog);
    assert_int_equal(catalog_find(less, "a", 1, 0)->number, 2);
    catalog_unref(less);
    assert_int_equal(fake_model.n_models, 0);
    telemetry_done(&telemetry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_one_wake_up_share_runs),
        cmocka_unit_test(forms_and_models_mix_in_one_wake_up),
        cmocka_unit_test(a_bad_row_fails_its_own_request_alone),
        cmocka_unit_test(an_engine_that_fails_is_told_to_all),
        cmocka_unit_test(large_requests_let_small_ones_pass),
        cmocka_unit_test(large_requests_have_a_queue_and_a_deadline),
        cmocka_unit_test(a_model_with_a_fixed_batch_runs_row_by_row),
        cmocka_unit_test(a_model_that_mixes_rows_runs_each_request_alone),
        cmocka_unit_test(a_new_catalog_is_taken_up_between_wake_ups),
        cmocka_unit_test(the_root_answers_as_asked),
        cmocka_unit_test(routes_answer_for_themselves),
        cmocka_unit_test(bodies_that_are_wrong_are_told_why),
        cmocka_unit_test(gzip_bodies_are_unpacked_within_limits),
        cmocka_unit_test(keys_open_everything_but_health),
        cmocka_unit_test(what_happened_is_counted_and_logged),
        cmocka_unit_test(scrapes_are_bounded_and_may_be_abandoned),
        cmocka_unit_test(loading_fails_with_a_word_and_leaves_nothing),
        cmocka_unit_test(catalogs_keep_the_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
