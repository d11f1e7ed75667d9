#include "serve/exchange.h"

#include "base/error.h"

/* A larger body is read by a compute thread: at a gigabyte a second or less, this is a few dozen
 * microseconds. */
#define READ_HERE_BYTES 32768u

static bool has_body(struct exchange *exchange)
{
    if (exchange->request->body.n > 0) return true;
    if (!exchange->request->has_length)
        exchange_fail(exchange, 411, "the request has no body: Content-Length is missing");
    else
        exchange_fail(exchange, 400, "the body is empty: expected a JSON object");
    return false;
}

static bool read_header_length(struct exchange *exchange, size_t *ret)
{
    struct http_view text = exchange->request->headers[HTTP_HEADER_INFERENCE_LENGTH];
    size_t n = 0;
    if (text.n == 0) {
        *ret = V2_ALL_JSON;
        return true;
    }
    bool ok = text.n <= 18;
    for (size_t i = 0; ok && i < text.n; i++) {
        ok = text.p[i] >= '0' && text.p[i] <= '9';
        n = n * 10 + (size_t)(text.p[i] - '0');
    }
    if (ok) ok = n <= exchange->request->body.n;
    if (!ok)
        exchange_fail(exchange, 400,
                      "Inference-Header-Content-Length: expected a number up to the body's %zu bytes",
                      exchange->request->body.n);
    *ret = n;
    return ok;
}

static struct call start_call(struct exchange *exchange, enum call_form form)
{
    const struct http_request *request = exchange->request;
    uint64_t timeout_ns = exchange->worker->config->request_timeout_ns;
    return (struct call){.form = (uint8_t)form,
                         .ticket = exchange->ticket,
                         .path = request->path,
                         .trace = request->headers[HTTP_HEADER_TRACEPARENT],
                         .received_ns = request->first_byte_ns,
                         .complete_ns = request->complete_ns,
                         .deadline_ns = timeout_ns > 0 ? request->complete_ns + timeout_ns : UINT64_MAX};
}

/* Hands the request to the compute threads. */
static void serve_elsewhere(struct exchange *exchange, struct version *version, struct call *call,
                            const struct call_body *body)
{
    onnxd_error err;
    call->v2 = NULL;
    call->parsed_ns = clock_now_ns(&exchange->worker->clock);
    onnxd_status status = worker_submit(exchange->worker, version, call, body, &err);
    if (status == ONNXD_OK) return;
    worker_count_failure(exchange->worker, version, status);
    exchange_fail_status(exchange, status, err.message);
}

static void serve_here(struct exchange *exchange, struct lane *lane, struct call *call,
                       const struct call_body *body)
{
    struct worker *worker = exchange->worker;
    struct version *version = lane->version;
    onnxd_error err;
    uint32_t n_before = lane->store.rows.n;
    onnxd_status status = call_read(version, body, &lane->store, call, &err);
    worker_mark_busy(worker,
                     lane); /* what the arena holds goes when the lane has run, whatever comes of this */
    if (status == ONNXD_OK && !lane_takes(lane, call->n_rows)) {
        lane->store.rows.n = n_before;
        serve_elsewhere(exchange, version, call, body);
        return;
    }
    uint64_t now_ns = clock_now_ns(&worker->clock);
    call->parsed_ns = now_ns;
    if (status == ONNXD_OK) status = lane_add(lane, call, &err);
    if (status != ONNXD_OK) {
        lane->store.rows.n = n_before;
        worker_count_failure(worker, version, status);
        exchange_fail_status(exchange, status, err.message);
        return;
    }
    version_count_unknowns(version, &lane->store.rows, &worker->stats);
    telemetry_count_stage(&worker->stats, &version->stats, STAGE_PARSE, now_ns - worker->parsed_ns);
    worker->parsed_ns = now_ns;
    if (lane_is_full(lane)) worker_run_lane(worker, lane);
}

void exchange_serve(struct exchange *exchange, struct version *version, enum call_form form)
{
    if (version == NULL || !has_body(exchange)) return;
    struct lane *lane = version->lanes[exchange->worker->index];
    struct call call = start_call(exchange, form);
    struct call_body body = {exchange->request->body, V2_ALL_JSON};
    if (form == CALL_V2 && !read_header_length(exchange, &body.header_bytes)) return;
    if (lane->runner == NULL || body.text.n > READ_HERE_BYTES)
        serve_elsewhere(exchange, version, &call, &body);
    else
        serve_here(exchange, lane, &call, &body);
}
