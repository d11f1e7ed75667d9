#include "ops/window.h"

#include <string.h>

#include "ops/infer.h"

enum { MAX_SIZE = 1 << 30 };

static const char *const auto_pads[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL};

static onnxd_status check_list(const struct node *node, const char *name, int64_t least, onnxd_error *err)
{
    size_t n;
    const int64_t *values = node_attribute_ints(node, name, &n);
    for (size_t i = 0; i < n; i++)
        if (values[i] < least || values[i] > MAX_SIZE)
            return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' holds %lld", name,
                            (long long)values[i]);
    return ONNXD_OK;
}

onnxd_status window_check(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_attributes(node, err);
    if (status == ONNXD_OK) status = check_word(node, "auto_pad", auto_pads, err);
    if (status == ONNXD_OK) status = check_list(node, "kernel_shape", 1, err);
    if (status == ONNXD_OK) status = check_list(node, "strides", 1, err);
    if (status == ONNXD_OK) status = check_list(node, "dilations", 1, err);
    if (status == ONNXD_OK) status = check_list(node, "pads", 0, err);
    return status;
}

/* A list of n values, or `otherwise` for each. */
static onnxd_status read_list(const struct node *node, const char *name, uint32_t n, int64_t otherwise,
                              int64_t *values, onnxd_error *err)
{
    size_t given;
    const int64_t *list = node_attribute_ints(node, name, &given);
    if (list != NULL && given != n)
        return op_error(err, node, ONNXD_ERR_SHAPE, "attribute '%s' has %zu elements, expected %u", name,
                        given, n);
    for (uint32_t i = 0; i < n; i++) values[i] = list != NULL ? list[i] : otherwise;
    return ONNXD_OK;
}

onnxd_status window_read(const struct node *node, int32_t rank, const int64_t *weight_dims,
                         struct window *ret, onnxd_error *err)
{
    struct window w = {.auto_pad = (enum auto_pad)attribute_word(node, "auto_pad", auto_pads, PAD_NOTSET),
                       .ceil = node_attribute_int(node, "ceil_mode", 0) != 0};
    if (rank < 3)
        return op_error(err, node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 3 or more", rank);
    if (rank > 2 + WINDOW_AXES)
        return op_error(err, node, ONNXD_ERR_UNSUPPORTED, "input 0 has %d spatial axes, at most %d are done",
                        rank - 2, WINDOW_AXES);
    w.n = (uint32_t)rank - 2;
    uint32_t from = WINDOW_AXES - w.n;
    int64_t pads[2 * WINDOW_AXES];
    for (uint32_t i = 0; i < WINDOW_AXES; i++) w.kernel[i] = w.stride[i] = w.dilation[i] = 1;
    onnxd_status status = read_list(node, "kernel_shape", w.n, -1, w.kernel + from, err);
    if (status == ONNXD_OK) status = read_list(node, "strides", w.n, 1, w.stride + from, err);
    if (status == ONNXD_OK) status = read_list(node, "dilations", w.n, 1, w.dilation + from, err);
    if (status == ONNXD_OK) status = read_list(node, "pads", 2 * w.n, 0, pads, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < w.n; i++) {
        int64_t *kernel = &w.kernel[from + i];
        if (*kernel < 0 && weight_dims == NULL)
            return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'kernel_shape' is missing");
        if (*kernel < 0) *kernel = weight_dims[i];
        if (*kernel == 0) return op_error(err, node, ONNXD_ERR_SHAPE, "the kernel is empty on axis %u", i);
        if (weight_dims != NULL && weight_dims[i] >= 0 && *kernel != weight_dims[i])
            return op_error(err, node, ONNXD_ERR_SHAPE,
                            "kernel_shape has %lld on axis %u, the weights have %lld", (long long)*kernel, i,
                            (long long)weight_dims[i]);
        w.begin[from + i] = w.auto_pad == PAD_NOTSET ? pads[i] : 0;
        w.end[from + i] = w.auto_pad == PAD_NOTSET ? pads[w.n + i] : 0;
    }
    *ret = w;
    return ONNXD_OK;
}

static int64_t reach(const struct window *w, uint32_t k)
{
    return (w->kernel[k] - 1) * w->dilation[k] + 1;
}

onnxd_status window_output(const struct window *w, const struct node *node, uint32_t i, struct dim in,
                           struct dim *ret, onnxd_error *err)
{
    uint32_t k = WINDOW_AXES - w->n + i;
    bool same = w->auto_pad == PAD_SAME_UPPER || w->auto_pad == PAD_SAME_LOWER;
    int64_t grow = w->begin[k] + w->end[k] - reach(w, k); /* output = (in + grow) / stride + 1 */
    *ret = dim_unknown();
    if (w->kernel[k] < 0) return ONNXD_OK;
    if (!dim_is_constant(in)) {
        if (w->stride[k] == 1 && (same || grow == -1)) *ret = in;
        return ONNXD_OK;
    }
    if (same) {
        *ret = dim_constant((in.n + w->stride[k] - 1) / w->stride[k]);
        return ONNXD_OK;
    }
    if (in.n + grow < 0)
        return op_error(
            err, node, ONNXD_ERR_SHAPE, "a window of %lld does not fit size %lld with pads %lld, %lld",
            (long long)reach(w, k), (long long)in.n, (long long)w->begin[k], (long long)w->end[k]);
    int64_t out = (in.n + grow + (w->ceil ? w->stride[k] - 1 : 0)) / w->stride[k] + 1;
    /* The last window must start inside the input or its left padding. */
    if (w->ceil && (out - 1) * w->stride[k] >= in.n + w->begin[k]) out--;
    *ret = dim_constant(out);
    return ONNXD_OK;
}

void window_fix(struct window *w, const onnxd_tensor *in, const onnxd_tensor *out, int64_t *ret_in,
                int64_t *ret_out)
{
    for (uint32_t k = 0; k < WINDOW_AXES; k++) {
        uint32_t from = WINDOW_AXES - w->n;
        ret_in[k] = k < from ? 1 : in->dims[2 + k - from];
        ret_out[k] = k < from ? 1 : out->dims[2 + k - from];
        if (k < from || (w->auto_pad != PAD_SAME_UPPER && w->auto_pad != PAD_SAME_LOWER)) continue;
        int64_t total = (ret_out[k] - 1) * w->stride[k] + reach(w, k) - ret_in[k];
        if (total < 0) total = 0;
        w->begin[k] = w->auto_pad == PAD_SAME_UPPER ? total / 2 : total - total / 2;
        w->end[k] = total - w->begin[k];
    }
}
