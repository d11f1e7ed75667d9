/* MaxPool, AveragePool, LpPool and MaxUnpool of one to three spatial axes.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/indices.h"
#include "ops/infer.h"
#include "ops/matrix.h"
#include "ops/max_pool.h"
#include "ops/window.h"
#include "tensor/dtype.h"

static bool is_named(const struct node *node, const char *name)
{
    return strcmp(node->op_type, name) == 0;
}

/* ---- shapes ----------------------------------------------------------------------------------------- */

static onnxd_status shapes_pool(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    uint32_t types = TYPES_FLOAT;
    struct dim dims[ONNXD_MAX_RANK];
    struct window window;
    if (is_named(s->node, "MaxPool")) types |= TYPE_BIT(ONNXD_INT8) | TYPE_BIT(ONNXD_UINT8);
    onnxd_status status = infer_type(s, 0, types, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    shapes_set_type(s, 1, ONNXD_INT64);
    if (in->rank < 0) return ONNXD_OK;
    status = window_read(s->node, in->rank, NULL, &window, err);
    dims[0] = in->dims[0];
    dims[1] = in->dims[1];
    for (uint32_t i = 0; status == ONNXD_OK && i < window.n; i++)
        status = window_output(&window, s->node, i, in->dims[2 + i], &dims[2 + i], err);
    if (status != ONNXD_OK) return status;
    shapes_set(s, 0, in->type, in->rank, dims);
    shapes_set(s, 1, ONNXD_INT64, in->rank, dims);
    return ONNXD_OK;
}

/* ---- programs --------------------------------------------------------------------------------------- */

enum pool { POOL_MAX, POOL_AVERAGE, POOL_LP };

struct pool_state {
    struct window window;
    enum pool kind;
    enum lane lane;
    int64_t planes, in[WINDOW_AXES], out[WINDOW_AXES];
    size_t x_bytes;
    bool counts_pads, column_major;
    double p;
};

/* p is a float in opset 1. */
static double norm_order(const struct node *node)
{
    const struct attribute *a = node_attribute(node, "p");
    if (a == NULL) return 2;
    return a->kind == ATTRIBUTE_FLOAT ? (double)a->f : a->kind == ATTRIBUTE_INT ? (double)a->i : 2;
}

static onnxd_status prepare_pool(struct op_plan *plan, onnxd_error *err)
{
    struct pool_state *state;
    const struct node *node = plan->node;
    const onnxd_tensor *in = plan->in[0], *out = plan->out[0];
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK) status = window_read(node, (int32_t)in->rank, NULL, &state->window, err);
    if (status != ONNXD_OK) return status;
    window_fix(&state->window, in, out, state->in, state->out);
    state->kind = is_named(node, "MaxPool") ? POOL_MAX : is_named(node, "LpPool") ? POOL_LP : POOL_AVERAGE;
    state->lane = lane_of(in->type);
    state->planes = in->dims[0] * in->dims[1];
    state->counts_pads = node_attribute_int(node, "count_include_pad", 0) != 0;
    state->column_major = node_attribute_int(node, "storage_order", 0) != 0;
    state->p = norm_order(node);
    if (!(state->p > 0)) return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'p' is %g", state->p);
    if (!lane_is_native(state->lane, in->type))
        state->x_bytes = ((size_t)onnxd_tensor_n_elements(in) * lane_size(state->lane) + 63) / 64 * 64;
    plan->workspace_bytes = state->x_bytes + (size_t)state->out[2] * 16;
    size_t scratch = (size_t)window_volume(state->in) * MAX_POOL_SCRATCH * sizeof(float);
    if (state->kind == POOL_MAX && scratch > plan->workspace_bytes) plan->workspace_bytes = scratch;
    return ONNXD_OK;
}

/* What one window sees: taps inside the image, and how many elements count towards an average. */
struct sight {
    int64_t first[WINDOW_AXES], last[WINDOW_AXES], origin[WINDOW_AXES];
    int64_t counted;
};

static struct sight look(const struct pool_state *state, const int64_t *at)
{
    const struct window *w = &state->window;
    struct sight s = {.counted = 1};
    for (uint32_t k = 0; k < WINDOW_AXES; k++) {
        window_taps(w, k, at[k], state->in[k], &s.first[k], &s.last[k]);
        if (s.last[k] < s.first[k]) s.last[k] = s.first[k];
        s.origin[k] = at[k] * w->stride[k] - w->begin[k];
        int64_t n = s.last[k] - s.first[k];
        if (state->counts_pads) { /* all but what lies beyond the padding */
            int64_t room = state->in[k] + w->end[k] - s.origin[k];
            n = (room + w->dilation[k] - 1) / w->dilation[k];
            if (n > w->kernel[k]) n = w->kernel[k];
        }
        s.counted *= n;
    }
    return s;
}

