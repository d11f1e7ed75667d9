#include "ops/conv.h"

#include <string.h>

#include "ops/infer.h"

static onnxd_status check_channels(const struct op_shapes *s, const struct value_info *x,
                                   const struct value_info *w, uint32_t b, int64_t groups, onnxd_error *err)
{
    struct dim maps = w->dims[0];
    if (dim_is_constant(maps) && maps.n % groups != 0)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld maps do not divide into %lld groups",
                        (long long)maps.n, (long long)groups);
    struct dim channels = dim_mul(w->dims[1], dim_constant(groups));
    if (dim_differs(x->dims[1], channels))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input has %lld channels, the weights want %lld",
                        (long long)x->dims[1].n, (long long)channels.n);
    if (b == GRAPH_NONE || !shapes_known(s, b)) return ONNXD_OK;
    onnxd_status status = infer_rank(s, b, 1, err);
    if (status == ONNXD_OK && dim_differs(s->in[b]->dims[0], maps))
        status = op_error(err, s->node, ONNXD_ERR_SHAPE, "bias has %lld elements for %lld maps",
                          (long long)s->in[b]->dims[0].n, (long long)maps.n);
    return status;
}

onnxd_status conv_infer(struct op_shapes *s, uint32_t x, uint32_t w, uint32_t b, onnxd_type type,
                        onnxd_error *err)
{
    const struct value_info *in = s->in[x], *weights = s->in[w];
    int64_t groups = node_attribute_int(s->node, "group", 1), kernel[ONNXD_MAX_RANK];
    struct dim dims[ONNXD_MAX_RANK];
    struct window window;
    shapes_set_type(s, 0, type);
    if (groups < 1 || groups > 1 << 24)
        return op_error(err, s->node, ONNXD_ERR_MODEL, "attribute 'group' is %lld", (long long)groups);
    if (in->rank < 0 || weights->rank < 0) return ONNXD_OK;
    onnxd_status status = infer_rank(s, w, in->rank, err);
    for (int32_t i = 2; i < weights->rank; i++)
        kernel[i - 2] = dim_is_constant(weights->dims[i]) ? weights->dims[i].n : -1;
    if (status == ONNXD_OK) status = window_read(s->node, in->rank, kernel, &window, err);
    if (status == ONNXD_OK) status = check_channels(s, in, weights, b, groups, err);
    dims[0] = in->dims[0];
    dims[1] = weights->dims[0];
    for (uint32_t i = 0; status == ONNXD_OK && i < window.n; i++)
        status = window_output(&window, s->node, i, in->dims[2 + i], &dims[2 + i], err);
    if (status == ONNXD_OK) shapes_set(s, 0, type, in->rank, dims);
    return status;
}

onnxd_status conv_plan(const struct node *node, const onnxd_tensor *x, const onnxd_tensor *w,
                       const onnxd_tensor *out, struct conv_shape *ret, onnxd_error *err)
{
    struct conv_shape c = {.batch = x->dims[0], .groups = node_attribute_int(node, "group", 1)};
    onnxd_status status = window_read(node, (int32_t)x->rank, w->dims + 2, &c.image.window, err);
    if (status != ONNXD_OK) return status;
    struct window *window = &c.image.window;
    window_fix(window, x, out, c.image.in, c.image.out);
    c.image.channels = w->dims[1];
    c.maps = w->dims[0] / c.groups;
    c.k = w->dims[1] * window_volume(window->kernel);
    c.positions = window_volume(c.image.out);
    c.plane = window_volume(c.image.in);
    c.columns = conv_columns(c.k, c.positions);
    c.pointwise = window_volume(window->kernel) == 1;
    for (uint32_t i = 0; i < WINDOW_AXES; i++)
        c.pointwise = c.pointwise && window->stride[i] == 1 && window->begin[i] == 0 && window->end[i] == 0;
    *ret = c;
    return ONNXD_OK;
}
