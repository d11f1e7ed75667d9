#include "bench/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "load/load_machine.h"
#include "stats/sample.h"

#define MEMORY_NS    (250 * NS_PER_MS)
#define WRK_REQUESTS 1024u

/* ---- watching -------------------------------------------------------------------------------------- */

struct watch {
    struct trial *trial;
    const struct trial_plan *plan;
    struct deployment *deployment;
    uint64_t start_ns, next_ns;
    onnxd_status status; /* why it was ended */
    onnxd_error error;
};

static double server_memory(const struct deployment *d)
{
    struct process_usage usage[CHILD_MAX_PROCESSES];
    uint32_t n_servers;
    double sum = 0;
    deployment_usage(d, usage, &n_servers);
    for (uint32_t i = 0; i < n_servers; i++) sum += (double)usage[i].resident_bytes;
    return sum;
}

static bool watch_round(void *context, const struct load_progress *progress)
{
    struct watch *w = context;
    struct trial *t = w->trial;
    uint64_t now_ns = monotonic_ns();
    if (now_ns >= w->next_ns) {
        w->next_ns = now_ns + MEMORY_NS;
        if (t->n_memory < TRIAL_MAX_MEMORY) {
            t->memory_at_s[t->n_memory] = t->seconds + (double)(now_ns - w->start_ns) / 1e9;
            t->memory[t->n_memory++] = server_memory(w->deployment);
        }
        w->status = deployment_check(w->deployment, &w->error);
        if (w->status != ONNXD_OK) return false;
    }
    return w->plan->fn == NULL || w->plan->fn(w->plan->context, progress);
}

/* ---- our own generator ----------------------------------------------------------------------------- */

static onnxd_status run_own(struct watch *w, const struct load_target *target, struct load_result *ret_last,
                            struct trial_round *ret, onnxd_error *err)
{
    struct load_result r;
    onnxd_status status = load_run(&w->plan->load, target, 1, watch_round, w, &r, err);
    if (status != ONNXD_OK) return status;
    *ret = (struct trial_round){.rate = load_rate(&r),
                                .p50_ns = load_response_quantile(&r, 0.5),
                                .p99_ns = load_response_quantile(&r, 0.99),
                                .p999_ns = load_response_quantile(&r, 0.999),
                                .max_ns = (double)r.record->response.max,
                                .error_share = load_error_share(r.record),
                                .client_cpu_us = r.audit.client_cpu_us,
                                .client_busy = r.audit.client_busy,
                                .steal_cpus = r.audit.steal_cpus,
                                .seconds = r.elapsed_s,
                                .client_limited = r.audit.client_limited};
    memcpy(ret->verdict, r.audit.verdict, sizeof ret->verdict);
    if (ret_last != NULL)
        *ret_last = r;
    else
        load_result_done(&r);
    return ONNXD_OK;
}

/* ---- wrk ------------------------------------------------------------------------------------------- */

static double wrk_time(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return strncmp(end, "us", 2) == 0 ? value * 1e3 : strncmp(end, "ms", 2) == 0 ? value * 1e6 : value * 1e9;
}

static const char *behind(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    if (at == NULL) return NULL;
    at += strlen(label);
    return at + strspn(at, " ");
}

bool trial_read_wrk(const char *text, struct trial_round *ret)
{
    struct trial_round r = {.rate = 0};
    const char *rate = behind(text, "Requests/sec:"), *p50 = behind(text, "\n     50%"),
               *p99 = behind(text, "\n     99%");
    const char *latency = behind(text, "\n    Latency"), *bad = behind(text, "Non-2xx or 3xx responses:");
    const char *total = strstr(text, " requests in "), *socket = behind(text, "Socket errors:");
    if (rate == NULL || latency == NULL || total == NULL) return false;
    r.rate = strtod(rate, NULL);
    if (p50 != NULL) r.p50_ns = wrk_time(p50);
    if (p99 != NULL) r.p99_ns = wrk_time(p99);
    char max[32];
    if (sscanf(latency, "%*s %*s %31s", max) == 1) r.max_ns = wrk_time(max);
    while (total > text && total[-1] >= '0' && total[-1] <= '9') total--;
    double n = strtod(total, NULL), errors = bad != NULL ? strtod(bad, NULL) : 0;
    unsigned long long faults[4] = {0};
    if (socket != NULL && sscanf(socket, "connect %llu, read %llu, write %llu, timeout %llu", &faults[0],
                                 &faults[1], &faults[2], &faults[3]) > 0)
        errors += (double)(faults[0] + faults[1] + faults[2] + faults[3]);
    r.error_share = n > 0 ? errors / n : 1;
    snprintf(r.verdict, sizeof r.verdict,
             "wrk's times: it stamps requests late, so that its median reads about half of the truth.");
    *ret = r;
    return true;
}

