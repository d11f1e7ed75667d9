#include "serve/exchange.h"

#include <string.h>

#include "protocol/infer_body.h"
#include "protocol/predict_body.h"
#include "protocol/v1_body.h"

struct version *exchange_model(struct exchange *exchange)
{
    const struct catalog *catalog = exchange->worker->catalog;
    char name[VERSION_NAME_BYTES];
    struct version *version = NULL;
    if (exchange->request->query.n == 0 ||
        !http_query_get(exchange->request->query, "model", name, sizeof name)) {
        version = catalog_first(catalog);
        if (version == NULL) exchange_fail(exchange, 503, "no model is loaded");
        return version;
    }
    version = catalog_find(catalog, name, strlen(name), 0);
    if (version == NULL) exchange_fail(exchange, 404, "model '%s' is not served", name);
    return version;
}

void exchange_add(struct exchange *exchange, struct lane *lane, struct call *call)
{
    struct worker *worker = exchange->worker;
    struct model_stats *stats = &worker->stats->models[lane->version->stats_slot];
    onnxd_error err;
    uint64_t now_ns = clock_now_ns(&worker->clock);
    time_stat_add(&stats->parse, now_ns - worker->parsed_ns);
    worker->parsed_ns = now_ns;
    call->ticket = exchange->ticket;
    call->path = exchange->request->path;
    call->received_ns = exchange->request->first_byte_ns;
    call->parsed_ns = now_ns;
    call->deadline_ns = UINT64_MAX;
    uint64_t timeout_ns = worker->config->request_timeout_ns;
    if (call->v2 != NULL && call->v2->timeout_us > 0 &&
        (timeout_ns == 0 || call->v2->timeout_us < timeout_ns / NS_PER_US))
        timeout_ns = call->v2->timeout_us * NS_PER_US;
    if (timeout_ns > 0) call->deadline_ns = exchange->request->complete_ns + timeout_ns;
    onnxd_status status = lane_add(lane, call, &err);
    if (status != ONNXD_OK) {
        worker_count_failure(worker, lane->version, status);
        exchange_fail_status(exchange, status, err.message);
        return;
    }
    worker_mark_busy(worker, lane);
    if (lane_is_full(lane)) worker_run_lane(worker, lane);
}

bool exchange_has_body(struct exchange *exchange)
{
    if (exchange->request->body.n > 0) return true;
    if (!exchange->request->has_length)
        exchange_fail(exchange, 411, "the request has no body: Content-Length is missing");
    else
        exchange_fail(exchange, 400, "the body is empty: expected a JSON object");
    return false;
}

static onnxd_status read_rows(const struct version *version, struct http_view body,
                              struct protocol_rows *rows, struct call *call, onnxd_error *err)
{
    const struct protocol_schema *schema = &version->schema;
    switch ((enum call_form)call->form) {
    case CALL_PREDICT: return predict_request_read(schema, body.p, body.n, rows, &call->many, err);
    case CALL_INFER: return infer_request_read(schema, body.p, body.n, rows, err);
    default: return v1_request_read(schema, body.p, body.n, rows, &call->many, err);
    }
}

void exchange_serve_rows(struct exchange *exchange, struct version *version, enum call_form form)
{
    if (version == NULL || !exchange_has_body(exchange)) return;
    struct lane *lane = version->lanes[exchange->worker->index];
    struct protocol_rows *rows = lane_rows(lane);
    struct call call = {.first_row = rows->n, .form = form};
    onnxd_error err;
    onnxd_status status = read_rows(version, exchange->request->body, rows, &call, &err);
    if (status != ONNXD_OK) {
        worker_count_failure(exchange->worker, version, status);
        exchange_fail_status(exchange, status, err.message);
        return;
    }
    exchange_add(exchange, lane, &call);
}

void route_predict(struct exchange *exchange)
{
    exchange_serve_rows(exchange, exchange_model(exchange), CALL_PREDICT);
}

void route_infer(struct exchange *exchange)
{
    exchange_serve_rows(exchange, exchange_model(exchange), CALL_INFER);
}
