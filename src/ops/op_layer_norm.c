/* LayerNormalization, RMSNormalization, GroupNormalization: statistics of runs of memory.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/elements.h"
#include "ops/infer.h"

static bool is_named(const struct node *node, const char *name)
{
    return strcmp(node->op_type, name) == 0;
}

/* ---- LayerNormalization and RMSNormalization: inputs X, scale, bias --------------------------------------
 */

static onnxd_status normalized_axis(const struct node *node, uint32_t rank, uint32_t *ret_axis,
                                    onnxd_error *err)
{
    return op_axis(node, node_attribute_int(node, "axis", -1), rank, ret_axis, err);
}

/* Scale and bias must broadcast to the normalised axes. */
static onnxd_status check_scale(const struct op_shapes *s, uint32_t in, uint32_t axis, onnxd_error *err)
{
    const struct value_info *x = s->in[0];
    if (!shapes_known(s, in)) return ONNXD_OK;
    const struct value_info *scale = s->in[in];
    int32_t shift = x->rank - scale->rank;
    for (int32_t i = 0; i < scale->rank; i++) {
        struct dim d = scale->dims[i];
        bool outside = shift + i < (int32_t)axis;
        if (dim_equal(d, dim_constant(1))) continue;
        if (outside || dim_differs(d, x->dims[shift + i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE,
                            "input %u does not broadcast to the axes from %u on", in, axis);
    }
    return ONNXD_OK;
}

static onnxd_status shapes_layer(struct op_shapes *s, onnxd_error *err)
{
    struct value_info info = *s->in[0];
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < 3 && status == ONNXD_OK; i++) status = infer_type(s, i, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    onnxd_type stash = node_attribute_int(s->node, "stash_type", 1) == ONNXD_FLOAT64 ? ONNXD_FLOAT64
                                                                                     : ONNXD_FLOAT32;
    shapes_set_type(s, 1, stash);
    shapes_set_type(s, 2, stash);
    uint32_t axis;
    if (info.rank < 0) return ONNXD_OK;
    status = normalized_axis(s->node, (uint32_t)info.rank, &axis, err);
    if (status == ONNXD_OK) status = check_scale(s, 1, axis, err);
    if (status == ONNXD_OK) status = check_scale(s, 2, axis, err);
    if (status != ONNXD_OK) return status;
    for (int32_t i = (int32_t)axis; i < info.rank; i++) info.dims[i] = dim_constant(1);
    shapes_set(s, 1, stash, info.rank, info.dims);
    shapes_set(s, 2, stash, info.rank, info.dims);
    return ONNXD_OK;
}

struct layer_state {
    int64_t rows, n;
    int64_t scale_step, bias_step; /* 1, or 0 where one element serves all */
    float epsilon;
    bool centers; /* not RMSNormalization */
};

static onnxd_status run_layer_f32(struct op_run *run, onnxd_error *err);

/* Whole rows or single elements; other broadcasts are refused. */
static onnxd_status step_of(const struct op_plan *plan, uint32_t in, int64_t n, int64_t *ret,
                            onnxd_error *err)
{
    if (!tensor_given(plan->in, plan->n_in, in)) return ONNXD_OK;
    int64_t size = onnxd_tensor_n_elements(plan->in[in]);
    *ret = size == n;
    if (size == n || size == 1) return ONNXD_OK;
    return op_error(err, plan->node, ONNXD_ERR_UNSUPPORTED, "input %u is broadcast along some axes only", in);
}

static onnxd_status prepare_layer(struct op_plan *plan, onnxd_error *err)
{
    struct layer_state *state;
    const onnxd_tensor *x = plan->in[0];
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK) status = normalized_axis(plan->node, x->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    state->rows = state->n = 1;
    for (uint32_t i = 0; i < x->rank; i++) *(i < axis ? &state->rows : &state->n) *= x->dims[i];
    state->epsilon = node_attribute_float(plan->node, "epsilon", 1e-5f);
    state->centers = !is_named(plan->node, "RMSNormalization");
    status = step_of(plan, 1, state->n, &state->scale_step, err);
    if (status == ONNXD_OK) status = step_of(plan, 2, state->n, &state->bias_step, err);
    if (status != ONNXD_OK) return status;
    bool stashes = (plan->n_out > 1 && plan->out[1] != NULL) || (plan->n_out > 2 && plan->out[2] != NULL);
    bool plain = plan->in[1]->type == ONNXD_FLOAT32 && state->scale_step == 1 &&
                 (!tensor_given(plan->in, plan->n_in, 2) ||
                  (plan->in[2]->type == ONNXD_FLOAT32 && state->bias_step == 1));
    if (x->type == ONNXD_FLOAT32 && plain && !stashes && state->centers && state->n > 0) {
        plan->run = run_layer_f32;
        plan->in_place_of = 0;
    }
    return ONNXD_OK;
}

static onnxd_status run_layer_f32(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct layer_state *state = run->state;
    size_t n = (size_t)state->n;
    kernels_get()->f32_layer_norm(run->out[0]->data, n, run->in[0]->data, n, run->in[1]->data,
                                  tensor_given(run->in, run->n_in, 2) ? run->in[2]->data : NULL,
                                  state->epsilon, (size_t)state->rows, n);
    return ONNXD_OK;
}

/* Mean, and 1 / sqrt(variance + epsilon), of n elements from `first` on. */
static void find_scale(const onnxd_tensor *x, int64_t first, int64_t n, bool centers, double epsilon,
                       double *ret_mean, double *ret_scale)
{
    double sum = 0, squares = 0, block[ELEMENTS_BLOCK];
    *ret_mean = 0;
    for (int pass = !centers; pass < 2; pass++) {
        for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
            int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
            elements_load(LANE_F64, x->type, x->data, first + at, 1, m, block);
            for (int64_t i = 0; i < m; i++) {
                double d = block[i] - *ret_mean;
                if (pass == 0)
                    sum += block[i];
                else
                    squares += d * d;
            }
        }
        if (pass == 0) *ret_mean = sum / (double)n;
    }
    *ret_scale = 1 / sqrt(squares / (double)n + epsilon);
}

static void store_one(const struct op_run *run, uint32_t out, int64_t at, double value)
{
    if (out < run->n_out && run->out[out] != NULL)
        elements_store(LANE_F64, run->out[out]->type, run->out[out]->data, at, 1, &value);
}

static onnxd_status run_layer(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct layer_state *state = run->state;
    const onnxd_tensor *x = run->in[0], *out = run->out[0];
    const onnxd_tensor *bias = tensor_given(run->in, run->n_in, 2) ? run->in[2] : NULL;
    for (int64_t row = 0; row < state->rows; row++) {
        int64_t first = row * state->n;
        double mean, scale;
        find_scale(x, first, state->n, state->centers, (double)state->epsilon, &mean, &scale);
        for (int64_t i = 0; i < state->n; i++) {
            double v = (element_f64(x, first + i) - mean) * scale;
            v *= element_f64(run->in[1], i * state->scale_step);
            if (bias != NULL) v += element_f64(bias, i * state->bias_step);
            elements_store(LANE_F64, out->type, out->data, first + i, 1, &v);
        }
        store_one(run, 1, row, mean);
        store_one(run, 2, row, scale);
    }
    return ONNXD_OK;
}

/* ---- GroupNormalization: scale and bias per group in opset 18, per channel from 21 on --------------------
 */

static onnxd_status check_group(const struct node *node, onnxd_error *err)
{
    if (node_attribute_int(node, "num_groups", 0) < 1)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'num_groups' is missing or not positive");
    return check_attributes(node, err);
}

static onnxd_status shapes_group(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *x = s->in[0];
    int64_t groups = node_attribute_int(s->node, "num_groups", 1);
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    if (x->rank < 0) return ONNXD_OK;
    if (x->rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 2 or more", x->rank);
    if (dim_is_constant(x->dims[1]) && x->dims[1].n % groups != 0)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld channels do not divide into %lld groups",
                        (long long)x->dims[1].n, (long long)groups);
    struct dim n = s->node->opset < 21 ? dim_constant(groups) : x->dims[1];
    for (uint32_t i = 1; i < 3; i++)
        if (shapes_known(s, i) && dim_differs(value_info_n_elements(s->in[i]), n))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has %lld elements, expected %lld", i,
                            (long long)value_info_n_elements(s->in[i]).n, (long long)n.n);
    return ONNXD_OK;
}

