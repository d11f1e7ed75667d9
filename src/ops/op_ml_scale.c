/* Operators of ai.onnx.ml on single numbers and rows: Scaler, Normalizer, Binarizer, Imputer.
 * Source: ONNX operator specification, ai.onnx.ml-1. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/ml_common.h"

enum {
    TYPES_NUMBERS = TYPE_BIT(ONNXD_FLOAT32) | TYPE_BIT(ONNXD_FLOAT64) | TYPE_BIT(ONNXD_INT32) |
                    TYPE_BIT(ONNXD_INT64)
};

/* Columns of a row: the last axis. */
static int64_t n_columns(const onnxd_tensor *tensor)
{
    return tensor->rank == 0 ? 1 : tensor->dims[tensor->rank - 1];
}

static onnxd_status shapes_floats(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_NUMBERS, err);
    shapes_copy(s, 0, 0);
    shapes_set_type(s, 0, ONNXD_FLOAT32);
    return status;
}

static onnxd_status shapes_keep(struct op_shapes *s, onnxd_error *err)
{
    shapes_copy(s, 0, 0);
    return infer_type(s, 0, TYPES_NUMBERS, err);
}

static onnxd_status prepare_floats(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    plan->workspace_bytes = ml_floats_bytes(plan->in[0]);
    return ONNXD_OK;
}

/* ---- Scaler: (x - offset) * scale, each one number or one a column --------------------------------- */

static onnxd_status check_scaler(const struct node *node, onnxd_error *err)
{
    size_t n_offset, n_scale;
    const float *offset = node_attribute_floats(node, "offset", &n_offset);
    const float *scale = node_attribute_floats(node, "scale", &n_scale);
    if (offset == NULL || scale == NULL || n_offset == 0 || n_scale == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'offset' or 'scale' is missing");
    return ONNXD_OK;
}

static onnxd_status prepare_scaler(struct op_plan *plan, onnxd_error *err)
{
    static const char *const names[] = {"offset", "scale"};
    for (int i = 0; i < 2; i++) {
        size_t n;
        node_attribute_floats(plan->node, names[i], &n);
        if (n != 1 && (int64_t)n != n_columns(plan->in[0]))
            return op_error(err, plan->node, ONNXD_ERR_SHAPE, "input has %lld columns, attribute '%s' %zu",
                            (long long)n_columns(plan->in[0]), names[i], n);
    }
    return prepare_floats(plan, err);
}

static onnxd_status run_scaler(struct op_run *run, onnxd_error *err)
{
    (void)err;
    size_t n_offset, n_scale;
    const float *offset = node_attribute_floats(run->node, "offset", &n_offset);
    const float *scale = node_attribute_floats(run->node, "scale", &n_scale);
    const float *x = ml_floats(run->in[0], run->workspace);
    float *out = run->out[0]->data;
    int64_t n = onnxd_tensor_n_elements(run->in[0]), width = n_columns(run->in[0]);
    size_t step_offset = n_offset > 1, step_scale = n_scale > 1;
    for (int64_t i = 0; i < n; i += width)
        for (int64_t k = 0; k < width; k++)
            out[i + k] = (x[i + k] - offset[(size_t)k * step_offset]) * scale[(size_t)k * step_scale];
    return ONNXD_OK;
}

/* ---- Normalizer: rows of norm 1 ------------------------------------------------------------------- */

static const char *const norms[] = {"MAX", "L1", "L2", NULL};
enum { NORM_MAX, NORM_L1, NORM_L2 };

static onnxd_status check_normalizer(const struct node *node, onnxd_error *err)
{
    return check_word(node, "norm", norms, err);
}

static double norm_of(int norm, const float *x, int64_t n)
{
    double sum = 0, most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i];
        sum += norm == NORM_L1 ? fabs(v) : v * v;
        most = v > most ? v : most;
    }
    return norm == NORM_MAX ? most : norm == NORM_L1 ? sum : sqrt(sum);
}

static onnxd_status run_normalizer(struct op_run *run, onnxd_error *err)
{
    (void)err;
    int norm = attribute_word(run->node, "norm", norms, NORM_MAX);
    const float *x = ml_floats(run->in[0], run->workspace);
    float *out = run->out[0]->data;
    int64_t n = onnxd_tensor_n_elements(run->in[0]), width = n_columns(run->in[0]);
    for (int64_t i = 0; i < n; i += width) {
        double size = norm_of(norm, x + i, width);
        for (int64_t k = 0; k < width; k++) /* a row of norm 0 stays as it is */
            out[i + k] = size == 0 ? x[i + k] : (float)((double)x[i + k] / size);
    }
    return ONNXD_OK;
}

/* ---- Binarizer ------------------------------------------------------------------------------------ */

