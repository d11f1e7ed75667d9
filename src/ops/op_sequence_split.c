/* Between a tensor and a sequence of its parts: SplitToSequence, ConcatFromSequence.
 * Source: ONNX operator specification, ai.onnx, opset 11. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static onnxd_status no_room(const struct op_run *run, onnxd_error *err)
{
    return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room: the session's memory limit is reached");
}

/* Copies `part`, which covers positions from..from+n-1 of `axis` of a tensor whose rows along the axis are
 * `inner` bytes and that has n_whole of them, between the part's memory and the whole's. */
struct block {
    size_t outer, inner;
    int64_t n_whole;
};

static struct block block_of(const onnxd_tensor *whole, uint32_t axis)
{
    struct block block = {1, type_size(whole->type), whole->dims[axis]};
    for (uint32_t i = 0; i < whole->rank; i++)
        if (i != axis) *(i < axis ? &block.outer : &block.inner) *= (size_t)whole->dims[i];
    return block;
}

static void copy_part(struct block block, char *whole, char *part, int64_t from, int64_t n, bool to_part)
{
    size_t run = block.inner * (size_t)n, step = block.inner * (size_t)block.n_whole;
    char *at = whole + (size_t)from * block.inner;
    if (run == 0) return;
    for (size_t o = 0; o < block.outer; o++, at += step, part += run)
        memcpy(to_part ? part : at, to_part ? at : part, run);
}

/* ---- SplitToSequence ----------------------------------------------------------------------------- */

static onnxd_status shapes_split(struct op_shapes *s, onnxd_error *err)
{
    shapes_set(s, 0, ONNXD_SEQUENCE, 0, NULL);
    if (s->n_out > 0) s->out[0].item_type = s->in[0]->type;
    uint32_t axis;
    if (s->in[0]->rank < 0) return ONNXD_OK;
    return op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)s->in[0]->rank, &axis, err);
}

/* Parts: their number and, through part_size, their sizes. split: absent (each of size 1), one number
 * (the last may be smaller) or a list that adds up to the whole. */
static onnxd_status count_parts(struct op_run *run, int64_t whole, int64_t *ret_n, onnxd_error *err)
{
    *ret_n = whole;
    if (!tensor_given(run->in, run->n_in, 1)) return ONNXD_OK;
    const onnxd_tensor *split = run->in[1];
    if (split->rank == 0) {
        int64_t size = element_i64(split, 0);
        if (size < 1)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "split is %lld, expected at least 1",
                            (long long)size);
        *ret_n = whole / size + (whole % size != 0);
        return ONNXD_OK;
    }
    int64_t n = onnxd_tensor_n_elements(split), left = whole;
    for (int64_t i = 0; i < n; i++) {
        int64_t size = element_i64(split, i);
        if (size < 0 || size > left)
            return op_error(err, run->node, ONNXD_ERR_SHAPE, "split does not add up to %lld",
                            (long long)whole);
        left -= size;
    }
    if (left != 0 || split->rank != 1)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "split does not add up to %lld", (long long)whole);
    *ret_n = n;
    return ONNXD_OK;
}

static int64_t part_size(const struct op_run *run, int64_t part, int64_t left)
{
    if (!tensor_given(run->in, run->n_in, 1)) return 1;
    int64_t size = element_i64(run->in[1], run->in[1]->rank == 0 ? 0 : part);
    return size < left ? size : left;
}

static onnxd_status run_split(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    bool drop = !tensor_given(run->in, run->n_in, 1) && node_attribute_int(run->node, "keepdims", 1) == 0;
    uint32_t axis;
    int64_t n = 0;
    onnxd_status status = op_axis(run->node, node_attribute_int(run->node, "axis", 0), in->rank, &axis, err);
    if (status == ONNXD_OK) status = count_parts(run, in->dims[axis], &n, err);
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    onnxd_sequence *sequence = op_allocate(run, sizeof *sequence);
    onnxd_tensor *items = arena_alloc_array(run->env->arena, (size_t)n, sizeof *items);
    if (sequence == NULL || items == NULL) return no_room(run, err);
    struct block block = block_of(in, axis);
    int64_t from = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t size = part_size(run, i, in->dims[axis] - from);
        onnxd_tensor part = *in, copy;
        part.dims[axis] = size;
        part.data = op_allocate(run, onnxd_tensor_n_bytes(&part));
        if (part.data == NULL) return no_room(run, err);
        copy_part(block, in->data, part.data, from, size, true);
        from += size;
        if (drop) {
            memmove(&part.dims[axis], &part.dims[axis + 1], (part.rank - axis - 1) * sizeof part.dims[0]);
            part.rank--;
        }
        copy = part;
        if (part.type == ONNXD_STRING) status = op_copy_tensor(run->env->arena, &part, &copy, err);
        if (status != ONNXD_OK) return status;
        items[i] = copy;
    }
    *sequence = (onnxd_sequence){.n = (size_t)n, .items = items, .item_type = in->type};
    *run->out[0] = (onnxd_tensor){.type = ONNXD_SEQUENCE, .data = sequence};
    return ONNXD_OK;
}

