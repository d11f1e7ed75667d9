/* Elementwise operators of one operand, and Clip.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "ops/infer.h"
#include "ops/unary.h"
#include "ops/elements.h"
#include "tensor/dtype.h"

static bool is_named(const struct node *node, const char *name)
{
    return strcmp(node->op_type, name) == 0;
}

static const struct unary_op *find(const struct node *node)
{
    return unary_find(node->op_type, node_attribute_is(node, "approximate", "tanh"));
}

/* ---- check and shapes ------------------------------------------------------------------------------- */

static onnxd_status check_unary(const struct node *node, onnxd_error *err)
{
    static const char *const approximations[] = {"none", "tanh", NULL};
    onnxd_status status = check_attributes(node, err);
    if (status != ONNXD_OK) return status;
    if (is_named(node, "Celu") && node_attribute_float(node, "alpha", 1) == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'alpha' is 0");
    return is_named(node, "Gelu") ? check_word(node, "approximate", approximations, err) : ONNXD_OK;
}

static uint32_t allowed_types(const struct unary_op *op, const struct node *node)
{
    if (is_named(node, "Not")) return TYPES_BOOL;
    if (op->fn[LANE_F32] == NULL) return TYPES_INTEGER;
    return op->fn[LANE_I64] != NULL || op->in_f64 ? TYPES_NUMERIC : TYPES_FLOAT;
}

static void follow_contents(struct op_shapes *s)
{
    const struct dim *values;
    uint32_t n;
    bool negates = is_named(s->node, "Neg"), inverts = is_named(s->node, "Not");
    if ((!negates && !inverts) || !infer_contents(s, 0, &values, &n)) return;
    struct dim *out = infer_set_contents(s, n);
    for (uint32_t i = 0; i < n && out != NULL; i++)
        out[i] = negates ? dim_sub(dim_constant(0), values[i]) : dim_sub(dim_constant(1), values[i]);
}

static onnxd_status shapes_unary(struct op_shapes *s, onnxd_error *err)
{
    const struct unary_op *op = find(s->node);
    onnxd_status status = infer_type(s, 0, allowed_types(op, s->node), err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    if (op->asks) shapes_set_type(s, 0, ONNXD_BOOL);
    follow_contents(s);
    return ONNXD_OK;
}

/* ---- programs --------------------------------------------------------------------------------------- */

struct unary_state {
    struct unary_call call;
    bool asks;
    bool native;
};

static onnxd_status prepare_unary(struct op_plan *plan, onnxd_error *err)
{
    const struct node *node = plan->node;
    const struct unary_op *op = find(node);
    struct unary_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    onnxd_type type = plan->in[0]->type;
    enum lane lane = lane_of(type);
    if (op->in_f64 && lane != LANE_F32) lane = LANE_F64;
    state->call = unary_call_of(op, lane);
    state->asks = op->asks;
    state->native = lane_is_native(lane, type);
    for (uint32_t i = 0; i < UNARY_PARAMS && op->params[i].name != NULL; i++)
        unary_set_param(&state->call, i,
                        (double)node_attribute_float(node, op->params[i].name, op->params[i].otherwise));
    if (is_named(node, "Celu") && node_attribute_float(node, "alpha", 1) < 0)
        state->call.kernel = NULL; /* which wants it positive */
    if (is_named(node, "IsInf")) {
        unary_set_param(&state->call, 0, (double)node_attribute_int(node, "detect_positive", 1));
        unary_set_param(&state->call, 1, (double)node_attribute_int(node, "detect_negative", 1));
    }
    if (plan_fits(plan, 0)) plan->in_place_of = 0;
    return ONNXD_OK;
}

static void run_elements(const struct unary_state *state, const onnxd_tensor *in, const onnxd_tensor *out)
{
    const struct unary_call *call = &state->call;
    int64_t n = onnxd_tensor_n_elements(in);
    if (state->native) {
        unary_run(call, in->data, out->data, n);
        return;
    }
    union lane_block x, y;
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        elements_load(call->lane, in->type, in->data, at, 1, m, &x);
        if (state->asks) {
            unary_run(call, &x, (uint8_t *)out->data + at, m);
        } else {
            unary_run(call, &x, &y, m);
            elements_store(call->lane, out->type, out->data, at, m, &y);
        }
    }
}

static onnxd_status run_unary(struct op_run *run, onnxd_error *err)
{
    (void)err;
    if (run->out[0] != NULL) run_elements(run->state, run->in[0], run->out[0]);
    return ONNXD_OK;
}

/* ---- Clip: bounds are attributes before opset 11, inputs from then on ------------------------------- */

#define CLIP(name, T)                                                                 \
    static void name(const void *px, void *po, int64_t n, const void *params)         \
    {                                                                                 \
        const T *x = px, low = ((const T *)params)[0], high = ((const T *)params)[1]; \
        T *out = po;                                                                  \
        LOOP_INDEPENDENT                                                              \
        for (int64_t i = 0; i < n; i++) {                                             \
            T v = x[i] < low ? low : x[i];                                            \
            out[i] = v > high ? high : v;                                             \
        }                                                                             \
    }

CLIP(clip_f32, float)
CLIP(clip_f64, double)
CLIP(clip_i64, int64_t)
CLIP(clip_u64, uint64_t)

static onnxd_status check_clip(const struct node *node, onnxd_error *err)
{
    static const char *const bounds[] = {"min", "max"};
    for (int i = 0; i < 2; i++) {
        const struct attribute *a = node_attribute(node, bounds[i]);
        if (a != NULL && a->kind != ATTRIBUTE_FLOAT)
            return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' is not a float", bounds[i]);
    }
    return ONNXD_OK;
}

static onnxd_status shapes_clip(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, s->n_in, TYPES_NUMERIC, err);
    for (uint32_t i = 1; i < s->n_in && status == ONNXD_OK; i++)
        if (shapes_has(s, i) && dim_differs(value_info_n_elements(s->in[i]), dim_constant(1)))
            status = op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u holds not one element", i);
    if (status == ONNXD_OK) shapes_copy(s, 0, 0);
    return status;
}

