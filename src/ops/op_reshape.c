/* Operators that keep their input's bytes and change its shape: Identity, Reshape, Flatten, Squeeze,
 * Unsqueeze, and Shape and Size, which read only the shape.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- views: no step runs in a planned program; elsewhere the bytes are copied --------------------- */

static onnxd_status prepare_view(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    plan->view_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_copy(struct op_run *run, onnxd_error *err)
{
    (void)err;
    if (type_is_container(run->in[0]->type)) { /* shares the items, which live as long as the run */
        *run->out[0] = *run->in[0];
        return ONNXD_OK;
    }
    size_t n_bytes = onnxd_tensor_n_bytes(run->in[0]);
    if (n_bytes > 0 && run->out[0]->data != run->in[0]->data)
        memcpy(run->out[0]->data, run->in[0]->data, n_bytes);
    return ONNXD_OK;
}

static void copy_contents(struct op_shapes *s)
{
    const struct dim *values;
    uint32_t n;
    if (!shapes_contents(s, 0, &values, &n)) return;
    struct dim *out = shapes_set_contents(s, 0, n);
    if (out != NULL && n > 0) memcpy(out, values, n * sizeof *out);
}

static onnxd_status shapes_identity(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    shapes_copy(s, 0, 0);
    copy_contents(s);
    return ONNXD_OK;
}

/* ---- Reshape ------------------------------------------------------------------------------------- */

/* The wanted shape: input 1 from opset 5, attribute before. */
static bool wanted_shape(struct op_shapes *s, const struct dim **ret_dims, uint32_t *ret_n)
{
    if (s->node->opset >= 5) return shapes_contents(s, 1, ret_dims, ret_n);
    size_t n;
    const int64_t *ints = node_attribute_ints(s->node, "shape", &n);
    struct dim *dims = arena_alloc_array(s->arena, n + 1, sizeof *dims);
    if (ints == NULL || dims == NULL || n > ONNXD_MAX_RANK) return false;
    for (size_t i = 0; i < n; i++) dims[i] = dim_constant(ints[i]);
    *ret_dims = dims;
    *ret_n = (uint32_t)n;
    return true;
}

static onnxd_status shapes_reshape(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    const struct dim *want;
    uint32_t n = 0;
    shapes_set_type(s, 0, in->type);
    if (!wanted_shape(s, &want, &n)) {
        if (shapes_known(s, 1) && s->in[1]->rank == 1 && dim_is_constant(s->in[1]->dims[0]) &&
            s->in[1]->dims[0].n <= ONNXD_MAX_RANK) {
            struct dim dims[ONNXD_MAX_RANK];
            for (int i = 0; i < ONNXD_MAX_RANK; i++) dims[i] = dim_unknown();
            shapes_set(s, 0, in->type, (int32_t)s->in[1]->dims[0].n, dims);
        }
        return ONNXD_OK;
    }
    if (n > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "shape has rank %u, at most %d", n, ONNXD_MAX_RANK);
    bool zero_copies = node_attribute_int(s->node, "allowzero", 0) == 0;
    struct dim dims[ONNXD_MAX_RANK], known = dim_constant(1), left = value_info_n_elements(in);
    int32_t inferred = -1;
    for (uint32_t i = 0; i < n; i++) {
        dims[i] = want[i];
        if (dim_is_constant(want[i]) && want[i].n == -1) {
            if (inferred >= 0) return op_error(err, s->node, ONNXD_ERR_SHAPE, "shape holds -1 twice");
            inferred = (int32_t)i;
            continue;
        }
        if (dim_is_constant(want[i]) && want[i].n == 0 && zero_copies) {
            if (in->rank >= 0 && (int32_t)i >= in->rank)
                return op_error(err, s->node, ONNXD_ERR_SHAPE,
                                "shape holds 0 on axis %u, but the input has rank %d", i, in->rank);
            dims[i] = in->rank >= 0 ? in->dims[i] : dim_unknown();
        } else if (dim_is_known(want[i]) && want[i].n < 0) {
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "shape holds %lld", (long long)want[i].n);
        }
        known = dim_mul(known, dims[i]);
    }
    if (inferred >= 0) {
        dims[inferred] = dim_div(left, known);
        if (dim_is_constant(left) && dim_is_constant(known) && !dim_is_known(dims[inferred]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld elements do not divide by %lld",
                            (long long)left.n, (long long)known.n);
    } else if (dim_is_constant(left) && dim_is_constant(known) && left.n != known.n) {
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld elements do not fit a shape of %lld",
                        (long long)left.n, (long long)known.n);
    }
    shapes_set(s, 0, in->type, (int32_t)n, dims);
    if (n <= 1) copy_contents(s);
    return ONNXD_OK;
}

