/* Where, Expand and Tile.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- Where ------------------------------------------------------------------------------------------ */

static void follow_where(struct op_shapes *s)
{
    const struct dim *v[3];
    uint32_t n[3], most = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (!infer_contents(s, i, &v[i], &n[i])) return;
        if (n[i] > most) most = n[i];
    }
    for (uint32_t i = 0; i < 3; i++)
        if (n[i] != most && n[i] != 1) return;
    struct dim *out = infer_set_contents(s, most);
    for (uint32_t i = 0; i < most && out != NULL; i++) {
        struct dim c = v[0][n[0] == 1 ? 0 : i], x = v[1][n[1] == 1 ? 0 : i], y = v[2][n[2] == 1 ? 0 : i];
        out[i] = dim_equal(x, y) ? x : !dim_is_constant(c) ? dim_unknown() : c.n != 0 ? x : y;
    }
}

static onnxd_status shapes_where(struct op_shapes *s, onnxd_error *err)
{
    struct value_info info = *s->in[1];
    onnxd_status status = infer_type(s, 0, TYPES_BOOL, err);
    if (status == ONNXD_OK) status = infer_same_types(s, 1, 3, TYPES_ANY, err);
    if (status == ONNXD_OK) status = shapes_broadcast(s, &info, s->in[2], info.dims, &info.rank, err);
    if (status == ONNXD_OK) status = shapes_broadcast(s, &info, s->in[0], info.dims, &info.rank, err);
    if (status != ONNXD_OK) return status;
    shapes_set(s, 0, info.type, info.rank, info.dims);
    follow_where(s);
    return ONNXD_OK;
}

static onnxd_status prepare_where(struct op_plan *plan, onnxd_error *err)
{
    struct loops *loops;
    onnxd_status status = plan_state(plan, sizeof *loops, (void **)&loops, err);
    const onnxd_tensor *out = plan->out[0];
    if (status != ONNXD_OK || out == NULL) return status;
    loops_init(loops, out->dims, out->rank, 4);
    loops_broadcast(loops, 0, out->dims, out->rank);
    for (uint32_t i = 0; i < 3; i++) loops_broadcast(loops, i + 1, plan->in[i]->dims, plan->in[i]->rank);
    loops_simplify(loops);
    plan->in_place_of = plan_fits(plan, 1) ? 1 : plan_fits(plan, 2) ? 2 : -1;
    return ONNXD_OK;
}

struct bytes16 {
    uint64_t low, high;
};

#define CHOOSE(T)                                                                         \
    do {                                                                                  \
        const T *x = (const T *)run->in[1]->data + c.offset[2];                           \
        const T *y = (const T *)run->in[2]->data + c.offset[3];                           \
        T *o = (T *)run->out[0]->data + c.offset[0];                                      \
        for (int64_t i = 0; i < n; i++) o[i] = cond[i * sc] != 0 ? x[i * sx] : y[i * sy]; \
    } while (0)

static onnxd_status run_where(struct op_run *run, onnxd_error *err)
{
    (void)err;
    if (run->out[0] == NULL) return ONNXD_OK;
    const struct loops *loops = run->state;
    int64_t n = loops_inner(loops), sc = loops_inner_stride(loops, 1), sx = loops_inner_stride(loops, 2),
            sy = loops_inner_stride(loops, 3);
    struct loops_cursor c;
    for (loops_start(loops, &c); c.more; loops_next(loops, &c)) {
        const uint8_t *cond = (const uint8_t *)run->in[0]->data + c.offset[1];
        switch (type_size(run->out[0]->type)) {
        case 1: CHOOSE(uint8_t); break;
        case 2: CHOOSE(uint16_t); break;
        case 4: CHOOSE(uint32_t); break;
        case 8: CHOOSE(uint64_t); break;
        default: CHOOSE(struct bytes16); break;
        }
    }
    return ONNXD_OK;
}

/* ---- Expand and Tile: a strided copy ------------------------------------------------------------------ */

/* Number of elements of a list input: the rank it speaks of; -1 when not known. */
static int32_t list_length(const struct op_shapes *s, uint32_t in)
{
    if (!shapes_known(s, in) || s->in[in]->rank != 1 || !dim_is_constant(s->in[in]->dims[0])) return -1;
    int64_t n = s->in[in]->dims[0].n;
    return n <= ONNXD_MAX_RANK ? (int32_t)n : -1;
}

static onnxd_status check_sizes(const struct op_shapes *s, const char *what, const struct dim *dims,
                                uint32_t n, onnxd_error *err)
{
    if (n > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "%s has %u elements, at most %d", what, n,
                        ONNXD_MAX_RANK);
    for (uint32_t i = 0; i < n; i++)
        if (dim_is_known(dims[i]) && dims[i].n < 0)
            return op_error(err, s->node, ONNXD_ERR_RANGE, "%s holds %lld", what, (long long)dims[i].n);
    return ONNXD_OK;
}

/* A list of one repeated element keeps its contents. */
static void follow_repeated(struct op_shapes *s)
{
    const struct dim *values;
    uint32_t n;
    const struct value_info *out = &s->out[0];
    if (!infer_contents(s, 0, &values, &n) || n == 0 || out->rank != 1 || !dim_is_constant(out->dims[0]) ||
        out->dims[0].n > SHAPES_MAX_CONTENTS || out->dims[0].n < 0)
        return;
    struct dim *contents = infer_set_contents(s, (uint32_t)out->dims[0].n);
    for (int64_t i = 0; i < out->dims[0].n && contents != NULL; i++) contents[i] = values[i % n];
}

