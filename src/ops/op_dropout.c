/* Dropout. It passes its input on, except in training mode: an attribute before opset 7, an input from
 * opset 12 on.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "base/rng.h"
#include "ops/elements.h"
#include "ops/infer.h"

static bool has_inputs(const struct node *node)
{
    return node->opset >= 12;
}

static onnxd_status shapes_dropout(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 2, TYPES_BOOL, err);
    for (uint32_t i = 1; i < 3 && status == ONNXD_OK; i++)
        if (shapes_has(s, i) && dim_differs(value_info_n_elements(s->in[i]), dim_constant(1)))
            status = op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u holds not one element", i);
    shapes_copy(s, 0, 0);
    shapes_copy(s, 1, 0);
    if (s->node->opset >= 10) shapes_set_type(s, 1, ONNXD_BOOL);
    return status;
}

static bool trains(const struct node *node, const onnxd_tensor *const *in, uint32_t n_in)
{
    if (node->opset < 7) return node_attribute_int(node, "is_test", 0) == 0;
    return has_inputs(node) && tensor_given(in, n_in, 2) && element_i64(in[2], 0) != 0;
}

static onnxd_status prepare_dropout(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    bool known = !tensor_given(plan->in, plan->n_in, 2) || plan->in[2]->data != NULL;
    bool has_mask = plan->n_out > 1 && plan->out[1] != NULL;
    if (known && !has_mask && !trains(plan->node, plan->in, plan->n_in)) plan->view_of = 0;
    return ONNXD_OK;
}

/* Kept elements are scaled up so that the mean stays. */
static void drop(struct op_run *run, double ratio, const onnxd_tensor *mask)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    const struct attribute *seed = node_attribute(run->node, "seed");
    struct rng rng = rng_seed(seed != NULL && seed->kind == ATTRIBUTE_INT ? (uint64_t)seed->i : 0);
    int64_t n = onnxd_tensor_n_elements(in);
    for (int64_t i = 0; i < n; i++) {
        int64_t keep = rng_f64(&rng) >= ratio;
        double value = keep ? element_f64(in, i) / (1 - ratio) : 0;
        elements_store(LANE_F64, out->type, out->data, i, 1, &value);
        if (mask != NULL) elements_store(LANE_I64, mask->type, mask->data, i, 1, &keep);
    }
}

static onnxd_status run_dropout(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    const onnxd_tensor *mask = run->n_out > 1 ? run->out[1] : NULL;
    double ratio = (double)node_attribute_float(run->node, "ratio", 0.5f);
    if (has_inputs(run->node)) ratio = tensor_given(run->in, run->n_in, 1) ? element_f64(run->in[1], 0) : 0.5;
    if (!(ratio >= 0 && ratio < 1))
        return op_error(err, run->node, ONNXD_ERR_RANGE, "ratio %g is outside [0, 1)", ratio);
    if (trains(run->node, run->in, run->n_in) && ratio > 0) {
        drop(run, ratio, mask);
        return ONNXD_OK;
    }
    const int64_t one = 1;
    size_t n_bytes = onnxd_tensor_n_bytes(in);
    if (n_bytes > 0 && out->data != in->data) memcpy(out->data, in->data, n_bytes);
    for (int64_t i = 0; mask != NULL && i < onnxd_tensor_n_elements(mask); i++)
        elements_store(LANE_I64, mask->type, mask->data, i, 1, &one);
    return ONNXD_OK;
}

const struct op_def ops_dropout[] = {
    {"", "Dropout", 1, 12, 1, 1, 1, 2, 0, check_attributes, shapes_dropout, NULL, prepare_dropout,
     run_dropout},
    {"", "Dropout", 12, OP_LATEST, 1, 3, 1, 2, 0, NULL, shapes_dropout, NULL, prepare_dropout, run_dropout},
    {0},
};