/* The very requests that our own generator would send, as a script. */
static onnxd_status write_wrk_script(const struct load_corpus *corpus, char *path, onnxd_error *err)
{
    struct buf buf;
    buf_init(&buf, 256u << 20);
    buf_append_text(&buf, "local all, at = {\n");
    for (uint32_t i = 0; i < corpus->n && i < WRK_REQUESTS; i++) {
        buf_append_char(&buf, '"');
        for (size_t k = 0; k < corpus->requests[i].n; k++) {
            unsigned char c = (unsigned char)corpus->requests[i].bytes[k];
            if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
                buf_append_char(&buf, (char)c);
            else
                buf_printf(&buf, "\\%03u", c);
        }
        buf_append_text(&buf, "\",\n");
    }
    buf_append_text(&buf, "}, 0\nrequest = function()\n    at = at % #all + 1\n    return all[at]\nend\n");
    int fd = mkstemps(path, 4);
    onnxd_status status = fd < 0 ? error_set(err, ONNXD_ERR_IO, "%s: cannot be made", path) : ONNXD_OK;
    if (fd >= 0) close(fd);
    if (status == ONNXD_OK && buf.failed)
        status = error_set(err, ONNXD_ERR_LIMIT, "wrk's script is too large");
    if (status == ONNXD_OK) status = file_replace(path, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

static double children_cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Waits for wrk, watching the servers and the user meanwhile. */
static onnxd_status follow_wrk(struct watch *w, struct child *wrk, double seconds, onnxd_error *err)
{
    uint64_t start_ns = monotonic_ns(), limit_ns = start_ns + (uint64_t)(seconds * 1e9) + 30 * NS_PER_S;
    int code = 0;
    onnxd_error ignored;
    while (child_wait(wrk, 100 * NS_PER_MS, &code, &ignored) != ONNXD_OK) {
        struct load_progress p = {.elapsed_s = (double)(monotonic_ns() - start_ns) / 1e9, .total_s = seconds};
        if (!watch_round(w, &p)) return ONNXD_OK;
        if (monotonic_ns() > limit_ns) return error_set(err, ONNXD_ERR_TIMEOUT, "wrk does not end");
    }
    return ONNXD_OK;
}

static onnxd_status run_wrk(struct watch *w, const struct load_target *target, struct trial_round *ret,
                            onnxd_error *err)
{
    const struct load_options *o = &w->plan->load;
    char script[] = "/tmp/onnxd_wrk_XXXXXX.lua", threads[16], connections[16], duration[24], url[1400];
    double seconds = (double)(load_total_ns(o) / NS_PER_S);
    if (load_is_open(o) || o->pipeline > 1 || seconds < 1)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "wrk has no rate, no pipelining and no time below a second");
    onnxd_status status = write_wrk_script(&target->corpus, script, err);
    if (status != ONNXD_OK) return status;
    snprintf(threads, sizeof threads, "-t%u", o->n_threads);
    snprintf(connections, sizeof connections, "-c%u", o->n_connections);
    snprintf(duration, sizeof duration, "-d%.0fs", seconds);
    snprintf(url, sizeof url, "http://%s%s", target->url.authority, target->url.path);
    const char *const words[] = {"wrk", threads, connections, duration, "--latency", "-s", script, url, NULL};
    struct child wrk = {0};
    double before_s = children_cpu_s();
    status = child_start(&(struct child_options){.argv = words}, &wrk, err);
    if (status == ONNXD_ERR_NOT_FOUND)
        status = error_set(err, status, "wrk is not installed: 'apt-get install wrk', or --tool onnxd");
    if (status == ONNXD_OK) status = follow_wrk(w, &wrk, seconds, err);
    char *text = status == ONNXD_OK && w->status == ONNXD_OK ? child_output(&wrk) : NULL;
    bool ended = wrk.ended;
    child_stop(&wrk, NS_PER_S);
    double cpu_s = children_cpu_s() - before_s;
    unlink(script);
    if (status == ONNXD_OK && w->status == ONNXD_OK && (!ended || text == NULL || !trial_read_wrk(text, ret)))
        status = error_set(err, ONNXD_ERR_IO, "wrk: %s",
                           text != NULL && ended ? text : "was interrupted before it could tell its figures");
    free(text);
    ret->seconds = seconds;
    ret->client_busy = cpu_s / seconds / o->n_threads;
    ret->client_cpu_us = ret->rate > 0 ? cpu_s * 1e6 / (ret->rate * seconds) : 0;
    ret->client_limited = ret->client_busy > 0.9;
    return status;
}

/* ---- rounds ---------------------------------------------------------------------------------------- */

static onnxd_status ask_servers(const struct deployment *d, struct server_split *ret, onnxd_error *err)
{
    *ret = (struct server_split){0};
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < d->n_servers && status == ONNXD_OK; i++)
        status = server_split_ask(d->ports[i], ret, err);
    return status;
}

