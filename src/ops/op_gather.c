/* Gather, GatherElements, GatherND.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/indices.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static onnxd_status infer_data_and_indices(const struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    return status == ONNXD_OK ? infer_type(s, 1, TYPES_INDEX, err) : status;
}

/* ---- Gather ----------------------------------------------------------------------------------------- */

static void follow_gather(struct op_shapes *s)
{
    const struct dim *values, *indices;
    uint32_t n_values, n_indices;
    if (s->in[0]->rank != 1 || !infer_contents(s, 0, &values, &n_values) ||
        !infer_contents(s, 1, &indices, &n_indices))
        return;
    for (uint32_t i = 0; i < n_indices; i++)
        if (!dim_is_constant(indices[i])) return;
    struct dim *contents = infer_set_contents(s, n_indices);
    for (uint32_t i = 0; i < n_indices && contents != NULL; i++) {
        int64_t at = indices[i].n < 0 ? indices[i].n + n_values : indices[i].n;
        contents[i] = at >= 0 && at < n_values ? values[at] : dim_unknown();
    }
}

static onnxd_status shapes_gather(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *data = s->in[0], *indices = s->in[1];
    struct dim dims[ONNXD_MAX_RANK];
    uint32_t axis;
    onnxd_status status = infer_data_and_indices(s, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, data->type);
    if (data->rank < 0) return ONNXD_OK;
    status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)data->rank, &axis, err);
    if (status != ONNXD_OK || indices->rank < 0) return status;
    int32_t rank = data->rank - 1 + indices->rank, k = 0;
    if (rank > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "output has rank %d, at most %d", rank,
                        ONNXD_MAX_RANK);
    for (uint32_t i = 0; i < axis; i++) dims[k++] = data->dims[i];
    for (int32_t i = 0; i < indices->rank; i++) dims[k++] = indices->dims[i];
    for (int32_t i = (int32_t)axis + 1; i < data->rank; i++) dims[k++] = data->dims[i];
    shapes_set(s, 0, data->type, rank, dims);
    follow_gather(s);
    return ONNXD_OK;
}

struct gather_state {
    int64_t outer, table, n; /* repetitions, entries to choose from, indices */
    size_t entry_bytes;
};

static onnxd_status prepare_gather(struct op_plan *plan, onnxd_error *err)
{
    struct gather_state *state;
    const onnxd_tensor *data = plan->in[0];
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK)
        status = op_axis(plan->node, node_attribute_int(plan->node, "axis", 0), data->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    state->outer = 1;
    state->entry_bytes = type_size(data->type);
    state->table = data->dims[axis];
    state->n = onnxd_tensor_n_elements(plan->in[1]);
    for (uint32_t i = 0; i < axis; i++) state->outer *= data->dims[i];
    for (uint32_t i = axis + 1; i < data->rank; i++) state->entry_bytes *= (size_t)data->dims[i];
    return ONNXD_OK;
}

static onnxd_status run_gather(struct op_run *run, onnxd_error *err)
{
    const struct gather_state *state = run->state;
    const char *from = run->in[0]->data;
    char *to = run->out[0]->data;
    size_t size = state->entry_bytes;
    for (int64_t o = 0; o < state->outer; o++, from += (size_t)state->table * size)
        for (int64_t i = 0; i < state->n; i++, to += size) {
            int64_t index;
            if (!index_in(run->in[1], i, state->table, &index))
                return bad_index(run, run->in[1], i, state->table, err);
            if (size == 4)
                memcpy(to, from + index * 4, 4);
            else if (size > 0)
                memcpy(to, from + (size_t)index * size, size);
        }
    return ONNXD_OK;
}

/* ---- GatherElements --------------------------------------------------------------------------------- */

static onnxd_status shapes_gather_elements(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *data = s->in[0], *indices = s->in[1];
    uint32_t axis;
    onnxd_status status = infer_data_and_indices(s, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, data->type);
    if (indices->rank >= 0) shapes_set(s, 0, data->type, indices->rank, indices->dims);
    if (data->rank < 0 || indices->rank < 0) return ONNXD_OK;
    status = infer_rank(s, 1, data->rank, err);
    if (status == ONNXD_OK)
        status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)data->rank, &axis, err);
    for (int32_t i = 0; i < data->rank && status == ONNXD_OK; i++)
        if ((uint32_t)i != axis && dim_is_constant(data->dims[i]) && dim_is_constant(indices->dims[i]) &&
            indices->dims[i].n > data->dims[i].n)
            status = op_error(err, s->node, ONNXD_ERR_SHAPE,
                              "indices have size %lld on axis %d, data has %lld",
                              (long long)indices->dims[i].n, i, (long long)data->dims[i].n);
    return status;
}

struct element_state {
    struct loops loops;   /* operands: out and indices; data, with stride 0 along the axis */
    int64_t size, stride; /* of data's axis */
};

