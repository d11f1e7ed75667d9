#include "serve/worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/infer_body.h"
#include "protocol/predict_body.h"
#include "protocol/v1_body.h"
#include "protocol/v2_response.h"
#include "serve/exchange.h"
#include "serve/gunzip.h"

#define BODY_KEEP_BYTES  (1u << 20)
#define CPU_READ_EVERY   (50u * NS_PER_MS)
#define ACCESS_MAX_BYTES (4u << 20)

/* ---- answers of lanes ------------------------------------------------------------------------------- */

static struct model_stats *stats_of(const struct worker *worker, const struct version *version)
{
    return &worker->stats->models[version->stats_slot];
}

static enum fail_reason reason_of(onnxd_status status)
{
    switch (status) {
    case ONNXD_ERR_BUSY: return FAIL_REJECTED;
    case ONNXD_ERR_TIMEOUT:
    case ONNXD_ERR_CANCELLED: return FAIL_CANCELED;
    case ONNXD_ERR_INTERNAL:
    case ONNXD_ERR_NOMEM: return FAIL_BACKEND;
    default: return FAIL_OTHER;
    }
}

void worker_count_failure(struct worker *worker, const struct version *version, onnxd_status status)
{
    tally_add(&stats_of(worker, version)->failure[reason_of(status)], 1);
}

static enum http_route_id route_of(const struct call *call)
{
    static const enum http_route_id routes[] = {[CALL_PREDICT] = ROUTE_PREDICT,
                                                [CALL_INFER] = ROUTE_INFER,
                                                [CALL_V1] = ROUTE_V1,
                                                [CALL_V2] = ROUTE_V2};
    return routes[call->form];
}

/* Answers with worker->body; header_bytes: of its JSON part when binary tensors follow. */
static void send_answer(struct worker *worker, const struct call *call, uint16_t status, size_t header_bytes,
                        uint64_t now_ns)
{
    char header[64];
    struct http_response response = {.status = status, .body = worker->body.data, .n_body = worker->body.n};
    if (status == 503) response.headers = "Retry-After: 1\r\n";
    if (header_bytes != V2_ALL_JSON) {
        snprintf(header, sizeof header, "Inference-Header-Content-Length: %zu\r\n", header_bytes);
        response.headers = header;
        response.content_type = "application/octet-stream";
    }
    http_host_answer(worker->host, call->ticket, &response);
    worker_note_answer(worker, route_of(call), "POST", call->path, status, call->received_ns, now_ns);
}

static onnxd_status write_v2(struct worker *worker, struct lane *lane, const struct call *call,
                             const struct call_result *result, size_t *ret_header_bytes, onnxd_error *err)
{
    const struct version *version = lane->version;
    const onnxd_tensor *outputs = result->outputs;
    if (!call->alone) {
        for (uint32_t i = 0; i < version->schema.n_outputs; i++) {
            if (outputs[i].rank == 0 || outputs[i].dims[0] != result->n_rows_run)
                return error_set(err, ONNXD_ERR_INTERNAL, "output '%s' does not go by rows",
                                 version->schema.outputs[i].info->name);
            lane->slices[i] = v2_slice_rows(&outputs[i], result->first_row, call->n_rows);
        }
        outputs = lane->slices;
    }
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)version->number);
    return v2_response_write(&version->schema, call->v2, version->name, number, outputs, &worker->body,
                             ret_header_bytes, err);
}

static onnxd_status write_result(struct worker *worker, struct lane *lane, const struct call *call,
                                 const struct call_result *result, size_t *ret_header_bytes, onnxd_error *err)
{
    const struct protocol_schema *schema = &lane->version->schema;
    double ms = 0;
    if (result->run_end_ns > call->received_ns)
        ms = (double)(result->run_end_ns - call->received_ns) / NS_PER_MS;
    switch ((enum call_form)call->form) {
    case CALL_PREDICT:
        return predict_answer_write(schema, result->outputs, result->n_rows_run, result->first_row,
                                    call->n_rows, call->many, ms, &worker->body, err);
    case CALL_INFER:
        return infer_answer_write(schema, result->outputs, result->n_rows_run, result->first_row,
                                  call->n_rows, ms, &worker->body, err);
    case CALL_V1:
        return v1_answer_write(schema, result->outputs, result->n_rows_run, result->first_row, call->n_rows,
                               call->many, &worker->body, err);
    case CALL_V2: return write_v2(worker, lane, call, result, ret_header_bytes, err);
    }
    return error_set(err, ONNXD_ERR_INTERNAL, "unknown form");
}

