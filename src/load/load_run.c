#include "load/load_run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "load/load_audit.h"
#include "load/load_estimate.h"
#include "load/load_machine.h"
#include "load/load_worker.h"

#define START_DELAY_NS    (20 * NS_PER_MS) /* for the threads to be there */
#define MIN_INTERVAL_NS   (100 * NS_PER_MS)
#define PROGRESS_NS       (100 * NS_PER_MS)
#define SPARE_DESCRIPTORS 64

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct run {
    const struct load_options *options;
    const struct load_target *targets;
    uint32_t n_targets;
    struct load_endpoints endpoints;
    struct load_worker *workers;
    pthread_t threads[LOAD_MAX_THREADS];
    uint32_t n_started;
    struct load_course *merged; /* scratch for one interval */
    struct load_interval intervals[LOAD_N_INTERVALS];
    uint32_t n_intervals, n_whole; /* all, and those merged so far */
    uint64_t interval_ns, start_ns, end_ns;
};

static onnxd_status check_options(const struct load_options *o, onnxd_error *err)
{
    if (o->n_threads == 0 || o->n_threads > LOAD_MAX_THREADS)
        return error_set(err, ONNXD_ERR_ARGUMENT, "threads: expected 1..%d", LOAD_MAX_THREADS);
    if (o->n_connections < o->n_threads)
        return error_set(err, ONNXD_ERR_ARGUMENT, "connections: expected at least one for each of %u threads",
                         o->n_threads);
    if (o->n_stages == 0 || load_total_ns(o) == 0)
        return error_set(err, ONNXD_ERR_ARGUMENT, "duration: expected more than 0");
    if (o->pipeline == 0 || o->pipeline > 1024)
        return error_set(err, ONNXD_ERR_ARGUMENT, "pipeline: expected 1..1024");
    if (o->pipeline > 1 && (load_is_open(o) || o->new_connections))
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "pipeline: only in a closed loop that keeps its connections");
    if (o->timeout_ns == 0) return error_set(err, ONNXD_ERR_ARGUMENT, "timeout: expected more than 0");
    uint64_t wanted = o->n_connections + SPARE_DESCRIPTORS, allowed = descriptors_allow(wanted);
    if (allowed < wanted)
        return error_set(err, ONNXD_ERR_LIMIT,
                         "%u connections need %llu file descriptors, %llu are allowed: raise 'ulimit -n'",
                         o->n_connections, (unsigned long long)wanted, (unsigned long long)allowed);
    return ONNXD_OK;
}

