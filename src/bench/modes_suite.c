#include "bench/modes_suite.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "bench/modes_call.h"

#define WARM_UP_NS (50 * NS_PER_MS)

enum { MAX_BATCH = 65536, N_COMPARED = 4, LEAST_WARM_CALLS = 8 };

struct mode { /* one under way */
    struct modes_call call;
    struct modes_engine *engine;
    struct modes_figures *figures;
    struct histogram latency;
    uint64_t own_cpu_ns, server_cpu_ns;
};

struct suite_run {
    const struct modes_options *options;
    struct modes_engine engines[MODES_MAX_ENGINES];
    uint32_t n_engines;
    struct protocol_schema schema;
    struct row_pool pool;
    struct mode *modes; /* [n_modes] */
    uint32_t n_modes;
    double base_bytes; /* this process before any model */
    struct rng rng;
};

/* ---- what to measure ----------------------------------------------------------------------------- */

static bool parse_kind(const char *word, size_t n, struct modes_kind *ret)
{
    size_t n_name = strcspn(word, ":,");
    uint64_t batch = 0;
    bool remote = n_name == 6 && memcmp(word, "remote", 6) == 0;
    if (!remote && !(n_name == 3 && memcmp(word, "cpu", 3) == 0)) return false;
    if (n == n_name) {
        *ret = (struct modes_kind){.remote = remote, .batch = 1};
        return true;
    }
    for (size_t i = n_name + 1; i < n && batch <= MAX_BATCH; i++) {
        if (!isdigit((unsigned char)word[i])) return false;
        batch = batch * 10 + (uint64_t)(word[i] - '0');
    }
    *ret = (struct modes_kind){.remote = remote, .batch = (uint32_t)batch};
    return batch >= 1 && batch <= MAX_BATCH;
}

onnxd_status modes_parse(const char *text, struct modes_kind *kinds, uint32_t *ret_n, onnxd_error *err)
{
    uint32_t n = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        if (n == MODES_MAX)
            return error_set(err, ONNXD_ERR_ARGUMENT, "modes: expected at most %d", MODES_MAX);
        if (!parse_kind(at, length, &kinds[n]))
            return error_set(
                err, ONNXD_ERR_ARGUMENT,
                "modes: expected cpu, cpu:BATCH or remote:BATCH with batches of 1 to %d, got '%.*s'",
                MAX_BATCH, (int)(length < 40 ? length : 40), at);
        n++;
        at += length;
        if (*at == 0) break;
    }
    *ret_n = n;
    return ONNXD_OK;
}

static uint32_t largest_batch(const struct modes_options *o)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < o->n_kinds; i++)
        if (o->kinds[i].batch > most) most = o->kinds[i].batch;
    return most;
}

