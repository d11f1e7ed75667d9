#include "serve/telemetry.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "serve/telemetry_slots.h"

#define MODEL_CELLS   320u
#define SERVER_SERIES 512u
#define SERVER_CELLS  1024u

#define LAST_MS_TALLY  (2 * TELEMETRY_N_SIZES)
#define N_SIZE_TALLIES (2 * TELEMETRY_N_SIZES + 1)

static const uint64_t batch_bounds[] = {1,   2,   4,    8,    16,   32,   64,    128,
                                        256, 512, 1024, 2048, 4096, 8192, 16384, 65536};

static const uint16_t known_status[TELEMETRY_N_STATUS - 1] = {200, 204, 400, 401, 403, 404, 405, 408,
                                                              411, 413, 415, 429, 500, 503, 504};

static const char *const route_names[N_ROUTES] = {"/predict", "/infer",   "/v2", "/v1",
                                                  "/health",  "/metrics", "/",   "other"};
const char *const telemetry_fail_names[N_FAIL_REASONS] = {"REJECTED", "CANCELED", "BACKEND", "OTHER"};

static const struct {
    const char *name, *help;
    size_t offset; /* in struct http_stats */
} host_counters[] = {
    {"onnxd_connections_accepted_total", "Connections accepted", offsetof(struct http_stats, n_accepted)},
    {"onnxd_connections_refused_total", "Connections refused: max-connections",
     offsetof(struct http_stats, n_refused)},
    {"onnxd_connections_reset_total", "Connections that broke", offsetof(struct http_stats, n_reset)},
    {"onnxd_http_malformed_total", "Requests refused by the HTTP parser or its limits",
     offsetof(struct http_stats, n_malformed)},
    {"onnxd_http_timeouts_total", "Requests and answers that took too long",
     offsetof(struct http_stats, n_timed_out)},
    {"onnxd_http_abandoned_total", "Requests whose client went away before they were answered",
     offsetof(struct http_stats, n_abandoned)},
    {"onnxd_http_received_bytes_total", "Bytes received", offsetof(struct http_stats, bytes_in)},
    {"onnxd_http_sent_bytes_total", "Bytes sent", offsetof(struct http_stats, bytes_out)},
};
#define N_HOST_COUNTERS (sizeof host_counters / sizeof *host_counters)

static const struct {
    const char *total_name, *total_help, *name, *help;
} stages[N_STAGES] = {
    [STAGE_REQUEST] = {"nv_inference_request_duration_us", "Time from a request's first byte to its answer",
                       "onnxd_request_seconds", "From a request's first byte to its answer"},
    [STAGE_QUEUE] = {"nv_inference_queue_duration_us", "Time between parsing and running",
                     "onnxd_queue_seconds", "Between parsing and running"},
    [STAGE_PARSE] = {"nv_inference_compute_input_duration_us", "Time spent parsing inputs",
                     "onnxd_parse_seconds", "Parsing a body"},
    [STAGE_RUN] = {"nv_inference_compute_infer_duration_us", "Time spent in runs, each counted once",
                   "onnxd_run_seconds", "One run of the model"},
    [STAGE_WRITE] = {"nv_inference_compute_output_duration_us", "Time spent writing answers",
                     "onnxd_write_seconds", "Writing an answer's body"},
};

/* ---- series ----------------------------------------------------------------------------------------- */

