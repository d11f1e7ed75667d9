/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. Scales are one for the tensor, one for each
 * element of an axis, or one for each block along it.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/lines.h"
#include "ops/quantized.h"
#include "tensor/dtype.h"

enum {
    QUANTIZED_TYPES = TYPE_BIT(ONNXD_INT8) | TYPE_BIT(ONNXD_UINT8) | TYPE_BIT(ONNXD_INT16) |
                      TYPE_BIT(ONNXD_UINT16) | TYPE_BIT(ONNXD_INT4) | TYPE_BIT(ONNXD_UINT4)
};

/* ---- where scales lie -----------------------------------------------------------------------------------
 */

/* Rules for scale and zero point of x; both inputs 1 and 2. */
static onnxd_status infer_scales(const struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *x = s->in[0], *scale = s->in[1];
    uint32_t axis;
    if (scale->rank >= 0 && shapes_known(s, 2) && scale->rank != s->in[2]->rank &&
        dim_differs(value_info_n_elements(scale), value_info_n_elements(s->in[2])))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "scale and zero point have different shapes");
    if (x->rank < 0 || scale->rank <= 0 || dim_equal(value_info_n_elements(scale), dim_constant(1)))
        return ONNXD_OK;
    onnxd_status status = op_axis(s->node, node_attribute_int(s->node, "axis", 1), (uint32_t)x->rank, &axis,
                                  err);
    if (status != ONNXD_OK) return status;
    int64_t block = node_attribute_int(s->node, "block_size", 0);
    if (block < 0) return op_error(err, s->node, ONNXD_ERR_MODEL, "attribute 'block_size' is negative");
    if (block == 0) {
        status = infer_rank(s, 1, 1, err);
        if (status == ONNXD_OK && dim_differs(scale->dims[0], x->dims[axis]))
            status = op_error(err, s->node, ONNXD_ERR_SHAPE, "scale has %lld elements for an axis of %lld",
                              (long long)scale->dims[0].n, (long long)x->dims[axis].n);
        return status;
    }
    status = infer_rank(s, 1, x->rank, err);
    for (int32_t i = 0; i < x->rank && status == ONNXD_OK; i++) {
        struct dim want = x->dims[i];
        if ((uint32_t)i == axis && dim_is_constant(want)) want.n = (want.n + block - 1) / block;
        if (dim_differs(scale->dims[i], want))
            status = op_error(err, s->node, ONNXD_ERR_SHAPE, "scale has size %lld on axis %d, expected %lld",
                              (long long)scale->dims[i].n, i, (long long)want.n);
    }
    return status;
}

/* Runs of elements with one scale. */
struct scale_runs {
    struct lines lines; /* along the axis */
    int64_t block;      /* elements of the axis to a scale; 0: one scale for all */
    bool blocked;       /* scales vary along the other axes too */
};

static onnxd_status find_runs(const struct node *node, const onnxd_tensor *x, const onnxd_tensor *scale,
                              struct scale_runs *ret, onnxd_error *err)
{
    uint32_t axis;
    *ret = (struct scale_runs){.lines = {1, 1, onnxd_tensor_n_elements(x)}};
    if (onnxd_tensor_n_elements(scale) == 1) return ONNXD_OK;
    onnxd_status status = op_axis(node, node_attribute_int(node, "axis", 1), x->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    int64_t block = node_attribute_int(node, "block_size", 0);
    *ret = (struct scale_runs){lines_of(x, axis), block > 0 ? block : 1, block > 0};
    return ONNXD_OK;
}

/* Scale of element (o, i, j). */
static int64_t scale_index(const struct scale_runs *r, int64_t o, int64_t i, int64_t j)
{
    if (r->block == 0) return 0;
    if (!r->blocked) return i;
    int64_t n_blocks = (r->lines.n + r->block - 1) / r->block;
    return (o * n_blocks + i / r->block) * r->lines.inner + j;
}

/* Calls f on runs of at most a block of elements that share a scale. */
typedef void (*run_fn)(const struct op_run *run, int64_t first, int64_t n, int64_t scale);

static void for_runs(const struct op_run *run, const struct scale_runs *r, run_fn f)
{
    const struct lines *l = &r->lines;
    int64_t longest = r->blocked ? 1 : ELEMENTS_BLOCK;
    for (int64_t o = 0; o < l->outer; o++)
        for (int64_t i = 0; i < l->n; i++)
            for (int64_t j = 0; j < l->inner; j += longest) {
                int64_t n = l->inner - j < longest ? l->inner - j : longest;
                f(run, (o * l->n + i) * l->inner + j, n, scale_index(r, o, i, j));
            }
}

static const onnxd_tensor *zero_point(const struct op_run *run)
{
    return tensor_given(run->in, run->n_in, 2) ? run->in[2] : NULL;
}

/* ---- QuantizeLinear ---------------------------------------------------------------------------------- */

static onnxd_status shapes_quantize(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT | TYPE_BIT(ONNXD_INT32), err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_FLOAT | TYPE_BIT(ONNXD_INT32), err);
    if (status == ONNXD_OK) status = infer_type(s, 2, QUANTIZED_TYPES, err);
    if (status == ONNXD_OK) status = infer_scales(s, err);
    if (status != ONNXD_OK) return status;
    int64_t wanted = node_attribute_int(s->node, "output_dtype", 0);
    onnxd_type type = shapes_has(s, 2) ? s->in[2]->type : wanted != 0 ? (onnxd_type)wanted : ONNXD_UINT8;
    if (type != ONNXD_UNDEFINED && (type > 31 || (QUANTIZED_TYPES & TYPE_BIT(type)) == 0))
        return op_error(err, s->node, ONNXD_ERR_UNSUPPORTED, "cannot quantise to type %lld",
                        (long long)wanted);
    shapes_copy(s, 0, 0);
    shapes_set_type(s, 0, type);
    return ONNXD_OK;
}