static onnxd_status prepare_gather_elements(struct op_plan *plan, onnxd_error *err)
{
    struct element_state *state;
    const onnxd_tensor *data = plan->in[0], *indices = plan->in[1];
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    if (data->rank == 0) return op_error(err, plan->node, ONNXD_ERR_SHAPE, "input 0 is a scalar");
    status = op_axis(plan->node, node_attribute_int(plan->node, "axis", 0), data->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    loops_init(&state->loops, indices->dims, indices->rank, 2);
    loops_broadcast(&state->loops, 0, indices->dims, indices->rank);
    shape_strides(data->dims, data->rank, state->loops.strides[1]);
    state->size = data->dims[axis];
    state->stride = state->loops.strides[1][axis];
    state->loops.strides[1][axis] = 0;
    loops_simplify(&state->loops);
    return ONNXD_OK;
}

static onnxd_status run_gather_elements(struct op_run *run, onnxd_error *err)
{
    const struct element_state *state = run->state;
    const struct loops *loops = &state->loops;
    size_t size = type_size(run->in[0]->type);
    const char *from = run->in[0]->data;
    char *to = run->out[0]->data;
    struct loops_cursor c;
    for (loops_start(loops, &c); c.more; loops_next(loops, &c))
        for (int64_t i = 0; i < loops_inner(loops); i++) {
            int64_t index;
            if (!index_in(run->in[1], c.offset[0] + i, state->size, &index))
                return bad_index(run, run->in[1], c.offset[0] + i, state->size, err);
            int64_t at = c.offset[1] + i * loops_inner_stride(loops, 1) + index * state->stride;
            memcpy(to + (size_t)(c.offset[0] + i) * size, from + (size_t)at * size, size);
        }
    return ONNXD_OK;
}

/* ---- GatherND --------------------------------------------------------------------------------------- */

static onnxd_status shapes_gather_nd(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *data = s->in[0], *indices = s->in[1];
    struct dim dims[2 * ONNXD_MAX_RANK];
    onnxd_status status = infer_data_and_indices(s, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, data->type);
    if (data->rank < 0 || indices->rank < 0) return ONNXD_OK;
    int64_t batch = node_attribute_int(s->node, "batch_dims", 0);
    if (data->rank < 1 || indices->rank < 1)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "inputs have ranks %d and %d, expected 1 or more",
                        data->rank, indices->rank);
    if (batch < 0 || batch >= data->rank || batch >= indices->rank)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "batch_dims %lld is outside the ranks %d and %d",
                        (long long)batch, data->rank, indices->rank);
    for (int64_t i = 0; i < batch; i++)
        if (dim_differs(data->dims[i], indices->dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "batch sizes %lld and %lld differ on axis %lld",
                            (long long)data->dims[i].n, (long long)indices->dims[i].n, (long long)i);
    struct dim depth = indices->dims[indices->rank - 1];
    if (!dim_is_constant(depth)) return ONNXD_OK;
    if (depth.n < 0 || depth.n > data->rank - batch)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "indices have %lld coordinates for rank %d",
                        (long long)depth.n, data->rank);
    int32_t rank = 0;
    for (int32_t i = 0; i < indices->rank - 1; i++) dims[rank++] = indices->dims[i];
    for (int32_t i = (int32_t)(batch + depth.n); i < data->rank; i++) dims[rank++] = data->dims[i];
    if (rank > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "output has rank %d, at most %d", rank,
                        ONNXD_MAX_RANK);
    shapes_set(s, 0, data->type, rank, dims);
    return ONNXD_OK;
}

static onnxd_status run_gather_nd(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *data = run->in[0], *indices = run->in[1];
    uint32_t batch = (uint32_t)node_attribute_int(run->node, "batch_dims", 0);
    int64_t depth = indices->dims[indices->rank - 1], strides[ONNXD_MAX_RANK];
    int64_t n_batches = 1, per_batch = 1, batch_size = 1, slice = 1;
    shape_strides(data->dims, data->rank, strides);
    for (uint32_t i = 0; i < batch; i++) n_batches *= data->dims[i];
    for (uint32_t i = batch; i < data->rank; i++) batch_size *= data->dims[i];
    for (uint32_t i = batch; i + 1 < indices->rank; i++) per_batch *= indices->dims[i];
    for (uint32_t i = batch + (uint32_t)depth; i < data->rank; i++) slice *= data->dims[i];
    size_t bytes = type_size(data->type), slice_bytes = (size_t)slice * bytes;
    char *to = run->out[0]->data;
    for (int64_t i = 0; i < n_batches * per_batch; i++, to += slice_bytes) {
        int64_t at = i / per_batch * batch_size;
        for (int64_t k = 0; k < depth; k++) {
            int64_t index, size = data->dims[batch + k];
            if (!index_in(indices, i * depth + k, size, &index))
                return bad_index(run, indices, i * depth + k, size, err);
            at += index * strides[batch + k];
        }
        if (slice_bytes > 0) memcpy(to, (const char *)data->data + (size_t)at * bytes, slice_bytes);
    }
    return ONNXD_OK;
}

const struct op_def ops_gather[] = {
    {"", "Gather", 1, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_gather, NULL, prepare_gather,
     run_gather},
    {"", "GatherElements", 11, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_gather_elements, NULL,
     prepare_gather_elements, run_gather_elements},
    {"", "GatherND", 11, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_gather_nd, NULL, NULL,
     run_gather_nd},
    {0},
};
