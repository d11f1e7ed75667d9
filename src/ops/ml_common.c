#include "ops/ml_common.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"

/* ---- rows ---------------------------------------------------------------------------------------- */

struct ml_rows ml_rows_of(const onnxd_tensor *tensor)
{
    if (tensor->rank == 1) return (struct ml_rows){1, tensor->dims[0]};
    return (struct ml_rows){tensor->dims[0], tensor->dims[1]};
}

onnxd_status ml_infer_rows(struct op_shapes *s, struct dim *ret_n, struct dim *ret_columns, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    *ret_n = *ret_columns = dim_unknown();
    onnxd_status status = infer_type(s, 0,
                                     TYPE_BIT(ONNXD_FLOAT32) | TYPE_BIT(ONNXD_FLOAT64) |
                                         TYPE_BIT(ONNXD_INT32) | TYPE_BIT(ONNXD_INT64),
                                     err);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank < 1 || in->rank > 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected [rows, columns]",
                        in->rank);
    *ret_n = in->rank == 2 ? in->dims[0] : dim_constant(1);
    *ret_columns = in->dims[in->rank - 1];
    return ONNXD_OK;
}

void ml_set_rows(struct op_shapes *s, uint32_t out, onnxd_type type, struct dim rows, struct dim columns)
{
    struct dim dims[2] = {rows, columns};
    shapes_set(s, out, type, 2, dims);
}

size_t ml_floats_bytes(const onnxd_tensor *tensor)
{
    return tensor->type == ONNXD_FLOAT32 ? 0 : (size_t)onnxd_tensor_n_elements(tensor) * sizeof(float);
}

const float *ml_floats(const onnxd_tensor *tensor, void *workspace)
{
    if (tensor->type == ONNXD_FLOAT32) return tensor->data;
    elements_load(LANE_F32, tensor->type, tensor->data, 0, 1, onnxd_tensor_n_elements(tensor), workspace);
    return workspace;
}

/* ---- labels -------------------------------------------------------------------------------------- */

struct ml_labels ml_labels_of(const struct node *node, const char *ints, const char *strings)
{
    struct ml_labels labels = {0};
    labels.strings = node_attribute_strings(node, strings, &labels.n);
    if (labels.strings != NULL && labels.n > 0) return labels;
    labels.strings = NULL;
    labels.ints = node_attribute_ints(node, ints, &labels.n);
    return labels;
}

void ml_write_label(const struct ml_labels *labels, size_t which, onnxd_tensor *out, int64_t i)
{
    if (labels->strings != NULL)
        ((onnxd_string *)out->data)[i] = which < labels->n ? labels->strings[which] : (onnxd_string){"", 0};
    else
        ((int64_t *)out->data)[i] = which < labels->n ? labels->ints[which] : (int64_t)which;
}

/* ---- scores -------------------------------------------------------------------------------------- */

static const char *const transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT", NULL};

onnxd_status ml_check_transform(const struct node *node, onnxd_error *err)
{
    return check_word(node, "post_transform", transforms, err);
}

enum ml_transform ml_transform_of(const struct node *node)
{
    return (enum ml_transform)attribute_word(node, "post_transform", transforms, ML_NONE);
}

float ml_logistic(float x)
{
    float v = 1 / (1 + expf(-fabsf(x)));
    return x < 0 ? 1 - v : v;
}

/* Winitzki's approximation of the inverse error function, the one that ONNX Runtime has. */
static float probit(float p)
{
    float x = 2 * p - 1;
    float l = logf((1 - x) * (1 + x));
    float v = 2 / (3.14159f * 0.147f) + 0.5f * l, w = 1 / 0.147f * l;
    float root = sqrtf(-v + sqrtf(v * v - w));
    return 1.41421356f * (x < 0 ? -root : root);
}

/* zero: scores of 0 stay 0. */
static void softmax(float *scores, size_t n, bool zero)
{
    float most = scores[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < n; i++) {
        if (zero && fabsf(scores[i]) <= 1e-7f) {
            scores[i] *= expf(-most);
        } else {
            scores[i] = expf(scores[i] - most);
            sum += scores[i];
        }
    }
    for (size_t i = 0; i < n; i++) scores[i] /= sum;
}

void ml_transform_scores(enum ml_transform transform, float *scores, size_t n)
{
    switch (transform) {
    case ML_NONE: return;
    case ML_SOFTMAX:
    case ML_SOFTMAX_ZERO:
        if (n > 0) softmax(scores, n, transform == ML_SOFTMAX_ZERO);
        return;
    case ML_LOGISTIC:
        for (size_t i = 0; i < n; i++) scores[i] = ml_logistic(scores[i]);
        return;
    case ML_PROBIT:
        for (size_t i = 0; i < n; i++) scores[i] = probit(scores[i]);
        return;
    }
}

void ml_two_scores(enum ml_transform transform, bool positive, float score, float *ret)
{
    if (transform == ML_LOGISTIC) {
        ret[0] = ml_logistic(-score);
        ret[1] = ml_logistic(score);
    } else if (positive) {
        ret[0] = 1 - score;
        ret[1] = score;
    } else {
        ret[0] = -score;
        ret[1] = score;
    }
}