static void quantize_run(const struct op_run *run, int64_t first, int64_t n, int64_t scale_at)
{
    float x[ELEMENTS_BLOCK];
    double y[ELEMENTS_BLOCK];
    const onnxd_tensor *out = run->out[0];
    float scale = (float)parameter_at(run->in[1], scale_at, 1);
    double zero = parameter_at(zero_point(run), scale_at, 0);
    elements_load(LANE_F32, run->in[0]->type, run->in[0]->data, first, 1, n, x);
    for (int64_t i = 0; i < n; i++) y[i] = quantized_round((double)(x[i] / scale), zero, out->type);
    elements_store(LANE_F64, out->type, out->data, first, n, y);
}

static onnxd_status run_quantize(struct op_run *run, onnxd_error *err)
{
    struct scale_runs runs;
    onnxd_status status = find_runs(run->node, run->in[0], run->in[1], &runs, err);
    if (status == ONNXD_OK) for_runs(run, &runs, quantize_run);
    return status;
}

/* ---- DequantizeLinear -------------------------------------------------------------------------------- */

static onnxd_status shapes_dequantize(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, QUANTIZED_TYPES | TYPE_BIT(ONNXD_INT32), err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 2, QUANTIZED_TYPES | TYPE_BIT(ONNXD_INT32), err);
    if (status == ONNXD_OK) status = infer_scales(s, err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    shapes_set_type(s, 0, s->in[1]->type);
    return ONNXD_OK;
}

static void dequantize_run(const struct op_run *run, int64_t first, int64_t n, int64_t scale_at)
{
    double x[ELEMENTS_BLOCK];
    const onnxd_tensor *out = run->out[0];
    double scale = parameter_at(run->in[1], scale_at, 1), zero = parameter_at(zero_point(run), scale_at, 0);
    elements_load(LANE_F64, run->in[0]->type, run->in[0]->data, first, 1, n, x);
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - zero) * scale;
    elements_store(LANE_F64, out->type, out->data, first, n, x);
}

static onnxd_status run_dequantize(struct op_run *run, onnxd_error *err)
{
    struct scale_runs runs;
    onnxd_status status = find_runs(run->node, run->in[0], run->in[1], &runs, err);
    if (status == ONNXD_OK) for_runs(run, &runs, dequantize_run);
    return status;
}

/* ---- DynamicQuantizeLinear: the range 0 .. 255 is laid over the values and 0
 * --------------------------------- */

static onnxd_status shapes_dynamic(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPE_BIT(ONNXD_FLOAT32), err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    shapes_set_type(s, 0, ONNXD_UINT8);
    shapes_set(s, 1, ONNXD_FLOAT32, 0, NULL);
    shapes_set(s, 2, ONNXD_UINT8, 0, NULL);
    return ONNXD_OK;
}

static onnxd_status run_dynamic(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const float *x = run->in[0]->data;
    uint8_t *y = run->out[0]->data;
    int64_t n = onnxd_tensor_n_elements(run->in[0]);
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float scale = (high - low) / 255.0f;
    float zero = scale == 0 ? 0 : rintf((0 - low) / scale);
    zero = !(zero >= 0) ? 0 : zero > 255 ? 255 : zero;
    for (int64_t i = 0; i < n; i++) {
        float v = scale == 0 ? 0 : rintf(x[i] / scale) + zero;
        y[i] = (uint8_t)(!(v >= 0) ? 0 : v > 255 ? 255 : v);
    }
    if (run->n_out > 1 && run->out[1] != NULL) *(float *)run->out[1]->data = scale;
    if (run->n_out > 2 && run->out[2] != NULL) *(uint8_t *)run->out[2]->data = (uint8_t)zero;
    return ONNXD_OK;
}

const struct op_def ops_quantize[] = {
    {"", "QuantizeLinear", 10, OP_LATEST, 2, 3, 1, 1, 0, check_attributes, shapes_quantize, NULL, NULL,
     run_quantize},
    {"", "DequantizeLinear", 10, OP_LATEST, 2, 3, 1, 1, 0, check_attributes, shapes_dequantize, NULL, NULL,
     run_dequantize},
    {"", "DynamicQuantizeLinear", 11, OP_LATEST, 1, 1, 3, 3, 0, NULL, shapes_dynamic, NULL, NULL,
     run_dynamic},
    {0},
};