onnxd_status telemetry_register_model(struct metrics *m, const char *name, uint64_t version,
                                      struct telemetry_model *ret, onnxd_error *err)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)version);
    struct metric_label labels[3] = {{"model", name}, {"version", number}, {"reason", NULL}};
    onnxd_status status = metrics_counter(m, "nv_inference_request_success",
                                          "Requests answered with a result", labels, 2, 1, &ret->success,
                                          err);
    if (status == ONNXD_OK)
        status = metrics_counter(m, "nv_inference_count", "Rows run", labels, 2, 1, &ret->rows, err);
    if (status == ONNXD_OK)
        status = metrics_counter(m, "nv_inference_exec_count", "Runs made, each of one or more rows", labels,
                                 2, 1, &ret->runs, err);
    if (status == ONNXD_OK)
        status = metrics_gauge(m, "nv_inference_pending_request_count",
                               "Requests that wait for compute threads", labels, 2, 1, &ret->pending, err);
    for (int i = 0; status == ONNXD_OK && i < N_FAIL_REASONS; i++) {
        labels[2].value = telemetry_fail_names[i];
        status = metrics_counter(m, "nv_inference_request_failure",
                                 "Requests answered with an error, by reason", labels, 3, 1, &ret->failure[i],
                                 err);
    }
    for (int i = 0; status == ONNXD_OK && i < N_STAGES; i++) {
        status = metrics_counter(m, stages[i].total_name, stages[i].total_help, labels, 2, 1e-3,
                                 &ret->total_us[i], err);
        if (status == ONNXD_OK)
            status = metrics_histogram(m, stages[i].name, stages[i].help, labels, 2, 1e-9,
                                       metrics_time_bounds_ns, METRICS_N_TIME_BOUNDS, &ret->time[i], err);
    }
    if (status == ONNXD_OK)
        status = metrics_histogram(m, "onnxd_batch_rows", "Rows of one run", labels, 2, 1, batch_bounds,
                                   sizeof batch_bounds / sizeof *batch_bounds, &ret->batch, err);
    if (status == ONNXD_OK)
        status = metrics_tallies(m, "onnxd_batch_sizes", labels, 2, N_SIZE_TALLIES, &ret->sizes, err);
    return status;
}

static void hide_model(struct metrics *m, const struct telemetry_model *model)
{
    const struct metric single[] = {model->success, model->rows, model->runs, model->pending, model->batch};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) metrics_hide(m, single[i]);
    for (int i = 0; i < N_FAIL_REASONS; i++) metrics_hide(m, model->failure[i]);
    for (int i = 0; i < N_STAGES; i++) {
        metrics_hide(m, model->total_us[i]);
        metrics_hide(m, model->time[i]);
    }
}

static onnxd_status register_server(struct telemetry *t, onnxd_error *err)
{
    struct metrics *m = t->metrics;
    onnxd_status status = metrics_histogram(m, "onnxd_http_request_seconds",
                                            "From a request's first byte to its answer", NULL, 0, 1e-9,
                                            metrics_time_bounds_ns, METRICS_N_TIME_BOUNDS, &t->request, err);
    if (status == ONNXD_OK)
        status = metrics_tallies(m, "onnxd_http_request_steps", NULL, 0, TELEMETRY_N_FINE, &t->fine, err);
    if (status == ONNXD_OK)
        status = metrics_gauge(m, "onnxd_connections_open", "Connections open now", NULL, 0, 1, &t->open,
                               err);
    if (status == ONNXD_OK)
        status = metrics_counter(m, "onnxd_wakeups_total", "Turns of the event loops", NULL, 0, 1,
                                 &t->wakeups, err);
    for (size_t i = 0; status == ONNXD_OK && i < N_HOST_COUNTERS; i++)
        status = metrics_counter(m, host_counters[i].name, host_counters[i].help, NULL, 0, 1, &t->http[i],
                                 err);
    if (status == ONNXD_OK) status = telemetry_register_model(m, "(others)", 0, &t->others, err);
    t->others.slot = TELEMETRY_NO_SLOT;
    if (status == ONNXD_OK) hide_model(m, &t->others); /* until it is needed */
    return status;
}

enum process_counter { PROCESS_RESTARTS, PROCESS_LOADS, PROCESS_LOAD_FAILURES, N_PROCESS_COUNTERS };

