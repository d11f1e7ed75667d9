/* Scatter, ScatterElements, ScatterND: a copy of the data with some elements replaced or combined.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/binary.h"
#include "ops/indices.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static const char *const reductions[] = {"none", "add", "mul", "min", "max", NULL};

static onnxd_status check_scatter(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_attributes(node, err);
    return status == ONNXD_OK ? check_word(node, "reduction", reductions, err) : status;
}

/* How an update meets the element in place; fn NULL: replaces it. */
struct combine {
    enum lane lane;
    binary_fn fn;
    onnxd_type type;
    size_t size;
};

static void plan_combine(const struct op_plan *plan, struct combine *combine)
{
    static const char *const names[] = {NULL, "Add", "Mul", "Min", "Max"};
    int reduction = attribute_word(plan->node, "reduction", reductions, 0);
    combine->type = plan->in[0]->type;
    combine->size = type_size(combine->type);
    combine->lane = lane_of(combine->type);
    if (reduction > 0) combine->fn = binary_named(names[reduction])->fn[combine->lane];
}

/* n elements: to[at..] = to[at..] op from[from_at..]. */
static void combine_run(const struct combine *c, void *to, int64_t at, const void *from, int64_t from_at,
                        int64_t n)
{
    if (c->fn == NULL) {
        memcpy((char *)to + (size_t)at * c->size, (const char *)from + (size_t)from_at * c->size,
               (size_t)n * c->size);
        return;
    }
    union lane_block x, y;
    for (int64_t i = 0; i < n; i += ELEMENTS_BLOCK) {
        int64_t m = n - i < ELEMENTS_BLOCK ? n - i : ELEMENTS_BLOCK;
        elements_load(c->lane, c->type, to, at + i, 1, m, &x);
        elements_load(c->lane, c->type, from, from_at + i, 1, m, &y);
        c->fn(&x, 1, &y, 1, &x, m);
        elements_store(c->lane, c->type, to, at + i, m, &x);
    }
}

static onnxd_status infer_scatter(struct op_shapes *s, onnxd_error *err)
{
    bool combines = attribute_word(s->node, "reduction", reductions, 0) > 0;
    uint32_t types = combines ? (uint32_t)TYPES_ARITHMETIC : (uint32_t)TYPES_ANY;
    onnxd_status status = infer_type(s, 0, types, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_INDEX, err);
    if (status == ONNXD_OK && s->in[0]->type != ONNXD_UNDEFINED)
        status = infer_type(s, 2, TYPE_BIT(s->in[0]->type), err);
    shapes_copy(s, 0, 0);
    return status;
}

static void copy_data(const struct op_run *run)
{
    size_t n_bytes = onnxd_tensor_n_bytes(run->in[0]);
    if (n_bytes > 0 && run->out[0]->data != run->in[0]->data)
        memcpy(run->out[0]->data, run->in[0]->data, n_bytes);
}

/* ---- Scatter and ScatterElements -------------------------------------------------------------------- */

static onnxd_status shapes_scatter_elements(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *data = s->in[0], *indices = s->in[1];
    uint32_t axis;
    onnxd_status status = infer_scatter(s, err);
    if (status != ONNXD_OK || data->rank < 0) return status;
    status = infer_rank(s, 1, data->rank, err);
    if (status == ONNXD_OK) status = infer_rank(s, 2, data->rank, err);
    if (status == ONNXD_OK)
        status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)data->rank, &axis, err);
    if (status != ONNXD_OK || indices->rank < 0) return status;
    for (int32_t i = 0; i < data->rank; i++) {
        if (shapes_known(s, 2) && dim_differs(indices->dims[i], s->in[2]->dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE,
                            "indices and updates have sizes %lld and %lld on axis %d",
                            (long long)indices->dims[i].n, (long long)s->in[2]->dims[i].n, i);
        if ((uint32_t)i != axis && dim_is_constant(data->dims[i]) && dim_is_constant(indices->dims[i]) &&
            indices->dims[i].n > data->dims[i].n)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "indices have size %lld on axis %d, data has %lld",
                            (long long)indices->dims[i].n, i, (long long)data->dims[i].n);
    }
    return ONNXD_OK;
}

struct element_state {
    struct loops loops; /* operands: indices and updates; data, with stride 0 along the axis */
    int64_t size, stride;
    struct combine combine;
};

