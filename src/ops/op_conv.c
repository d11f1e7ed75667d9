/* Conv and ConvTranspose of one to three spatial axes.
 *
 * Conv multiplies the weights [M, C * volume] with the matrix of windows, a block of positions at a time,
 * which strides of 1 make cheap to gather (ops/conv_flat.h); a pointwise kernel multiplies the image itself,
 * and groups of one or two maps are summed tap by tap. ConvTranspose does it backwards: a product per input
 * position, added where its window lies. Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/conv.h"
#include "ops/conv_flat.h"
#include "ops/infer.h"
#include "ops/matrix.h"
#include "tensor/dtype.h"

/* Groups of so few maps are not worth a matrix product. */
enum { DIRECT_MAPS = 2 };

struct conv_state {
    struct conv_shape shape;
    struct conv_flat flat; /* of run_flat */
    enum lane lane;
    size_t x_bytes, w_bytes, b_bytes, out_bytes; /* of converted operands; 0: native */
};

static size_t room_for(enum lane lane, const onnxd_tensor *tensor)
{
    if (tensor == NULL || lane_is_native(lane, tensor->type)) return 0;
    return ((size_t)onnxd_tensor_n_elements(tensor) * lane_size(lane) + 63) / 64 * 64;
}

/* Operands in the lane; workspace: matrix scratch, converted x, w, b, out, then columns. */
struct conv_operands {
    void *scratch;
    const char *x, *w, *b; /* b NULL: none */
    char *out;
    char *columns;
};

static struct conv_operands take_operands(const struct op_run *run, const struct conv_state *state)
{
    char *room = (char *)run->workspace + matrix_scratch_bytes();
    struct conv_operands o = {.scratch = run->workspace};
    o.x = matrix_operand(state->lane, run->in[0], room);
    room += state->x_bytes;
    o.w = matrix_operand(state->lane, run->in[1], room);
    room += state->w_bytes;
    if (tensor_given(run->in, run->n_in, 2)) o.b = matrix_operand(state->lane, run->in[2], room);
    room += state->b_bytes;
    o.out = state->out_bytes > 0 ? room : run->out[0]->data;
    o.columns = room + state->out_bytes;
    return o;
}

/* Every output plane starts at its bias. */
static void put_bias(enum lane lane, char *out, const char *bias, int64_t planes, int64_t maps, int64_t n)
{
    if (bias == NULL) {
        memset(out, 0, (size_t)(planes * n) * lane_size(lane));
        return;
    }
    for (int64_t p = 0; p < planes; p++)
        for (int64_t i = 0; i < n; i++) {
            if (lane == LANE_F32)
                ((float *)out)[p * n + i] = ((const float *)bias)[p % maps];
            else
                ((double *)out)[p * n + i] = ((const double *)bias)[p % maps];
        }
}

static void convert_output(const struct op_run *run, const struct conv_state *state,
                           const struct conv_operands *o)
{
    const onnxd_tensor *out = run->out[0];
    if (state->out_bytes > 0)
        elements_store(state->lane, out->type, out->data, 0, onnxd_tensor_n_elements(out), o->out);
}

/* ---- Conv ------------------------------------------------------------------------------------------- */

static onnxd_status shapes_conv(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_FLOAT, err);
    return status == ONNXD_OK ? conv_infer(s, 0, 1, 2, s->in[0]->type, err) : status;
}

static onnxd_status run_direct(struct op_run *run, onnxd_error *err);
static onnxd_status run_flat(struct op_run *run, onnxd_error *err);

static size_t flat_bytes(const struct conv_shape *c, const struct conv_flat *flat)
{
    return (size_t)(flat->padded + (c->k + c->maps) * flat->columns) * sizeof(float);
}

static onnxd_status prepare_conv(struct op_plan *plan, onnxd_error *err)
{
    struct conv_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK)
        status = conv_plan(plan->node, plan->in[0], plan->in[1], plan->out[0], &state->shape, err);
    if (status != ONNXD_OK) return status;
    const struct conv_shape *c = &state->shape;
    state->lane = lane_of(plan->in[0]->type);
    state->x_bytes = room_for(state->lane, plan->in[0]);
    state->w_bytes = room_for(state->lane, plan->in[1]);
    state->b_bytes = tensor_given(plan->in, plan->n_in, 2) ? room_for(state->lane, plan->in[2]) : 0;
    state->out_bytes = room_for(state->lane, plan->out[0]);
    plan->workspace_bytes = matrix_scratch_bytes() + state->x_bytes + state->w_bytes + state->b_bytes +
                            state->out_bytes;
    if (state->lane == LANE_F32 && c->maps <= DIRECT_MAPS && !c->pointwise)
        plan->run = run_direct;
    else if (state->lane == LANE_F32 && !c->pointwise && conv_flat_plan(c, &state->flat)) {
        plan->run = run_flat;
        plan->workspace_bytes += flat_bytes(c, &state->flat);
    } else if (!c->pointwise)
        plan->workspace_bytes += (size_t)(c->k * c->columns) * lane_size(state->lane);
    return ONNXD_OK;
}

