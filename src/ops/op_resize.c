/* Resize and Upsample in every mode. Axes are independent: each has a table of taps, input elements and
 * their weights for every output element, and is resized on its own, outermost first.
 * Source: ONNX operator specification, ai.onnx; Keys 1981 for cubic weights. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/lines.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear", NULL};
enum { NEAREST, LINEAR, CUBIC, BILINEAR };

static const char *const transformations[] = {
    "half_pixel",         "asymmetric",           "align_corners",        "pytorch_half_pixel",
    "tf_crop_and_resize", "tf_half_pixel_for_nn", "half_pixel_symmetric", NULL};
enum {
    HALF_PIXEL,
    ASYMMETRIC,
    ALIGN_CORNERS,
    PYTORCH_HALF_PIXEL,
    TF_CROP_AND_RESIZE,
    TF_HALF_PIXEL_FOR_NN,
    HALF_PIXEL_SYMMETRIC
};

static const char *const nearest_modes[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
enum { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };

static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};

/* ---- check ------------------------------------------------------------------------------------------ */

/* Before opset 11 there is one way: coordinates are divided by the scale, the nearest is the lower one. */
static bool is_old(const struct node *node)
{
    return strcmp(node->op_type, "Upsample") == 0 || node->opset < 11;
}

static onnxd_status check_resize(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_attributes(node, err);
    if (status == ONNXD_OK) status = check_word(node, "mode", modes, err);
    if (status == ONNXD_OK) status = check_word(node, "coordinate_transformation_mode", transformations, err);
    if (status == ONNXD_OK) status = check_word(node, "nearest_mode", nearest_modes, err);
    if (status == ONNXD_OK) status = check_word(node, "keep_aspect_ratio_policy", policies, err);
    return status;
}

/* ---- sizes and scales --------------------------------------------------------------------------------- */

struct resizing {
    bool known;
    double scale[ONNXD_MAX_RANK];
    struct dim out[ONNXD_MAX_RANK];
};

/* Inputs that hold scales and sizes; GRAPH_NONE: none. */
static void find_inputs(const struct node *node, uint32_t *scales, uint32_t *sizes)
{
    bool upsample = strcmp(node->op_type, "Upsample") == 0;
    *sizes = is_old(node) ? GRAPH_NONE : 3;
    *scales = upsample ? (node->opset >= 9 ? 1 : GRAPH_NONE) : is_old(node) ? 1 : 2;
}

static bool is_filled(const onnxd_tensor *tensor)
{
    return tensor != NULL && onnxd_tensor_n_elements(tensor) > 0;
}

/* Axes that the lists speak of: attribute from opset 18 on, else all. */
static onnxd_status find_axes(const struct node *node, uint32_t rank, uint32_t *axes, uint32_t *ret_n,
                              onnxd_error *err)
{
    size_t n;
    const int64_t *given = node_attribute_ints(node, "axes", &n);
    bool marked[ONNXD_MAX_RANK];
    *ret_n = given != NULL ? (uint32_t)n : rank;
    for (uint32_t i = 0; i < rank; i++) axes[i] = i;
    if (given == NULL) return ONNXD_OK;
    onnxd_status status = op_mark_axes(node, given, n, rank, marked, err);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++)
        status = op_axis(node, given[i], rank, &axes[i], err);
    return status;
}

static onnxd_status apply_scale(const struct node *node, struct dim in, double scale, struct dim *ret,
                                onnxd_error *err)
{
    if (!(scale > 0) || scale > 1e12) return op_error(err, node, ONNXD_ERR_RANGE, "scales holds %g", scale);
    *ret = scale == floor(scale) ? dim_mul(in, dim_constant((int64_t)scale)) : dim_unknown();
    if (!dim_is_constant(in)) return ONNXD_OK;
    double size = floor((double)((float)in.n * (float)scale)); /* as frameworks compute it */
    if (size > (double)SHAPE_MAX_ELEMENTS)
        return op_error(err, node, ONNXD_ERR_LIMIT, "an output axis would have %g elements", size);
    *ret = dim_constant((int64_t)size);
    return ONNXD_OK;
}

