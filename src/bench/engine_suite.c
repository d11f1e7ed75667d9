#include "bench/engine_suite.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "bench/fingerprint.h"
#include "bench/plan_probe.h"
#include "bench/row_pool.h"
#include "engine/backend_onnxruntime.h"
#include "kernels/kernels.h"

#define BLOCK_NS ((uint64_t)2 * NS_PER_MS)

enum { MAX_BLOCKS = 2000, MIN_ROUNDS = 4, N_COMPARED = 16, N_RESAMPLES = 2000 };

struct side { /* one engine */
    onnxd_model *model;
    onnxd_session *session;
    struct row_batch input; /* its own buffer, filled before each call */
    onnxd_tensor *in, *out;
    uint32_t n_calls;      /* of a block */
    double ns[MAX_BLOCKS]; /* a call, mean of a block */
    uint32_t n;
};

struct bench {
    const struct engine_suite_options *options;
    struct engine_suite *suite;
    struct protocol_schema schema;
    struct row_pool pool;
    struct side sides[2]; /* native, other */
    uint32_t n_sides;
    struct rng rng;
};

static uint32_t largest_batch(const struct engine_suite_options *options)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < options->n_batches; i++)
        if (options->batches[i] > most) most = options->batches[i];
    return most;
}

static onnxd_status make_pool(struct bench *b, onnxd_error *err)
{
    uint32_t most = largest_batch(b->options);
    onnxd_status status = row_pool_init(&b->pool, b->sides[0].model, &b->schema, b->options->rows, most,
                                        &b->rng, err);
    for (uint32_t k = 0; k < b->n_sides && status == ONNXD_OK; k++)
        status = row_batch_init(&b->sides[k].input, &b->schema, most, err);
    return status;
}

/* ---- engines ------------------------------------------------------------------------------------- */

static onnxd_status open_side(struct bench *b, onnxd_engine engine, struct side *side, onnxd_error *err)
{
    onnxd_model_options load = {.engine = engine};
    onnxd_session_options session = {.max_batch = largest_batch(b->options)};
    if (engine == ONNXD_ENGINE_NATIVE) load.precision = b->options->precision;
    onnxd_status status = onnxd_model_load(b->options->model, &load, &side->model, err);
    if (status == ONNXD_OK) status = onnxd_session_create(side->model, &session, &side->session, err);
    if (status != ONNXD_OK) return status;
    side->in = calloc(onnxd_model_n_inputs(side->model) + 1u, sizeof *side->in);
    side->out = calloc(onnxd_model_n_outputs(side->model) + 1u, sizeof *side->out);
    if (side->in == NULL || side->out == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for the tensors");
    return ONNXD_OK;
}

static void close_side(struct side *side)
{
    onnxd_session_free(side->session);
    onnxd_model_unref(side->model);
    row_batch_done(&side->input);
    free(side->in);
    free(side->out);
}

static onnxd_status open_sides(struct bench *b, onnxd_error *err)
{
    onnxd_error other_error;
    onnxd_status status = open_side(b, ONNXD_ENGINE_NATIVE, &b->sides[0], err);
    b->n_sides = 1;
    if (status != ONNXD_OK) return status;
    onnxd_model *model = b->sides[0].model;
    status = protocol_schema_init(&b->schema, onnxd_model_input(model, 0), onnxd_model_n_inputs(model),
                                  onnxd_model_output(model, 0), onnxd_model_n_outputs(model), NULL, err);
    if (status != ONNXD_OK) return status;
    if (!b->schema.rows_ok)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "the model does not go by rows: %s",
                         b->schema.why_not_rows);
    b->n_sides = 2;
    const char *version = onnxruntime_version();
    if (open_side(b, ONNXD_ENGINE_ONNXRUNTIME, &b->sides[1], &other_error) == ONNXD_OK) {
        snprintf(b->suite->other_version, sizeof b->suite->other_version, "%s", version);
        return ONNXD_OK;
    }
    snprintf(b->suite->why_no_other, sizeof b->suite->why_no_other, "%s", other_error.message);
    close_side(&b->sides[1]);
    b->sides[1] = (struct side){0};
    b->n_sides = 1;
    return ONNXD_OK;
}

/* ---- calls --------------------------------------------------------------------------------------- */

static onnxd_status call(struct bench *b, struct side *side, uint32_t first, uint32_t batch, onnxd_error *err)
{
    row_pool_copy(&b->pool, first, batch, &side->input);
    return onnxd_session_run(side->session, side->in, b->schema.n_inputs, side->out, b->schema.n_outputs,
                             err);
}