/* One connection before all others, so that a wrong address is told at once. */
static onnxd_status probe(const struct load_endpoint *endpoint, onnxd_error *err)
{
    int fd = -1, error = ETIMEDOUT;
    socklen_t n = sizeof error;
    onnxd_status status = net_connect(&endpoint->address, &fd, err);
    if (status != ONNXD_OK) return status;
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    if (poll(&poll_fd, 1, 3000) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    close(fd);
    if (error != 0)
        return error_set(err, ONNXD_ERR_IO, "http%s://%s: cannot connect: %s", endpoint->url.tls ? "s" : "",
                         endpoint->url.authority, strerror(error));
    return ONNXD_OK;
}

static onnxd_status create_worker(struct run *run, uint32_t i, onnxd_error *err)
{
    const struct load_options *o = run->options;
    struct load_worker *w = &run->workers[i];
    uint32_t share = o->n_connections / o->n_threads;
    *w = (struct load_worker){.options = o,
                              .targets = run->targets,
                              .endpoints = &run->endpoints,
                              .n_targets = run->n_targets,
                              .index = i,
                              .n_workers = o->n_threads,
                              .n_conns = share + (i < o->n_connections % o->n_threads)};
    w->recorder.open = load_is_open(o);
    w->recorder.start_ns = run->start_ns;
    w->recorder.end_ns = run->end_ns;
    w->recorder.n_intervals = run->n_intervals;
    w->recorder.interval_ns = run->interval_ns;
    w->recorder.max_samples = o->sample_bytes / o->n_threads / sizeof(uint64_t);
    struct rng seed = rng_seed(o->seed);
    w->rng = rng_fork(&seed, i);
    return load_recorder_init(&w->recorder, err);
}

static onnxd_status start(struct run *run, onnxd_error *err)
{
    uint32_t n = run->options->n_threads;
    run->workers = calloc(n, sizeof *run->workers);
    run->merged = calloc(1, sizeof *run->merged);
    if (run->workers == NULL || run->merged == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for %u threads", n);
    uint64_t total_ns = load_total_ns(run->options);
    run->interval_ns = (total_ns + LOAD_N_INTERVALS - 1) / LOAD_N_INTERVALS;
    if (run->interval_ns < MIN_INTERVAL_NS) run->interval_ns = MIN_INTERVAL_NS;
    run->n_intervals = (uint32_t)((total_ns + run->interval_ns - 1) / run->interval_ns);
    run->start_ns = monotonic_ns() + START_DELAY_NS + run->options->warm_up_ns;
    run->end_ns = run->start_ns + total_ns;
    for (uint32_t i = 0; i < n; i++) {
        onnxd_status status = create_worker(run, i, err);
        if (status != ONNXD_OK) return status;
    }
    for (; run->n_started < n; run->n_started++)
        if (pthread_create(&run->threads[run->n_started], NULL, load_worker_run,
                           &run->workers[run->n_started]) != 0)
            return error_set(err, ONNXD_ERR_NOMEM, "load thread %u could not be started", run->n_started);
    return ONNXD_OK;
}

/* Sums up the intervals that every thread has left behind. */
static void merge_course(struct run *run)
{
    uint32_t n_whole = run->n_intervals;
    for (uint32_t i = 0; i < run->n_started; i++) {
        uint32_t n = atomic_load_explicit(&run->workers[i].recorder.n_whole, memory_order_acquire);
        if (n < n_whole) n_whole = n;
    }
    for (; run->n_whole < n_whole; run->n_whole++) {
        struct load_interval *out = &run->intervals[run->n_whole];
        memset(run->merged, 0, sizeof *run->merged);
        for (uint32_t i = 0; i < run->n_started; i++) {
            const struct load_course *course = &run->workers[i].recorder.course[run->n_whole];
            out->n += course->n;
            out->n_errors += course->n_errors;
            histogram_merge(&run->merged->response, &course->response);
        }
        out->p50_ns = histogram_quantile(&run->merged->response, 0.5);
        out->p99_ns = histogram_quantile(&run->merged->response, 0.99);
        out->max_ns = (double)run->merged->response.max;
    }
}

static void stop_all(struct run *run)
{
    for (uint32_t i = 0; i < run->n_started; i++) atomic_store(&run->workers[i].stop, true);
}

/* Waits for the measured time to pass, reporting now and then. */
static void follow(struct run *run, load_progress_fn fn, void *context)
{
    uint64_t begin_ns = run->start_ns - run->options->warm_up_ns, now_ns = monotonic_ns();
    for (bool go_on = true; go_on && now_ns < run->end_ns; now_ns = monotonic_ns()) {
        uint64_t wait_ns = run->end_ns - now_ns < PROGRESS_NS ? run->end_ns - now_ns : PROGRESS_NS;
        struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
        nanosleep(&wait, NULL);
        merge_course(run);
        if (fn == NULL) continue;
        now_ns = monotonic_ns();
        struct load_progress progress = {
            .elapsed_s = now_ns > begin_ns ? (double)(now_ns - begin_ns) / 1e9 : 0,
            .total_s = (double)(run->end_ns - begin_ns) / 1e9,
            .warming_up = now_ns < run->start_ns,
            .intervals = run->intervals,
            .n_intervals = run->n_whole,
            .interval_s = (double)run->interval_ns / 1e9,
        };
        for (uint32_t i = 0; i < run->n_started; i++)
            progress.n_done += atomic_load_explicit(&run->workers[i].recorder.n_done_now,
                                                    memory_order_relaxed);
        go_on = fn(context, &progress);
        if (!go_on) {
            run->end_ns = now_ns > run->start_ns ? now_ns : run->start_ns;
            stop_all(run);
        }
    }
}

static onnxd_status join(struct run *run, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < run->n_started; i++) {
        pthread_join(run->threads[i], NULL);
        if (status == ONNXD_OK && run->workers[i].status != ONNXD_OK) {
            status = run->workers[i].status;
            if (err != NULL) *err = run->workers[i].error;
        }
    }
    return status;
}

/* All samples of all threads in one sorted array, unless one thread had to let some go. */
static onnxd_status collect_samples(const struct run *run, struct load_result *r, onnxd_error *err)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < run->n_started; i++) {
        if (run->workers[i].recorder.lost_samples) return ONNXD_OK;
        n += run->workers[i].recorder.n_samples;
    }
    if (n == 0) return ONNXD_OK;
    r->samples = malloc(n * sizeof *r->samples);
    if (r->samples == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for %llu samples", (unsigned long long)n);
    for (uint32_t i = 0; i < run->n_started; i++) {
        const struct load_recorder *recorder = &run->workers[i].recorder;
        memcpy(r->samples + r->n_samples, recorder->samples, recorder->n_samples * sizeof *r->samples);
        r->n_samples += recorder->n_samples;
    }
    qsort(r->samples, r->n_samples, sizeof *r->samples, compare_u64);
    return ONNXD_OK;
}

