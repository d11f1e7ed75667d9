#include "serve/telemetry.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

static const uint64_t bucket_us[TELEMETRY_N_BUCKETS - 1] = {
    10,    20,    50,     100,    200,    500,     1000,    2000,    5000,    10000,
    20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000};

static const uint16_t known_status[TELEMETRY_N_STATUS - 1] = {200, 204, 400, 401, 403, 404, 405, 408,
                                                              411, 413, 415, 429, 500, 503, 504};

static const char *const route_names[N_ROUTES] = {"/predict", "/infer",   "/v2", "/v1",
                                                  "/health",  "/metrics", "/",   "other"};
static const char *const fail_names[N_FAIL_REASONS] = {"REJECTED", "CANCELED", "BACKEND", "OTHER"};

onnxd_status telemetry_create(uint32_t n_processes, uint32_t n_workers, uint32_t n_compute,
                              struct telemetry *ret, onnxd_error *err)
{
    size_t process_bytes = sizeof(struct telemetry_process) +
                           (n_workers + n_compute) * sizeof(struct worker_stats);
    process_bytes = (process_bytes + 4095) / 4096 * 4096;
    size_t n_bytes = process_bytes * n_processes;
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return error_set(err, ONNXD_ERR_NOMEM, "metrics: out of memory");
    *ret = (struct telemetry){memory, n_bytes, process_bytes, n_processes, n_workers, n_compute};
    return ONNXD_OK;
}

void telemetry_done(struct telemetry *telemetry)
{
    if (telemetry->memory != NULL) munmap(telemetry->memory, telemetry->n_bytes);
    telemetry->memory = NULL;
}

struct telemetry_process *telemetry_process(const struct telemetry *telemetry, uint32_t process)
{
    return (struct telemetry_process *)(void *)((char *)telemetry->memory +
                                                process * telemetry->process_bytes);
}

struct worker_stats *telemetry_worker(const struct telemetry *telemetry, uint32_t process, uint32_t worker)
{
    return &telemetry_process(telemetry, process)->workers[worker];
}

uint32_t telemetry_find_slot(struct telemetry_process *process, const char *name, uint64_t version)
{
    for (uint32_t i = 0; i < TELEMETRY_MAX_MODELS; i++) {
        struct model_slot *slot = &process->slots[i];
        if (!atomic_load_explicit(&slot->used, memory_order_acquire)) break;
        if (slot->version == version && strcmp(slot->name, name) == 0) return i;
    }
    return TELEMETRY_MAX_MODELS;
}

uint32_t telemetry_slot(struct telemetry_process *process, const char *name, uint64_t version)
{
    uint32_t i = telemetry_find_slot(process, name, version);
    if (i < TELEMETRY_MAX_MODELS) return i;
    for (i = 0; i < TELEMETRY_MAX_MODELS - 1; i++)
        if (!atomic_load_explicit(&process->slots[i].used, memory_order_acquire)) break;
    struct model_slot *slot = &process->slots[i];
    if (atomic_load_explicit(&slot->used, memory_order_acquire)) return i; /* the shared last place */
    bool shared = i == TELEMETRY_MAX_MODELS - 1;
    snprintf(slot->name, sizeof slot->name, "%s", shared ? "(others)" : name);
    slot->version = shared ? 0 : version;
    atomic_store_explicit(&slot->used, 1, memory_order_release);
    return i;
}

void time_stat_add(struct time_stat *time, uint64_t ns)
{
    uint32_t bucket = 0;
    while (bucket < TELEMETRY_N_BUCKETS - 1 && ns > bucket_us[bucket] * NS_PER_US) bucket++;
    tally_add(&time->buckets[bucket], 1);
    tally_add(&time->count, 1);
    tally_add(&time->sum_ns, ns);
}

void telemetry_count_run(struct worker_stats *worker, uint32_t slot, uint32_t n_rows, uint64_t ns)
{
    struct model_stats *stats = &worker->models[slot];
    tally_add(&stats->rows, n_rows);
    tally_add(&stats->runs, 1);
    uint32_t bucket = n_rows <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(n_rows - 1);
    tally_add(&stats->batch[bucket < TELEMETRY_N_BATCH ? bucket : TELEMETRY_N_BATCH - 1], 1);
    time_stat_add(&stats->run, ns);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    atomic_store_explicit(&stats->last_ms, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS,
                          memory_order_relaxed);
}