static double own_memory(void)
{
    struct process_usage u;
    return process_usage_read(getpid(), &u) ? (double)u.resident_bytes : 0;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static onnxd_status make_schema(struct suite_run *s, onnxd_error *err)
{
    onnxd_model *model = s->engines[0].model;
    onnxd_status status = protocol_schema_init(&s->schema, onnxd_model_input(model, 0),
                                               onnxd_model_n_inputs(model), onnxd_model_output(model, 0),
                                               onnxd_model_n_outputs(model), NULL, err);
    if (status == ONNXD_OK && !s->schema.rows_ok)
        status = error_set(err, ONNXD_ERR_UNSUPPORTED, "the model does not go by rows: %s",
                           s->schema.why_not_rows);
    return status;
}

/* Some engines do not tell the sizes of outputs before they have run. */
static onnxd_status learn_outputs(struct suite_run *s, onnxd_error *err)
{
    struct protocol_schema *schema = &s->schema;
    struct row_batch row = {0};
    onnxd_session *session = NULL;
    bool known = true;
    for (uint32_t j = 0; j < schema->n_outputs; j++) known &= schema->outputs[j].row_elements > 0;
    if (known) return ONNXD_OK;
    onnxd_tensor *in = calloc(schema->n_inputs + 1u, sizeof *in),
                 *out = calloc(schema->n_outputs + 1u, sizeof *out);
    onnxd_status status = in == NULL || out == NULL ? error_set(err, ONNXD_ERR_NOMEM, "no memory for a row")
                                                    : ONNXD_OK;
    if (status == ONNXD_OK) status = row_batch_init(&row, schema, 1, err);
    if (status == ONNXD_OK) status = onnxd_session_create(s->engines[0].model, NULL, &session, err);
    if (status == ONNXD_OK) {
        row_pool_copy(&s->pool, 0, 1, &row);
        row_batch_tensors(&row, schema, 0, 1, in);
        status = onnxd_session_run(session, in, schema->n_inputs, out, schema->n_outputs, err);
    }
    for (uint32_t j = 0; j < schema->n_outputs && status == ONNXD_OK; j++)
        schema->outputs[j].row_elements = (size_t)onnxd_tensor_n_elements(&out[j]);
    onnxd_session_free(session);
    row_batch_done(&row);
    free(in);
    free(out);
    return status;
}

/* Loads each engine and runs once, so that what it adds to memory shows. */
static onnxd_status open_engines(struct suite_run *s, struct modes_suite *suite, onnxd_error *err)
{
    const struct modes_options *o = s->options;
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < o->n_engines; i++) {
        struct modes_engine *e = &s->engines[s->n_engines];
        double before = own_memory();
        status = modes_engine_open(e, o->model, o->engines[i], err);
        bool absent = status == ONNXD_ERR_UNSUPPORTED || status == ONNXD_ERR_NOT_FOUND;
        if (absent && o->n_engines > 1 && access(o->model, R_OK) == 0) {
            snprintf(suite->skipped, sizeof suite->skipped, "%s", err->message);
            continue;
        }
        if (status != ONNXD_OK) return status;
        s->n_engines++;
        struct modes_call call;
        if (s->n_engines == 1) status = make_schema(s, err);
        if (status == ONNXD_OK && s->n_engines == 1)
            status = row_pool_init(&s->pool, e->model, &s->schema, o->rows, largest_batch(o), &s->rng, err);
        if (status == ONNXD_OK && s->n_engines == 1) status = learn_outputs(s, err);
        if (status != ONNXD_OK) return status;
        struct modes_kind whole = {.batch = largest_batch(o)};
        status = modes_call_open(&call, e, whole, MODES_BINARY, &s->schema, err);
        if (status == ONNXD_OK) status = modes_call_run(&call, &s->pool, 0, err);
        e->memory_bytes = fmax(own_memory() - before, 0);
        modes_call_close(&call);
        if (status != ONNXD_OK) return status;
    }
    return s->n_engines > 0 ? ONNXD_OK : status;
}

static void name_mode(const struct suite_run *s, struct modes_figures *f)
{
    char kind[24], engine[16] = "";
    if (f->kind.remote || f->kind.batch > 1)
        snprintf(kind, sizeof kind, "%s:%u", f->kind.remote ? "remote" : "cpu", f->kind.batch);
    else
        snprintf(kind, sizeof kind, "cpu");
    if (s->n_engines > 1)
        snprintf(engine, sizeof engine, "%s ",
                 f->engine == ONNXD_ENGINE_ONNXRUNTIME ? "onnxruntime" : "native");
    snprintf(f->name, sizeof f->name, "%s%s", engine, kind);
}

static onnxd_status open_modes(struct suite_run *s, struct modes_suite *suite, onnxd_error *err)
{
    const struct modes_options *o = s->options;
    onnxd_status status = ONNXD_OK;
    uint32_t n = s->n_engines * o->n_kinds;
    s->modes = calloc(n + 1u, sizeof *s->modes);
    suite->figures = calloc(n + 1u, sizeof *suite->figures);
    if (s->modes == NULL || suite->figures == NULL || n > DECISION_MAX_OPTIONS)
        return error_set(err, ONNXD_ERR_LIMIT, "expected at most %d modes", DECISION_MAX_OPTIONS);
    for (uint32_t e = 0; e < s->n_engines; e++)
        for (uint32_t k = 0; k < o->n_kinds && status == ONNXD_OK; k++) {
            struct modes_figures *f = &suite->figures[suite->n_figures++];
            struct mode *m = &s->modes[s->n_modes++];
            *f = (struct modes_figures){.engine = s->engines[e].engine, .kind = o->kinds[k]};
            *m = (struct mode){.engine = &s->engines[e], .figures = f};
            name_mode(s, f);
            if (f->kind.remote) status = modes_engine_serve(m->engine, o, largest_batch(o), err);
            if (status == ONNXD_OK)
                status = modes_call_open(&m->call, m->engine, f->kind, o->protocol, &s->schema, err);
            if (status != ONNXD_OK) error_prefix(err, "%s: ", f->name);
        }
    return status;
}