static void answer_call(void *context, struct lane *lane, const struct call *call,
                        const struct call_result *result)
{
    struct worker *worker = context;
    struct model_stats *stats = stats_of(worker, lane->version);
    onnxd_error err = {.message = ""};
    onnxd_status status = result->status;
    const char *message = result->message;
    size_t header_bytes = V2_ALL_JSON;
    buf_reset(&worker->body);
    if (status == ONNXD_OK) {
        status = write_result(worker, lane, call, result, &header_bytes, &err);
        message = err.message;
        if (status == ONNXD_ERR_RANGE)
            status = ONNXD_ERR_INTERNAL; /* the model's numbers, not the request's */
    }
    if (status == ONNXD_OK) {
        uint64_t now_ns = clock_now_ns(&worker->clock);
        tally_add(&stats->success, 1);
        time_stat_add(&stats->request, now_ns - call->received_ns);
        time_stat_add(&stats->queue, result->run_start_ns - call->parsed_ns);
        time_stat_add(&stats->write, now_ns > worker->parsed_ns ? now_ns - worker->parsed_ns : 0);
        worker->parsed_ns = now_ns;
        send_answer(worker, call, 200, header_bytes, now_ns);
        return;
    }
    worker_count_failure(worker, lane->version, status);
    buf_reset(&worker->body);
    error_body_write(&worker->body, message);
    send_answer(worker, call, http_status_of_run(status), V2_ALL_JSON, clock_now_ns(&worker->clock));
}

static bool is_waiting(void *context, const struct call *call)
{
    struct worker *worker = context;
    return http_host_is_waiting(worker->host, call->ticket);
}

static void ran(void *context, struct lane *lane, uint32_t n_rows, uint64_t ns)
{
    struct worker *worker = context;
    struct model_stats *stats = stats_of(worker, lane->version);
    tally_add(&stats->rows, n_rows);
    tally_add(&stats->runs, 1);
    uint32_t bucket = n_rows <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(n_rows - 1);
    tally_add(&stats->batch[bucket < TELEMETRY_N_BATCH ? bucket : TELEMETRY_N_BATCH - 1], 1);
    time_stat_add(&stats->run, ns);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    atomic_store_explicit(&stats->last_ms, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS,
                          memory_order_relaxed);
    worker->parsed_ns = clock_now_ns(&worker->clock);
}

/* ---- wake-ups --------------------------------------------------------------------------------------- */

static void on_request(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct worker *worker = context;
    if (worker->parsed_ns < request->complete_ns) worker->parsed_ns = request->complete_ns;
    struct http_request copy = *request;
    struct exchange exchange = {.worker = worker, .request = &copy, .ticket = ticket};
    route_request(&exchange);
}

void worker_mark_busy(struct worker *worker, struct lane *lane)
{
    if (lane->is_busy) return;
    lane->is_busy = true;
    lane->next_busy = NULL;
    if (worker->busy == NULL)
        worker->busy = lane;
    else
        worker->last_busy->next_busy = lane;
    worker->last_busy = lane;
}

void worker_run_lane(struct worker *worker, struct lane *lane)
{
    lane->has_more = lane_run(lane, &worker->sink, &worker->clock);
}

static void run_lanes(struct worker *worker)
{
    struct lane *lane = worker->busy, *next;
    worker->busy = worker->last_busy = NULL;
    for (; lane != NULL; lane = next) {
        next = lane->next_busy;
        lane->is_busy = false;
        bool was_held = lane->is_held;
        worker_run_lane(worker, lane);
        tally *pending = &stats_of(worker, lane->version)->pending;
        atomic_store_explicit(pending, lane->n_bulk, memory_order_relaxed);
        if (lane->has_more) {
            /* It outlives this wake-up, and so must its version, whatever becomes of the catalog. */
            if (!was_held) version_ref(lane->version);
            lane->is_held = true;
            worker_mark_busy(worker, lane);
            http_host_want_wake(worker->host, 0);
        } else if (was_held) {
            lane->is_held = false;
            version_unref(lane->version);
        }
    }
}

static void take_offered(struct worker *worker)
{
    if (atomic_load_explicit(&worker->offered, memory_order_relaxed) == NULL) return;
    struct catalog *catalog = atomic_exchange(&worker->offered, NULL);
    if (catalog == NULL) return;
    catalog_unref(worker->catalog);
    worker->catalog = catalog;
}

static void write_access(struct worker *worker)
{
    if (worker->access.n == 0) return;
    if (worker->config->access_sink != NULL) {
        worker->config->access_sink(worker->config->access_context, worker->access.data, worker->access.n);
    } else {
        ssize_t written = write(STDOUT_FILENO, worker->access.data, worker->access.n);
        (void)written; /* a log that nobody reads stops nothing */
    }
    buf_reset(&worker->access);
}