static onnxd_status time_calls(struct bench *b, struct side *side, uint32_t batch, uint32_t n_calls,
                               double *ret_ns, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    uint64_t start_ns = monotonic_ns();
    for (uint32_t i = 0; i < n_calls && status == ONNXD_OK; i++)
        status = call(b, side, row_pool_take(&b->pool, batch), batch, err);
    *ret_ns = (double)(monotonic_ns() - start_ns) / n_calls;
    return status;
}

/* Warms up and finds how many calls fill a block. */
static onnxd_status prepare_side(struct bench *b, struct side *side, uint32_t batch, onnxd_error *err)
{
    double ns = 0;
    onnxd_status status = ONNXD_OK;
    row_batch_tensors(&side->input, &b->schema, 0, batch, side->in);
    side->n = 0;
    for (side->n_calls = 1; status == ONNXD_OK; side->n_calls *= 2) {
        status = time_calls(b, side, batch, side->n_calls, &ns, err);
        if (ns * side->n_calls >= (double)BLOCK_NS / 2 || side->n_calls >= 1u << 20) break;
    }
    return status;
}

static double element(const onnxd_tensor *tensor, size_t i)
{
    switch (tensor->type) {
    case ONNXD_FLOAT32: return (double)((const float *)tensor->data)[i];
    case ONNXD_FLOAT64: return ((const double *)tensor->data)[i];
    case ONNXD_INT64: return (double)((const int64_t *)tensor->data)[i];
    case ONNXD_INT32: return (double)((const int32_t *)tensor->data)[i];
    default: return 0; /* others are compared by the parity tests */
    }
}

static onnxd_status compare_sides(struct bench *b, uint32_t batch, double *ret_worst, onnxd_error *err)
{
    double worst = 0;
    for (int round = 0; round < N_COMPARED && b->n_sides == 2; round++) {
        uint32_t first = row_pool_take(&b->pool, batch);
        onnxd_status status = call(b, &b->sides[0], first, batch, err);
        if (status == ONNXD_OK) status = call(b, &b->sides[1], first, batch, err);
        if (status != ONNXD_OK) return status;
        for (uint32_t j = 0; j < b->schema.n_outputs; j++) {
            const onnxd_tensor *x = &b->sides[0].out[j], *y = &b->sides[1].out[j];
            int64_t n = onnxd_tensor_n_elements(x);
            if (x->type != y->type || n != onnxd_tensor_n_elements(y))
                return error_set(err, ONNXD_ERR_INTERNAL, "output '%s': the engines differ in type or shape",
                                 b->schema.outputs[j].info->name);
            for (int64_t i = 0; i < n; i++) {
                double difference = fabs(element(x, (size_t)i) - element(y, (size_t)i));
                if (!(difference <= worst)) worst = difference;
            }
        }
    }
    *ret_worst = worst;
    return ONNXD_OK;
}

/* ---- one batch size ------------------------------------------------------------------------------ */

/* Blocks in the order A B B A until the time is over. */
static onnxd_status alternate(struct bench *b, uint32_t batch, onnxd_error *err)
{
    static const uint32_t order[4] = {0, 1, 1, 0};
    uint64_t end_ns = monotonic_ns() + (uint64_t)(b->options->seconds * 1e9);
    for (uint32_t round = 0; round < MAX_BLOCKS / 2; round++) {
        if (round >= MIN_ROUNDS && monotonic_ns() >= end_ns) break;
        for (int k = 0; k < 4; k++) {
            struct side *side = &b->sides[order[k]];
            if (order[k] >= b->n_sides) continue;
            onnxd_status status = time_calls(b, side, batch, side->n_calls, &side->ns[side->n], err);
            if (status != ONNXD_OK) return status;
            side->n++;
        }
    }
    return ONNXD_OK;
}

static void scale(struct interval *interval, double factor)
{
    interval->point *= factor;
    interval->low *= factor;
    interval->high *= factor;
}

static onnxd_status summarise(struct bench *b, struct engine_figures *f, onnxd_error *err)
{
    const struct bootstrap_options o = {.n_resamples = N_RESAMPLES};
    struct side *native = &b->sides[0], *other = &b->sides[1];
    f->n_blocks = native->n;
    onnxd_status status = bootstrap_interval(native->ns, native->n, bootstrap_median, o, &b->rng,
                                             &f->native_us, err);
    scale(&f->native_us, 1e-3);
    if (status != ONNXD_OK || b->n_sides < 2) return status;
    status = bootstrap_interval(other->ns, other->n, bootstrap_median, o, &b->rng, &f->other_us, err);
    scale(&f->other_us, 1e-3);
    if (status == ONNXD_OK)
        status = bootstrap_change(native->ns, native->n, other->ns, other->n, bootstrap_median, o, &b->rng,
                                  &f->ratio, err);
    f->ratio.point++, f->ratio.low++, f->ratio.high++;
    return status;
}