#define FOR_EACH_TAP(s, w, size, at)                                                                    \
    for (int64_t k0 = (s).first[0]; k0 < (s).last[0]; k0++)                                             \
        for (int64_t k1 = (s).first[1]; k1 < (s).last[1]; k1++)                                         \
            for (int64_t k2 = (s).first[2], at = (((s).origin[0] + k0 * (w)->dilation[0]) * (size)[1] + \
                                                  (s).origin[1] + k1 * (w)->dilation[1]) *              \
                                                     (size)[2] +                                        \
                                                 (s).origin[2] + k2 * (w)->dilation[2];                 \
                 k2 < (s).last[2]; k2++, at += (w)->dilation[2])

#define BEST(name, T, LEAST)                                                                          \
    static T name(const struct pool_state *state, const struct sight *s, const T *x, int64_t *ret_at) \
    {                                                                                                 \
        T best = LEAST;                                                                               \
        int64_t best_at = -1;                                                                         \
        FOR_EACH_TAP(*s, &state->window, state->in, at)                                               \
        {                                                                                             \
            if (x[at] > best || best_at < 0 || x[at] != x[at]) {                                      \
                best = x[at];                                                                         \
                best_at = at;                                                                         \
            }                                                                                         \
        }                                                                                             \
        *ret_at = best_at;                                                                            \
        return best;                                                                                  \
    }

BEST(best_f32, float, -INFINITY)
BEST(best_f64, double, -HUGE_VAL)
BEST(best_i64, int64_t, INT64_MIN)

static double element(enum lane lane, const void *x, int64_t at)
{
    return lane == LANE_F32 ? (double)((const float *)x)[at] : ((const double *)x)[at];
}

static double average(const struct pool_state *state, const struct sight *s, const void *x)
{
    double sum = 0;
    if (state->kind == POOL_AVERAGE) {
        FOR_EACH_TAP(*s, &state->window, state->in, at)
        {
            sum += element(state->lane, x, at);
        }
        return sum / (double)s->counted;
    }
    FOR_EACH_TAP(*s, &state->window, state->in, at)
    {
        double v = fabs(element(state->lane, x, at));
        sum += state->p == 2 ? v * v : pow(v, state->p);
    }
    return state->p == 2 ? sqrt(sum) : pow(sum, 1 / state->p);
}

/* Position of an element among all: the spatial axes counted row by row, or column by column. */
static int64_t global_index(const struct pool_state *state, int64_t plane, int64_t at)
{
    int64_t size = window_volume(state->in);
    if (at < 0) return 0;
    if (!state->column_major) return plane * size + at;
    int64_t a[WINDOW_AXES] = {at / (state->in[1] * state->in[2]), at / state->in[2] % state->in[1],
                              at % state->in[2]};
    return plane * size + (a[2] * state->in[1] + a[1]) * state->in[0] + a[0];
}

static void pool_row(const struct pool_state *state, const void *x, int64_t *at, void *row, int64_t *where)
{
    for (at[2] = 0; at[2] < state->out[2]; at[2]++) {
        struct sight s = look(state, at);
        int64_t i = at[2];
        if (state->kind != POOL_MAX)
            ((double *)row)[i] = average(state, &s, x);
        else if (state->lane == LANE_F32)
            ((float *)row)[i] = best_f32(state, &s, x, &where[i]);
        else if (state->lane == LANE_F64)
            ((double *)row)[i] = best_f64(state, &s, x, &where[i]);
        else
            ((int64_t *)row)[i] = best_i64(state, &s, x, &where[i]);
    }
}

static onnxd_status run_pool(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct pool_state *state = run->state;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    bool wants_indices = run->n_out > 1 && run->out[1] != NULL;
    if (state->kind == POOL_MAX && in->type == ONNXD_FLOAT32 && !wants_indices) {
        int64_t n_in = window_volume(state->in), n_out = window_volume(state->out);
        for (int64_t p = 0; p < state->planes; p++)
            max_pool_plane(&state->window, state->in, state->out, (const float *)in->data + p * n_in,
                           (float *)out->data + p * n_out, run->workspace);
        return ONNXD_OK;
    }
    const char *x = matrix_operand(state->lane, in, run->workspace);
    int64_t *indices = wants_indices ? run->out[1]->data : NULL;
    int64_t *where = (int64_t *)((char *)run->workspace + state->x_bytes), plane = window_volume(state->in);
    void *row = where + state->out[2];
    enum lane lane = state->kind == POOL_MAX ? state->lane : LANE_F64;
    int64_t at[WINDOW_AXES], to = 0, size = (int64_t)lane_size(state->lane);
    for (int64_t p = 0; p < state->planes; p++)
        for (at[0] = 0; at[0] < state->out[0]; at[0]++)
            for (at[1] = 0; at[1] < state->out[1]; at[1]++, to += state->out[2]) {
                pool_row(state, x + p * plane * size, at, row, where);
                elements_store(lane, out->type, out->data, to, state->out[2], row);
                for (int64_t i = 0; i < state->out[2] && indices != NULL; i++)
                    indices[to + i] = global_index(state, p, where[i]);
            }
    return ONNXD_OK;
}

/* ---- MaxUnpool: elements go back to where MaxPool found them ------------------------------------------- */

