/* ops/window.h - sliding windows over up to three spatial axes: kernels of convolutions and of pooling.
 *
 * Spatial axes are the last ones of a tensor [N, C, ...]. Everything here has exactly WINDOW_AXES of them;
 * tensors with fewer get leading axes of size 1.
 * Threads: plain values. */
#ifndef OPS_WINDOW_H
#define OPS_WINDOW_H

#include "ops/op.h"

enum { WINDOW_AXES = 3 };

enum auto_pad { PAD_NOTSET, PAD_SAME_UPPER, PAD_SAME_LOWER, PAD_VALID };

struct window {
    uint32_t n; /* spatial axes the tensor really has */
    int64_t kernel[WINDOW_AXES], stride[WINDOW_AXES], dilation[WINDOW_AXES];
    int64_t begin[WINDOW_AXES], end[WINDOW_AXES]; /* pads */
    enum auto_pad auto_pad;
    bool ceil;
};

/* Kinds, ranges and lengths of the attributes kernel_shape, strides, pads, dilations, auto_pad. */
ONNXD_MUST_USE onnxd_status window_check(const struct node *node, onnxd_error *err);

/* Reads the attributes for a tensor of this rank. weight_dims: [n] kernel sizes from a weight tensor, or
 * NULL: kernel_shape must be given. ONNXD_ERR_SHAPE, ONNXD_ERR_MODEL, ONNXD_ERR_UNSUPPORTED (four spatial
 * axes). */
ONNXD_MUST_USE onnxd_status window_read(const struct node *node, int32_t rank, const int64_t *weight_dims,
                                        struct window *ret, onnxd_error *err);

/* Size of output axis i (0..n-1, the tensor's own) for an input axis of this size. ONNXD_ERR_SHAPE when the
 * window does not fit. */
ONNXD_MUST_USE onnxd_status window_output(const struct window *w, const struct node *node, uint32_t i,
                                          struct dim in, struct dim *ret, onnxd_error *err);

/* Makes pads of auto_pad exact for this input [N, C, ...]; spreads the input's and output's spatial sizes. */
void window_fix(struct window *w, const onnxd_tensor *in, const onnxd_tensor *out, int64_t *ret_in,
                int64_t *ret_out);

/* Taps of axis k that lie inside an input of this size for output position `at`: first <= tap < last. */
static inline void window_taps(const struct window *w, uint32_t k, int64_t at, int64_t size,
                               int64_t *ret_first, int64_t *ret_last)
{
    int64_t start = at * w->stride[k] - w->begin[k], d = w->dilation[k];
    int64_t first = start < 0 ? (-start + d - 1) / d : 0;
    int64_t last = size > start ? (size - start + d - 1) / d : 0;
    *ret_first = first;
    *ret_last = last > w->kernel[k] ? w->kernel[k] : last;
}

/* Product of kernel sizes, and of three sizes. */
static inline int64_t window_volume(const int64_t *sizes)
{
    return sizes[0] * sizes[1] * sizes[2];
}

#endif
