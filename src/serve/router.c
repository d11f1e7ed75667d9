#include "serve/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/http_cors.h"
#include "protocol/predict_body.h"
#include "serve/api_keys.h"
#include "serve/gunzip.h"

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

void exchange_refuse_method(struct exchange *exchange, const char *allow)
{
    char headers[64], message[320];
    const struct http_request *request = exchange->request;
    snprintf(headers, sizeof headers, "Allow: %s\r\n", allow);
    buf_reset(&exchange->worker->body);
    if (request->method == HTTP_METHOD_OPTIONS) {
        exchange_answer(exchange, 204, NULL, headers);
        return;
    }
    snprintf(message, sizeof message, "%.*s is not allowed on %.*s: use %.*s",
             (int)(request->method_text.n < 20 ? request->method_text.n : 20), request->method_text.p,
             (int)(request->path.n < 200 ? request->path.n : 200), request->path.p, (int)strcspn(allow, ","),
             allow);
    error_body_write(&exchange->worker->body, message);
    exchange_answer(exchange, 405, NULL, headers);
}

static bool starts_with(struct http_view path, const char *prefix, size_t n)
{
    return path.n >= n && memcmp(path.p, prefix, n) == 0 && (path.n == n || path.p[n] == '/');
}

/* Puts the body as it was before gzip in its place; answers when that cannot be. */
static bool unpack_body(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct http_request *request = exchange->request;
    struct http_view encoding = request->headers[HTTP_HEADER_CONTENT_ENCODING];
    onnxd_error err;
    if (encoding.n == 0 || HTTP_VIEW_IS(encoding, "identity")) return true;
    if (!HTTP_VIEW_IS(encoding, "gzip") && !HTTP_VIEW_IS(encoding, "x-gzip")) {
        exchange_fail(exchange, 415, "Content-Encoding: expected gzip or identity");
        return false;
    }
    onnxd_status status = gunzip_body(&worker->gunzip, request->body, worker->config->max_body_bytes,
                                      &worker->unpacked, &request->body, &err);
    if (status != ONNXD_OK) exchange_fail_status(exchange, status, err.message);
    return status == ONNXD_OK;
}

/* Health is told to anybody: load balancers have no keys; and so is the empty page. */
static bool may_ask(struct exchange *exchange)
{
    const struct api_keys *keys = exchange->worker->config->api_keys;
    if (keys == NULL || exchange->route == ROUTE_HEALTH ||
        (exchange->route == ROUTE_ROOT && route_root_is_page(exchange->request)) ||
        api_keys_allow(keys, exchange->request))
        return true;
    buf_reset(&exchange->worker->body);
    error_body_write(&exchange->worker->body,
                     "a valid key is missing: expected X-API-Key: KEY or Authorization: Bearer KEY");
    exchange_answer(exchange, 401, NULL, "WWW-Authenticate: Bearer\r\n");
    return false;
}

void route_request(struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    const struct route *route = find_route(request->path);
    exchange->route = route != NULL                          ? route->id
                      : starts_with(request->path, "/v2", 3) ? ROUTE_V2
                      : starts_with(request->path, "/v1", 3) ? ROUTE_V1
                                                             : ROUTE_UNKNOWN;
    if (request->is_preflight) { /* before keys are asked for: browsers send none with it */
        buf_reset(&exchange->worker->body);
        exchange_answer(exchange, 204, NULL, http_cors_preflight_lines());
        return;
    }
    if (!may_ask(exchange) || !unpack_body(exchange)) return;
    if (route != NULL && !(route->methods & 1u << request->method))
        exchange_refuse_method(exchange, route->allow);
    else if (route != NULL)
        route->handle(exchange);
    else if (exchange->route == ROUTE_V2)
        route_v2(exchange);
    else if (exchange->route == ROUTE_V1)
        route_v1(exchange);
    else
        exchange_fail(exchange, 404, "no route %.*s", (int)(request->path.n < 200 ? request->path.n : 200),
                      request->path.p);
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
    struct answered answered = {.route = exchange->route,
                                .method = http_method_name(request->method),
                                .path = request->path,
                                .trace = request->headers[HTTP_HEADER_TRACEPARENT],
                                .status = status,
                                .received_ns = request->first_byte_ns,
                                .now_ns = clock_now_ns(&worker->clock)};
    worker_note_answer(worker, &answered);
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

void exchange_send_later(struct worker *worker, const struct exchange_later *later, uint16_t status,
                         const char *content_type, const struct buf *body)
{
    struct http_response response = {
        .status = status, .content_type = content_type, .body = body->data, .n_body = body->n};
    if (status == 503) response.headers = "Retry-After: 1\r\n";
    http_host_answer(worker->host, later->ticket, &response);
    struct answered answered = {.route = later->route,
                                .method = later->method,
                                .path = {later->path, strlen(later->path)},
                                .trace = later->trace,
                                .status = status,
                                .received_ns = later->received_ns,
                                .now_ns = clock_now_ns(&worker->clock)};
    worker_note_answer(worker, &answered);
}

void exchange_answer_later(struct worker *worker, const struct exchange_later *later, uint16_t status,
                           const char *message)
{
    buf_reset(&worker->body);
    if (status != 200) error_body_write(&worker->body, message);
    exchange_send_later(worker, later, status, NULL, &worker->body);
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