static onnxd_status process_counter(const struct telemetry *t, uint32_t process, enum process_counter which,
                                    struct metric *ret, onnxd_error *err)
{
    static const struct {
        const char *name, *help;
    } counters[N_PROCESS_COUNTERS] = {
        {"onnxd_process_restarts_total", "Times a process died and was started again"},
        {"onnxd_model_loads_total", "Model versions loaded"},
        {"onnxd_model_load_failures_total", "Model versions that could not be loaded"},
    };
    char number[16];
    snprintf(number, sizeof number, "%u", process);
    struct metric_label label = {"process", number};
    return metrics_counter(t->metrics, counters[which].name, counters[which].help, &label, 1, 1, ret, err);
}

/* Slots of a process: workers, compute threads, the one that loads models. */
static uint32_t slots_of(const struct telemetry *t)
{
    return t->n_workers + t->n_compute + 1;
}

onnxd_status telemetry_create(uint32_t n_processes, uint32_t n_workers, uint32_t n_compute,
                              struct telemetry *ret, onnxd_error *err)
{
    _Static_assert(N_HOST_COUNTERS == sizeof ret->http / sizeof *ret->http, "one series each");
    struct telemetry t = {.n_processes = n_processes, .n_workers = n_workers, .n_compute = n_compute};
    uint32_t n_threads = n_processes * slots_of(&t);
    struct metrics_size size = {.n_slots = n_threads + 1, /* the last is the supervising process's */
                                .max_series = SERVER_SERIES + n_threads + N_PROCESS_COUNTERS * n_processes +
                                              (TELEMETRY_MAX_MODELS + 1) * TELEMETRY_MODEL_SERIES +
                                              TELEMETRY_MAX_FIELDS,
                                .max_cells = SERVER_CELLS + n_threads + N_PROCESS_COUNTERS * n_processes +
                                             (TELEMETRY_MAX_MODELS + 1) * MODEL_CELLS + TELEMETRY_MAX_FIELDS};
    size_t n_metrics = metrics_block_bytes(&size);
    size_t n_slots = telemetry_slots_bytes(n_processes);
    t.n_bytes = n_metrics + n_slots + n_processes * sizeof *t.processes;
    t.memory = mmap(NULL, t.n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t.memory == MAP_FAILED) return error_set(err, ONNXD_ERR_NOMEM, "metrics: out of memory");
    t.metrics = metrics_create(t.memory, &size);
    t.slots = (struct telemetry_slots *)(void *)((char *)t.memory + n_metrics);
    t.processes = (struct telemetry_process *)(void *)((char *)t.slots + n_slots);
    telemetry_slots_init(t.slots, n_processes);
    onnxd_status status = register_server(&t, err);
    for (uint32_t k = 0; status == ONNXD_OK && k < N_PROCESS_COUNTERS * n_processes; k++) {
        struct metric counter; /* shown from the start, at 0 */
        status = process_counter(&t, k / N_PROCESS_COUNTERS, (enum process_counter)(k % N_PROCESS_COUNTERS),
                                 &counter, err);
    }
    if (status != ONNXD_OK)
        telemetry_done(&t);
    else
        *ret = t;
    return status;
}

void telemetry_done(struct telemetry *telemetry)
{
    if (telemetry->memory != NULL) munmap(telemetry->memory, telemetry->n_bytes);
    telemetry->memory = NULL;
}

void telemetry_process_began(const struct telemetry *telemetry, uint32_t process)
{
    telemetry_slots_forget(telemetry->slots, process);
    atomic_store(&telemetry->processes[process].pid, (int32_t)getpid());
}

static void count_for_process(const struct telemetry *telemetry, uint32_t process, enum process_counter which,
                              uint32_t slot)
{
    struct metric counter;
    onnxd_error err;
    struct metrics_writer own = metrics_writer(telemetry->metrics, slot);
    if (process_counter(telemetry, process, which, &counter, &err) == ONNXD_OK) metrics_add(&own, counter, 1);
}

void telemetry_count_load(const struct telemetry *telemetry, uint32_t process, bool ok)
{
    count_for_process(telemetry, process, ok ? PROCESS_LOADS : PROCESS_LOAD_FAILURES,
                      (process + 1) * slots_of(telemetry) - 1);
}