/* ---- Flatten ------------------------------------------------------------------------------------- */

static onnxd_status shapes_flatten(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    int64_t axis = node_attribute_int(s->node, "axis", 1);
    if (axis < -in->rank || axis > in->rank)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "axis %lld is outside rank %d", (long long)axis,
                        in->rank);
    if (axis < 0) axis += in->rank;
    struct dim dims[2] = {dim_constant(1), dim_constant(1)};
    for (int32_t i = 0; i < in->rank; i++) dims[i >= axis] = dim_mul(dims[i >= axis], in->dims[i]);
    shapes_set(s, 0, in->type, 2, dims);
    return ONNXD_OK;
}

/* ---- Squeeze and Unsqueeze: axes are an attribute before opset 13, input 1 from then on ------------ */

/* False when the axes are not known yet; *ret_given tells whether any were named. */
static bool wanted_axes(struct op_shapes *s, int64_t *axes, uint32_t *ret_n, bool *ret_given)
{
    *ret_n = 0;
    *ret_given = true;
    if (s->node->opset >= 13) {
        if (shapes_has(s, 1)) return shapes_ints(s, 1, axes, ONNXD_MAX_RANK, ret_n);
        *ret_given = false;
        return true;
    }
    size_t n;
    const int64_t *ints = node_attribute_ints(s->node, "axes", &n);
    *ret_given = ints != NULL;
    if (n > ONNXD_MAX_RANK) return false;
    if (n > 0) memcpy(axes, ints, n * sizeof *axes);
    *ret_n = (uint32_t)n;
    return true;
}

static onnxd_status mark_axes(const struct op_shapes *s, const int64_t *axes, uint32_t n, uint32_t rank,
                              bool *marked, onnxd_error *err)
{
    memset(marked, 0, ONNXD_MAX_RANK * sizeof *marked);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t axis;
        if (!shape_normalize_axis(axes[i], rank, &axis))
            return op_error(err, s->node, ONNXD_ERR_RANGE, "axis %lld is outside rank %u", (long long)axes[i],
                            rank);
        if (marked[axis])
            return op_error(err, s->node, ONNXD_ERR_RANGE, "axis %lld is named twice", (long long)axes[i]);
        marked[axis] = true;
    }
    return ONNXD_OK;
}

static onnxd_status shapes_squeeze(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    int64_t axes[ONNXD_MAX_RANK];
    bool marked[ONNXD_MAX_RANK], given;
    uint32_t n;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0 || !wanted_axes(s, axes, &n, &given)) return ONNXD_OK;
    onnxd_status status = mark_axes(s, axes, n, (uint32_t)in->rank, marked, err);
    if (status != ONNXD_OK) return status;
    struct dim dims[ONNXD_MAX_RANK];
    int32_t rank = 0;
    for (int32_t i = 0; i < in->rank; i++) {
        struct dim d = in->dims[i];
        if (!given && !dim_is_constant(d)) return ONNXD_OK; /* whether this axis stays is not known yet */
        if (!given) marked[i] = d.n == 1;
        if (!marked[i])
            dims[rank++] = d;
        else if (dim_is_constant(d) && d.n != 1)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "axis %d has size %lld, expected 1", i,
                            (long long)d.n);
    }
    shapes_set(s, 0, in->type, rank, dims);
    copy_contents(s);
    return ONNXD_OK;
}

