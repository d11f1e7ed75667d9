#include "load/load_run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "load/load_audit.h"
#include "load/load_machine.h"
#include "load/load_worker.h"

#define START_DELAY_NS    (20 * NS_PER_MS) /* for the threads to be there */
#define MIN_INTERVAL_NS   (100 * NS_PER_MS)
#define PROGRESS_NS       (100 * NS_PER_MS)
#define SPARE_DESCRIPTORS 64

struct run {
    const struct load_options *options;
    struct net_address address;
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
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < o->n_connections + SPARE_DESCRIPTORS) {
        rlim_t wanted = o->n_connections + SPARE_DESCRIPTORS;
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        if (limit.rlim_cur < wanted || setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return error_set(err, ONNXD_ERR_LIMIT,
                             "%u connections need %llu file descriptors, %llu are allowed: raise 'ulimit -n'",
                             o->n_connections, (unsigned long long)wanted,
                             (unsigned long long)limit.rlim_max);
    }
    return ONNXD_OK;
}

/* One connection before all others, so that a wrong address is told at once. */
static onnxd_status probe(const struct net_address *address, const struct load_url *url, onnxd_error *err)
{
    int fd = -1, error = ETIMEDOUT;
    socklen_t n = sizeof error;
    onnxd_status status = net_connect(address, &fd, err);
    if (status != ONNXD_OK) return status;
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    if (poll(&poll_fd, 1, 3000) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    close(fd);
    return error == 0 ? ONNXD_OK
                      : error_set(err, ONNXD_ERR_IO, "http://%s: cannot connect: %s", url->authority,
                                  strerror(error));
}

static onnxd_status create_worker(struct run *run, uint32_t i, const struct load_corpus *corpus,
                                  onnxd_error *err)
{
    const struct load_options *o = run->options;
    struct load_worker *w = &run->workers[i];
    uint32_t share = o->n_connections / o->n_threads;
    *w = (struct load_worker){.options = o,
                              .corpus = corpus,
                              .address = &run->address,
                              .index = i,
                              .n_workers = o->n_threads,
                              .n_conns = share + (i < o->n_connections % o->n_threads),
                              .start_ns = run->start_ns,
                              .end_ns = run->end_ns,
                              .n_intervals = run->n_intervals,
                              .interval_ns = run->interval_ns,
                              .epoll_fd = -1};
    struct rng seed = rng_seed(o->seed);
    w->rng = rng_fork(&seed, i);
    w->record = calloc(1, sizeof *w->record);
    w->course = calloc(run->n_intervals, sizeof *w->course);
    if (w->record == NULL || w->course == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for the record of %u threads", o->n_threads);
    return ONNXD_OK;
}

static onnxd_status start(struct run *run, const struct load_corpus *corpus, onnxd_error *err)
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
        onnxd_status status = create_worker(run, i, corpus, err);
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
        uint32_t n = atomic_load_explicit(&run->workers[i].n_whole, memory_order_acquire);
        if (n < n_whole) n_whole = n;
    }
    for (; run->n_whole < n_whole; run->n_whole++) {
        struct load_interval *out = &run->intervals[run->n_whole];
        memset(run->merged, 0, sizeof *run->merged);
        for (uint32_t i = 0; i < run->n_started; i++) {
            const struct load_course *course = &run->workers[i].course[run->n_whole];
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
            progress.n_done += atomic_load_explicit(&run->workers[i].n_done_now, memory_order_relaxed);
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

static onnxd_status collect(struct run *run, const struct load_url *url, const struct load_corpus *corpus,
                            const struct load_machine *before, struct load_result *ret, onnxd_error *err)
{
    struct load_result result = {
        .options = *run->options, .n_intervals = run->n_intervals, .request_bytes = corpus->mean_bytes};
    struct load_machine after = load_machine_read();
    double busiest = 0;
    result.record = calloc(1, sizeof *result.record);
    if (result.record == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the result");
    merge_course(run);
    result.elapsed_s = (double)(run->end_ns - run->start_ns) / 1e9;
    for (uint32_t i = 0; i < run->n_started; i++) {
        load_record_merge(result.record, run->workers[i].record);
        uint64_t last_ns = run->workers[i].last_reply_ns;
        double lag = last_ns > run->end_ns ? (double)(last_ns - run->end_ns) / 1e9 : 0;
        if (lag > result.lag_s) result.lag_s = lag;
        double busy = result.elapsed_s > 0 ? (double)run->workers[i].record->cpu_ns / 1e9 / result.elapsed_s
                                           : 0;
        if (busy > busiest) busiest = busy;
    }
    if (!load_is_open(run->options)) result.record->service = result.record->response;
    memcpy(result.intervals, run->intervals, sizeof result.intervals);
    result.interval_s = (double)run->interval_ns / 1e9;
    uint32_t n_passed = (uint32_t)(result.elapsed_s / result.interval_s + 0.999);
    if (n_passed < result.n_intervals) result.n_intervals = n_passed;
    snprintf(result.url, sizeof result.url, "http://%s%s", url->authority, url->path);
    load_audit_fill(&result, before, &after, busiest);
    *ret = result;
    return ONNXD_OK;
}

onnxd_status load_run(const struct load_options *options, const struct load_url *url,
                      const struct load_corpus *corpus, load_progress_fn fn, void *context,
                      struct load_result *ret, onnxd_error *err)
{
    struct run run = {.options = options};
    onnxd_status status = check_options(options, err);
    if (status == ONNXD_OK) status = net_address_tcp(url->host, url->port, &run.address, err);
    if (status == ONNXD_OK) status = probe(&run.address, url, err);
    if (status != ONNXD_OK) return status;
    struct load_machine before = load_machine_read();
    status = start(&run, corpus, err);
    if (status == ONNXD_OK)
        follow(&run, fn, context);
    else
        stop_all(&run);
    onnxd_status joined = join(&run, status == ONNXD_OK ? err : NULL);
    if (status == ONNXD_OK) status = joined;
    if (status == ONNXD_OK) status = collect(&run, url, corpus, &before, ret, err);
    for (uint32_t i = 0; run.workers != NULL && i < options->n_threads; i++) {
        free(run.workers[i].record);
        free(run.workers[i].course);
    }
    free(run.workers);
    free(run.merged);
    return status;
}