static void add_split(struct server_split *into, const struct server_split *from)
{
    struct server_split zero = {0}, negative = server_split_since(from, &zero);
    *into = server_split_since(&negative, into);
}

static void add_counts(struct process_usage *into, const struct process_usage *from, int sign)
{
    uint64_t factor = (uint64_t)(int64_t)sign; /* modulo 2^64 */
    into->cpu_ns += factor * from->cpu_ns;
    into->system_ns += factor * from->system_ns;
    into->n_waits += factor * from->n_waits;
    into->n_displaced += factor * from->n_displaced;
    into->io_wait_ns += factor * from->io_wait_ns;
}

/* Processes that came meanwhile count from zero, those that went are left out. */
static double servers_used_ns(const struct process_usage *usage, uint32_t n_servers)
{
    double sum = 0;
    for (uint32_t i = 0; i < n_servers; i++) sum += (double)usage[i].cpu_ns;
    return sum;
}

static void add_usage(struct trial *t, const struct process_usage *before, uint32_t n_before,
                      const struct process_usage *after, uint32_t n_after, uint32_t n_servers)
{
    struct process_usage sums[CHILD_MAX_PROCESSES];
    for (uint32_t i = 0; i < n_after; i++) {
        sums[i] = after[i];
        for (uint32_t k = 0; k < n_before; k++)
            if (before[k].pid == after[i].pid) add_counts(&sums[i], &before[k], -1);
        for (uint32_t k = 0; k < t->n_processes; k++)
            if (t->processes[k].pid == after[i].pid) add_counts(&sums[i], &t->processes[k], 1);
    }
    memcpy(t->processes, sums, n_after * sizeof *sums);
    t->n_processes = n_after;
    t->n_server_processes = n_servers;
}

static onnxd_status measure(struct watch *w, const struct load_target *target, struct load_result *ret_last,
                            struct trial_round *ret, onnxd_error *err)
{
    onnxd_status status = w->plan->tool == TRIAL_WRK ? run_wrk(w, target, ret, err)
                                                     : run_own(w, target, ret_last, ret, err);
    if (status != ONNXD_OK || w->status == ONNXD_OK) return status;
    if (w->plan->tool == TRIAL_OWN && ret_last != NULL) load_result_done(ret_last);
    if (err != NULL) *err = w->error;
    return w->status;
}

static double busy_since(const struct load_machine *before)
{
    struct load_machine now = load_machine_read();
    return before->known && now.known ? now.busy_s - before->busy_s : 0;
}

onnxd_status trial_round(struct trial *t, const struct trial_plan *plan, struct deployment *d,
                         const struct load_target *target, struct load_result *ret_last, onnxd_error *err)
{
    struct process_usage before[CHILD_MAX_PROCESSES], after[CHILD_MAX_PROCESSES];
    struct server_split split_before, split_after;
    struct load_target here = *target;
    struct trial_round round = {0};
    uint32_t n_servers, n_servers_before;
    if (t->n_rounds == TRIAL_MAX_ROUNDS)
        return error_set(err, ONNXD_ERR_LIMIT, "more than %d rounds", TRIAL_MAX_ROUNDS);
    here.url.port = d->port;
    snprintf(here.url.authority, sizeof here.url.authority, "127.0.0.1:%u", d->port);
    onnxd_status status = ask_servers(d, &split_before, err);
    if (status != ONNXD_OK) return status;
    uint32_t n_before = deployment_usage(d, before, &n_servers_before);
    struct load_machine machine_before = load_machine_read();
    struct watch watch = {.trial = t, .plan = plan, .deployment = d, .start_ns = monotonic_ns()};
    status = measure(&watch, &here, ret_last, &round, err);
    if (status != ONNXD_OK) return status;
    uint32_t n_after = deployment_usage(d, after, &n_servers);
    t->foreign_s += busy_since(&machine_before);
    t->seconds += (double)(monotonic_ns() - watch.start_ns) / 1e9;
    status = ask_servers(d, &split_after, err);
    if (status != ONNXD_OK) return status;
    struct server_split since = server_split_since(&split_before, &split_after);
    add_split(&t->split, &since);
    add_usage(t, before, n_before, after, n_after, n_servers);
    double used_ns = servers_used_ns(after, n_servers) - servers_used_ns(before, n_servers_before);
    double answered = since.requests + since.failures;
    round.server_cpu_us = answered > 0 ? used_ns / 1e3 / answered : 0;
    t->rounds[t->n_rounds++] = round;
    return ONNXD_OK;
}