static onnxd_status shapes_expand(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct value_info want = value_info_unknown();
    const struct dim *dims;
    uint32_t n;
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (infer_contents(s, 1, &dims, &n)) {
        status = check_sizes(s, "shape", dims, n, err);
        if (status != ONNXD_OK) return status;
        want.rank = (int32_t)n;
        if (n > 0) memcpy(want.dims, dims, n * sizeof *dims);
    } else {
        want.rank = list_length(s, 1);
        if (want.rank > 0) infer_unknown_dims(want.dims, want.rank);
    }
    status = shapes_broadcast(s, in, &want, want.dims, &want.rank, err);
    if (status != ONNXD_OK) return status;
    shapes_set(s, 0, in->type, want.rank, want.dims);
    follow_repeated(s);
    return ONNXD_OK;
}

static onnxd_status prepare_expand(struct op_plan *plan, onnxd_error *err)
{
    struct loops *loops;
    onnxd_status status = plan_state(plan, sizeof *loops, (void **)&loops, err);
    const onnxd_tensor *out = plan->out[0], *in = plan->in[0];
    if (status != ONNXD_OK || out == NULL) return status;
    loops_init(loops, out->dims, out->rank, 2);
    loops_broadcast(loops, 0, out->dims, out->rank);
    loops_broadcast(loops, 1, in->dims, in->rank);
    loops_simplify(loops);
    if (shape_equal(in->dims, in->rank, out->dims, out->rank)) plan->view_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_loops_copy(struct op_run *run, onnxd_error *err)
{
    (void)err;
    if (run->out[0] != NULL)
        loops_copy(run->state, type_size(run->out[0]->type), run->out[0]->data, run->in[0]->data);
    return ONNXD_OK;
}

/* Opset 1 gives a count and an axis as tensors; from opset 6 on there are counts for all axes. */
static bool tile_counts(struct op_shapes *s, struct dim *counts, uint32_t rank, onnxd_status *status,
                        onnxd_error *err)
{
    const struct dim *values;
    uint32_t n;
    if (s->node->opset < 6) {
        int64_t tiles, axis;
        uint32_t at;
        if (!shapes_ints(s, 1, &tiles, 1, &n) || !shapes_ints(s, 2, &axis, 1, &n)) return false;
        *status = op_axis(s->node, axis, rank, &at, err);
        if (*status != ONNXD_OK) return false;
        for (uint32_t i = 0; i < rank; i++) counts[i] = dim_constant(i == at ? tiles : 1);
        return true;
    }
    if (!infer_contents(s, 1, &values, &n)) return false;
    if (n != rank)
        *status = op_error(err, s->node, ONNXD_ERR_SHAPE, "repeats has %u elements, expected %u", n, rank);
    else
        *status = check_sizes(s, "repeats", values, n, err);
    if (*status != ONNXD_OK) return false;
    if (n > 0) memcpy(counts, values, n * sizeof *values);
    return true;
}

static onnxd_status shapes_tile(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim counts[ONNXD_MAX_RANK], dims[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    bool known = tile_counts(s, counts, (uint32_t)in->rank, &status, err);
    if (status != ONNXD_OK) return status;
    for (int32_t i = 0; i < in->rank; i++) {
        dims[i] = known ? dim_mul(in->dims[i], counts[i]) : dim_unknown();
        if (known && dim_is_constant(in->dims[i]) && dim_is_constant(counts[i]) && !dim_is_known(dims[i]))
            return op_error(err, s->node, ONNXD_ERR_LIMIT, "%lld repeats of %lld elements on axis %d",
                            (long long)counts[i].n, (long long)in->dims[i].n, i);
    }
    shapes_set(s, 0, in->type, in->rank, dims);
    follow_repeated(s);
    return ONNXD_OK;
}

/* Each axis becomes two loops: over copies, then over the input's elements. */
static onnxd_status prepare_tile(struct op_plan *plan, onnxd_error *err)
{
    struct loops *loops;
    onnxd_status status = plan_state(plan, sizeof *loops, (void **)&loops, err);
    const onnxd_tensor *out = plan->out[0], *in = plan->in[0];
    if (status != ONNXD_OK || out == NULL) return status;
    int64_t dims[LOOPS_MAX_RANK], in_strides[ONNXD_MAX_RANK], out_strides[ONNXD_MAX_RANK];
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[2 * i] = in->dims[i] > 0 ? out->dims[i] / in->dims[i] : 0;
        dims[2 * i + 1] = in->dims[i];
    }
    shape_strides(in->dims, in->rank, in_strides);
    shape_strides(out->dims, out->rank, out_strides);
    loops_init(loops, dims, 2 * in->rank, 2);
    for (uint32_t i = 0; i < in->rank; i++) {
        loops->strides[0][2 * i] = out_strides[i] * in->dims[i];
        loops->strides[0][2 * i + 1] = out_strides[i];
        loops->strides[1][2 * i + 1] = in_strides[i];
    }
    loops_simplify(loops);
    if (shape_equal(in->dims, in->rank, out->dims, out->rank)) plan->view_of = 0;
    return ONNXD_OK;
}

const struct op_def ops_broadcast[] = {
    {"", "Where", 9, OP_LATEST, 3, 3, 1, 1, 0, NULL, shapes_where, NULL, prepare_where, run_where},
    {"", "Expand", 8, OP_LATEST, 2, 2, 1, 1, 0, NULL, shapes_expand, NULL, prepare_expand, run_loops_copy},
    {"", "Tile", 1, 6, 3, 3, 1, 1, 0, NULL, shapes_tile, NULL, prepare_tile, run_loops_copy},
    {"", "Tile", 6, OP_LATEST, 2, 2, 1, 1, 0, NULL, shapes_tile, NULL, prepare_tile, run_loops_copy},
    {0},
};