static void publish_stats(struct worker *worker)
{
    struct worker_stats *stats = worker->stats;
    telemetry_copy_http(stats, http_host_stats(worker->host), &worker->http_base);
    atomic_store_explicit(&stats->connections_open, http_host_n_open(worker->host), memory_order_relaxed);
    tally_add(&stats->wakeups, 1);
    uint64_t now_ns = http_host_now_ns(worker->host);
    if (now_ns - worker->cpu_read_ns < CPU_READ_EVERY) return;
    struct timespec ts;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0) return;
    worker->cpu_read_ns = now_ns;
    atomic_store_explicit(&stats->cpu_ns,
                          worker->cpu_base_ns + (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec,
                          memory_order_relaxed);
}

static void on_wake_end(void *context)
{
    struct worker *worker = context;
    if (worker->busy != NULL) run_lanes(worker);
    take_offered(worker);
    write_access(worker);
    publish_stats(worker);
    if (worker->unpacked.used_bytes > 0) arena_done(&worker->unpacked);
    buf_reset(&worker->body);
    buf_shrink(&worker->body, BODY_KEEP_BYTES);
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status worker_init(struct worker *worker, const struct worker_config *config, uint32_t process,
                         uint32_t index, struct catalog *catalog, const struct clock *clock, onnxd_error *err)
{
    (void)err;
    memset(worker, 0, sizeof *worker);
    worker->config = config;
    worker->index = index;
    worker->clock = *clock;
    worker->catalog = catalog_ref(catalog);
    worker->stats = telemetry_worker(config->telemetry, process, index);
    worker->sink = (struct lane_sink){
        .context = worker, .answer = answer_call, .is_waiting = is_waiting, .ran = ran};
    arena_init(&worker->unpacked, 64 * (config->max_body_bytes + (1u << 20)));
    buf_init(&worker->body, config->max_answer_bytes);
    buf_init(&worker->access, ACCESS_MAX_BYTES);
    return ONNXD_OK;
}

void worker_done(struct worker *worker)
{
    if (worker->catalog == NULL) return;
    catalog_unref(atomic_exchange(&worker->offered, NULL));
    catalog_unref(worker->catalog);
    worker->catalog = NULL;
    gunzip_free(worker->gunzip);
    arena_done(&worker->unpacked);
    buf_done(&worker->body);
    buf_done(&worker->access);
}

struct http_handler worker_handler(struct worker *worker)
{
    return (struct http_handler){.context = worker, .request = on_request, .wake_end = on_wake_end};
}

void worker_attach(struct worker *worker, struct http_host *host)
{
    worker->host = host;
}

void worker_offer_catalog(struct worker *worker, struct catalog *catalog)
{
    catalog_unref(atomic_exchange(&worker->offered, catalog_ref(catalog)));
}

void worker_cancel(struct worker *worker)
{
    while (worker->busy != NULL) {
        struct lane *lane = worker->busy;
        worker->busy = lane->next_busy;
        lane->is_busy = false;
        lane_cancel(lane, &worker->sink);
        if (!lane->is_held) continue;
        lane->is_held = false;
        version_unref(lane->version);
    }
    worker->last_busy = NULL;
}

void worker_note_answer(struct worker *worker, enum http_route_id route, const char *method,
                        struct http_view path, uint16_t status, uint64_t received_ns, uint64_t now_ns)
{
    telemetry_count_request(worker->stats, route, status);
    uint64_t ns = now_ns > received_ns ? now_ns - received_ns : 0;
    time_stat_add(&worker->stats->request, ns);
    if (!worker->config->access_log) return;
    char clean[256];
    size_t n = 0;
    for (; n < path.n && n < sizeof clean - 1; n++) {
        unsigned char c = (unsigned char)path.p[n];
        clean[n] = c < 0x21 || c > 0x7e || c == '"' || c == '\\' ? '?' : (char)c;
    }
    clean[n] = 0;
    double ms = (double)ns / NS_PER_MS;
    if (worker->config->log_json)
        buf_printf(&worker->access, "{\"method\":\"%s\",\"path\":\"%s\",\"status\":%u,\"ms\":%.3f}\n", method,
                   clean, status, ms);
    else
        buf_printf(&worker->access, "%s %s %u %.2fms\n", method, clean, status, ms);
    if (worker->access.failed) buf_reset(&worker->access);
    if (worker->access.n > ACCESS_MAX_BYTES / 2) write_access(worker);
}