void telemetry_count_request(struct worker_stats *worker, enum http_route_id route, uint16_t status)
{
    uint32_t i = 0;
    if (status != 200)
        while (i < TELEMETRY_N_STATUS - 1 && known_status[i] != status) i++;
    tally_add(&worker->requests[route][i], 1);
}

static void set(tally *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

void telemetry_copy_http(struct worker_stats *worker, const struct http_stats *http,
                         const struct http_stats *base)
{
    set(&worker->connections_accepted, http->n_accepted + base->n_accepted);
    set(&worker->connections_refused, http->n_refused + base->n_refused);
    set(&worker->connections_reset, http->n_reset + base->n_reset);
    set(&worker->malformed, http->n_malformed + base->n_malformed);
    set(&worker->timed_out, http->n_timed_out + base->n_timed_out);
    set(&worker->bytes_in, http->bytes_in + base->bytes_in);
    set(&worker->bytes_out, http->bytes_out + base->bytes_out);
}

struct http_stats telemetry_http_base(const struct worker_stats *worker)
{
    return (struct http_stats){.n_accepted = tally_get(&worker->connections_accepted),
                               .n_refused = tally_get(&worker->connections_refused),
                               .n_reset = tally_get(&worker->connections_reset),
                               .n_malformed = tally_get(&worker->malformed),
                               .n_timed_out = tally_get(&worker->timed_out),
                               .bytes_in = tally_get(&worker->bytes_in),
                               .bytes_out = tally_get(&worker->bytes_out)};
}

/* ---- text ------------------------------------------------------------------------------------------- */

struct total { /* one model version over all workers and processes */
    char name[128];
    uint64_t version;
    struct model_stats sum;
};

/* Both structs are arrays of counters throughout. */
static void add_all(void *to, const void *from, size_t n_bytes)
{
    tally *a = to;
    const tally *b = from;
    for (size_t i = 0; i < n_bytes / sizeof(tally); i++) tally_add(&a[i], tally_get(&b[i]));
}

static void label_text(struct buf *out, const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\') buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void plain(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void labels(struct buf *out, const char *name, const struct total *total)
{
    buf_printf(out, "%s{model=\"", name);
    label_text(out, total->name);
    buf_printf(out, "\",version=\"%llu\"", (unsigned long long)total->version);
}

typedef uint64_t (*read_fn)(const struct model_stats *stats);

static uint64_t read_success(const struct model_stats *s)
{
    return tally_get(&s->success);
}
static uint64_t read_rows(const struct model_stats *s)
{
    return tally_get(&s->rows);
}
static uint64_t read_runs(const struct model_stats *s)
{
    return tally_get(&s->runs);
}
static uint64_t read_pending(const struct model_stats *s)
{
    return tally_get(&s->pending);
}
static uint64_t read_request_us(const struct model_stats *s)
{
    return tally_get(&s->request.sum_ns) / NS_PER_US;
}
static uint64_t read_queue_us(const struct model_stats *s)
{
    return tally_get(&s->queue.sum_ns) / NS_PER_US;
}
static uint64_t read_parse_us(const struct model_stats *s)
{
    return tally_get(&s->parse.sum_ns) / NS_PER_US;
}
static uint64_t read_run_us(const struct model_stats *s)
{
    return tally_get(&s->run.sum_ns) / NS_PER_US;
}
static uint64_t read_write_us(const struct model_stats *s)
{
    return tally_get(&s->write.sum_ns) / NS_PER_US;
}

static const struct {
    const char *name, *type, *help;
    read_fn read;
} model_counters[] = {
    {"nv_inference_request_success", "counter", "Requests answered with a result", read_success},
    {"nv_inference_count", "counter", "Rows run", read_rows},
    {"nv_inference_exec_count", "counter", "Runs made, each of one or more rows", read_runs},
    {"nv_inference_pending_request_count", "gauge", "Requests that wait for their turn", read_pending},
    {"nv_inference_request_duration_us", "counter", "Time from a request's first byte to its answer",
     read_request_us},
    {"nv_inference_queue_duration_us", "counter", "Time between parsing and running", read_queue_us},
    {"nv_inference_compute_input_duration_us", "counter", "Time spent parsing inputs", read_parse_us},
    {"nv_inference_compute_infer_duration_us", "counter", "Time spent in runs, counted for each request",
     read_run_us},
    {"nv_inference_compute_output_duration_us", "counter", "Time spent writing answers", read_write_us},
};

static void write_model_counters(struct buf *out, const struct total *totals, uint32_t n)
{
    for (size_t k = 0; k < sizeof model_counters / sizeof *model_counters; k++) {
        head(out, model_counters[k].name, model_counters[k].type, model_counters[k].help);
        for (uint32_t i = 0; i < n; i++) {
            labels(out, model_counters[k].name, &totals[i]);
            buf_printf(out, "} %llu\n", (unsigned long long)model_counters[k].read(&totals[i].sum));
        }
    }
    head(out, "nv_inference_request_failure", "counter", "Requests answered with an error, by reason");
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t r = 0; r < N_FAIL_REASONS; r++) {
            labels(out, "nv_inference_request_failure", &totals[i]);
            buf_printf(out, ",reason=\"%s\"} %llu\n", fail_names[r],
                       (unsigned long long)tally_get(&totals[i].sum.failure[r]));
        }
}

/* `total` NULL: no labels but the bound's. */
static void write_time(struct buf *out, const char *name, const struct total *total,
                       const struct time_stat *time)
{
    char bucket[96];
    uint64_t below = 0;
    for (uint32_t i = 0; i < TELEMETRY_N_BUCKETS; i++) {
        below += tally_get(&time->buckets[i]);
        snprintf(bucket, sizeof bucket, "%s_bucket", name);
        if (total != NULL)
            labels(out, bucket, total);
        else
            buf_printf(out, "%s{", bucket);
        if (i < TELEMETRY_N_BUCKETS - 1)
            buf_printf(out, "%sle=\"%g\"} %llu\n", total != NULL ? "," : "", (double)bucket_us[i] / 1e6,
                       (unsigned long long)below);
        else
            buf_printf(out, "%sle=\"+Inf\"} %llu\n", total != NULL ? "," : "", (unsigned long long)below);
    }
    static const char *const ends[2] = {"_sum", "_count"};
    for (int i = 0; i < 2; i++) {
        snprintf(bucket, sizeof bucket, "%s%s", name, ends[i]);
        if (total != NULL)
            labels(out, bucket, total);
        else
            buf_append_text(out, bucket);
        if (total != NULL) buf_append_char(out, '}');
        if (i == 0)
            buf_printf(out, " %.9f\n", (double)tally_get(&time->sum_ns) / 1e9);
        else
            buf_printf(out, " %llu\n", (unsigned long long)below);
    }
}

static void write_model_times(struct buf *out, const struct total *totals, uint32_t n)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } times[] = {
        {"onnxd_request_seconds", "From a request's first byte to its answer",
         offsetof(struct model_stats, request)},
        {"onnxd_queue_seconds", "Between parsing and running", offsetof(struct model_stats, queue)},
        {"onnxd_parse_seconds", "Parsing a body", offsetof(struct model_stats, parse)},
        {"onnxd_run_seconds", "One run of the model", offsetof(struct model_stats, run)},
        {"onnxd_write_seconds", "Writing an answer's body", offsetof(struct model_stats, write)},
    };
    for (size_t k = 0; k < sizeof times / sizeof *times; k++) {
        head(out, times[k].name, "histogram", times[k].help);
        for (uint32_t i = 0; i < n; i++)
            write_time(
                out, times[k].name, &totals[i],
                (const struct time_stat *)(const void *)((const char *)&totals[i].sum + times[k].offset));
    }
    head(out, "onnxd_batch_rows", "histogram", "Rows of one run");
    for (uint32_t i = 0; i < n; i++) {
        uint64_t below = 0;
        for (uint32_t b = 0; b < TELEMETRY_N_BATCH; b++) {
            below += tally_get(&totals[i].sum.batch[b]);
            labels(out, "onnxd_batch_rows_bucket", &totals[i]);
            if (b < TELEMETRY_N_BATCH - 1)
                buf_printf(out, ",le=\"%u\"} %llu\n", 1u << b, (unsigned long long)below);
            else
                buf_printf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)below);
        }
        labels(out, "onnxd_batch_rows_sum", &totals[i]);
        buf_printf(out, "} %llu\n", (unsigned long long)tally_get(&totals[i].sum.rows));
        labels(out, "onnxd_batch_rows_count", &totals[i]);
        buf_printf(out, "} %llu\n", (unsigned long long)below);
    }
}