/* One scale for all named axes, so that the proportions stay. */
static void keep_aspect(const struct node *node, const struct dim *in, const uint32_t *axes, uint32_t n,
                        struct resizing *r)
{
    int policy = attribute_word(node, "keep_aspect_ratio_policy", policies, 0);
    if (policy <= 0) return;
    double scale = policy == 1 ? HUGE_VAL : 0;
    for (uint32_t i = 0; i < n; i++)
        scale = policy == 1 ? fmin(scale, r->scale[axes[i]]) : fmax(scale, r->scale[axes[i]]);
    for (uint32_t i = 0; i < n; i++) {
        r->scale[axes[i]] = scale;
        r->out[axes[i]] = dim_constant((int64_t)floor(scale * (double)in[axes[i]].n + 0.5));
    }
}

static onnxd_status read_sizes(const struct node *node, const struct dim *in, const struct dim *sizes,
                               uint32_t n_sizes, const uint32_t *axes, uint32_t n, struct resizing *r,
                               onnxd_error *err)
{
    if (n_sizes != n)
        return op_error(err, node, ONNXD_ERR_SHAPE, "sizes has %u elements, expected %u", n_sizes, n);
    bool exact = true;
    for (uint32_t i = 0; i < n; i++) {
        if (dim_is_known(sizes[i]) && (sizes[i].n < 0 || sizes[i].n > SHAPE_MAX_ELEMENTS))
            return op_error(err, node, ONNXD_ERR_RANGE, "sizes holds %lld", (long long)sizes[i].n);
        r->out[axes[i]] = sizes[i];
        exact = exact && dim_is_constant(sizes[i]) && dim_is_constant(in[axes[i]]) && in[axes[i]].n > 0;
        if (exact) r->scale[axes[i]] = (double)sizes[i].n / (double)in[axes[i]].n;
    }
    if (exact) keep_aspect(node, in, axes, n, r);
    r->known = true;
    return ONNXD_OK;
}

static onnxd_status read_scales(const struct node *node, const struct dim *in, const onnxd_tensor *scales,
                                const uint32_t *axes, uint32_t n, struct resizing *r, onnxd_error *err)
{
    if (scales->type != ONNXD_FLOAT32)
        return op_error(err, node, ONNXD_ERR_TYPE, "scales has type %s, expected float32",
                        onnxd_type_name(scales->type));
    if (onnxd_tensor_n_elements(scales) != n)
        return op_error(err, node, ONNXD_ERR_SHAPE, "scales has %lld elements, expected %u",
                        (long long)onnxd_tensor_n_elements(scales), n);
    for (uint32_t i = 0; i < n; i++) {
        r->scale[axes[i]] = (double)((const float *)scales->data)[i];
        onnxd_status status = apply_scale(node, in[axes[i]], r->scale[axes[i]], &r->out[axes[i]], err);
        if (status != ONNXD_OK) return status;
    }
    r->known = true;
    return ONNXD_OK;
}

/* Upsample before opset 9: attribute scales, or in opset 1 height_scale and width_scale. */
static onnxd_status read_scale_attributes(const struct node *node, const struct dim *in, uint32_t rank,
                                          const uint32_t *axes, struct resizing *r, onnxd_error *err)
{
    size_t n;
    const float *given = node_attribute_floats(node, "scales", &n);
    float pair[ONNXD_MAX_RANK] = {1, 1, 1, 1};
    if (given == NULL && rank == 4) {
        pair[2] = node_attribute_float(node, "height_scale", 0);
        pair[3] = node_attribute_float(node, "width_scale", 0);
        given = pair;
        n = 4;
    }
    if (given == NULL) return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'scales' is missing");
    onnxd_tensor list = {.type = ONNXD_FLOAT32, .rank = 1, .dims = {(int64_t)n}};
    float copy[ONNXD_MAX_RANK];
    if (n > ONNXD_MAX_RANK) return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'scales' is too long");
    memcpy(copy, given, n * sizeof *copy);
    list.data = copy;
    return read_scales(node, in, &list, axes, rank, r, err);
}

