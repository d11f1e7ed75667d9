#include "serve/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/predict_body.h"

#define METHOD(name) (1u << HTTP_METHOD_##name)
#define GET_OR_HEAD  (METHOD(GET) | METHOD(HEAD))

static const struct route {
    const char *path;
    size_t n_path;
    uint32_t methods;
    const char *allow;
    enum http_route_id id;
    void (*handle)(struct exchange *exchange);
} routes[] = {
#define ROUTE(path, methods, allow, id, handle)            \
    {                                                      \
        path, sizeof(path) - 1, methods, allow, id, handle \
    }
    ROUTE("/predict", METHOD(POST), "POST, OPTIONS", ROUTE_PREDICT, route_predict),
    ROUTE("/infer", METHOD(POST), "POST, OPTIONS", ROUTE_INFER, route_infer),
    ROUTE("/health", GET_OR_HEAD, "GET, HEAD, OPTIONS", ROUTE_HEALTH, route_health),
    ROUTE("/metrics", GET_OR_HEAD, "GET, HEAD, OPTIONS", ROUTE_METRICS, route_metrics),
    ROUTE("/v2/health/live", GET_OR_HEAD, "GET, HEAD, OPTIONS", ROUTE_HEALTH, route_live),
    ROUTE("/v2/health/ready", GET_OR_HEAD, "GET, HEAD, OPTIONS", ROUTE_HEALTH, route_ready),
    ROUTE("/", GET_OR_HEAD, "GET, HEAD, OPTIONS", ROUTE_ROOT, route_root),
};

static const struct route *find_route(struct http_view path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (http_view_is(path, routes[i].path, routes[i].n_path)) return &routes[i];
    return NULL;
}

static void refuse_method(struct exchange *exchange, const struct route *route)
{
    char headers[64];
    snprintf(headers, sizeof headers, "Allow: %s\r\n", route->allow);
    buf_reset(&exchange->worker->body);
    if (exchange->request->method == HTTP_METHOD_OPTIONS) {
        exchange_answer(exchange, 204, NULL, headers);
        return;
    }
    char message[160];
    struct http_view method = exchange->request->method_text;
    snprintf(message, sizeof message, "%.*s is not allowed on %s: use %.*s",
             (int)(method.n < 20 ? method.n : 20), method.p, route->path, (int)strcspn(route->allow, ","),
             route->allow);
    error_body_write(&exchange->worker->body, message);
    exchange_answer(exchange, 405, NULL, headers);
}

void route_request(struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    const struct route *route = find_route(request->path);
    if (route == NULL) {
        exchange->route = ROUTE_UNKNOWN;
        exchange_fail(exchange, 404, "no route %.*s", (int)(request->path.n < 200 ? request->path.n : 200),
                      request->path.p);
        return;
    }
    exchange->route = route->id;
    if (!(route->methods & 1u << request->method))
        refuse_method(exchange, route);
    else
        route->handle(exchange);
}

/* ---- answering -------------------------------------------------------------------------------------- */

void exchange_answer(struct exchange *exchange, uint16_t status, const char *content_type,
                     const char *headers)
{
    struct worker *worker = exchange->worker;
    const struct http_request *request = exchange->request;
    struct http_response response = {.status = status,
                                     .content_type = content_type,
                                     .body = worker->body.data,
                                     .n_body = worker->body.n,
                                     .headers = headers};
    http_host_answer(worker->host, exchange->ticket, &response);
    worker_note_answer(worker, exchange->route, http_method_name(request->method), request->path, status,
                       request->first_byte_ns, clock_now_ns(&worker->clock));
    buf_reset(&worker->body);
}

static void fail_with(struct exchange *exchange, uint16_t status, const char *message)
{
    buf_reset(&exchange->worker->body);
    error_body_write(&exchange->worker->body, message);
    exchange_answer(exchange, status, NULL, status == 503 || status == 429 ? "Retry-After: 1\r\n" : NULL);
}

void exchange_fail(struct exchange *exchange, uint16_t status, const char *format, ...)
{
    char message[ONNXD_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fail_with(exchange, status, message);
}

void exchange_fail_status(struct exchange *exchange, onnxd_status status, const char *message)
{
    fail_with(exchange, http_status_of_body(status), message);
}

uint16_t http_status_of_body(onnxd_status status)
{
    switch (status) {
    case ONNXD_OK: return 200;
    case ONNXD_ERR_LIMIT: return 413;
    case ONNXD_ERR_NOMEM:
    case ONNXD_ERR_BUSY: return 503;
    case ONNXD_ERR_INTERNAL: return 500;
    default: return 400;
    }
}

uint16_t http_status_of_run(onnxd_status status)
{
    switch (status) {
    case ONNXD_OK: return 200;
    case ONNXD_ERR_RANGE:
    case ONNXD_ERR_SHAPE:
    case ONNXD_ERR_TYPE:
    case ONNXD_ERR_ARGUMENT: return 400;
    case ONNXD_ERR_LIMIT: return 413;
    case ONNXD_ERR_NOMEM:
    case ONNXD_ERR_BUSY:
    case ONNXD_ERR_CANCELLED: return 503;
    case ONNXD_ERR_TIMEOUT: return 504;
    case ONNXD_ERR_UNSUPPORTED: return 501;
    default: return 500;
    }
}