static void close_all(struct suite_run *s)
{
    for (uint32_t i = 0; i < s->n_modes; i++) modes_call_close(&s->modes[i].call);
    for (uint32_t i = 0; i < MODES_MAX_ENGINES; i++) modes_engine_close(&s->engines[i]);
    row_pool_done(&s->pool);
    protocol_schema_done(&s->schema);
    free(s->modes);
}

/* ---- measuring ----------------------------------------------------------------------------------- */

/* The same rows through every mode: the answers must agree, or nothing is worth comparing. */
static onnxd_status compare_answers(struct suite_run *s, onnxd_error *err)
{
    struct modes_call one;
    onnxd_status status = modes_call_open(&one, &s->engines[0], (struct modes_kind){.batch = 1}, MODES_BINARY,
                                          &s->schema, err);
    for (uint32_t i = 0; i < s->n_modes && status == ONNXD_OK; i++) {
        struct modes_call *c = &s->modes[i].call;
        status = modes_call_run(c, &s->pool, 0, err);
        for (uint32_t r = 0; r < c->kind.batch && r < N_COMPARED && status == ONNXD_OK; r++) {
            status = modes_call_run(&one, &s->pool, r, err);
            for (size_t k = 0; k < one.n_values; k++) {
                double difference = fabs((double)one.answers[k] - (double)c->answers[r * one.n_values + k]);
                double *worst = &s->modes[i].figures->worst_difference;
                if (!(difference <= *worst)) *worst = difference;
            }
        }
    }
    modes_call_close(&one);
    return status;
}

static onnxd_status warm_up(struct suite_run *s, struct mode *m, onnxd_error *err)
{
    uint64_t end_ns = monotonic_ns() + WARM_UP_NS;
    onnxd_status status = ONNXD_OK;
    for (int i = 0; status == ONNXD_OK && (i < LEAST_WARM_CALLS || monotonic_ns() < end_ns); i++)
        status = modes_call_run(&m->call, &s->pool, row_pool_take(&s->pool, m->call.kind.batch), err);
    return status;
}

static uint64_t server_cpu_ns(const struct mode *m)
{
    struct process_usage u[CHILD_MAX_PROCESSES];
    uint64_t sum = 0;
    if (!m->call.kind.remote) return 0;
    uint32_t n = child_usage(&m->engine->server, u, CHILD_MAX_PROCESSES);
    for (uint32_t i = 0; i < n; i++) sum += u[i].cpu_ns;
    return sum;
}

static uint64_t own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static onnxd_status measure_slice(struct suite_run *s, struct mode *m, onnxd_error *err)
{
    uint32_t batch = m->call.kind.batch;
    uint64_t length_ns = (uint64_t)(s->options->seconds / s->options->n_slices * 1e9), n = 0;
    uint64_t cpu_ns = own_cpu_ns(), server_ns = server_cpu_ns(m);
    uint64_t start_ns = monotonic_ns(), now_ns = start_ns;
    onnxd_status status = ONNXD_OK;
    do {
        status = modes_call_run(&m->call, &s->pool, row_pool_take(&s->pool, batch), err);
        uint64_t end_ns = monotonic_ns();
        histogram_record(&m->latency, end_ns - now_ns);
        now_ns = end_ns;
        n++;
    } while (status == ONNXD_OK && now_ns - start_ns < length_ns);
    if (status != ONNXD_OK) {
        error_prefix(err, "%s: ", m->figures->name);
        return status;
    }
    m->own_cpu_ns += own_cpu_ns() - cpu_ns;
    m->server_cpu_ns += server_cpu_ns(m) - server_ns;
    m->figures->n_calls += n;
    m->figures->n_rows += n * batch;
    m->figures->slice_rates[m->figures->n_slices++] = (double)(n * batch) / (double)(now_ns - start_ns) * 1e9;
    return ONNXD_OK;
}

static onnxd_status take_turns(struct suite_run *s, modes_progress_fn progress, void *context,
                               onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    uint32_t n = s->options->n_slices;
    for (uint32_t i = 0; i < s->n_modes && status == ONNXD_OK; i++) status = warm_up(s, &s->modes[i], err);
    for (uint32_t slice = 0; slice < n; slice++)
        for (uint32_t k = 0; k < s->n_modes && status == ONNXD_OK; k++) {
            struct mode *m = &s->modes[slice % 2 == 0 ? k : s->n_modes - 1 - k];
            if (progress != NULL) progress(context, m->figures->name, slice * s->n_modes + k, n * s->n_modes);
            status = measure_slice(s, m, err);
        }
    return status;
}