static onnxd_status shapes_resize(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    uint32_t scales, sizes, axes[ONNXD_MAX_RANK], n, n_sizes;
    struct resizing r = {.known = false};
    const struct dim *given;
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    memcpy(r.out, in->dims, sizeof r.out);
    find_inputs(s->node, &scales, &sizes);
    status = find_axes(s->node, (uint32_t)in->rank, axes, &n, err);
    if (status != ONNXD_OK) return status;
    if (scales == GRAPH_NONE) {
        status = read_scale_attributes(s->node, in->dims, (uint32_t)in->rank, axes, &r, err);
    } else if (sizes != GRAPH_NONE && shapes_has(s, sizes) && infer_contents(s, sizes, &given, &n_sizes) &&
               n_sizes > 0) {
        status = read_sizes(s->node, in->dims, given, n_sizes, axes, n, &r, err);
    } else if (shapes_has(s, scales) && is_filled(s->in[scales]->constant)) {
        status = read_scales(s->node, in->dims, s->in[scales]->constant, axes, n, &r, err);
    } else if (!shapes_has(s, scales) && (sizes == GRAPH_NONE || !shapes_has(s, sizes))) {
        status = op_error(err, s->node, ONNXD_ERR_MODEL, "neither scales nor sizes are given");
    }
    if (status != ONNXD_OK) return status;
    if (!r.known) infer_unknown_dims(r.out, in->rank);
    shapes_set(s, 0, in->type, in->rank, r.out);
    return ONNXD_OK;
}

/* ---- coordinates --------------------------------------------------------------------------------------- */

struct axis_plan {
    int64_t in, out;
    double scale, roi_start, roi_end;
};

static double original(const struct axis_plan *a, int transformation, int64_t i)
{
    double x = (double)i, in = (double)a->in, out = (double)a->out, adjustment;
    switch (transformation) {
    case ASYMMETRIC: return x / a->scale;
    case ALIGN_CORNERS: return a->out == 1 ? 0 : x * (in - 1) / (out - 1);
    case PYTORCH_HALF_PIXEL: return a->out == 1 ? -0.5 : (x + 0.5) / a->scale - 0.5;
    case TF_HALF_PIXEL_FOR_NN: return (x + 0.5) / a->scale;
    case TF_CROP_AND_RESIZE:
        if (a->out == 1) return (a->roi_start + a->roi_end) * (in - 1) / 2;
        return a->roi_start * (in - 1) + x * (a->roi_end - a->roi_start) * (in - 1) / (out - 1);
    case HALF_PIXEL_SYMMETRIC:
        adjustment = out / (in * a->scale);
        return in / 2 * (1 - adjustment) + (x + 0.5) / a->scale - 0.5;
    default: return (x + 0.5) / a->scale - 0.5;
    }
}

static double nearest_of(double x, int mode)
{
    switch (mode) {
    case ROUND_PREFER_FLOOR: return ceil(x - 0.5);
    case ROUND_PREFER_CEIL: return floor(x + 0.5);
    case CEIL: return ceil(x);
    default: return floor(x);
    }
}

