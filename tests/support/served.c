#include "support/served.h"

#include <string.h>

#include "base/clock.h"
#include "support/loops.h"
#include "support/test.h"

#define WAIT_NS (30 * (uint64_t)NS_PER_S)

#define MAX_WORKERS 4

static onnxd_status start(struct served *served, const struct served_options *o, onnxd_error *err)
{
    uint32_t n_workers = o->n_workers > 0 ? o->n_workers : 1;
    struct service_options options = {
        .models = o->models,
        .n_models = o->n_models,
        .repository = o->repository,
        .admin = o->admin,
        .n_workers = n_workers,
        .n_compute = n_workers,
        .limits = http_limits_default(),
        .loop = test_loop(),
        .version = {.max_batch = 64,
                    .max_queue_size = o->max_queue_size > 0 ? o->max_queue_size : 64,
                    .max_answer_bytes = 1 << 24},
        .request_timeout_ns = WAIT_NS,
        .drain_timeout_ns = WAIT_NS,
        .unix_fd = -1,
    };
    int fds[MAX_WORKERS];
    memset(served, 0, sizeof *served);
    assert_in_range(n_workers, 1, MAX_WORKERS);
    assert_ok(telemetry_create(1, n_workers, n_workers, &served->telemetry, err), *err);
    assert_ok(service_listen("127.0.0.1", 0, n_workers, fds, &served->port, err), *err);
    onnxd_status status = service_start(&options, &model_backend_onnxd, &served->telemetry, fds,
                                        &served->service, err);
    if (status != ONNXD_OK) telemetry_done(&served->telemetry);
    if (status == ONNXD_OK)
        assert_ok(net_address_tcp("127.0.0.1", served->port, &served->address, err), *err);
    return status;
}

void served_start(struct served *served, const struct served_options *options)
{
    onnxd_error err;
    assert_ok(start(served, options, &err), err);
    assert_ok(http_client_init(&served->client, NULL, &err), err);
    assert_ok(http_client_connect(&served->client, &served->address, &err), err);
}

void served_start_model(struct served *served, const char *model_path)
{
    const struct service_model model = {.path = model_path};
    served_start(served, &(struct served_options){.models = &model, .n_models = 1});
}

void served_stop(struct served *served)
{
    service_stop(served->service);
    http_client_done(&served->client);
    telemetry_done(&served->telemetry);
}

onnxd_status served_try(const struct served_options *options, onnxd_error *err)
{
    struct served served;
    onnxd_status status = start(&served, options, err);
    if (status != ONNXD_OK) return status;
    service_stop(served.service);
    telemetry_done(&served.telemetry);
    return ONNXD_OK;
}

onnxd_status served_try_model(const char *model_path, onnxd_error *err)
{
    const struct service_model model = {.path = model_path};
    return served_try(&(struct served_options){.models = &model, .n_models = 1}, err);
}

void served_see(void *context, const struct http_client_response *response)
{
    struct seen *seen = context;
    seen->status = response->status;
    snprintf(seen->body, sizeof seen->body, "%.*s", (int)response->body.n,
             response->body.n > 0 ? response->body.p : "");
}

void served_call(struct served *served, enum http_method method, const char *path, const char *body,
                 struct seen *ret_seen)
{
    onnxd_error err;
    struct http_client_request request = {.method = method,
                                          .host = "test",
                                          .path = path,
                                          .body = body,
                                          .n_body = body != NULL ? strlen(body) : 0};
    assert_ok(http_client_call(&served->client, &request, WAIT_NS, served_see, ret_seen, &err), err);
}
