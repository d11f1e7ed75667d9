/* neat_train bench --modes: arena training in process and through a server, in one table, and which to
 * choose. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "bench/child_process.h"
#include "bench/modes_suite.h"
#include "cli_history.h"
#include "cli_options.h"
#include "evolve/remote_inference.h"
#include "evolve/run_telemetry.h"
#include "neat_train.h"
#include "neat_train_bench.h"

struct mode {
    char name[32];
    uint32_t batch; /* 0: in this process */
    double seconds, rows, inference_seconds, ticks, generations, compute_seconds, requests;
    double own_cpu_seconds, server_cpu_seconds, own_memory, server_memory;
    struct match_stats stats; /* its `inference` alone */
};

/* Names and batches from the kinds that modes_parse knows; 0 when one makes no sense here. */
static uint32_t parse_modes(const char *text, struct mode *modes, onnxd_error *err)
{
    struct modes_kind kinds[MODES_MAX];
    uint32_t n = 0;
    if (modes_parse(text, kinds, &n, err) != ONNXD_OK) return 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!kinds[i].remote && kinds[i].batch > 1) {
            error_set(err, ONNXD_ERR_ARGUMENT,
                      "modes: cpu takes no batch here, its rows are computed as they come");
            return 0;
        }
        modes[i].batch = kinds[i].remote ? kinds[i].batch : 0;
        if (kinds[i].remote)
            snprintf(modes[i].name, sizeof modes[i].name, "remote:%u", kinds[i].batch);
        else
            snprintf(modes[i].name, sizeof modes[i].name, "cpu");
    }
    return n;
}

static double own_cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A server that somebody else runs cannot be looked at. */
static struct process_usage server_usage(const struct own_server *server)
{
    struct process_usage u = {0};
    if (server->pid > 0 && !process_usage_read(server->pid, &u)) u = (struct process_usage){0};
    return u;
}

static onnxd_status run_mode(const struct bench_options *o, struct mode *mode, const char *url,
                             const struct own_server *server, uint64_t seed, onnxd_error *err)
{
    struct remote *remote = NULL;
    struct run *run = NULL;
    struct contest_backend backend;
    onnxd_status status = ONNXD_OK;
    if (mode->batch > 0) {
        const struct remote_options options = {
            .url = url, .batch = mode->batch, .concurrency = o->concurrency};
        status = remote_create(&options, &remote, err);
        if (status != ONNXD_OK) return status;
        backend = remote_backend(remote);
    }
    double own_cpu = own_cpu_seconds();
    struct process_usage before = server_usage(server), after;
    uint64_t judge_ns = 0;
    status = bench_run_arena(o, seed, NULL, remote != NULL ? &backend : NULL, &mode->stats, &run, &judge_ns,
                             err);
    after = server_usage(server);
    mode->own_cpu_seconds += own_cpu_seconds() - own_cpu;
    mode->own_memory = (double)memory_bytes() > mode->own_memory ? (double)memory_bytes() : mode->own_memory;
    if (remote != NULL) {
        mode->server_cpu_seconds += (double)(after.cpu_ns - before.cpu_ns) / 1e9;
        if ((double)after.resident_bytes > mode->server_memory)
            mode->server_memory = (double)after.resident_bytes;
    }
    if (status == ONNXD_OK && remote != NULL) status = remote_unload(remote, err);
    if (status == ONNXD_OK) {
        mode->seconds += (double)judge_ns / 1e9;
        mode->rows += (double)run->result.n_steps;
        mode->inference_seconds += (double)run->result.inference_ns / 1e9;
        mode->ticks += (double)run->result.n_ticks;
        mode->generations += run->result.n_generations;
        if (remote != NULL) {
            mode->compute_seconds += (double)remote_stats_of(remote)->compute_ns / 1e9;
            mode->requests += (double)remote_stats_of(remote)->n_requests;
        }
    }
    run_free(run);
    remote_free(remote);
    return status;
}

static void append_table(const struct mode *modes, uint32_t n, struct buf *buf)
{
    buf_printf(buf, "%-12s %13s %11s %14s %13s %12s %11s %9s %7s\n", "mode", "generations/s", "rows/s",
               "inference r/s", "inference ms/g", "server ms/g", "us/request", "rows/req.", "ratio");
    for (uint32_t i = 0; i < n; i++) {
        const struct mode *m = &modes[i];
        double rate = m->rows / m->inference_seconds, first = modes[0].rows / modes[0].inference_seconds;
        buf_printf(buf, "%-12s %13.3f %11.0f %14.0f %13.2f %12.2f %11.2f %9.1f %7.3f\n", m->name,
                   m->generations / m->seconds, m->rows / m->seconds, rate,
                   m->inference_seconds * 1e3 / m->generations,
                   m->batch > 0 ? m->compute_seconds * 1e3 / m->generations
                                : m->inference_seconds * 1e3 / m->generations,
                   m->requests > 0 ? m->inference_seconds * 1e6 / m->requests : 0,
                   m->requests > 0 ? m->rows / m->requests : 0, rate / first);
    }
    buf_append_text(
        buf,
        "inference r/s: rows a second of time spent waiting for answers; ratio: of that to the first mode;\n"
        "server: times told by the server summed over requests, many of which share a run.\n\n");
}