static double filter(int mode, double a, double x)
{
    x = fabs(x);
    if (mode != CUBIC) return x < 1 ? 1 - x : 0;
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

static int64_t clamp_index(double x, int64_t n)
{
    return !(x >= 0) ? 0 : x > (double)(n - 1) ? n - 1 : (int64_t)x;
}

/* ---- programs --------------------------------------------------------------------------------------- */

struct resize_state {
    int mode, transformation, nearest_mode;
    bool antialias, excludes_outside;
    double a, extrapolation;
    size_t room;                  /* bytes of one of the two buffers */
    int64_t taps[ONNXD_MAX_RANK]; /* for each output element of an axis; 0: the axis stays */
};

struct tap {
    int64_t index;
    double weight;
};

/* Taps that an axis needs at most; smoothing reaches as far as the image shrinks. */
static int64_t count_taps(const struct resize_state *state, int64_t in, int64_t out)
{
    int64_t reach = state->mode == CUBIC ? 2 : 1;
    if (state->mode == NEAREST) return 1;
    if (state->antialias && out > 0 && in > out) reach = reach * (in / out + 1) + 1;
    return 2 * reach;
}

static onnxd_status run_nearest(struct op_run *run, onnxd_error *err);

static onnxd_status prepare_resize(struct op_plan *plan, onnxd_error *err)
{
    struct resize_state *state;
    const struct node *node = plan->node;
    const onnxd_tensor *in = plan->in[0], *out = plan->out[0];
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    state->mode = attribute_word(node, "mode", modes, NEAREST);
    if (state->mode == BILINEAR) state->mode = LINEAR;
    state->transformation = is_old(node) ? ASYMMETRIC
                                         : attribute_word(node, "coordinate_transformation_mode",
                                                          transformations, HALF_PIXEL);
    state->nearest_mode = is_old(node)
                              ? FLOOR
                              : attribute_word(node, "nearest_mode", nearest_modes, ROUND_PREFER_FLOOR);
    state->antialias = node_attribute_int(node, "antialias", 0) != 0;
    state->excludes_outside = node_attribute_int(node, "exclude_outside", 0) != 0;
    state->a = (double)node_attribute_float(node, "cubic_coeff_a", -0.75f);
    state->extrapolation = (double)node_attribute_float(node, "extrapolation_value", 0);
    if (state->mode != NEAREST && lane_of(in->type) == LANE_NONE)
        return op_error(err, node, ONNXD_ERR_TYPE, "input 0 has type %s", onnxd_type_name(in->type));
    size_t tables = 0;
    int64_t mixed = onnxd_tensor_n_elements(in), most = mixed;
    for (uint32_t i = 0; i < in->rank; i++) {
        bool crops = state->transformation == TF_CROP_AND_RESIZE;
        state->taps[i] = in->dims[i] == out->dims[i] && !crops ? 0
                                                               : count_taps(state, in->dims[i], out->dims[i]);
        if (in->dims[i] == 0 && out->dims[i] > 0)
            return op_error(err, node, ONNXD_ERR_SHAPE, "axis %u is empty and cannot grow", i);
        tables += (size_t)(state->mode == NEAREST ? 1 : state->taps[i]) * (size_t)out->dims[i] *
                  sizeof(struct tap);
        if (in->dims[i] > 0) mixed = mixed / in->dims[i] * out->dims[i];
        if (mixed < 0 || mixed > SHAPE_MAX_ELEMENTS)
            return op_error(err, node, ONNXD_ERR_LIMIT, "intermediate results are too large");
        if (mixed > most) most = mixed;
    }
    if (state->mode == NEAREST) plan->run = run_nearest;
    state->room = state->mode == NEAREST ? 0 : (size_t)most * sizeof(double);
    plan->workspace_bytes = 2 * state->room + tables;
    return ONNXD_OK;
}

/* Scale and region of every axis, from the inputs of this run. */
static onnxd_status plan_axes(const struct op_run *run, struct axis_plan *plans, onnxd_error *err)
{
    const struct node *node = run->node;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    uint32_t scales, sizes, axes[ONNXD_MAX_RANK], n;
    struct resizing r = {.known = false};
    struct dim dims[ONNXD_MAX_RANK];
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = dim_constant(in->dims[i]);
        r.scale[i] = 1;
    }
    find_inputs(node, &scales, &sizes);
    onnxd_status status = find_axes(node, in->rank, axes, &n, err);
    if (status != ONNXD_OK) return status;
    if (scales == GRAPH_NONE) {
        status = read_scale_attributes(node, dims, in->rank, axes, &r, err);
    } else if (sizes != GRAPH_NONE && tensor_given(run->in, run->n_in, sizes) && is_filled(run->in[sizes])) {
        struct dim want[ONNXD_MAX_RANK];
        int64_t n_sizes = onnxd_tensor_n_elements(run->in[sizes]);
        for (int64_t i = 0; i < n_sizes && i < ONNXD_MAX_RANK; i++)
            want[i] = dim_constant(element_i64(run->in[sizes], i));
        status = read_sizes(node, dims, want, (uint32_t)n_sizes, axes, n, &r, err);
    } else {
        status = read_scales(node, dims, run->in[scales], axes, n, &r, err);
    }
    for (uint32_t i = 0; i < in->rank && status == ONNXD_OK; i++)
        plans[i] = (struct axis_plan){in->dims[i], out->dims[i], r.scale[i], 0, 1};
    const onnxd_tensor *roi = !is_old(node) && tensor_given(run->in, run->n_in, 1) ? run->in[1] : NULL;
    if (status == ONNXD_OK && is_filled(roi) && onnxd_tensor_n_elements(roi) == 2 * (int64_t)n)
        for (uint32_t i = 0; i < n; i++) {
            plans[axes[i]].roi_start = element_f64(roi, i);
            plans[axes[i]].roi_end = element_f64(roi, i + n);
        }
    return status;
}