/* Percentiles with their intervals; from the histograms of the course where samples are missing. */
static onnxd_status estimate(const struct run *run, struct load_result *r, onnxd_error *err)
{
    const struct histogram *course[LOAD_N_INTERVALS];
    struct histogram *merged = NULL;
    struct rng rng = rng_seed(run->options->seed);
    if (r->samples == NULL && r->n_intervals > 0) {
        merged = calloc(r->n_intervals, sizeof *merged);
        if (merged == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the result");
        for (uint32_t k = 0; k < r->n_intervals; k++) {
            for (uint32_t i = 0; i < run->n_started; i++)
                histogram_merge(&merged[k], &run->workers[i].recorder.course[k].response);
            course[k] = &merged[k];
        }
    }
    onnxd_status status = load_estimate(r, merged != NULL ? course : NULL, &rng, err);
    free(merged);
    return status;
}

static void describe_targets(const struct run *run, struct load_result *r)
{
    r->n_targets = run->n_targets;
    for (uint32_t i = 0; i < run->n_targets; i++) {
        const struct load_target *t = &run->targets[i];
        snprintf(r->targets[i].url, sizeof r->targets[i].url, "http%s://%s%s", t->url.tls ? "s" : "",
                 t->url.authority, t->url.path);
        r->targets[i].weight = t->weight;
        r->request_bytes += t->corpus.mean_bytes / run->n_targets;
    }
    memcpy(r->url, r->targets[0].url, sizeof r->url);
}

static onnxd_status collect(struct run *run, const struct load_machine *before, struct load_result *ret,
                            onnxd_error *err)
{
    struct load_result result = {.options = *run->options, .n_intervals = run->n_intervals};
    struct load_machine after = load_machine_read();
    double busiest = 0;
    result.record = calloc(1, sizeof *result.record);
    if (result.record == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the result");
    merge_course(run);
    result.elapsed_s = (double)(run->end_ns - run->start_ns) / 1e9;
    for (uint32_t i = 0; i < run->n_started; i++) {
        const struct load_recorder *recorder = &run->workers[i].recorder;
        load_record_merge(result.record, recorder->record);
        uint64_t last_ns = recorder->last_reply_ns;
        double lag = last_ns > run->end_ns ? (double)(last_ns - run->end_ns) / 1e9 : 0;
        if (lag > result.lag_s) result.lag_s = lag;
        double busy = result.elapsed_s > 0 ? (double)recorder->record->cpu_ns / 1e9 / result.elapsed_s : 0;
        if (busy > busiest) busiest = busy;
    }
    if (!load_is_open(run->options)) result.record->service = result.record->response;
    memcpy(result.intervals, run->intervals, sizeof result.intervals);
    result.interval_s = (double)run->interval_ns / 1e9;
    uint32_t n_passed = (uint32_t)(result.elapsed_s / result.interval_s + 0.999);
    if (n_passed < result.n_intervals) result.n_intervals = n_passed;
    describe_targets(run, &result);
    onnxd_status status = collect_samples(run, &result, err);
    if (status == ONNXD_OK) status = estimate(run, &result, err);
    if (status != ONNXD_OK) {
        load_result_done(&result);
        return status;
    }
    load_audit_fill(&result, before, &after, busiest);
    *ret = result;
    return ONNXD_OK;
}

static onnxd_status prepare(struct run *run, onnxd_error *err)
{
    onnxd_status status = check_options(run->options, err);
    if (status == ONNXD_OK)
        status = load_endpoints_init(&run->endpoints, run->targets, run->n_targets, run->options, err);
    if (status == ONNXD_OK && run->options->n_connections < run->options->n_threads * run->endpoints.n)
        status = error_set(err, ONNXD_ERR_ARGUMENT,
                           "connections: expected at least one for each of %u threads and %u servers",
                           run->options->n_threads, run->endpoints.n);
    for (uint32_t i = 0; i < run->endpoints.n && status == ONNXD_OK; i++)
        status = probe(&run->endpoints.items[i], err);
    return status;
}

onnxd_status load_run(const struct load_options *options, const struct load_target *targets,
                      uint32_t n_targets, load_progress_fn fn, void *context, struct load_result *ret,
                      onnxd_error *err)
{
    struct run run = {.options = options, .targets = targets, .n_targets = n_targets};
    onnxd_status status = prepare(&run, err);
    if (status == ONNXD_OK) {
        struct load_machine before = load_machine_read();
        status = start(&run, err);
        if (status == ONNXD_OK)
            follow(&run, fn, context);
        else
            stop_all(&run);
        onnxd_status joined = join(&run, status == ONNXD_OK ? err : NULL);
        if (status == ONNXD_OK) status = joined;
        if (status == ONNXD_OK) status = collect(&run, &before, ret, err);
    }
    for (uint32_t i = 0; run.workers != NULL && i < options->n_threads; i++)
        load_recorder_done(&run.workers[i].recorder);
    free(run.workers);
    free(run.merged);
    load_endpoints_done(&run.endpoints);
    return status;
}