/* ---- ConcatFromSequence -------------------------------------------------------------------------- */

static onnxd_status check_concat(const struct node *node, onnxd_error *err)
{
    if (node_attribute(node, "axis") == NULL)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'axis' is missing");
    return check_attributes(node, err);
}

static onnxd_status shapes_concat(struct op_shapes *s, onnxd_error *err)
{
    if (s->in[0]->type != ONNXD_UNDEFINED && s->in[0]->type != ONNXD_SEQUENCE)
        return op_error(err, s->node, ONNXD_ERR_TYPE, "input 0 is %s, expected sequence",
                        onnxd_type_name(s->in[0]->type));
    shapes_set_type(s, 0, s->in[0]->item_type);
    return ONNXD_OK;
}

/* The result's shape; with a new axis every item is one position of it. */
static onnxd_status joined_shape(struct op_run *run, const onnxd_sequence *sequence, bool new_axis,
                                 uint32_t *ret_axis, onnxd_tensor *ret, onnxd_error *err)
{
    const onnxd_tensor *first = &sequence->items[0];
    uint32_t rank = first->rank + (new_axis ? 1 : 0);
    if (rank > ONNXD_MAX_RANK) return op_error(err, run->node, ONNXD_ERR_LIMIT, "output has rank %u", rank);
    onnxd_status status = op_axis(run->node, node_attribute_int(run->node, "axis", 0), rank, ret_axis, err);
    if (status != ONNXD_OK) return status;
    uint32_t axis = *ret_axis;
    int64_t total = 0;
    for (size_t i = 0; i < sequence->n; i++) {
        const onnxd_tensor *item = &sequence->items[i];
        bool same = item->rank == first->rank;
        for (uint32_t d = 0; same && d < item->rank; d++)
            same = item->dims[d] == first->dims[d] || (!new_axis && d == axis);
        if (!same) return op_error(err, run->node, ONNXD_ERR_SHAPE, "item %zu does not fit the first one", i);
        if (__builtin_add_overflow(total, new_axis ? 1 : item->dims[axis], &total)) total = INT64_MAX;
    }
    *ret = (onnxd_tensor){.type = first->type, .rank = rank};
    for (uint32_t d = 0, k = 0; d < rank; d++)
        ret->dims[d] = d == axis ? (new_axis ? 0 : (k++, 0)) + total : first->dims[k++];
    return ONNXD_OK;
}

static onnxd_status run_concat(struct op_run *run, onnxd_error *err)
{
    const onnxd_sequence *sequence = run->in[0]->data;
    bool new_axis = node_attribute_int(run->node, "new_axis", 0) != 0;
    uint32_t axis;
    onnxd_tensor whole;
    if (sequence->n == 0) return op_error(err, run->node, ONNXD_ERR_SHAPE, "the sequence is empty");
    onnxd_status status = joined_shape(run, sequence, new_axis, &axis, &whole, err);
    if (status == ONNXD_OK) status = op_allocate_output(run, 0, whole.type, whole.rank, whole.dims, err);
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    struct block block = block_of(run->out[0], axis);
    int64_t from = 0;
    for (size_t i = 0; i < sequence->n; i++) {
        onnxd_tensor item = sequence->items[i];
        int64_t n = new_axis ? 1 : item.dims[axis];
        if (item.type == ONNXD_STRING)
            status = op_copy_tensor(run->env->arena, &sequence->items[i], &item, err);
        if (status != ONNXD_OK) return status;
        copy_part(block, run->out[0]->data, item.data, from, n, false);
        from += n;
    }
    return ONNXD_OK;
}

const struct op_def ops_sequence_split[] = {
    {"", "SplitToSequence", 11, OP_LATEST, 1, 2, 1, 1, OP_DYNAMIC, NULL, shapes_split, NULL, NULL, run_split},
    {"", "ConcatFromSequence", 11, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, check_concat, shapes_concat, NULL, NULL,
     run_concat},
    {0},
};