static uint32_t gather_models(const struct telemetry *telemetry, struct total *totals)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < telemetry->n_processes; p++) {
        struct telemetry_process *process = telemetry_process(telemetry, p);
        for (uint32_t s = 0; s < TELEMETRY_MAX_MODELS; s++) {
            const struct model_slot *slot = &process->slots[s];
            if (!atomic_load_explicit(&process->slots[s].used, memory_order_acquire)) continue;
            uint32_t i = 0;
            while (i < n && (totals[i].version != slot->version || strcmp(totals[i].name, slot->name) != 0))
                i++;
            if (i == TELEMETRY_MAX_MODELS) continue;
            if (i == n) {
                memcpy(totals[i].name, slot->name, sizeof totals[i].name);
                totals[i].version = slot->version;
                n++;
            }
            for (uint32_t w = 0; w < telemetry->n_workers + telemetry->n_compute; w++)
                add_all(&totals[i].sum, &process->workers[w].models[s], sizeof totals[i].sum);
        }
    }
    return n;
}

static void write_requests(struct buf *out, const struct worker_stats *sum)
{
    head(out, "onnxd_http_requests_total", "counter", "Requests by route and status");
    for (uint32_t r = 0; r < N_ROUTES; r++)
        for (uint32_t s = 0; s < TELEMETRY_N_STATUS; s++) {
            uint64_t n = tally_get(&sum->requests[r][s]);
            if (n == 0) continue;
            buf_printf(out, "onnxd_http_requests_total{route=\"%s\",status=\"", route_names[r]);
            if (s < TELEMETRY_N_STATUS - 1)
                buf_printf(out, "%u", known_status[s]);
            else
                buf_append_text(out, "other");
            buf_printf(out, "\"} %llu\n", (unsigned long long)n);
        }
}

