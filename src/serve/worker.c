#include "serve/worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/predict_body.h"
#include "serve/access_log.h"
#include "serve/compute.h"
#include "serve/exchange.h"
#include "serve/gunzip.h"

#define BODY_KEEP_BYTES  (1u << 20)
#define CPU_READ_EVERY   (50u * NS_PER_MS)
#define SHOW_AFTER       (100u * NS_PER_MS)
#define ACCESS_MAX_BYTES (4u << 20)

/* ---- answers of lanes ------------------------------------------------------------------------------- */

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
    telemetry_count_failure(&worker->stats, &version->stats, reason_of(status));
}

static enum http_route_id route_of(const struct call *call)
{
    static const enum http_route_id routes[] = {[CALL_PREDICT] = ROUTE_PREDICT,
                                                [CALL_INFER] = ROUTE_INFER,
                                                [CALL_V1] = ROUTE_V1,
                                                [CALL_V2] = ROUTE_V2};
    return routes[call->form];
}

/* header_bytes: of the body's JSON part when binary tensors follow. */
static void send_answer(struct worker *worker, const struct call *call, uint16_t status,
                        const struct buf *body, size_t header_bytes, uint64_t now_ns)
{
    char header[64];
    struct http_response response = {.status = status, .body = body->data, .n_body = body->n};
    if (status == 503) response.headers = "Retry-After: 1\r\n";
    if (header_bytes != V2_ALL_JSON) {
        snprintf(header, sizeof header, "Inference-Header-Content-Length: %zu\r\n", header_bytes);
        response.headers = header;
        response.content_type = "application/octet-stream";
    }
    http_host_answer(worker->host, call->ticket, &response);
    struct answered answered = {.route = route_of(call),
                                .method = "POST",
                                .path = call->path,
                                .trace = call->trace,
                                .status = status,
                                .received_ns = call->received_ns,
                                .now_ns = now_ns};
    worker_note_answer(worker, &answered);
}

static void send_failure(struct worker *worker, const struct version *version, const struct call *call,
                         onnxd_status status, uint16_t http_status, const char *message)
{
    worker_count_failure(worker, version, status);
    buf_reset(&worker->body);
    error_body_write(&worker->body, message);
    send_answer(worker, call, http_status, &worker->body, V2_ALL_JSON, clock_now_ns(&worker->clock));
}

/* Of a request that was answered with a result. */
static void count_success(struct worker *worker, const struct version *version, const struct call *call,
                          uint64_t queue_ns, uint64_t write_ns, uint64_t now_ns)
{
    telemetry_count_success(&worker->stats, &version->stats);
    telemetry_count_stage(&worker->stats, &version->stats, STAGE_REQUEST, now_ns - call->received_ns);
    telemetry_count_stage(&worker->stats, &version->stats, STAGE_QUEUE, queue_ns);
    telemetry_count_stage(&worker->stats, &version->stats, STAGE_WRITE, write_ns);
}

static void answer_call(void *context, struct lane *lane, const struct call *call,
                        const struct call_result *result)
{
    struct worker *worker = context;
    onnxd_error err = {.message = ""};
    onnxd_status status = result->status;
    const char *message = result->message;
    size_t header_bytes = V2_ALL_JSON;
    buf_reset(&worker->body);
    if (status == ONNXD_OK) {
        status = call_write(lane->version, call, result, lane->runner->slices, &worker->body, &header_bytes,
                            &err);
        message = err.message;
    }
    if (status != ONNXD_OK) {
        send_failure(worker, lane->version, call, status, http_status_of_run(status), message);
        return;
    }
    uint64_t now_ns = clock_now_ns(&worker->clock);
    count_success(worker, lane->version, call, result->run_start_ns - call->parsed_ns,
                  now_ns > worker->parsed_ns ? now_ns - worker->parsed_ns : 0, now_ns);
    worker->parsed_ns = now_ns;
    send_answer(worker, call, 200, &worker->body, header_bytes, now_ns);
}

static bool is_waiting(void *context, const struct call *call)
{
    struct worker *worker = context;
    return http_host_is_waiting(worker->host, call->ticket);
}

static void ran(void *context, struct lane *lane, uint32_t n_rows, uint64_t ns)
{
    struct worker *worker = context;
    telemetry_count_run(&worker->stats, &lane->version->stats, n_rows, ns);
    worker->parsed_ns = clock_now_ns(&worker->clock);
}

/* ---- jobs: requests that compute threads run -------------------------------------------------------- */

/* On the thread that ended it. */
static void on_job_done(struct job *job)
{
    struct worker *worker = job->owner;
    job->next = atomic_load(&worker->finished);
    while (!atomic_compare_exchange_weak(&worker->finished, &job->next, job)) {
    }
    if (worker->wake != NULL) worker->wake(worker->post_context);
}

static void note_out(struct worker *worker, struct job *job)
{
    job->next_out = worker->out;
    if (worker->out != NULL) worker->out->prev_out = job;
    worker->out = job;
}

static void note_back(struct worker *worker, struct job *job)
{
    if (job->prev_out != NULL)
        job->prev_out->next_out = job->next_out;
    else
        worker->out = job->next_out;
    if (job->next_out != NULL) job->next_out->prev_out = job->prev_out;
}

/* Tells compute threads which jobs are not worth another slice, once connections have closed. */
static void give_up_unwanted(struct worker *worker)
{
    uint64_t n_closed = http_host_stats(worker->host)->n_closed;
    if (n_closed == worker->n_closed_seen) return;
    worker->n_closed_seen = n_closed;
    for (struct job *job = worker->out; job != NULL; job = job->next_out)
        if (!http_host_is_waiting(worker->host, job->call.ticket)) atomic_store(&job->is_unwanted, true);
}