/* What a decision needs. Latency is what a row waits in its tick: the distribution of the ticks' inference
 * calls over the rows that a tick has, since modes play different numbers of matches side by side. */
static void fill_option(const struct mode *m, struct decision_option *o)
{
    double rows_a_tick = m->rows / m->ticks;
    const struct histogram *h = &m->stats.inference;
    *o = (struct decision_option){.name = m->name,
                                  .p50_us = histogram_quantile(h, 0.5) / 1e3 / rows_a_tick,
                                  .p95_us = histogram_quantile(h, 0.95) / 1e3 / rows_a_tick,
                                  .p99_us = histogram_quantile(h, 0.99) / 1e3 / rows_a_tick,
                                  .rows_per_s = m->rows / m->seconds,
                                  .cpu_us_per_row = (m->own_cpu_seconds + m->server_cpu_seconds) / m->rows *
                                                    1e6,
                                  .memory_bytes = m->own_memory + m->server_memory};
    if (m->batch > 0) o->parts |= DECISION_SERVER | DECISION_NETWORK;
    if (m->batch > 1) o->parts |= DECISION_BATCHING;
}

static void keep_figures(const struct mode *modes, const struct decision *d, struct bench_run *kept)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct decision_option *o = &d->options[i];
        char name[80];
        snprintf(name, sizeof name, "arena %s, rows a second", o->name);
        bench_run_value(kept, name, "1/s", BENCH_HIGHER, o->rows_per_s);
        snprintf(name, sizeof name, "arena %s, rows a second of waiting", o->name);
        bench_run_value(kept, name, "1/s", BENCH_HIGHER, modes[i].rows / modes[i].inference_seconds);
        snprintf(name, sizeof name, "arena %s, CPU a row", o->name);
        bench_run_value(kept, name, "ns", BENCH_LOWER, o->cpu_us_per_row * 1e3);
    }
}

static onnxd_status report(const struct bench_options *o, const struct mode *modes, uint32_t n,
                           struct decision *d, onnxd_error *err)
{
    struct buf buf;
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < n; i++) fill_option(&modes[i], &d->options[i]);
    d->n = n;
    status = decision_make(d, err);
    if (status != ONNXD_OK) return status;
    buf_init(&buf, (size_t)1 << 20);
    append_table(modes, n, &buf);
    decision_text(d, &buf);
    fwrite(buf.data, 1, buf.n, stdout);
    if (o->markdown != NULL) {
        buf_reset(&buf);
        buf_append_text(&buf, "```\n");
        append_table(modes, n, &buf);
        buf_append_text(&buf, "```\n\n");
        decision_markdown(d, &buf);
        status = file_replace(o->markdown, buf.data, buf.n, err);
    }
    buf_done(&buf);
    return status;
}

/* Rounds alternate the modes, so that what else the machine does falls on all of them. */
static onnxd_status run_rounds(const struct bench_options *o, struct mode *modes, uint32_t n,
                               onnxd_error *err)
{
    struct own_server server = {0};
    bool remote = false;
    for (uint32_t i = 0; i < n; i++) remote |= modes[i].batch > 0;
    onnxd_status status = remote && o->url == NULL ? own_server_start(&server, err) : ONNXD_OK;
    const char *url = o->url != NULL ? o->url : server.url;
    for (uint32_t round = 0; round < o->n_runs && status == ONNXD_OK; round++)
        for (uint32_t i = 0; i < n && status == ONNXD_OK; i++)
            status = run_mode(o, &modes[(i + round) % n], url, &server, o->seed + round, err);
    own_server_stop(&server);
    return status;
}

int bench_modes(const struct bench_options *o)
{
    struct decision d = {.weights = decision_weights_default()};
    struct mode *modes = calloc(MODES_MAX, sizeof *modes);
    onnxd_error err;
    if (modes == NULL) return CLI_EXIT_FAILURE;
    uint32_t n = parse_modes(o->modes, modes, &err);
    onnxd_status status = n > 0 ? ONNXD_OK : ONNXD_ERR_ARGUMENT;
    if (status == ONNXD_OK && o->weights != NULL)
        status = decision_weights_parse(o->weights, &d.weights, &err);
    if (status == ONNXD_OK) status = run_rounds(o, modes, n, &err);
    if (status == ONNXD_OK) status = report(o, modes, n, &d, &err);
    int result = CLI_EXIT_OK;
    if (status == ONNXD_OK && o->history != NULL) {
        struct bench_run kept;
        bench_run_begin(&kept, "neat modes");
        bench_run_setting(&kept, "modes", "%s", o->modes);
        bench_run_setting(&kept, "population", "%u", o->population);
        bench_run_setting(&kept, "concurrency", "%u", o->concurrency);
        keep_figures(modes, &d, &kept);
        result = cli_history_keep(bench_command.name, o->history, &kept);
    }
    free(modes);
    return status == ONNXD_OK ? result : cli_fail(bench_command.name, &err);
}