void telemetry_count_restart(const struct telemetry *telemetry, uint32_t process)
{
    count_for_process(telemetry, process, PROCESS_RESTARTS, telemetry->n_processes * slots_of(telemetry));
}

/* ---- writing ---------------------------------------------------------------------------------------- */

void telemetry_writer_init(struct telemetry_writer *writer, const struct telemetry *telemetry,
                           uint32_t process, uint32_t thread)
{
    char process_text[16], thread_text[16];
    uint32_t slot = process * slots_of(telemetry) + thread;
    bool is_worker = thread < telemetry->n_workers;
    *writer = (struct telemetry_writer){.telemetry = telemetry};
    metrics_reset_gauges(telemetry->metrics, slot);
    writer->cells = metrics_writer(telemetry->metrics, slot);
    snprintf(process_text, sizeof process_text, "%u", process);
    snprintf(thread_text, sizeof thread_text, "%u", is_worker ? thread : thread - telemetry->n_workers);
    struct metric_label labels[2] = {{"process", process_text},
                                     {is_worker ? "worker" : "thread", thread_text}};
    onnxd_error err;
    onnxd_status status = metrics_counter(
        telemetry->metrics, is_worker ? "onnxd_worker_cpu_seconds_total" : "onnxd_compute_cpu_seconds_total",
        is_worker ? "Processor time of each worker thread" : "Processor time of each compute thread", labels,
        2, 1e-9, &writer->cpu, &err);
    (void)status; /* there is room for one a thread */
}

static uint32_t status_index(uint16_t status)
{
    uint32_t i = 0;
    if (status != 200)
        while (i < TELEMETRY_N_STATUS - 1 && known_status[i] != status) i++;
    return i;
}

static bool add_request_series(struct telemetry_writer *writer, enum http_route_id route, uint32_t i)
{
    char status_text[16] = "other";
    if (i < TELEMETRY_N_STATUS - 1) snprintf(status_text, sizeof status_text, "%u", known_status[i]);
    struct metric_label labels[2] = {{"route", route_names[route]}, {"status", status_text}};
    onnxd_error err;
    writer->has_requests[route][i] = metrics_counter(writer->telemetry->metrics, "onnxd_http_requests_total",
                                                     "Requests by route and status", labels, 2, 1,
                                                     &writer->requests[route][i], &err) == ONNXD_OK;
    return writer->has_requests[route][i];
}

/* An eighth of a power of two wide, from 1024 ns on; the first holds all below and the last all above 2^37.
 */
static uint32_t fine_index(uint64_t ns)
{
    if (ns < 1024) return 0;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(ns);
    uint32_t i = (power - 10) * 8 + (uint32_t)(ns >> (power - 3) & 7) + 1;
    return i < TELEMETRY_N_FINE ? i : TELEMETRY_N_FINE - 1;
}

double telemetry_fine_ns(uint32_t i)
{
    if (i == 0) return 512;
    uint32_t power = 10 + (i - 1) / 8;
    return (double)(UINT64_C(1) << power) * (1 + ((i - 1) % 8 + 0.5) / 8);
}

void telemetry_count_request(struct telemetry_writer *writer, enum http_route_id route, uint16_t status,
                             uint64_t ns)
{
    uint32_t i = status_index(status);
    if (writer->has_requests[route][i] || add_request_series(writer, route, i))
        metrics_add(&writer->cells, writer->requests[route][i], 1);
    metrics_observe(&writer->cells, writer->telemetry->request, ns);
    metrics_tally(&writer->cells, writer->telemetry->fine, fine_index(ns), 1);
}

void telemetry_count_stage(struct telemetry_writer *writer, const struct telemetry_model *model,
                           enum telemetry_stage stage, uint64_t ns)
{
    metrics_add(&writer->cells, model->total_us[stage], ns);
    metrics_observe(&writer->cells, model->time[stage], ns);
}