static onnxd_status run_binarizer(struct op_run *run, onnxd_error *err)
{
    (void)err;
    double threshold = (double)node_attribute_float(run->node, "threshold", 0);
    const onnxd_tensor *in = run->in[0];
    int64_t n = onnxd_tensor_n_elements(in);
    union lane_block block;
    for (int64_t first = 0; first < n; first += ELEMENTS_BLOCK) {
        int64_t count = n - first < ELEMENTS_BLOCK ? n - first : ELEMENTS_BLOCK;
        elements_load(LANE_F64, in->type, in->data, first, 1, count, block.f64);
        for (int64_t i = 0; i < count; i++) block.f64[i] = block.f64[i] > threshold ? 1 : 0;
        elements_store(LANE_F64, in->type, run->out[0]->data, first, count, block.f64);
    }
    return ONNXD_OK;
}

/* ---- Imputer: replaces one value (or NaN) --------------------------------------------------------- */

static onnxd_status check_imputer(const struct node *node, onnxd_error *err)
{
    size_t n_floats, n_ints;
    node_attribute_floats(node, "imputed_value_floats", &n_floats);
    node_attribute_ints(node, "imputed_value_int64s", &n_ints);
    if ((n_floats == 0) == (n_ints == 0))
        return op_error(err, node, ONNXD_ERR_MODEL,
                        "one of imputed_value_floats and imputed_value_int64s must be given");
    return ONNXD_OK;
}

static onnxd_status prepare_imputer(struct op_plan *plan, onnxd_error *err)
{
    size_t n_floats, n_ints;
    bool integer = plan->in[0]->type == ONNXD_INT64 || plan->in[0]->type == ONNXD_INT32;
    node_attribute_floats(plan->node, "imputed_value_floats", &n_floats);
    node_attribute_ints(plan->node, "imputed_value_int64s", &n_ints);
    size_t n = integer ? n_ints : n_floats;
    if (n == 0)
        return op_error(err, plan->node, ONNXD_ERR_TYPE, "input is %s, the imputed values are not",
                        onnxd_type_name(plan->in[0]->type));
    if (n != 1 && (int64_t)n != n_columns(plan->in[0]))
        return op_error(err, plan->node, ONNXD_ERR_SHAPE,
                        "input has %lld columns, there are %zu imputed values",
                        (long long)n_columns(plan->in[0]), n);
    return ONNXD_OK;
}

static void impute_floats(const struct node *node, const onnxd_tensor *in, void *out)
{
    size_t n_values;
    const float *values = node_attribute_floats(node, "imputed_value_floats", &n_values);
    float replaced = node_attribute_float(node, "replaced_value_float", 0);
    int64_t n = onnxd_tensor_n_elements(in), width = n_columns(in);
    bool nan = isnan(replaced);
    for (int64_t i = 0; i < n; i++) {
        float value = values[n_values > 1 ? i % width : 0];
        if (in->type == ONNXD_FLOAT32) {
            float x = ((const float *)in->data)[i];
            ((float *)out)[i] = (nan ? isnan(x) : x == replaced) ? value : x;
        } else {
            double x = ((const double *)in->data)[i];
            ((double *)out)[i] = (nan ? isnan(x) : x == (double)replaced) ? (double)value : x;
        }
    }
}

static void impute_ints(const struct node *node, const onnxd_tensor *in, const onnxd_tensor *out)
{
    size_t n_values;
    const int64_t *values = node_attribute_ints(node, "imputed_value_int64s", &n_values);
    int64_t replaced = node_attribute_int(node, "replaced_value_int64", 0);
    int64_t n = onnxd_tensor_n_elements(in), width = n_columns(in);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = element_i64(in, i);
        if (x == replaced) x = values[n_values > 1 ? i % width : 0];
        elements_store(LANE_I64, out->type, out->data, i, 1, &x);
    }
}

static onnxd_status run_imputer(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = run->in[0];
    if (in->type == ONNXD_FLOAT32 || in->type == ONNXD_FLOAT64)
        impute_floats(run->node, in, run->out[0]->data);
    else
        impute_ints(run->node, in, run->out[0]);
    return ONNXD_OK;
}

const struct op_def ops_ml_scale[] = {
    {"ai.onnx.ml", "Scaler", 1, OP_LATEST, 1, 1, 1, 1, 0, check_scaler, shapes_floats, NULL, prepare_scaler,
     run_scaler},
    {"ai.onnx.ml", "Normalizer", 1, OP_LATEST, 1, 1, 1, 1, 0, check_normalizer, shapes_floats, NULL,
     prepare_floats, run_normalizer},
    {"ai.onnx.ml", "Binarizer", 1, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_keep, NULL, NULL, run_binarizer},
    {"ai.onnx.ml", "Imputer", 1, OP_LATEST, 1, 1, 1, 1, 0, check_imputer, shapes_keep, NULL, prepare_imputer,
     run_imputer},
    {0},
};
