/* Softmax, LogSoftmax, Hardmax. Before opset 13 the input counts as a matrix: all axes from `axis` on are
 * one line (default 1); from then on a line runs along `axis` (default -1).
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/lines.h"
#include "tensor/dtype.h"

enum softmax { SOFTMAX, LOG_SOFTMAX, HARDMAX };

struct softmax_state {
    struct lines lines;
    enum softmax kind;
};

static onnxd_status find_axis(const struct node *node, uint32_t rank, uint32_t *ret_axis, onnxd_error *err)
{
    int64_t axis = node_attribute_int(node, "axis", node->opset < 13 ? 1 : -1);
    *ret_axis = 0;
    if (rank == 0 && axis >= -1 && axis <= 0) return ONNXD_OK;
    if (node->opset < 13 && axis == rank) { /* every element is a line of its own */
        *ret_axis = rank;
        return ONNXD_OK;
    }
    return op_axis(node, axis, rank, ret_axis, err);
}

static onnxd_status shapes_softmax(struct op_shapes *s, onnxd_error *err)
{
    uint32_t axis;
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK && s->in[0]->rank >= 0)
        status = find_axis(s->node, (uint32_t)s->in[0]->rank, &axis, err);
    shapes_copy(s, 0, 0);
    return status;
}

static onnxd_status run_rows(struct op_run *run, onnxd_error *err);

static onnxd_status prepare_softmax(struct op_plan *plan, onnxd_error *err)
{
    struct softmax_state *state;
    const onnxd_tensor *in = plan->in[0];
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK) status = find_axis(plan->node, in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    state->kind = strcmp(plan->node->op_type, "Softmax") == 0      ? SOFTMAX
                  : strcmp(plan->node->op_type, "LogSoftmax") == 0 ? LOG_SOFTMAX
                                                                   : HARDMAX;
    if (axis == in->rank && in->rank > 0) {
        state->lines = (struct lines){onnxd_tensor_n_elements(in), 1, 1};
    } else {
        state->lines = lines_of(in, axis);
        if (plan->node->opset < 13) {
            state->lines.n *= state->lines.inner;
            state->lines.inner = 1;
        }
    }
    plan->in_place_of = 0;
    if (in->type == ONNXD_FLOAT32 && state->lines.inner == 1 && state->kind != HARDMAX)
        plan->run = run_rows;
    else
        plan->workspace_bytes = (size_t)state->lines.n * sizeof(double);
    return ONNXD_OK;
}

static onnxd_status run_rows(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct softmax_state *state = run->state;
    const struct kernels *kernels = kernels_get();
    size_t n = (size_t)state->lines.n;
    f32_softmax_fn *fn = state->kind == SOFTMAX ? kernels->f32_softmax : kernels->f32_log_softmax;
    if (n > 0) fn(run->out[0]->data, n, run->in[0]->data, n, (size_t)state->lines.outer, n);
    return ONNXD_OK;
}

/* One line in double; x is overwritten. */
static void transform(enum softmax kind, double *x, int64_t n)
{
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[at] || x[i] != x[i]) at = i;
    double max = x[at], sum = 0;
    if (kind == HARDMAX) {
        for (int64_t i = 0; i < n; i++) x[i] = i == at;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] -= max;
        double e = exp(x[i]);
        sum += e;
        if (kind == SOFTMAX) x[i] = e;
    }
    double log_sum = log(sum);
    for (int64_t i = 0; i < n; i++) x[i] = kind == SOFTMAX ? x[i] / sum : x[i] - log_sum;
}

static void store_strided(const onnxd_tensor *out, int64_t first, int64_t stride, int64_t n, const double *x)
{
    if (stride == 1) {
        elements_store(LANE_F64, out->type, out->data, first, n, x);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        elements_store(LANE_F64, out->type, out->data, first + i * stride, 1, x + i);
}

static onnxd_status run_softmax(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct softmax_state *state = run->state;
    const struct lines *l = &state->lines;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    double *line = run->workspace;
    for (int64_t o = 0; o < l->outer && l->n > 0; o++)
        for (int64_t j = 0; j < l->inner; j++) {
            int64_t first = o * l->n * l->inner + j;
            elements_load(LANE_F64, in->type, in->data, first, l->inner, l->n, line);
            transform(state->kind, line, l->n);
            store_strided(out, first, l->inner, l->n, line);
        }
    return ONNXD_OK;
}

#define SOFT(name)                                                                                      \
    {                                                                                                   \
        "", name, 1, OP_LATEST, 1, 1, 1, 1, 0, check_attributes, shapes_softmax, NULL, prepare_softmax, \
            run_softmax                                                                                 \
    }

const struct op_def ops_softmax[] = {SOFT("Softmax"), SOFT("LogSoftmax"), SOFT("Hardmax"), {0}};
