#include "support/serve_bench.h"

#include <stdlib.h>

static void keep_access(void *context, const char *text, size_t n)
{
    assert_true(buf_append(context, text, n));
}

struct catalog *catalog_with(const struct telemetry *telemetry, const struct catalog *old, const char *name,
                             uint64_t number, const struct version_settings *settings)
{
    onnxd_error err;
    struct version *version = NULL;
    struct version_source source = {.path = "fake.onnx"};
    struct version_host host = {1, 1, telemetry};
    assert_ok(version_create(&model_backend_fake, name, number, &source, settings, &host, &version, &err),
              err);
    struct catalog *catalog = catalog_change(old, version, NULL);
    assert_non_null(catalog);
    version_unref(version);
    return catalog;
}

struct version_settings bench_settings(uint32_t max_batch)
{
    return (struct version_settings){.max_batch = max_batch,
                                     .warm_up_rows = VERSION_WARM_UP_ALL,
                                     .max_queue_size = 4,
                                     .max_answer_bytes = 1 << 20};
}

void bench_init(struct bench *bench, uint32_t max_batch)
{
    struct version_settings settings = bench_settings(max_batch);
    bench_init_with(bench, &settings);
}

void bench_init_with(struct bench *bench, const struct version_settings *settings)
{
    onnxd_error err;
    memset(bench, 0, sizeof *bench);
    assert_ok(telemetry_create(1, 1, 1, &bench->telemetry, &err), err);
    buf_init(&bench->access, 1 << 20);
    bench->config = (struct worker_config){.telemetry = &bench->telemetry,
                                           .request_timeout_ns = 5 * (uint64_t)NS_PER_S,
                                           .max_answer_bytes = 1 << 20,
                                           .max_body_bytes = 2000,
                                           .access_log = true,
                                           .access_sink = keep_access,
                                           .access_context = &bench->access,
                                           .ready = true};
    struct catalog *empty = catalog_create(),
                   *catalog = catalog_with(&bench->telemetry, empty, "sum", 1, settings);
    struct clock clock = clock_fake(&bench->rig.now_ns);
    assert_ok(compute_create(0, &bench->telemetry, 0, &clock, &bench->config.compute, &err), err);
    assert_ok(worker_init(&bench->worker, &bench->config, 0, 0, catalog, &clock, &err), err);
    catalog_unref(empty);
    catalog_unref(catalog);
    struct http_handler handler = worker_handler(&bench->worker);
    rig_init_with(&bench->rig, NULL, &handler);
    worker_attach(&bench->worker, bench->rig.host);
    fake_model_reset_runs();
}

void bench_settle(struct bench *bench)
{
    do rig_settle(&bench->rig);
    while (compute_step(bench->config.compute));
    rig_wake(&bench->rig);
}

void bench_done(struct bench *bench)
{
    worker_cancel(&bench->worker);
    compute_free(bench->config.compute);
    rig_done(&bench->rig);
    worker_done(&bench->worker);
    telemetry_done(&bench->telemetry);
    buf_done(&bench->access);
    assert_int_equal(fake_model.n_models, 0); /* every version was let go of */
    assert_int_equal(fake_model.n_sessions, 0);
}

void give(struct bench *bench, struct wire *wire, const char *target, const char *body)
{
    char text[65536];
    int n = snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
                     target, strlen(body), body);
    assert_true(n > 0 && n < (int)sizeof text);
    wire_give(&bench->rig, wire, text, (size_t)n);
}

void get(struct bench *bench, struct wire *wire, const char *method, const char *target)
{
    char text[512];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, target);
    wire_send(&bench->rig, wire, text);
}

char *many_rows(uint32_t n)
{
    char *body = malloc(64 + n * 16);
    assert_non_null(body);
    size_t used = (size_t)sprintf(body, "{\"instances\":[");
    for (uint32_t i = 0; i < n; i++) used += (size_t)sprintf(body + used, "%s[%u,0,0]", i > 0 ? "," : "", i);
    sprintf(body + used, "]}");
    return body;
}