static onnxd_status run_conv(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct conv_state *state = run->state;
    const struct conv_shape *c = &state->shape;
    struct conv_operands o = take_operands(run, state);
    int64_t size = (int64_t)lane_size(state->lane);
    const uint64_t zero = 0;
    struct matrix_product m = {
        .lane = state->lane, .m = c->maps, .k = c->k, .lda = c->k, .ldc = c->positions, .add = true};
    put_bias(state->lane, o.out, o.b, c->batch * c->groups * c->maps, c->groups * c->maps, c->positions);
    for (int64_t i = 0; i < c->batch * c->groups; i++) {
        const char *x = o.x + i * c->image.channels * c->plane * size;
        m.a = o.w + i % c->groups * c->maps * c->k * size;
        char *out = o.out + i * c->maps * c->positions * size;
        for (int64_t first = 0; first < c->positions; first += c->columns) {
            m.n = c->positions - first < c->columns ? c->positions - first : c->columns;
            m.c = out + first * size;
            if (c->pointwise) {
                m.b = x + first * size;
                m.ldb = c->plane;
            } else {
                im2col(&c->image, (size_t)size, x, first, m.n, &zero, o.columns);
                m.b = o.columns;
                m.ldb = m.n;
            }
            matrix_multiply(&m, o.scratch);
        }
    }
    convert_output(run, state, &o);
    return ONNXD_OK;
}

/* ---- strides of 1 -------------------------------------------------------------------------------------- */

static void add_bias(float *out, const float *bias, const struct conv_shape *c)
{
    for (int64_t map = 0; map < c->maps; map++, out += c->positions)
        for (int64_t i = 0; i < c->positions; i++) out[i] += bias[map];
}

static onnxd_status run_flat(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct conv_state *state = run->state;
    const struct conv_shape *c = &state->shape;
    const struct conv_flat *flat = &state->flat;
    struct conv_operands o = take_operands(run, state);
    float *padded = (float *)(void *)o.columns, *columns = padded + flat->padded;
    float *sums = columns + c->k * flat->columns;
    for (int64_t i = 0; i < c->batch * c->groups; i++) {
        int64_t group = i % c->groups;
        const float *x = (const float *)(const void *)o.x + i * c->image.channels * c->plane;
        float *out = (float *)(void *)o.out + i * c->maps * c->positions;
        if (flat->padded > 0) conv_flat_pad(c, flat, x, 0, padded);
        for (int64_t first = 0; first < flat->n; first += flat->columns) {
            int64_t n = flat->n - first < flat->columns ? flat->n - first : flat->columns;
            const struct matrix_product m = {.lane = LANE_F32,
                                             .m = c->maps,
                                             .n = n,
                                             .k = c->k,
                                             .a = (const float *)(const void *)o.w + group * c->maps * c->k,
                                             .lda = c->k,
                                             .b = columns,
                                             .ldb = n,
                                             .c = sums,
                                             .ldc = n};
            conv_flat_columns(c, flat, flat->padded > 0 ? padded : x, first, n, columns);
            matrix_multiply(&m, o.scratch);
            conv_flat_store(c, flat, sums, first, n, out);
        }
        if (o.b != NULL) add_bias(out, (const float *)(const void *)o.b + group * c->maps, c);
    }
    convert_output(run, state, &o);
    return ONNXD_OK;
}

/* ---- few maps: weighted sums of shifted rows --------------------------------------------- */

/* Adds w * row of the image to a row of outputs. */
static void add_row(const struct image *image, float w, const float *line, int64_t tap, float *out)
{
    const struct window *win = &image->window;
    int64_t stride = win->stride[2], start = tap * win->dilation[2] - win->begin[2];
    int64_t from = start < 0 ? (-start + stride - 1) / stride : 0;
    int64_t to = image->in[2] > start ? (image->in[2] - start + stride - 1) / stride : 0;
    if (to > image->out[2]) to = image->out[2];
    if (stride == 1) {
        LOOP_INDEPENDENT
        for (int64_t i = from; i < to; i++) out[i] += w * line[i + start];
    } else {
        for (int64_t i = from; i < to; i++) out[i] += w * line[i * stride + start];
    }
}

