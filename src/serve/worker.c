#include "serve/worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/infer_body.h"
#include "protocol/predict_body.h"
#include "serve/exchange.h"

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
    stat_add(&stats_of(worker, version)->failure[reason_of(status)], 1);
}

static void send_answer(struct worker *worker, const struct call *call, uint16_t status, const char *headers,
                        uint64_t now_ns)
{
    struct http_response response = {
        .status = status, .body = worker->body.data, .n_body = worker->body.n, .headers = headers};
    http_host_answer(worker->host, call->ticket, &response);
    enum http_route_id route = call->form == CALL_PREDICT ? ROUTE_PREDICT : ROUTE_INFER;
    struct http_view path = {call->form == CALL_PREDICT ? "/predict" : "/infer",
                             call->form == CALL_PREDICT ? 8 : 6};
    worker_note_answer(worker, route, "POST", path, status, call->received_ns, now_ns);
}

static onnxd_status write_result(struct worker *worker, const struct version *version,
                                 const struct call *call, const struct call_result *result, onnxd_error *err)
{
    double ms = (double)(result->run_end_ns - call->received_ns) / NS_PER_MS;
    if (result->run_end_ns < call->received_ns) ms = 0;
    if (call->form == CALL_PREDICT)
        return predict_answer_write(&version->schema, result->outputs, result->n_rows_run, result->first_row,
                                    call->n_rows, call->many, ms, &worker->body, err);
    return infer_answer_write(&version->schema, result->outputs, result->n_rows_run, result->first_row,
                              call->n_rows, ms, &worker->body, err);
}

static void answer_call(void *context, struct lane *lane, const struct call *call,
                        const struct call_result *result)
{
    struct worker *worker = context;
    struct model_stats *stats = stats_of(worker, lane->version);
    onnxd_error err = {.message = ""};
    onnxd_status status = result->status;
    const char *message = result->message;
    buf_reset(&worker->body);
    if (status == ONNXD_OK) {
        status = write_result(worker, lane->version, call, result, &err);
        message = err.message;
        if (status == ONNXD_ERR_RANGE)
            status = ONNXD_ERR_INTERNAL; /* the model's numbers, not the request's */
    }
    if (status == ONNXD_OK) {
        uint64_t now_ns = clock_now_ns(&worker->clock);
        stat_add(&stats->success, 1);
        time_stat_add(&stats->request, now_ns - call->received_ns);
        time_stat_add(&stats->queue, result->run_start_ns - call->parsed_ns);
        time_stat_add(&stats->write, now_ns > worker->parsed_ns ? now_ns - worker->parsed_ns : 0);
        worker->parsed_ns = now_ns;
        send_answer(worker, call, 200, NULL, now_ns);
        return;
    }
    worker_count_failure(worker, lane->version, status);
    buf_reset(&worker->body);
    error_body_write(&worker->body, message);
    uint16_t code = http_status_of_run(status);
    send_answer(worker, call, code, code == 503 ? "Retry-After: 1\r\n" : NULL, clock_now_ns(&worker->clock));
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
    stat_add(&stats->rows, n_rows);
    stat_add(&stats->runs, 1);
    uint32_t bucket = n_rows <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(n_rows - 1);
    stat_add(&stats->batch[bucket < TELEMETRY_N_BATCH ? bucket : TELEMETRY_N_BATCH - 1], 1);
    time_stat_add(&stats->run, ns);
    worker->parsed_ns = clock_now_ns(&worker->clock);
}

/* ---- wake-ups --------------------------------------------------------------------------------------- */

static void on_request(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct worker *worker = context;
    if (worker->parsed_ns < request->complete_ns) worker->parsed_ns = request->complete_ns;
    struct exchange exchange = {.worker = worker, .request = request, .ticket = ticket};
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
        stat *pending = &stats_of(worker, lane->version)->pending;
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
    telemetry_copy_http(stats, http_host_stats(worker->host));
    atomic_store_explicit(&stats->connections_open, http_host_n_open(worker->host), memory_order_relaxed);
    stat_add(&stats->wakeups, 1);
    uint64_t now_ns = http_host_now_ns(worker->host);
    if (now_ns - worker->cpu_read_ns < CPU_READ_EVERY) return;
    struct timespec ts;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0) return;
    worker->cpu_read_ns = now_ns;
    atomic_store_explicit(&stats->cpu_ns, (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec,
                          memory_order_relaxed);
}

static void on_wake_end(void *context)
{
    struct worker *worker = context;
    if (worker->busy != NULL) run_lanes(worker);
    take_offered(worker);
    write_access(worker);
    publish_stats(worker);
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