/* What each process counts beside its workers. */
static void write_processes(struct buf *out, const struct telemetry *telemetry)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"onnxd_process_restarts_total", "Times a process died and was started again",
         offsetof(struct telemetry_process, restarts)},
        {"onnxd_model_loads_total", "Model versions loaded", offsetof(struct telemetry_process, loads)},
        {"onnxd_model_load_failures_total", "Model versions that could not be loaded",
         offsetof(struct telemetry_process, load_failures)},
    };
    for (size_t k = 0; k < sizeof counters / sizeof *counters; k++) {
        head(out, counters[k].name, "counter", counters[k].help);
        for (uint32_t p = 0; p < telemetry->n_processes; p++) {
            const char *process = (const char *)telemetry_process(telemetry, p);
            buf_printf(
                out, "%s{process=\"%u\"} %llu\n", counters[k].name, p,
                (unsigned long long)tally_get((const tally *)(const void *)(process + counters[k].offset)));
        }
    }
}

static void write_server(struct buf *out, const struct telemetry *telemetry, const struct worker_stats *sum)
{
    write_requests(out, sum);
    head(out, "onnxd_http_request_seconds", "histogram", "From a request's first byte to its answer");
    write_time(out, "onnxd_http_request_seconds", NULL, &sum->request);
    plain(out, "onnxd_connections_open", "gauge", "Connections open now", tally_get(&sum->connections_open));
    plain(out, "onnxd_connections_accepted_total", "counter", "Connections accepted",
          tally_get(&sum->connections_accepted));
    plain(out, "onnxd_connections_refused_total", "counter", "Connections refused: max-connections",
          tally_get(&sum->connections_refused));
    plain(out, "onnxd_connections_reset_total", "counter", "Connections that broke",
          tally_get(&sum->connections_reset));
    plain(out, "onnxd_http_malformed_total", "counter", "Requests refused by the HTTP parser or its limits",
          tally_get(&sum->malformed));
    plain(out, "onnxd_http_timeouts_total", "counter", "Requests and answers that took too long",
          tally_get(&sum->timed_out));
    plain(out, "onnxd_http_received_bytes_total", "counter", "Bytes received", tally_get(&sum->bytes_in));
    plain(out, "onnxd_http_sent_bytes_total", "counter", "Bytes sent", tally_get(&sum->bytes_out));
    plain(out, "onnxd_wakeups_total", "counter", "Turns of the event loops", tally_get(&sum->wakeups));
    head(out, "onnxd_worker_cpu_seconds_total", "counter", "Processor time of each worker thread");
    for (uint32_t p = 0; p < telemetry->n_processes; p++)
        for (uint32_t w = 0; w < telemetry->n_workers + telemetry->n_compute; w++)
            buf_printf(out, "onnxd_worker_cpu_seconds_total{process=\"%u\",worker=\"%u\"} %.6f\n", p, w,
                       (double)tally_get(&telemetry_worker(telemetry, p, w)->cpu_ns) / 1e9);
    write_processes(out, telemetry);
}

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Wall clock of this process's start, from the boot's and the ticks since then; 0: unknown. */
static double started_at(void)
{
    unsigned long long ticks = 0, boot = 0;
    char line[256];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file != NULL && fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL &&
        sscanf(strrchr(line, ')') + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ticks) != 1)
        ticks = 0;
    if (file != NULL) fclose(file);
    file = fopen("/proc/stat", "re");
    while (file != NULL && boot == 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "btime %llu", &boot) != 1) boot = 0;
    if (file != NULL) fclose(file);
    return ticks > 0 && boot > 0 ? (double)boot + (double)ticks / (double)sysconf(_SC_CLK_TCK) : 0;
}

