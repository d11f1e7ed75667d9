#include "support/served.h"

#include <string.h>

#include "base/clock.h"
#include "support/loops.h"
#include "support/test.h"

#define WAIT_NS (30 * (uint64_t)NS_PER_S)

static onnxd_status start(struct served *served, const char *model_path, struct net_address *ret_address,
                          onnxd_error *err)
{
    struct service_model model = {.path = model_path};
    struct service_options options = {
        .models = &model,
        .n_models = 1,
        .n_workers = 1,
        .n_compute = 1,
        .limits = http_limits_default(),
        .loop = test_loop(),
        .version = {.max_batch = 64, .max_queue_size = 64, .max_answer_bytes = 1 << 24},
        .request_timeout_ns = WAIT_NS,
        .drain_timeout_ns = WAIT_NS,
        .unix_fd = -1,
    };
    int fd;
    uint16_t port;
    memset(served, 0, sizeof *served);
    assert_ok(telemetry_create(1, 1, 1, &served->telemetry, err), *err);
    assert_ok(service_listen("127.0.0.1", 0, 1, &fd, &port, err), *err);
    onnxd_status status = service_start(&options, &model_backend_onnxd, &served->telemetry, &fd,
                                        &served->service, err);
    if (status != ONNXD_OK) telemetry_done(&served->telemetry);
    if (status == ONNXD_OK) assert_ok(net_address_tcp("127.0.0.1", port, ret_address, err), *err);
    return status;
}

void served_start(struct served *served, const char *model_path)
{
    struct net_address address;
    onnxd_error err;
    assert_ok(start(served, model_path, &address, &err), err);
    assert_ok(http_client_init(&served->client, NULL, &err), err);
    assert_ok(http_client_connect(&served->client, &address, &err), err);
}

void served_stop(struct served *served)
{
    service_stop(served->service);
    http_client_done(&served->client);
    telemetry_done(&served->telemetry);
}

onnxd_status served_try(const char *model_path, onnxd_error *err)
{
    struct served served;
    struct net_address address;
    onnxd_status status = start(&served, model_path, &address, err);
    if (status != ONNXD_OK) return status;
    service_stop(served.service);
    telemetry_done(&served.telemetry);
    return ONNXD_OK;
}

static void on_response(void *context, const struct http_client_response *response)
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
    assert_ok(http_client_call(&served->client, &request, WAIT_NS, on_response, ret_seen, &err), err);
}
