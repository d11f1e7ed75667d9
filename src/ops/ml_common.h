/* ops/ml_common.h - what the operators of ai.onnx.ml share: rows of numbers, class labels, scores.
 *
 * Where the specification is silent (two classes from one score, the inverse error function, ties) they
 * do what ONNX Runtime does, since exporters test against it.
 *
 * Threads: pure functions. */
#ifndef OPS_ML_COMMON_H
#define OPS_ML_COMMON_H

#include "ops/op.h"

/* ---- rows ---------------------------------------------------------------------------------------- */

/* An input [N, C] or [C] (one row). */
struct ml_rows {
    int64_t n, n_columns;
};
struct ml_rows ml_rows_of(const onnxd_tensor *tensor);

/* Type and rank of such an input; *ret_n is the number of rows, *ret_columns of columns, as far as known.
 * ONNXD_ERR_TYPE, ONNXD_ERR_SHAPE. */
ONNXD_MUST_USE onnxd_status ml_infer_rows(struct op_shapes *s, struct dim *ret_n, struct dim *ret_columns,
                                          onnxd_error *err);

/* Output `out` is [rows, columns]. */
void ml_set_rows(struct op_shapes *s, uint32_t out, onnxd_type type, struct dim rows, struct dim columns);

/* Workspace for ml_floats: none for float32. */
size_t ml_floats_bytes(const onnxd_tensor *tensor);
/* The elements as float32: the tensor's own, or converted into workspace. */
const float *ml_floats(const onnxd_tensor *tensor, void *workspace);

/* ---- labels -------------------------------------------------------------------------------------- */

struct ml_labels {
    const int64_t *ints; /* [n] one of the two, or neither: labels 0, 1, ... */
    const onnxd_string *strings;
    size_t n;
};

/* From the attributes `ints` and `strings`. */
struct ml_labels ml_labels_of(const struct node *node, const char *ints, const char *strings);
static inline onnxd_type ml_labels_type(const struct ml_labels *labels)
{
    return labels->strings != NULL ? ONNXD_STRING : ONNXD_INT64;
}
/* Writes label `which` as element i of the output. Past the labels' end it is the number itself. */
void ml_write_label(const struct ml_labels *labels, size_t which, onnxd_tensor *out, int64_t i);

/* ---- scores -------------------------------------------------------------------------------------- */

enum ml_transform { ML_NONE, ML_SOFTMAX, ML_LOGISTIC, ML_SOFTMAX_ZERO, ML_PROBIT };

/* The attribute post_transform is absent or known. */
ONNXD_MUST_USE onnxd_status ml_check_transform(const struct node *node, onnxd_error *err);
enum ml_transform ml_transform_of(const struct node *node);

/* scores: [n] of one row, in place. */
void ml_transform_scores(enum ml_transform transform, float *scores, size_t n);

/* The two scores of a classifier that computes one. positive: the score is a probability. */
void ml_two_scores(enum ml_transform transform, bool positive, float score, float *ret);

float ml_logistic(float x);

#endif