onnxd_status worker_submit(struct worker *worker, struct version *version, const struct call *call,
                           const struct call_body *body, onnxd_error *err)
{
    struct job *job = job_create(version, call, body);
    if (job == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    job->owner = worker;
    job->done = on_job_done;
    atomic_fetch_add(&worker->n_jobs, 1);
    telemetry_change_pending(&worker->stats, &version->stats, 1);
    note_out(worker, job);
    onnxd_status status = compute_submit(worker->config->compute, job, err);
    if (status == ONNXD_OK) return ONNXD_OK;
    note_back(worker, job);
    telemetry_change_pending(&worker->stats, &version->stats, -1);
    atomic_fetch_sub(&worker->n_jobs, 1);
    job_free(job);
    return status;
}

static void answer_job(struct worker *worker, struct job *job)
{
    note_back(worker, job);
    if (atomic_load(&job->is_unwanted)) {
        worker_count_failure(worker, job->version, ONNXD_ERR_CANCELLED);
    } else if (job->status != ONNXD_OK) {
        uint16_t status = job->is_run ? http_status_of_run(job->status) : http_status_of_body(job->status);
        send_failure(worker, job->version, &job->call, job->status, status, job->err.message);
    } else {
        uint64_t now_ns = clock_now_ns(&worker->clock), began_ns = job->call.parsed_ns + job->parse_ns;
        telemetry_count_stage(&worker->stats, &job->version->stats, STAGE_PARSE, job->parse_ns);
        count_success(worker, job->version, &job->call,
                      job->run_start_ns > began_ns ? job->run_start_ns - began_ns : 0, job->write_ns, now_ns);
        send_answer(worker, &job->call, 200, &job->answer, job->header_bytes, now_ns);
    }
    telemetry_change_pending(&worker->stats, &job->version->stats, -1);
    atomic_fetch_sub(&worker->n_jobs, 1);
    job_free(job);
}

/* The finished ones in the order in which they ended. */
static struct job *take_finished(struct worker *worker)
{
    struct job *newest = atomic_exchange(&worker->finished, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void answer_finished(struct worker *worker)
{
    if (atomic_load_explicit(&worker->finished, memory_order_relaxed) == NULL) return;
    for (struct job *job = take_finished(worker), *next; job != NULL; job = next) {
        next = job->next;
        answer_job(worker, job);
    }
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
    lane_run(lane, &worker->sink, &worker->clock);
}

/* A lane that may wait for more calls outlives this wake-up, and so must its version, whatever becomes of the
 * catalog. */
static bool hold_lane(struct worker *worker, struct lane *lane)
{
    uint64_t due_ns = lane_due_ns(lane);
    if (due_ns <= http_host_now_ns(worker->host) || !atomic_load(&worker->config->ready) || !lane_keep(lane))
        return false;
    if (!lane->is_held) version_ref(lane->version);
    lane->is_held = true;
    worker_mark_busy(worker, lane);
    http_host_want_wake(worker->host, due_ns);
    return true;
}

static void let_go(struct lane *lane)
{
    if (!lane->is_held) return;
    lane->is_held = false;
    version_unref(lane->version);
}

static void run_lanes(struct worker *worker)
{
    struct lane *lane = worker->busy, *next;
    worker->busy = worker->last_busy = NULL;
    for (; lane != NULL; lane = next) {
        next = lane->next_busy;
        lane->is_busy = false;
        if (hold_lane(worker, lane)) continue;
        worker_run_lane(worker, lane);
        let_go(lane);
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
    uint64_t now_ns = http_host_now_ns(worker->host);
    /* What this wake-up is yet to send and to close is told by a later one, be it for that alone. */
    if (telemetry_show_host(&worker->stats, http_host_stats(worker->host), http_host_n_open(worker->host)))
        http_host_want_wake(worker->host, now_ns + SHOW_AFTER);
    struct timespec ts;
    if (now_ns - worker->cpu_read_ns < CPU_READ_EVERY || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0)
        return;
    worker->cpu_read_ns = now_ns;
    telemetry_show_cpu(&worker->stats, (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec);
}

static void on_wake_end(void *context)
{
    struct worker *worker = context;
    answer_finished(worker);
    if (atomic_load_explicit(&worker->scraped, memory_order_relaxed) != NULL) route_metrics_answer(worker);
    give_up_unwanted(worker);
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
    telemetry_writer_init(&worker->stats, config->telemetry, process, index);
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
    for (struct job *job = take_finished(worker), *next; job != NULL; job = next) {
        next = job->next;
        job_free(job); /* its connection was cut off */
    }
    route_metrics_drop(worker);
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
        let_go(lane);
    }
    worker->last_busy = NULL;
}

void worker_note_answer(struct worker *worker, const struct answered *answered)
{
    uint64_t ns = answered->now_ns > answered->received_ns ? answered->now_ns - answered->received_ns : 0;
    telemetry_count_request(&worker->stats, answered->route, answered->status, ns);
    if (!worker->config->access_log) return;
    struct access_record record = {.method = answered->method,
                                   .path = answered->path,
                                   .trace = answered->trace,
                                   .status = answered->status,
                                   .ns = ns};
    access_log_append(&worker->access, &record, worker->config->log_json);
    if (worker->access.n > ACCESS_MAX_BYTES / 2) write_access(worker);
}
