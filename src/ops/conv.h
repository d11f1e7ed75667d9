/* ops/conv.h - what the convolutions (float, integer, quantised) share.
 *
 * Threads: pure functions. */
#ifndef OPS_CONV_H
#define OPS_CONV_H

#include "ops/im2col.h"
#include "ops/op.h"

/* Columns multiplied at a time: as many as keep the matrix of windows well inside the second-level cache. */
enum { CONV_MAX_COLUMNS = 512, CONV_MIN_COLUMNS = 128, CONV_COLUMN_FLOATS = 1 << 16 };

static inline int64_t conv_columns(int64_t k, int64_t positions)
{
    int64_t n = k > 0 ? CONV_COLUMN_FLOATS / k / 32 * 32 : CONV_MAX_COLUMNS;
    n = n < CONV_MIN_COLUMNS ? CONV_MIN_COLUMNS : n > CONV_MAX_COLUMNS ? CONV_MAX_COLUMNS : n;
    return n < positions ? n : positions;
}

/* [N, C, ...] with weights [M, C / group, ...]. */
struct conv_shape {
    struct image image; /* of one group */
    int64_t batch, groups;
    int64_t maps;             /* outputs of one group: M / group */
    int64_t k;                /* C / group * kernel volume */
    int64_t positions, plane; /* output and input elements of one channel */
    int64_t columns;          /* multiplied at a time */
    bool pointwise;           /* the image is its own matrix of windows */
};

/* Shape rules of a convolution with input `x`, weights `w` and, unless GRAPH_NONE, bias `b`; sets output 0.
 */
ONNXD_MUST_USE onnxd_status conv_infer(struct op_shapes *s, uint32_t x, uint32_t w, uint32_t b,
                                       onnxd_type type, onnxd_error *err);

/* Exact sizes for a program. */
ONNXD_MUST_USE onnxd_status conv_plan(const struct node *node, const onnxd_tensor *x, const onnxd_tensor *w,
                                      const onnxd_tensor *out, struct conv_shape *ret, onnxd_error *err);

#endif