static void sum_plane(const struct image *image, const float *w, const float *x, float *out)
{
    const struct window *win = &image->window;
    for (int64_t y0 = 0; y0 < image->out[0]; y0++)
        for (int64_t y1 = 0; y1 < image->out[1]; y1++, out += image->out[2]) {
            int64_t first0, last0, first1, last1;
            window_taps(win, 0, y0, image->in[0], &first0, &last0);
            window_taps(win, 1, y1, image->in[1], &first1, &last1);
            for (int64_t k0 = first0; k0 < last0; k0++)
                for (int64_t k1 = first1; k1 < last1; k1++) {
                    int64_t at0 = y0 * win->stride[0] - win->begin[0] + k0 * win->dilation[0];
                    int64_t at1 = y1 * win->stride[1] - win->begin[1] + k1 * win->dilation[1];
                    const float *line = x + (at0 * image->in[1] + at1) * image->in[2];
                    const float *taps = w + (k0 * win->kernel[1] + k1) * win->kernel[2];
                    for (int64_t k2 = 0; k2 < win->kernel[2]; k2++) add_row(image, taps[k2], line, k2, out);
                }
        }
}

static onnxd_status run_direct(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct conv_state *state = run->state;
    const struct conv_shape *c = &state->shape;
    struct conv_operands o = take_operands(run, state);
    int64_t all_maps = c->groups * c->maps;
    put_bias(LANE_F32, o.out, o.b, c->batch * all_maps, all_maps, c->positions);
    int64_t volume = window_volume(c->image.window.kernel);
    for (int64_t i = 0; i < c->batch * all_maps; i++) {
        const float *w = (const float *)o.w + i % all_maps * c->k;
        const float *x = (const float *)o.x + i / c->maps * c->image.channels * c->plane;
        for (int64_t channel = 0; channel < c->image.channels; channel++)
            sum_plane(&c->image, w + channel * volume, x + channel * c->plane,
                      (float *)o.out + i * c->positions);
    }
    convert_output(run, state, &o);
    return ONNXD_OK;
}

/* ---- ConvTranspose ---------------------------------------------------------------------------------- */

/* Output sizes and pads: output = stride * (in - 1) + output_padding + reach - pads, or output_shape. */
static onnxd_status transposed_axis(const struct node *node, struct window *w, uint32_t i, struct dim in,
                                    struct dim *ret, onnxd_error *err)
{
    size_t n_shape, n_padding;
    const int64_t *shape = node_attribute_ints(node, "output_shape", &n_shape);
    const int64_t *padding = node_attribute_ints(node, "output_padding", &n_padding);
    uint32_t k = WINDOW_AXES - w->n + i;
    int64_t extra = padding != NULL && i < n_padding ? padding[i] : 0;
    int64_t reach = (w->kernel[k] - 1) * w->dilation[k] + 1;
    *ret = dim_unknown();
    if (n_shape == w->n + 2) shape += 2; /* some exporters give N and C as well */
    bool same = w->auto_pad == PAD_SAME_UPPER || w->auto_pad == PAD_SAME_LOWER;
    if (shape != NULL && n_shape >= w->n) *ret = dim_constant(shape[i]);
    if (!dim_is_constant(in) || w->kernel[k] < 0) return ONNXD_OK;
    int64_t full = w->stride[k] * (in.n - 1) + extra + reach;
    if (shape == NULL && !same) {
        *ret = dim_constant(full - w->begin[k] - w->end[k]);
    } else {
        int64_t want = shape != NULL ? shape[i] : in.n * w->stride[k], total = full - want;
        *ret = dim_constant(want);
        if (total < 0) total = 0;
        w->begin[k] = w->auto_pad == PAD_SAME_UPPER ? total / 2 : total - total / 2;
        w->end[k] = total - w->begin[k];
    }
    if (ret->n < 0 || in.n < 1 || extra < 0)
        return op_error(err, node, ONNXD_ERR_SHAPE, "pads leave an output of size %lld on axis %u",
                        (long long)ret->n, i);
    return ONNXD_OK;
}

