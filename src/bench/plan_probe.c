#include "bench/plan_probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/native_session.h"
#include "engine/program.h"
#include "stats/sample.h"

#define PROBE_LIMIT_BYTES ((size_t)4 << 30)

struct plan_probe {
    struct evaluator evaluator;
    struct arena results;
    struct program *program;
    const struct graph *graph;
    const struct input_set *set;
    void *scratch;
    void **outputs; /* [n_outputs] */
};

/* ---- building ------------------------------------------------------------------------------------ */

static onnxd_status place_program(struct plan_probe *p, onnxd_error *err)
{
    size_t n = (program_scratch_bytes(p->program) / 64 + 1) * 64;
    p->scratch = aligned_alloc(64, n);
    p->outputs = calloc(p->graph->n_outputs + 1u, sizeof *p->outputs);
    if (p->scratch == NULL || p->outputs == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for %zu bytes of arena", n);
    program_place(p->program, p->scratch);
    for (uint32_t j = 0; j < p->graph->n_outputs; j++) {
        const onnxd_tensor *planned = program_planned_output(p->program, j);
        if (planned == NULL) continue;
        p->outputs[j] = aligned_alloc(64, (onnxd_tensor_n_bytes(planned) / 64 + 1) * 64);
        if (p->outputs[j] == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the outputs");
        program_bind_output(p->program, j, p->outputs[j]);
    }
    for (uint32_t i = 0; i < p->set->n; i++) program_bind_input(p->program, i, p->set->tensors[i].data);
    return ONNXD_OK;
}

onnxd_status plan_probe_create(onnxd_model *model, const struct input_set *set, struct plan_probe **ret_probe,
                               onnxd_error *err)
{
    const struct native_model *native = native_model_of(model);
    if (native == NULL)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "only the native engine has a plan to show, not '%s'",
                         onnxd_model_engine_name(model));
    struct plan_probe *p = calloc(1, sizeof *p);
    if (p == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a plan");
    p->graph = native->graph;
    p->set = set;
    evaluator_init(&p->evaluator, PROBE_LIMIT_BYTES);
    arena_init(&p->results, PROBE_LIMIT_BYTES);
    onnxd_status status = program_create(native->graph, set->tensors, &p->evaluator, PROBE_LIMIT_BYTES,
                                         &p->program, err);
    if (status == ONNXD_OK) status = place_program(p, err);
    if (status == ONNXD_OK)
        *ret_probe = p;
    else
        plan_probe_free(p);
    return status;
}

void plan_probe_free(struct plan_probe *p)
{
    if (p == NULL) return;
    for (uint32_t j = 0; p->outputs != NULL && j < p->graph->n_outputs; j++) free(p->outputs[j]);
    free(p->outputs);
    free(p->scratch);
    program_free(p->program);
    evaluator_done(&p->evaluator);
    arena_done(&p->results);
    free(p);
}

uint32_t plan_probe_n_steps(const struct plan_probe *probe)
{
    return program_n_steps(probe->program);
}

uint64_t plan_probe_arena_bytes(const struct plan_probe *probe)
{
    return program_scratch_bytes(probe->program);
}

uint64_t plan_probe_program_bytes(const struct plan_probe *probe)
{
    return program_memory_bytes(probe->program);
}

onnxd_status plan_tile_rows(onnxd_model *model, const struct input_set *set, uint32_t *ret_rows,
                            onnxd_error *err)
{
    const struct native_model *native = native_model_of(model);
    const onnxd_session_options options = {
        .max_batch = 1, .max_programs = 8, .arena_limit_bytes = PROBE_LIMIT_BYTES};
    void *session = NULL;
    *ret_rows = 0;
    if (native == NULL || set->n == 0 || set->tensors[0].rank == 0) return ONNXD_OK;
    onnxd_tensor *out = calloc(native->graph->n_outputs + 1u, sizeof *out);
    if (out == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the outputs");
    onnxd_status status = native_session_create(model_backend_data(model), &options, &session, err);
    if (status == ONNXD_OK) status = native_session_run(session, set->tensors, out, err);
    uint32_t rows = status == ONNXD_OK ? native_session_tile_rows(session) : 0;
    if (rows < set->tensors[0].dims[0]) *ret_rows = rows;
    native_session_free(session);
    free(out);
    return status;
}

/* ---- what a step costs --------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words != NULL && strcmp(word, *words) != 0) words++;
    return *words != NULL;
}

/* Steps that move, convert or compare shapes of data but compute nothing. */
static const char *const movers[] = {"Assemble",
                                     "Gather",
                                     "GatherElements",
                                     "GatherND",
                                     "Concat",
                                     "Slice",
                                     "Split",
                                     "Transpose",
                                     "Reshape",
                                     "Expand",
                                     "Tile",
                                     "Cast",
                                     "Pad",
                                     "Squeeze",
                                     "Where",
                                     "Unsqueeze",
                                     "Identity",
                                     "Flatten",
                                     "ScatterND",
                                     "Scatter",
                                     "OneHot",
                                     "Constant",
                                     "Shape",
                                     "DepthToSpace",
                                     "Compress",
                                     "NonZero",
                                     "SpaceToDepth",
                                     "EyeLike",
                                     "ArrayFeatureExtractor",
                                     NULL};

static const char *const lookups[] = {"Assemble", "Gather", "GatherElements", "GatherND", NULL};

static uint64_t elements(const onnxd_tensor *tensor)
{
    return tensor != NULL ? (uint64_t)onnxd_tensor_n_elements(tensor) : 0;
}

/* Length of the sums of a product step, 0 for other steps. */
static uint64_t inner_length(const struct program_step_info *info)
{
    const struct node *node = info->node;
    const onnxd_tensor *a = info->n_in > 0 ? info->in[0] : NULL, *b = info->n_in > 1 ? info->in[1] : NULL;
    static const char *const plain[] = {"MatMul", "Dense", "MatMulInteger", NULL};
    if (a == NULL || b == NULL || a->rank == 0) return 0;
    if (is_one_of(node->op_type, plain)) return (uint64_t)a->dims[a->rank - 1];
    if (strcmp(node->op_type, "Gemm") == 0)
        return (uint64_t)a->dims[node_attribute_int(node, "transA", 0) != 0 ? 0 : a->rank - 1];
    if (strcmp(node->op_type, "Conv") == 0 && b->rank > 1 && b->dims[0] > 0)
        return elements(b) / (uint64_t)b->dims[0];
    return 0;
}

static uint64_t count_flops(const struct program_step_info *info)
{
    const struct node *node = info->node;
    uint64_t inner = inner_length(info);
    if (inner > 0) return 2 * inner * elements(info->out);
    if (is_one_of(node->op_type, movers)) return 0;
    if (strcmp(node->op_type, "MultiHead") == 0 && info->n_in > 1 && info->in[1] != NULL &&
        info->in[1]->rank > 1) {
        /* Two products of [tq, size] and [tk, size] for each head. */
        const onnxd_tensor *k = info->in[1];
        return 4 * elements(info->out) * (uint64_t)k->dims[k->rank - 2];
    }
    uint64_t most = elements(info->out);
    for (uint32_t i = 0; i < info->n_in; i++)
        if (elements(info->in[i]) > most) most = elements(info->in[i]);
    return most;
}

static uint64_t count_read(const struct program_step_info *info, const struct graph *graph)
{
    if (!is_one_of(info->node->op_type, lookups)) return info->read_bytes;
    uint64_t n = info->written_bytes;
    for (uint32_t i = 0; i < info->n_in; i++)
        if (info->in[i] != NULL && graph->values[info->node->in[i]].info.constant == NULL)
            n += onnxd_tensor_n_bytes(info->in[i]);
    return n;
}

struct plan_step plan_probe_step(const struct plan_probe *probe, uint32_t i)
{
    struct program_step_info info = program_step(probe->program, i);
    struct plan_step step = {.domain = info.node->domain,
                             .op = info.node->op_type,
                             .name = info.node->name,
                             .dynamic = info.dynamic,
                             .out = info.dynamic ? NULL : info.out,
                             .n_out = info.node->n_out,
                             .written_bytes = info.written_bytes};
    if (!info.dynamic) {
        step.read_bytes = count_read(&info, probe->graph);
        step.flops = count_flops(&info);
    }
    return step;
}

uint64_t plan_probe_flops(const struct plan_probe *probe)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < plan_probe_n_steps(probe); i++) n += plan_probe_step(probe, i).flops;
    return n;
}

/* ---- profiling ----------------------------------------------------------------------------------- */

static double median_of(double *x, size_t n)
{
    sample_sort(x, n);
    return sample_median(x, n);
}

/* What two neighbouring readings of the clock differ by. */
static double clock_cost_ns(void)
{
    enum { N = 201 };
    double x[N];
    for (int i = 0; i < N; i++) {
        uint64_t start = monotonic_ns();
        x[i] = (double)(monotonic_ns() - start);
    }
    return median_of(x, N);
}

static onnxd_status run_once(struct plan_probe *p, uint64_t *step_ns, onnxd_error *err)
{
    arena_reset(&p->results);
    return step_ns != NULL ? program_profile(p->program, &p->evaluator, &p->results, step_ns, err)
                           : program_run(p->program, &p->evaluator, &p->results, err);
}

onnxd_status plan_probe_profile(struct plan_probe *p, const struct input_ranges *ranges, uint32_t n_runs,
                                struct rng *rng, double *ret_step_ns, double *ret_run_ns, onnxd_error *err)
{
    uint32_t n_steps = plan_probe_n_steps(p);
    uint64_t *step_ns = calloc(n_steps + 1u, sizeof *step_ns);
    double *times = calloc(((size_t)n_steps + 1) * n_runs, sizeof *times); /* [n_steps + 1, n_runs] */
    double cost = clock_cost_ns();
    onnxd_status status = ONNXD_OK;
    if (step_ns == NULL || times == NULL) status = error_set(err, ONNXD_ERR_NOMEM, "no memory for a profile");
    for (uint32_t r = 0; r < n_runs && status == ONNXD_OK; r++) {
        input_ranges_draw(ranges, rng, p->set->tensors);
        memset(step_ns, 0, n_steps * sizeof *step_ns);
        status = run_once(p, step_ns, err);
        for (uint32_t i = 0; i < n_steps; i++) {
            double ns = (double)step_ns[i] - cost;
            times[(size_t)i * n_runs + r] = ns > 0 ? ns : 0;
        }
        if (status != ONNXD_OK) break;
        input_ranges_draw(ranges, rng, p->set->tensors);
        uint64_t start = monotonic_ns();
        status = run_once(p, NULL, err);
        times[(size_t)n_steps * n_runs + r] = (double)(monotonic_ns() - start) - cost;
    }
    if (status == ONNXD_OK) {
        for (uint32_t i = 0; i < n_steps; i++) ret_step_ns[i] = median_of(times + (size_t)i * n_runs, n_runs);
        *ret_run_ns = median_of(times + (size_t)n_steps * n_runs, n_runs);
    }
    free(step_ns);
    free(times);
    return status;
}