static onnxd_status shapes_unpool(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct window w;
    struct dim dims[ONNXD_MAX_RANK];
    const struct dim *given;
    uint32_t n;
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status == ONNXD_OK) status = infer_type(s, 2, TYPE_BIT(ONNXD_INT64), err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    status = infer_rank(s, 1, in->rank, err);
    if (status == ONNXD_OK) status = window_read(s->node, in->rank, NULL, &w, err);
    if (status != ONNXD_OK) return status;
    for (int32_t i = 0; i < in->rank; i++)
        if (shapes_known(s, 1) && dim_differs(in->dims[i], s->in[1]->dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "inputs 0 and 1 differ on axis %d", i);
    infer_unknown_dims(dims, in->rank);
    if (infer_contents(s, 2, &given, &n)) {
        if (n != (uint32_t)in->rank)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "output_shape has %u elements, expected %d", n,
                            in->rank);
        memcpy(dims, given, n * sizeof *dims);
    } else if (!shapes_has(s, 2)) {
        dims[0] = in->dims[0];
        dims[1] = in->dims[1];
        for (uint32_t i = 0, k = WINDOW_AXES - w.n; i < w.n; i++, k++)
            if (dim_is_constant(in->dims[2 + i]))
                dims[2 + i] = dim_constant((in->dims[2 + i].n - 1) * w.stride[k] + w.kernel[k] - w.begin[k] -
                                           w.end[k]);
    }
    for (int32_t i = 0; i < in->rank; i++)
        if (dim_is_known(dims[i]) && dims[i].n < 0)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "the output has size %lld on axis %d",
                            (long long)dims[i].n, i);
    shapes_set(s, 0, in->type, in->rank, dims);
    return ONNXD_OK;
}

static onnxd_status run_unpool(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t n = onnxd_tensor_n_elements(in), n_out = onnxd_tensor_n_elements(out);
    size_t size = type_size(in->type);
    if (n_out > 0) memset(out->data, 0, onnxd_tensor_n_bytes(out));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = index_at(run->in[1], i);
        if (at < 0 || at >= n_out) return bad_index(run, run->in[1], i, n_out, err);
        memcpy((char *)out->data + (size_t)at * size, (const char *)in->data + (size_t)i * size, size);
    }
    return ONNXD_OK;
}

/* ---- Global*Pool: one number for each channel ---------------------------------------------------------- */

static onnxd_status shapes_global(struct op_shapes *s, onnxd_error *err)
{
    struct value_info info = *s->in[0];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    if (info.rank >= 0 && info.rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 2 or more", info.rank);
    for (int32_t i = 2; i < info.rank; i++) info.dims[i] = dim_constant(1);
    shapes_set(s, 0, info.type, info.rank, info.dims);
    return ONNXD_OK;
}

static double reduce_block(const struct node *node, double p, double before, const double *x, int64_t n)
{
    if (is_named(node, "GlobalMaxPool")) {
        for (int64_t i = 0; i < n; i++)
            if (x[i] > before || x[i] != x[i]) before = x[i];
        return before;
    }
    bool average = is_named(node, "GlobalAveragePool");
    for (int64_t i = 0; i < n; i++) before += average ? x[i] : p == 2 ? x[i] * x[i] : pow(fabs(x[i]), p);
    return before;
}

static onnxd_status run_global(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t planes = in->dims[0] * in->dims[1], n = planes > 0 ? onnxd_tensor_n_elements(in) / planes : 0;
    double p = norm_order(run->node), block[ELEMENTS_BLOCK];
    for (int64_t plane = 0; plane < planes; plane++) {
        double v = is_named(run->node, "GlobalMaxPool") ? -HUGE_VAL : 0;
        for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
            int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
            elements_load(LANE_F64, in->type, in->data, plane * n + at, 1, m, block);
            v = reduce_block(run->node, p, v, block, m);
        }
        if (is_named(run->node, "GlobalAveragePool")) v /= (double)n;
        if (is_named(run->node, "GlobalLpPool")) v = p == 2 ? sqrt(v) : pow(v, 1 / p);
        elements_store(LANE_F64, out->type, out->data, plane, 1, &v);
    }
    return ONNXD_OK;
}

#define GLOBAL(name)                                                                       \
    {                                                                                      \
        "", name, 1, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_global, NULL, NULL, run_global \
    }

const struct op_def ops_pool[] = {
    {"", "MaxPool", 1, OP_LATEST, 1, 1, 1, 2, 0, window_check, shapes_pool, NULL, prepare_pool, run_pool},
    {"", "AveragePool", 1, OP_LATEST, 1, 1, 1, 1, 0, window_check, shapes_pool, NULL, prepare_pool, run_pool},
    {"", "LpPool", 1, OP_LATEST, 1, 1, 1, 1, 0, window_check, shapes_pool, NULL, prepare_pool, run_pool},
    {"", "MaxUnpool", 9, OP_LATEST, 2, 3, 1, 1, 0, window_check, shapes_unpool, NULL, NULL, run_unpool},
    GLOBAL("GlobalAveragePool"),
    GLOBAL("GlobalMaxPool"),
    GLOBAL("GlobalLpPool"),
    {0},
};