static onnxd_status shapes_unsqueeze(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    int64_t axes[ONNXD_MAX_RANK];
    bool marked[ONNXD_MAX_RANK], given;
    uint32_t n;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0 || !wanted_axes(s, axes, &n, &given)) return ONNXD_OK;
    if (!given) return op_error(err, s->node, ONNXD_ERR_MODEL, "axes are missing");
    uint32_t rank = (uint32_t)in->rank + n;
    if (rank > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "output has rank %u, at most %d", rank,
                        ONNXD_MAX_RANK);
    onnxd_status status = mark_axes(s, axes, n, rank, marked, err);
    if (status != ONNXD_OK) return status;
    struct dim dims[ONNXD_MAX_RANK];
    int32_t k = 0;
    for (uint32_t i = 0; i < rank; i++) dims[i] = marked[i] ? dim_constant(1) : in->dims[k++];
    shapes_set(s, 0, in->type, (int32_t)rank, dims);
    if (rank <= 1) copy_contents(s);
    return ONNXD_OK;
}

/* ---- Shape and Size ------------------------------------------------------------------------------ */

static void shape_range(const struct node *node, int64_t rank, int64_t *ret_start, int64_t *ret_end)
{
    int64_t start = node_attribute_int(node, "start", 0), end = node_attribute_int(node, "end", rank);
    if (start < 0) start += rank;
    if (end < 0) end += rank;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < start ? start : end > rank ? rank : end;
    *ret_start = start;
    *ret_end = end;
}

static onnxd_status shapes_shape(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    const struct value_info *in = s->in[0];
    struct dim n = dim_unknown();
    int64_t start, end;
    if (in->rank >= 0) {
        shape_range(s->node, in->rank, &start, &end);
        n = dim_constant(end - start);
        struct dim *contents = shapes_set_contents(s, 0, (uint32_t)(end - start));
        if (contents != NULL)
            for (int64_t i = start; i < end; i++) contents[i - start] = in->dims[i];
    }
    shapes_set(s, 0, ONNXD_INT64, 1, &n);
    return ONNXD_OK;
}

static onnxd_status run_shape(struct op_run *run, onnxd_error *err)
{
    (void)err;
    int64_t start, end, *out = run->out[0]->data;
    shape_range(run->node, run->in[0]->rank, &start, &end);
    for (int64_t i = start; i < end; i++) out[i - start] = run->in[0]->dims[i];
    return ONNXD_OK;
}

static onnxd_status shapes_size(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    shapes_set(s, 0, ONNXD_INT64, 0, NULL);
    struct dim *contents = shapes_set_contents(s, 0, 1);
    if (contents != NULL) contents[0] = value_info_n_elements(s->in[0]);
    return ONNXD_OK;
}

static onnxd_status run_size(struct op_run *run, onnxd_error *err)
{
    (void)err;
    *(int64_t *)run->out[0]->data = onnxd_tensor_n_elements(run->in[0]);
    return ONNXD_OK;
}

const struct op_def ops_reshape[] = {
    {"", "Identity", 1, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_identity, NULL, prepare_view, run_copy},
    {"", "Reshape", 1, 5, 1, 1, 1, 1, 0, NULL, shapes_reshape, NULL, prepare_view, run_copy},
    {"", "Reshape", 5, OP_LATEST, 2, 2, 1, 1, 0, NULL, shapes_reshape, NULL, prepare_view, run_copy},
    {"", "Flatten", 1, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_flatten, NULL, prepare_view, run_copy},
    {"", "Squeeze", 1, OP_LATEST, 1, 2, 1, 1, 0, NULL, shapes_squeeze, NULL, prepare_view, run_copy},
    {"", "Unsqueeze", 1, OP_LATEST, 1, 2, 1, 1, 0, NULL, shapes_unsqueeze, NULL, prepare_view, run_copy},
    {"", "Shape", 1, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_shape, NULL, NULL, run_shape},
    {"", "Size", 1, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_size, NULL, NULL, run_size},
    {0},
};