static onnxd_status prepare_scatter_elements(struct op_plan *plan, onnxd_error *err)
{
    struct element_state *state;
    const onnxd_tensor *data = plan->in[0], *indices = plan->in[1];
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK)
        status = op_axis(plan->node, node_attribute_int(plan->node, "axis", 0), data->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    plan_combine(plan, &state->combine);
    loops_init(&state->loops, indices->dims, indices->rank, 2);
    loops_broadcast(&state->loops, 0, indices->dims, indices->rank);
    shape_strides(data->dims, data->rank, state->loops.strides[1]);
    state->size = data->dims[axis];
    state->stride = state->loops.strides[1][axis];
    state->loops.strides[1][axis] = 0;
    loops_simplify(&state->loops);
    if (plan->node->in[0] != plan->node->in[2]) plan->in_place_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_scatter_elements(struct op_run *run, onnxd_error *err)
{
    const struct element_state *state = run->state;
    const struct loops *loops = &state->loops;
    struct loops_cursor c;
    copy_data(run);
    for (loops_start(loops, &c); c.more; loops_next(loops, &c))
        for (int64_t i = 0; i < loops_inner(loops); i++) {
            int64_t index;
            if (!index_in(run->in[1], c.offset[0] + i, state->size, &index))
                return bad_index(run, run->in[1], c.offset[0] + i, state->size, err);
            int64_t at = c.offset[1] + i * loops_inner_stride(loops, 1) + index * state->stride;
            combine_run(&state->combine, run->out[0]->data, at, run->in[2]->data, c.offset[0] + i, 1);
        }
    return ONNXD_OK;
}

/* ---- ScatterND -------------------------------------------------------------------------------------- */

static onnxd_status shapes_scatter_nd(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *data = s->in[0], *indices = s->in[1], *updates = s->in[2];
    onnxd_status status = infer_scatter(s, err);
    if (status != ONNXD_OK || data->rank < 0 || indices->rank < 0) return status;
    if (indices->rank < 1) return op_error(err, s->node, ONNXD_ERR_SHAPE, "indices are a scalar");
    struct dim depth = indices->dims[indices->rank - 1];
    if (!dim_is_constant(depth)) return ONNXD_OK;
    if (depth.n > data->rank)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "indices have %lld coordinates for rank %d",
                        (long long)depth.n, data->rank);
    int32_t rank = indices->rank - 1 + data->rank - (int32_t)depth.n;
    status = infer_rank(s, 2, rank, err);
    if (status != ONNXD_OK || updates->rank < 0) return status;
    for (int32_t i = 0; i < rank; i++) {
        struct dim want = i < indices->rank - 1 ? indices->dims[i]
                                                : data->dims[i - (indices->rank - 1) + (int32_t)depth.n];
        if (dim_differs(want, updates->dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "updates have size %lld on axis %d, expected %lld",
                            (long long)updates->dims[i].n, i, (long long)want.n);
    }
    return ONNXD_OK;
}

static onnxd_status prepare_scatter_nd(struct op_plan *plan, onnxd_error *err)
{
    struct combine *combine;
    onnxd_status status = plan_state(plan, sizeof *combine, (void **)&combine, err);
    if (status != ONNXD_OK) return status;
    plan_combine(plan, combine);
    if (plan->node->in[0] != plan->node->in[2]) plan->in_place_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_scatter_nd(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *data = run->in[0], *indices = run->in[1];
    int64_t depth = indices->dims[indices->rank - 1], strides[ONNXD_MAX_RANK], slice = 1, n = 1;
    shape_strides(data->dims, data->rank, strides);
    for (uint32_t i = 0; i + 1 < indices->rank; i++) n *= indices->dims[i];
    for (uint32_t i = (uint32_t)depth; i < data->rank; i++) slice *= data->dims[i];
    copy_data(run);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int64_t k = 0; k < depth; k++) {
            int64_t index, size = data->dims[k];
            if (!index_in(indices, i * depth + k, size, &index))
                return bad_index(run, indices, i * depth + k, size, err);
            at += index * strides[k];
        }
        if (slice > 0) combine_run(run->state, run->out[0]->data, at, run->in[2]->data, i * slice, slice);
    }
    return ONNXD_OK;
}

#define ELEMENTS(name, since, until)                                                         \
    {                                                                                        \
        "", name, since, until, 3, 3, 1, 1, 0, check_scatter, shapes_scatter_elements, NULL, \
            prepare_scatter_elements, run_scatter_elements                                   \
    }

const struct op_def ops_scatter[] = {
    ELEMENTS("Scatter", 9, OP_LATEST),
    ELEMENTS("ScatterElements", 11, OP_LATEST),
    {"", "ScatterND", 11, OP_LATEST, 3, 3, 1, 1, 0, check_scatter, shapes_scatter_nd, NULL,
     prepare_scatter_nd, run_scatter_nd},
    {0},
};