void telemetry_count_success(struct telemetry_writer *writer, const struct telemetry_model *model)
{
    metrics_add(&writer->cells, model->success, 1);
}

void telemetry_count_failure(struct telemetry_writer *writer, const struct telemetry_model *model,
                             enum fail_reason reason)
{
    metrics_add(&writer->cells, model->failure[reason], 1);
}

void telemetry_count_unknowns(struct telemetry_writer *writer, const struct telemetry_field *field,
                              uint64_t n)
{
    if (field->is_shown) metrics_add(&writer->cells, field->unknown, n);
}

void telemetry_change_pending(struct telemetry_writer *writer, const struct telemetry_model *model, int by)
{
    metrics_change(&writer->cells, model->pending, by);
}

static uint32_t size_index(uint32_t n_rows)
{
    if (n_rows <= 64) return n_rows > 0 ? n_rows - 1 : 0;
    uint32_t i = 64 + 25 - (uint32_t)__builtin_clz(n_rows - 1); /* 65..128 is 64 */
    return i < TELEMETRY_N_SIZES ? i : TELEMETRY_N_SIZES - 1;
}

uint32_t telemetry_size_rows(uint32_t i)
{
    return i < 64 ? i + 1 : 128u << (i - 64);
}

void telemetry_count_run(struct telemetry_writer *writer, const struct telemetry_model *model,
                         uint32_t n_rows, uint64_t ns)
{
    struct timespec now;
    uint32_t i = size_index(n_rows);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    metrics_add(&writer->cells, model->rows, n_rows);
    metrics_add(&writer->cells, model->runs, 1);
    metrics_observe(&writer->cells, model->batch, n_rows);
    telemetry_count_stage(writer, model, STAGE_RUN, ns);
    metrics_tally(&writer->cells, model->sizes, i, 1);
    metrics_tally(&writer->cells, model->sizes, TELEMETRY_N_SIZES + i, ns);
    struct metric last = {model->sizes.cell + LAST_MS_TALLY, model->sizes.series};
    metrics_set(&writer->cells, last, (int64_t)now.tv_sec * 1000 + now.tv_nsec / (int64_t)NS_PER_MS);
}

bool telemetry_show_host(struct telemetry_writer *writer, const struct http_stats *stats, uint32_t n_open)
{
    bool changed = n_open != writer->open_shown;
    for (size_t i = 0; i < N_HOST_COUNTERS; i++) {
        uint64_t now, shown;
        memcpy(&now, (const char *)stats + host_counters[i].offset, sizeof now);
        memcpy(&shown, (const char *)&writer->shown + host_counters[i].offset, sizeof shown);
        if (now == shown) continue;
        metrics_add(&writer->cells, writer->telemetry->http[i], now - shown);
        changed = true;
    }
    writer->shown = *stats;
    writer->open_shown = n_open;
    metrics_set(&writer->cells, writer->telemetry->open, n_open);
    metrics_add(&writer->cells, writer->telemetry->wakeups, 1);
    return changed;
}

void telemetry_show_cpu(struct telemetry_writer *writer, uint64_t cpu_ns)
{
    metrics_add(&writer->cells, writer->cpu, cpu_ns - writer->cpu_shown_ns);
    writer->cpu_shown_ns = cpu_ns;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

void telemetry_read_sizes(const struct telemetry *telemetry, const struct telemetry_model *model,
                          struct telemetry_size ret[TELEMETRY_N_SIZES], uint64_t *ret_last_ms)
{
    for (uint32_t i = 0; i < TELEMETRY_N_SIZES; i++)
        ret[i] = (struct telemetry_size){
            metrics_tally_read(telemetry->metrics, model->sizes, i),
            metrics_tally_read(telemetry->metrics, model->sizes, TELEMETRY_N_SIZES + i)};
    *ret_last_ms = metrics_tally_largest(telemetry->metrics, model->sizes, LAST_MS_TALLY);
}