static bool is_outside(const struct resize_state *state, const struct axis_plan *a, double x)
{
    return state->transformation == TF_CROP_AND_RESIZE && (x < 0 || x > (double)(a->in - 1));
}

/* ---- nearest: elements are copied whatever their type ---------------------------------------------------
 */

struct nearest {
    const int64_t *tables[ONNXD_MAX_RANK]; /* input index, -1: outside */
    int64_t strides[ONNXD_MAX_RANK];
    const onnxd_tensor *out;
    size_t size;
    const char *fill;
};

static char *copy_axis(const struct nearest *p, uint32_t axis, const char *from, char *to)
{
    int64_t n = p->out->dims[axis];
    bool inner = axis + 1 == p->out->rank;
    for (int64_t i = 0; i < n; i++) {
        int64_t index = p->tables[axis][i];
        const char *at = from == NULL || index < 0 ? NULL
                                                   : from + index * p->strides[axis] * (int64_t)p->size;
        if (inner) {
            memcpy(to, at != NULL ? at : p->fill, p->size);
            to += p->size;
        } else {
            to = copy_axis(p, axis + 1, at, to);
        }
    }
    return to;
}

static onnxd_status run_nearest(struct op_run *run, onnxd_error *err)
{
    const struct resize_state *state = run->state;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    struct axis_plan axes[ONNXD_MAX_RANK];
    onnxd_status status = plan_axes(run, axes, err);
    if (status != ONNXD_OK || onnxd_tensor_n_elements(out) == 0) return status;
    int64_t *next = run->workspace;
    char fill[16] = {0};
    struct nearest p = {.out = out, .size = type_size(in->type), .fill = fill};
    if (lane_of(in->type) != LANE_NONE) elements_store(LANE_F64, in->type, fill, 0, 1, &state->extrapolation);
    shape_strides(in->dims, in->rank, p.strides);
    for (uint32_t k = 0; k < in->rank; k++) {
        p.tables[k] = next;
        for (int64_t i = 0; i < axes[k].out; i++) {
            double x = original(&axes[k], state->transformation, i);
            bool stays = state->taps[k] == 0;
            *next++ = stays ? i
                      : is_outside(state, &axes[k], x)
                          ? -1
                          : clamp_index(nearest_of(x, state->nearest_mode), axes[k].in);
        }
    }
    if (out->rank == 0)
        memcpy(out->data, in->data, p.size);
    else
        copy_axis(&p, 0, in->data, out->data);
    return ONNXD_OK;
}

/* ---- linear and cubic -----------------------------------------------------------------------------------
 */