static onnxd_status run_group(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *x = run->in[0], *out = run->out[0];
    int64_t groups = node_attribute_int(run->node, "num_groups", 1), channels = x->dims[1] / groups,
            plane = 1;
    double epsilon = (double)node_attribute_float(run->node, "epsilon", 1e-5f);
    for (uint32_t i = 2; i < x->rank; i++) plane *= x->dims[i];
    int64_t n = channels * plane;
    for (int64_t row = 0; row < x->dims[0] * groups; row++) {
        double mean, scale;
        find_scale(x, row * n, n, true, epsilon, &mean, &scale);
        for (int64_t i = 0; i < n; i++) {
            int64_t group = row % groups;
            int64_t which = run->node->opset < 21 ? group : group * channels + i / plane;
            double v = (element_f64(x, row * n + i) - mean) * scale * element_f64(run->in[1], which) +
                       element_f64(run->in[2], which);
            elements_store(LANE_F64, out->type, out->data, row * n + i, 1, &v);
        }
    }
    return ONNXD_OK;
}

const struct op_def ops_layer_norm[] = {
    {"", "LayerNormalization", 1, OP_LATEST, 2, 3, 1, 3, 0, check_attributes, shapes_layer, NULL,
     prepare_layer, run_layer},
    {"", "RMSNormalization", 23, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_layer, NULL,
     prepare_layer, run_layer},
    {"", "GroupNormalization", 18, OP_LATEST, 3, 3, 1, 1, 0, check_group, shapes_group, NULL, NULL,
     run_group},
    {0},
};