static onnxd_status prepare_clip(struct op_plan *plan, onnxd_error *err)
{
    static const unary_fn clips[] = {clip_f32, clip_f64, clip_i64, clip_u64};
    struct unary_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    struct unary_call *call = &state->call;
    call->lane = lane_of(plan->in[0]->type);
    call->fn = clips[call->lane];
    if (call->lane == LANE_F32) call->kernel = kernels_get()->f32_unary[F32_UNARY_clip];
    state->native = lane_is_native(call->lane, plan->in[0]->type);
    switch (call->lane) {
    case LANE_I64: call->params.i64[0] = INT64_MIN, call->params.i64[1] = INT64_MAX; break;
    case LANE_U64: call->params.u64[0] = 0, call->params.u64[1] = UINT64_MAX; break;
    default: unary_set_param(call, 0, -HUGE_VAL), unary_set_param(call, 1, HUGE_VAL); break;
    }
    if (plan->node->opset < 11) {
        unary_set_param(call, 0, (double)node_attribute_float(plan->node, "min", -FLT_MAX));
        unary_set_param(call, 1, (double)node_attribute_float(plan->node, "max", FLT_MAX));
    }
    if (plan_fits(plan, 0)) plan->in_place_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_clip(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct unary_state *state = run->state;
    size_t size = state->call.lane == LANE_F32 ? 4 : 8;
    if (run->out[0] == NULL) return ONNXD_OK;
    for (uint32_t i = 1; i < run->n_in; i++)
        if (run->in[i] != NULL)
            elements_load(state->call.lane, run->in[i]->type, run->in[i]->data, 0, 1, 1,
                          (char *)&state->call.params + (i - 1) * size);
    run_elements(state, run->in[0], run->out[0]);
    return ONNXD_OK;
}

#define ONE(name, since)                                                                                     \
    {                                                                                                        \
        "", name, since, OP_LATEST, 1, 1, 1, 1, 0, check_unary, shapes_unary, NULL, prepare_unary, run_unary \
    }

const struct op_def ops_unary[] = {
    ONE("Abs", 1),
    ONE("Acos", 7),
    ONE("Acosh", 9),
    ONE("Asin", 7),
    ONE("Asinh", 9),
    ONE("Atan", 7),
    ONE("Atanh", 9),
    ONE("BitwiseNot", 18),
    ONE("Ceil", 1),
    ONE("Celu", 12),
    ONE("Cos", 7),
    ONE("Cosh", 9),
    ONE("Elu", 1),
    ONE("Erf", 9),
    ONE("Exp", 1),
    ONE("Floor", 1),
    ONE("Gelu", 20),
    ONE("HardSigmoid", 1),
    ONE("HardSwish", 14),
    ONE("IsInf", 10),
    ONE("IsNaN", 9),
    ONE("LeakyRelu", 1),
    ONE("Log", 1),
    ONE("Mish", 18),
    ONE("Neg", 1),
    ONE("Not", 1),
    ONE("Reciprocal", 1),
    ONE("Relu", 1),
    ONE("Round", 11),
    ONE("Selu", 1),
    ONE("Shrink", 9),
    ONE("Sigmoid", 1),
    ONE("Sign", 9),
    ONE("Sin", 7),
    ONE("Sinh", 9),
    ONE("Softplus", 1),
    ONE("Softsign", 1),
    ONE("Sqrt", 1),
    ONE("Swish", 24),
    ONE("Tan", 7),
    ONE("Tanh", 1),
    ONE("ThresholdedRelu", 10),
    {"", "Clip", 1, OP_LATEST, 1, 3, 1, 1, 0, check_clip, shapes_clip, NULL, prepare_clip, run_clip},
    {0},
};