static onnxd_status shapes_transposed(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *x = s->in[0], *w = s->in[1];
    int64_t groups = node_attribute_int(s->node, "group", 1), kernel[ONNXD_MAX_RANK];
    struct dim dims[ONNXD_MAX_RANK];
    struct window window;
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, x->type);
    if (groups < 1 || groups > 1 << 24)
        return op_error(err, s->node, ONNXD_ERR_MODEL, "attribute 'group' is %lld", (long long)groups);
    if (x->rank < 0 || w->rank < 0) return ONNXD_OK;
    status = infer_rank(s, 1, x->rank, err);
    if (status != ONNXD_OK) return status;
    if (x->rank >= 2 &&
        (dim_differs(x->dims[1], w->dims[0]) || (dim_is_constant(w->dims[0]) && w->dims[0].n % groups != 0)))
        return op_error(err, s->node, ONNXD_ERR_SHAPE,
                        "input has %lld channels, the weights want %lld in %lld groups",
                        (long long)x->dims[1].n, (long long)w->dims[0].n, (long long)groups);
    for (int32_t i = 2; i < w->rank; i++) kernel[i - 2] = dim_is_constant(w->dims[i]) ? w->dims[i].n : -1;
    status = window_read(s->node, x->rank, kernel, &window, err);
    dims[0] = x->dims[0];
    dims[1] = dim_mul(w->dims[1], dim_constant(groups));
    for (uint32_t i = 0; status == ONNXD_OK && i < window.n; i++)
        status = transposed_axis(s->node, &window, i, x->dims[2 + i], &dims[2 + i], err);
    if (status == ONNXD_OK) shapes_set(s, 0, x->type, x->rank, dims);
    if (status == ONNXD_OK && shapes_known(s, 2) && dim_differs(value_info_n_elements(s->in[2]), dims[1]))
        status = op_error(err, s->node, ONNXD_ERR_SHAPE, "bias has not one element for each map");
    return status;
}

/* The output is the image; the input's elements are the positions. */
static onnxd_status prepare_transposed(struct op_plan *plan, onnxd_error *err)
{
    struct conv_state *state;
    const onnxd_tensor *x = plan->in[0], *w = plan->in[1], *out = plan->out[0];
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    struct conv_shape *c = &state->shape;
    if (status == ONNXD_OK)
        status = window_read(plan->node, (int32_t)x->rank, w->dims + 2, &c->image.window, err);
    struct window *window = &c->image.window;
    for (uint32_t i = 0; status == ONNXD_OK && i < window->n; i++) {
        struct dim unused;
        status = transposed_axis(plan->node, window, i, dim_constant(x->dims[2 + i]), &unused, err);
    }
    if (status != ONNXD_OK) return status;
    window->auto_pad = PAD_NOTSET;
    window_fix(window, out, x, c->image.in, c->image.out);
    c->batch = x->dims[0];
    c->groups = node_attribute_int(plan->node, "group", 1);
    c->maps = w->dims[1];
    c->image.channels = c->maps;
    c->k = c->maps * window_volume(window->kernel);
    c->positions = window_volume(c->image.out);
    c->plane = window_volume(c->image.in);
    c->columns = conv_columns(c->k, c->positions);
    state->lane = lane_of(x->type);
    state->x_bytes = room_for(state->lane, x);
    state->w_bytes = room_for(state->lane, w);
    state->b_bytes = tensor_given(plan->in, plan->n_in, 2) ? room_for(state->lane, plan->in[2]) : 0;
    state->out_bytes = room_for(state->lane, out);
    plan->workspace_bytes = matrix_scratch_bytes() + state->x_bytes + state->w_bytes + state->b_bytes +
                            state->out_bytes + (size_t)(c->k * c->columns) * lane_size(state->lane);
    return ONNXD_OK;
}

static onnxd_status run_transposed(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct conv_state *state = run->state;
    const struct conv_shape *c = &state->shape;
    struct conv_operands o = take_operands(run, state);
    int64_t size = (int64_t)lane_size(state->lane), channels = run->in[1]->dims[0] / c->groups;
    struct matrix_product m = {.lane = state->lane,
                               .m = c->k,
                               .k = channels,
                               .lda = c->k,
                               .a_transposed = true,
                               .ldb = c->positions,
                               .c = o.columns};
    put_bias(state->lane, o.out, o.b, c->batch * c->groups * c->maps, c->groups * c->maps, c->plane);
    for (int64_t i = 0; i < c->batch * c->groups; i++) {
        m.a = o.w + i % c->groups * channels * c->k * size;
        for (int64_t first = 0; first < c->positions; first += c->columns) {
            m.n = m.ldc = c->positions - first < c->columns ? c->positions - first : c->columns;
            m.b = o.x + (i * channels * c->positions + first) * size;
            matrix_multiply(&m, o.scratch);
            col2im(&c->image, state->lane, o.columns, first, m.n, o.out + i * c->maps * c->plane * size);
        }
    }
    convert_output(run, state, &o);
    return ONNXD_OK;
}

const struct op_def ops_conv[] = {
    {"", "Conv", 1, OP_LATEST, 2, 3, 1, 1, 0, window_check, shapes_conv, NULL, prepare_conv, run_conv},
    {"", "ConvTranspose", 1, OP_LATEST, 2, 3, 1, 1, 0, window_check, shapes_transposed, NULL,
     prepare_transposed, run_transposed},
    {0},
};