static uint64_t open_descriptors(void)
{
    uint64_t n = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) return 0;
    while (readdir(folder) != NULL) n++;
    closedir(folder);
    return n > 3 ? n - 3 : 0; /* "." and ".." and the folder's own */
}

static void write_process(struct buf *out)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    head(out, "process_cpu_seconds_total", "counter", "Processor time, user and system, of this process");
    buf_printf(out, "process_cpu_seconds_total %.6f\n",
               (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    plain(out, "process_resident_memory_bytes", "gauge", "Resident memory of this process", resident_bytes());
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    plain(out, "process_max_fds", "gauge", "File descriptors this process may open", files.rlim_cur);
    head(out, "process_start_time_seconds", "gauge", "Start of this process in seconds since 1970");
    buf_printf(out, "process_start_time_seconds %.2f\n", started_at());
    plain(out, "process_open_fds", "gauge", "Open file descriptors of this process", open_descriptors());
}

bool telemetry_write(const struct telemetry *telemetry, struct buf *out)
{
    size_t totals_bytes = TELEMETRY_MAX_MODELS * sizeof(struct total) + sizeof(struct worker_stats);
    void *memory = mmap(NULL, totals_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    struct worker_stats *sum = memory;
    struct total *totals = (struct total *)(void *)(sum + 1);
    for (uint32_t p = 0; p < telemetry->n_processes; p++)
        for (uint32_t w = 0; w < telemetry->n_workers + telemetry->n_compute; w++)
            add_all(sum, telemetry_worker(telemetry, p, w), offsetof(struct worker_stats, models));
    uint32_t n = gather_models(telemetry, totals);
    write_server(out, telemetry, sum);
    write_process(out);
    write_model_counters(out, totals, n);
    write_model_times(out, totals, n);
    munmap(memory, totals_bytes);
    return !out->failed;
}