/* Taps of output element i; a first index of -1 says that it lies outside of the region. */
static void find_taps(const struct resize_state *state, const struct axis_plan *a, int64_t i, int64_t n,
                      struct tap *taps)
{
    double x = original(a, state->transformation, i), base = floor(x), sum = 0;
    double smooth = state->antialias && a->scale < 1 ? a->scale : 1;
    double start = floor((state->mode == CUBIC ? -2 : -1) / smooth) + 1;
    int64_t used = (int64_t)(2 - 2 * start);
    for (int64_t k = 0; k < n; k++) taps[k] = (struct tap){0, 0};
    if (used > n) used = n;
    for (int64_t k = 0; k < used; k++) {
        double at = base + start + (double)k;
        bool outside = at < 0 || at > (double)(a->in - 1);
        taps[k].index = clamp_index(at, a->in);
        taps[k].weight = state->excludes_outside && outside
                             ? 0
                             : filter(state->mode, state->a, (at - x) * smooth);
        sum += taps[k].weight;
    }
    for (int64_t k = 0; k < used && sum != 0; k++) taps[k].weight /= sum;
    if (is_outside(state, a, x)) taps[0].index = -1;
}

static void resize_line(const struct tap *taps, int64_t n_taps, const double *from, int64_t inner,
                        double outside, double *to)
{
    if (taps[0].index < 0) {
        for (int64_t j = 0; j < inner; j++) to[j] = outside;
        return;
    }
    memset(to, 0, (size_t)inner * sizeof *to);
    for (int64_t k = 0; k < n_taps; k++) {
        const double weight = taps[k].weight, *line = from + taps[k].index * inner;
        if (weight == 0) continue;
        for (int64_t j = 0; j < inner; j++) to[j] += weight * line[j];
    }
}

static onnxd_status run_resize(struct op_run *run, onnxd_error *err)
{
    const struct resize_state *state = run->state;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    struct axis_plan axes[ONNXD_MAX_RANK];
    onnxd_status status = plan_axes(run, axes, err);
    if (status != ONNXD_OK || onnxd_tensor_n_elements(out) == 0) return status;
    double *from = run->workspace, *to = (double *)((char *)run->workspace + state->room);
    struct tap *taps = (struct tap *)((char *)run->workspace + 2 * state->room);
    onnxd_tensor shape = *in;
    elements_load(LANE_F64, in->type, in->data, 0, 1, onnxd_tensor_n_elements(in), from);
    for (uint32_t k = 0; k < in->rank; k++) {
        if (state->taps[k] == 0) continue;
        struct lines l = lines_of(&shape, k);
        for (int64_t i = 0; i < axes[k].out; i++)
            find_taps(state, &axes[k], i, state->taps[k], taps + i * state->taps[k]);
        for (int64_t o = 0; o < l.outer; o++)
            for (int64_t i = 0; i < axes[k].out; i++)
                resize_line(taps + i * state->taps[k], state->taps[k], from + o * l.n * l.inner, l.inner,
                            state->extrapolation, to + (o * axes[k].out + i) * l.inner);
        shape.dims[k] = axes[k].out;
        double *swap = from;
        from = to;
        to = swap;
    }
    elements_store(LANE_F64, out->type, out->data, 0, onnxd_tensor_n_elements(out), from);
    return ONNXD_OK;
}

const struct op_def ops_resize[] = {
    {"", "Resize", 10, 11, 2, 2, 1, 1, 0, check_resize, shapes_resize, NULL, prepare_resize, run_resize},
    {"", "Resize", 11, OP_LATEST, 1, 4, 1, 1, 0, check_resize, shapes_resize, NULL, prepare_resize,
     run_resize},
    {"", "Upsample", 1, 9, 1, 1, 1, 1, 0, NULL, shapes_resize, NULL, prepare_resize, run_resize},
    {"", "Upsample", 9, OP_LATEST, 2, 2, 1, 1, 0, check_resize, shapes_resize, NULL, prepare_resize,
     run_resize},
    {0},
};