/* ---- figures ------------------------------------------------------------------------------------- */

static onnxd_status summarise(struct suite_run *s, struct mode *m, onnxd_error *err)
{
    struct modes_figures *f = m->figures;
    struct process_usage u[CHILD_MAX_PROCESSES];
    f->p50_us = histogram_quantile(&m->latency, 0.5) / 1e3;
    f->p95_us = histogram_quantile(&m->latency, 0.95) / 1e3;
    f->p99_us = histogram_quantile(&m->latency, 0.99) / 1e3;
    f->p99_is_sound = quantile_has_enough(m->latency.n, 0.99);
    f->own_cpu_us = (double)m->own_cpu_ns / 1e3 / (double)f->n_rows;
    f->server_cpu_us = (double)m->server_cpu_ns / 1e3 / (double)f->n_rows;
    f->own_memory_bytes = s->base_bytes + (f->kind.remote ? 0 : m->engine->memory_bytes);
    uint32_t n = f->kind.remote ? child_usage(&m->engine->server, u, CHILD_MAX_PROCESSES) : 0;
    for (uint32_t i = 0; i < n; i++) f->server_memory_bytes += (double)u[i].resident_bytes;
    return bootstrap_interval(f->slice_rates, f->n_slices, bootstrap_mean, (struct bootstrap_options){0},
                              &s->rng, &f->rows_per_s, err);
}

static void fill_option(const struct modes_figures *f, struct decision_option *o)
{
    *o = (struct decision_option){.name = f->name,
                                  .p50_us = f->p50_us,
                                  .p95_us = f->p95_us,
                                  .p99_us = f->p99_us,
                                  .rows_per_s = f->rows_per_s.point,
                                  .cpu_us_per_row = f->own_cpu_us + f->server_cpu_us,
                                  .memory_bytes = f->own_memory_bytes + f->server_memory_bytes};
    if (f->kind.remote) o->parts |= DECISION_SERVER | DECISION_NETWORK;
    if (f->kind.batch > 1) o->parts |= DECISION_BATCHING;
    if (f->engine == ONNXD_ENGINE_ONNXRUNTIME) o->parts |= DECISION_OTHER_RUNTIME;
}

static onnxd_status check_options(const struct modes_options *o, onnxd_error *err)
{
    if (o->n_kinds < 1 || o->n_kinds > MODES_MAX || o->n_engines < 1 || o->n_engines > MODES_MAX_ENGINES ||
        o->n_slices < 2 || o->n_slices > MODES_MAX_SLICES || !(o->seconds > 0 && o->seconds <= 3600))
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "modes: expected 1..%d modes, 2..%d slices and up to 3600 s", MODES_MAX,
                         MODES_MAX_SLICES);
    return ONNXD_OK;
}

onnxd_status modes_suite_run(const struct modes_options *options, const struct decision_weights *weights,
                             modes_progress_fn progress, void *context, struct modes_suite *ret,
                             onnxd_error *err)
{
    struct suite_run s = {.options = options, .rng = rng_seed(options->seed), .base_bytes = own_memory()};
    struct modes_suite suite = {.decision = {.weights = *weights}};
    onnxd_status status = check_options(options, err);
    if (status == ONNXD_OK) status = open_engines(&s, &suite, err);
    if (status == ONNXD_OK) status = open_modes(&s, &suite, err);
    if (status == ONNXD_OK) status = compare_answers(&s, err);
    if (status == ONNXD_OK) status = take_turns(&s, progress, context, err);
    for (uint32_t i = 0; i < s.n_modes && status == ONNXD_OK; i++) {
        status = summarise(&s, &s.modes[i], err);
        fill_option(s.modes[i].figures, &suite.decision.options[suite.decision.n++]);
    }
    if (status == ONNXD_OK) status = decision_make(&suite.decision, err);
    close_all(&s);
    if (status == ONNXD_OK)
        *ret = suite;
    else
        modes_suite_done(&suite);
    return status;
}

void modes_suite_done(struct modes_suite *suite)
{
    free(suite->figures);
    *suite = (struct modes_suite){0};
}