/* ---- figures --------------------------------------------------------------------------------------- */

static double median_of(const struct trial *t, size_t offset)
{
    double values[TRIAL_MAX_ROUNDS];
    for (uint32_t i = 0; i < t->n_rounds; i++)
        memcpy(&values[i], (const char *)&t->rounds[i] + offset, sizeof(double));
    sample_sort(values, t->n_rounds);
    return sample_median(values, t->n_rounds);
}

static void find_medians(struct trial *t)
{
    static const size_t offsets[] = {
        offsetof(struct trial_round, rate),          offsetof(struct trial_round, p50_ns),
        offsetof(struct trial_round, p99_ns),        offsetof(struct trial_round, p999_ns),
        offsetof(struct trial_round, max_ns),        offsetof(struct trial_round, error_share),
        offsetof(struct trial_round, client_cpu_us), offsetof(struct trial_round, client_busy),
        offsetof(struct trial_round, server_cpu_us), offsetof(struct trial_round, steal_cpus),
        offsetof(struct trial_round, seconds)};
    t->median = t->rounds[t->n_rounds - 1];
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        double value = median_of(t, offsets[i]);
        memcpy((char *)&t->median + offsets[i], &value, sizeof value);
    }
}

/* The slope of memory over the later two thirds: what is built up at the start is no leak. */
static double find_growth(const struct trial *t)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    uint32_t first = t->n_memory / 3, n = t->n_memory - first;
    if (n < 4) return 0;
    for (uint32_t i = first; i < t->n_memory; i++) {
        sx += t->memory_at_s[i];
        sy += t->memory[i];
        sxx += t->memory_at_s[i] * t->memory_at_s[i];
        sxy += t->memory_at_s[i] * t->memory[i];
    }
    double spread = n * sxx - sx * sx;
    return spread > 0 ? (n * sxy - sx * sy) / spread : 0;
}

void trial_finish(struct trial *t)
{
    double answered = t->split.requests + t->split.failures, waits = 0, io_ns = 0, cpu_ns = 0, system_ns = 0;
    if (t->n_rounds == 0) return;
    find_medians(t);
    double per_request = answered > 0 ? 1e-3 / answered : 0,
           per_second = t->seconds > 0 ? 1e-9 / t->seconds : 0;
    t->server_cpu_us = t->nginx_cpu_us = t->server_cpus = t->nginx_cpus = t->memory_bytes =
        t->busiest_server = 0;
    for (uint32_t i = 0; i < t->n_processes; i++) {
        double used_ns = (double)t->processes[i].cpu_ns;
        bool server = i < t->n_server_processes;
        *(server ? &t->server_cpu_us : &t->nginx_cpu_us) += used_ns * per_request;
        *(server ? &t->server_cpus : &t->nginx_cpus) += used_ns * per_second;
        if (!server) continue;
        t->busiest_server = fmax(t->busiest_server, used_ns * per_second);
        cpu_ns += used_ns;
        system_ns += (double)t->processes[i].system_ns;
        t->memory_bytes += (double)t->processes[i].resident_bytes;
        waits += (double)t->processes[i].n_waits;
        io_ns += (double)t->processes[i].io_wait_ns;
    }
    t->client_cpus = t->median.client_cpu_us * 1e-6 * t->median.rate;
    t->foreign_cpus = fmax(0,
                           t->foreign_s * per_second * 1e9 - t->server_cpus - t->nginx_cpus - t->client_cpus);
    t->waits_per_request = answered > 0 ? waits / answered : 0;
    t->io_wait_share = io_ns * per_second;
    t->rows_per_wakeup = t->split.wakeups > 0 ? t->split.rows / t->split.wakeups : 0;
    t->system_share = cpu_ns > 0 ? system_ns / cpu_ns : 0;
    t->memory_growth_bytes_s = find_growth(t);
}