/* Work of a call from the plan, where there is one. */
static onnxd_status count_work(struct bench *b, struct engine_figures *f, onnxd_error *err)
{
    struct input_set set = {.tensors = b->sides[0].in, .n = b->schema.n_inputs};
    struct plan_probe *probe = NULL;
    onnxd_status status = plan_tile_rows(b->sides[0].model, &set, &f->tile_rows, err);
    if (status != ONNXD_OK) return status;
    uint32_t rows = f->tile_rows > 0 ? f->tile_rows : f->batch;
    row_batch_tensors(&b->sides[0].input, &b->schema, 0, rows, b->sides[0].in);
    status = plan_probe_create(b->sides[0].model, &set, &probe, err);
    double times = (double)f->batch / rows;
    for (uint32_t i = 0; status == ONNXD_OK && i < plan_probe_n_steps(probe); i++) {
        struct plan_step step = plan_probe_step(probe, i);
        f->flops += times * (double)step.flops;
        f->bytes += times * (double)(step.read_bytes + step.written_bytes);
    }
    plan_probe_free(probe);
    return status;
}

static onnxd_status measure_batch(struct bench *b, uint32_t batch, struct engine_figures *f, onnxd_error *err)
{
    *f = (struct engine_figures){.batch = batch};
    onnxd_status status = ONNXD_OK;
    b->pool.next = 0;
    for (uint32_t k = 0; k < b->n_sides && status == ONNXD_OK; k++)
        status = prepare_side(b, &b->sides[k], batch, err);
    if (status == ONNXD_OK) status = compare_sides(b, batch, &f->worst_difference, err);
    if (status == ONNXD_OK) status = alternate(b, batch, err);
    if (status == ONNXD_OK) status = summarise(b, f, err);
    if (status == ONNXD_OK) status = count_work(b, f, err);
    if (status != ONNXD_OK) {
        error_prefix(err, "batch %u: ", batch);
        return status;
    }
    double seconds = f->native_us.point * 1e-6;
    if (b->suite->peak.flops_per_s > 0) f->flop_share = f->flops / seconds / b->suite->peak.flops_per_s;
    if (b->suite->peak.l2_bytes_per_s > 0) f->byte_share = f->bytes / seconds / b->suite->peak.l2_bytes_per_s;
    return ONNXD_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static bool pin(cpu_set_t *ret_before)
{
    cpu_set_t one;
    int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(0, sizeof *ret_before, ret_before) != 0) return false;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
}

static onnxd_status check_options(const struct engine_suite_options *o, onnxd_error *err)
{
    if (o->n_batches == 0 || o->n_batches > ENGINE_MAX_BATCHES)
        return error_set(err, ONNXD_ERR_ARGUMENT, "expected 1..%d batch sizes", ENGINE_MAX_BATCHES);
    for (uint32_t i = 0; i < o->n_batches; i++)
        if (o->batches[i] == 0 || o->batches[i] > 65536)
            return error_set(err, ONNXD_ERR_ARGUMENT, "batch size: expected 1..65536, got %u", o->batches[i]);
    return ONNXD_OK;
}

onnxd_status engine_suite_run(const struct engine_suite_options *options, engine_suite_report_fn report,
                              void *context, struct engine_suite *suite, onnxd_error *err)
{
    cpu_set_t before;
    *suite = (struct engine_suite){.version = ONNXD_VERSION};
    onnxd_status status = check_options(options, err);
    if (status != ONNXD_OK) return status;
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a measurement");
    *b = (struct bench){.options = options, .suite = suite, .rng = rng_seed(options->seed)};
    suite->pinned = pin(&before);
    snprintf(suite->isa, sizeof suite->isa, "%s", kernels_get()->isa);
    fingerprint_cpu_name(suite->cpu, sizeof suite->cpu);
    suite->peak = core_peak_measure(suite->isa);
    status = open_sides(b, err);
    if (status == ONNXD_OK) status = make_pool(b, err);
    for (uint32_t i = 0; i < options->n_batches && status == ONNXD_OK; i++) {
        status = measure_batch(b, options->batches[i], &suite->figures[i], err);
        if (status != ONNXD_OK) break;
        suite->n_figures = i + 1;
        if (report != NULL) report(context, suite);
    }
    for (uint32_t k = 0; k < 2; k++) close_side(&b->sides[k]);
    row_pool_done(&b->pool);
    protocol_schema_done(&b->schema);
    free(b);
    if (suite->pinned) (void)sched_setaffinity(0, sizeof before, &before);
    return status;
}
