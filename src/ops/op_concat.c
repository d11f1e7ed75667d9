/* Concat, Split, Transpose, DepthToSpace and SpaceToDepth: elements move, none is computed.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- Concat ----------------------------------------------------------------------------------------- */

static onnxd_status check_concat(const struct node *node, onnxd_error *err)
{
    if (node->opset >= 4 && node_attribute(node, "axis") == NULL)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'axis' is missing");
    return check_attributes(node, err);
}

static void follow_concat(struct op_shapes *s)
{
    const struct value_info *out = &s->out[0];
    if (out->rank != 1 || !dim_is_constant(out->dims[0]) || out->dims[0].n > SHAPES_MAX_CONTENTS ||
        out->dims[0].n < 0 || (out->type != ONNXD_INT64 && out->type != ONNXD_INT32))
        return;
    struct dim *contents = infer_set_contents(s, (uint32_t)out->dims[0].n);
    for (uint32_t i = 0, at = 0; i < s->n_in && contents != NULL; i++) {
        const struct dim *values;
        uint32_t n = (uint32_t)s->in[i]->dims[0].n, got = 0;
        bool known = infer_contents(s, i, &values, &got) && got == n;
        for (uint32_t k = 0; k < n; k++) contents[at++] = known ? values[k] : dim_unknown();
    }
}

static onnxd_status shapes_concat(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, s->n_in, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    struct value_info info = *s->in[0];
    for (uint32_t i = 1; i < s->n_in; i++) {
        if (info.rank >= 0 && s->in[i]->rank >= 0 && s->in[i]->rank != info.rank)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has rank %d, expected %d", i,
                            s->in[i]->rank, info.rank);
        if (info.rank < 0) info = *s->in[i];
    }
    shapes_set_type(s, 0, s->in[0]->type);
    uint32_t axis;
    if (info.rank < 0) return ONNXD_OK;
    status = op_axis(s->node, node_attribute_int(s->node, "axis", 1), (uint32_t)info.rank, &axis, err);
    if (status != ONNXD_OK) return status;
    struct dim sum = dim_constant(0);
    for (uint32_t i = 0; i < s->n_in; i++) {
        const struct value_info *in = s->in[i];
        sum = in->rank < 0 ? dim_unknown() : dim_add(sum, in->dims[axis]);
        for (int32_t k = 0; k < in->rank; k++) {
            if ((uint32_t)k == axis) continue;
            if (dim_differs(info.dims[k], in->dims[k]))
                return op_error(err, s->node, ONNXD_ERR_SHAPE,
                                "input %u has size %lld on axis %d, expected %lld", i,
                                (long long)in->dims[k].n, k, (long long)info.dims[k].n);
            info.dims[k] = dim_merge(info.dims[k], in->dims[k]);
        }
        if (in->rank < 0) break;
    }
    info.dims[axis] = sum;
    shapes_set(s, 0, s->in[0]->type, info.rank, info.dims);
    follow_concat(s);
    return ONNXD_OK;
}

struct concat_state {
    int64_t outer;
    size_t out_bytes;  /* of one outer step */
    size_t in_bytes[]; /* [n_in] */
};

static onnxd_status prepare_concat(struct op_plan *plan, onnxd_error *err)
{
    struct concat_state *state;
    onnxd_status status = plan_state(plan, sizeof *state + plan->n_in * sizeof state->in_bytes[0],
                                     (void **)&state, err);
    const onnxd_tensor *out = plan->out[0];
    uint32_t axis;
    if (status != ONNXD_OK || out == NULL) return status;
    status = op_axis(plan->node, node_attribute_int(plan->node, "axis", 1), out->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    state->outer = 1;
    for (uint32_t i = 0; i < axis; i++) state->outer *= out->dims[i];
    if (state->outer == 0) return ONNXD_OK;
    for (uint32_t i = 0; i < plan->n_in; i++) {
        state->in_bytes[i] = onnxd_tensor_n_bytes(plan->in[i]) / (size_t)state->outer;
        state->out_bytes += state->in_bytes[i];
    }
    if (plan->n_in == 1) plan->view_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_concat(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct concat_state *state = run->state;
    if (run->out[0] == NULL) return ONNXD_OK;
    char *to = run->out[0]->data;
    for (uint32_t i = 0; i < run->n_in; i++) {
        const char *from = run->in[i]->data;
        size_t n = state->in_bytes[i];
        if (n == 4) /* columns of single floats are common: a call each would cost more than the copy */
            for (int64_t k = 0; k < state->outer; k++)
                memcpy(to + (size_t)k * state->out_bytes, from + k * 4, 4);
        else if (n > 0)
            for (int64_t k = 0; k < state->outer; k++)
                memcpy(to + (size_t)k * state->out_bytes, from + (size_t)k * n, n);
        to += n;
    }
    return ONNXD_OK;
}

/* ---- Split: sizes are an attribute before opset 13, input 1 in opset 1 and from 13 on ----------------- */

static onnxd_status check_split(const struct node *node, onnxd_error *err)
{
    int64_t n = node_attribute_int(node, "num_outputs", node->n_out);
    if (n != node->n_out)
        return op_error(err, node, ONNXD_ERR_MODEL,
                        "attribute 'num_outputs' is %lld, but there are %u outputs", (long long)n,
                        node->n_out);
    return check_attributes(node, err);
}

enum { MAX_PARTS = 4096 };

static onnxd_status split_sizes(struct op_shapes *s, struct dim whole, struct dim *sizes, onnxd_error *err)
{
    int64_t *given = arena_alloc_array(s->arena, MAX_PARTS, sizeof *given);
    uint32_t n;
    bool is_given, from_input = s->node->opset >= 13 || s->node->opset == 1;
    if (s->n_out > MAX_PARTS || given == NULL)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "%u outputs, at most %d", s->n_out, MAX_PARTS);
    bool has_input = from_input && shapes_has(s, 1);
    bool known = infer_list(s, has_input ? 1 : GRAPH_NONE, "split", given, MAX_PARTS, &n, &is_given);
    if (is_given && known && n != s->n_out)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "split has %u sizes for %u outputs", n, s->n_out);
    int64_t sum = 0;
    for (uint32_t i = 0; i < s->n_out; i++) {
        if (is_given && known && (given[i] < 0 || given[i] > SHAPE_MAX_ELEMENTS))
            return op_error(err, s->node, ONNXD_ERR_RANGE, "split holds %lld", (long long)given[i]);
        if (is_given) {
            sizes[i] = known ? dim_constant(given[i]) : dim_unknown();
            sum += known ? given[i] : 0;
        } else if (dim_is_constant(whole) && s->node->opset >= 18) { /* the last one may be smaller */
            int64_t each = (whole.n + s->n_out - 1) / s->n_out, from = each * i;
            sizes[i] = dim_constant(from >= whole.n ? 0 : whole.n - from < each ? whole.n - from : each);
        } else {
            sizes[i] = dim_div(whole, dim_constant(s->n_out));
            if (dim_is_constant(whole) && !dim_is_known(sizes[i]))
                return op_error(err, s->node, ONNXD_ERR_SHAPE, "size %lld does not split into %u equal parts",
                                (long long)whole.n, s->n_out);
        }
    }
    if (is_given && known && dim_is_constant(whole) && sum != whole.n)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "split adds up to %lld, the axis has %lld",
                        (long long)sum, (long long)whole.n);
    return ONNXD_OK;
}

static void follow_split(struct op_shapes *s, const struct dim *sizes)
{
    const struct dim *values;
    uint32_t n, at = 0;
    if (s->in[0]->rank != 1 || !infer_contents(s, 0, &values, &n)) return;
    for (uint32_t i = 0; i < s->n_out; i++) {
        if (!dim_is_constant(sizes[i]) || sizes[i].n > (int64_t)n - at) return;
        uint32_t part = (uint32_t)sizes[i].n;
        struct dim *contents = shapes_set_contents(s, i, part);
        if (contents != NULL && part > 0) memcpy(contents, values + at, part * sizeof *values);
        at += part;
    }
}

static onnxd_status shapes_split(struct op_shapes *s, onnxd_error *err)
{
    struct value_info info = *s->in[0];
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < s->n_out; i++) shapes_set_type(s, i, info.type);
    if (info.rank < 0) return ONNXD_OK;
    uint32_t axis;
    status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)info.rank, &axis, err);
    struct dim *sizes = arena_alloc_array(s->arena, s->n_out, sizeof *sizes);
    if (status == ONNXD_OK && sizes == NULL)
        status = op_error(err, s->node, ONNXD_ERR_LIMIT, "no room for %u outputs", s->n_out);
    if (status == ONNXD_OK) status = split_sizes(s, info.dims[axis], sizes, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < s->n_out; i++) {
        info.dims[axis] = sizes[i];
        shapes_set(s, i, info.type, info.rank, info.dims);
    }
    follow_split(s, sizes);
    return ONNXD_OK;
}

static onnxd_status run_split(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    uint32_t axis;
    onnxd_status status = op_axis(run->node, node_attribute_int(run->node, "axis", 0), in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    int64_t outer = 1;
    for (uint32_t i = 0; i < axis; i++) outer *= in->dims[i];
    if (outer == 0) return ONNXD_OK;
    size_t in_bytes = onnxd_tensor_n_bytes(in) / (size_t)outer;
    int64_t unit = in->dims[axis] > 0 ? (int64_t)in_bytes / in->dims[axis] : 0;
    const char *from = in->data;
    int64_t left = in->dims[axis], even = (left + run->n_out - 1) / run->n_out;
    for (uint32_t i = 0; i < run->n_out; i++) {
        int64_t size = even < left ? even : left; /* of an output nobody reads, when all are alike */
        if (run->out[i] != NULL) {
            size = run->out[i]->dims[axis];
        } else if (tensor_given(run->in, run->n_in, 1)) {
            size = run->in[1]->type == ONNXD_INT64 ? ((const int64_t *)run->in[1]->data)[i] : size;
        } else {
            size_t n;
            const int64_t *given = node_attribute_ints(run->node, "split", &n);
            if (i < n) size = given[i];
        }
        size_t n_bytes = (size_t)(size * unit);
        for (int64_t k = 0; k < outer && run->out[i] != NULL && n_bytes > 0; k++)
            memcpy((char *)run->out[i]->data + (size_t)k * n_bytes, from + (size_t)k * in_bytes, n_bytes);
        from += n_bytes;
        left -= size;
    }
    return ONNXD_OK;
}

/* ---- Transpose -------------------------------------------------------------------------------------- */

static onnxd_status permutation(const struct node *node, uint32_t rank, uint32_t *perm, onnxd_error *err)
{
    size_t n;
    const int64_t *given = node_attribute_ints(node, "perm", &n);
    bool seen[ONNXD_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) perm[i] = rank - 1 - i;
    if (given == NULL) return ONNXD_OK;
    if (n != rank)
        return op_error(err, node, ONNXD_ERR_SHAPE, "attribute 'perm' has %zu axes for rank %u", n, rank);
    onnxd_status status = op_mark_axes(node, given, n, rank, seen, err);
    for (uint32_t i = 0; i < rank && status == ONNXD_OK; i++) {
        if (!shape_normalize_axis(given[i], rank, &perm[i])) perm[i] = 0;
    }
    return status;
}

static onnxd_status shapes_transpose(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    uint32_t perm[ONNXD_MAX_RANK];
    struct dim dims[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    status = permutation(s->node, (uint32_t)in->rank, perm, err);
    if (status != ONNXD_OK) return status;
    for (int32_t i = 0; i < in->rank; i++) dims[i] = in->dims[perm[i]];
    shapes_set(s, 0, in->type, in->rank, dims);
    if (in->rank <= 1) infer_copy_contents(s, 0);
    return ONNXD_OK;
}

/* A view of dims[rank] of the input's elements whose axes are put in the order perm. */
static onnxd_status plan_permutation(struct op_plan *plan, const int64_t *dims, uint32_t rank,
                                     const uint32_t *perm, onnxd_error *err)
{
    struct loops *loops;
    onnxd_status status = plan_state(plan, sizeof *loops, (void **)&loops, err);
    if (status != ONNXD_OK) return status;
    int64_t strides[LOOPS_MAX_RANK], out_dims[LOOPS_MAX_RANK];
    shape_strides(dims, rank, strides);
    for (uint32_t i = 0; i < rank; i++) out_dims[i] = dims[perm[i]];
    loops_init(loops, out_dims, rank, 2);
    loops_broadcast(loops, 0, out_dims, rank);
    for (uint32_t i = 0; i < rank; i++) {
        loops->strides[0][i] = 1;
        for (uint32_t k = i + 1; k < rank; k++) loops->strides[0][i] *= out_dims[k];
        loops->strides[1][i] = strides[perm[i]];
    }
    loops_simplify(loops);
    if (loops->rank == 1 && (loops->dims[0] <= 1 || loops->strides[1][0] == 1))
        plan->view_of = 0; /* only sizes of 1 change places */
    return ONNXD_OK;
}

static onnxd_status prepare_transpose(struct op_plan *plan, onnxd_error *err)
{
    uint32_t perm[ONNXD_MAX_RANK];
    onnxd_status status = permutation(plan->node, plan->in[0]->rank, perm, err);
    return status == ONNXD_OK ? plan_permutation(plan, plan->in[0]->dims, plan->in[0]->rank, perm, err)
                              : status;
}

static onnxd_status run_permutation(struct op_run *run, onnxd_error *err)
{
    (void)err;
    if (run->out[0] != NULL && run->out[0]->data != run->in[0]->data)
        loops_copy(run->state, type_size(run->in[0]->type), run->out[0]->data, run->in[0]->data);
    return ONNXD_OK;
}

/* ---- DepthToSpace and SpaceToDepth: a transposition of six axes --------------------------------------- */

static bool to_space(const struct node *node)
{
    return strcmp(node->op_type, "DepthToSpace") == 0;
}

static onnxd_status check_blocks(const struct node *node, onnxd_error *err)
{
    static const char *const modes[] = {"DCR", "CRD", NULL};
    int64_t block = node_attribute_int(node, "blocksize", 0);
    if (block < 1 || block > 1 << 20)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'blocksize' is %lld", (long long)block);
    return to_space(node) ? check_word(node, "mode", modes, err) : ONNXD_OK;
}

static onnxd_status shapes_blocks(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = infer_rank(s, 0, 4, err);
    if (status == ONNXD_OK) status = infer_type(s, 0, TYPES_ANY, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    struct dim block = dim_constant(node_attribute_int(s->node, "blocksize", 1));
    struct dim square = dim_mul(block, block);
    struct dim dims[4] = {in->dims[0]};
    for (int i = 1; i < 4; i++) {
        bool shrinks = to_space(s->node) == (i == 1);
        struct dim by = i == 1 ? square : block;
        dims[i] = shrinks ? dim_div(in->dims[i], by) : dim_mul(in->dims[i], by);
        if (shrinks && dim_is_constant(in->dims[i]) && !dim_is_known(dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "axis %d has size %lld, no multiple of %lld", i,
                            (long long)in->dims[i].n, (long long)by.n);
    }
    shapes_set(s, 0, in->type, 4, dims);
    return ONNXD_OK;
}

static onnxd_status prepare_blocks(struct op_plan *plan, onnxd_error *err)
{
    static const uint32_t dcr[] = {0, 3, 4, 1, 5, 2}, crd[] = {0, 1, 4, 2, 5, 3}, deep[] = {0, 3, 5, 1, 2, 4};
    const int64_t *d = plan->in[0]->dims, b = node_attribute_int(plan->node, "blocksize", 1);
    if (!to_space(plan->node)) {
        int64_t dims[] = {d[0], d[1], d[2] / b, b, d[3] / b, b};
        return plan_permutation(plan, dims, 6, deep, err);
    }
    if (node_attribute_is(plan->node, "mode", "CRD")) {
        int64_t dims[] = {d[0], d[1] / (b * b), b, b, d[2], d[3]};
        return plan_permutation(plan, dims, 6, crd, err);
    }
    int64_t dims[] = {d[0], b, b, d[1] / (b * b), d[2], d[3]};
    return plan_permutation(plan, dims, 6, dcr, err);
}

const struct op_def ops_concat[] = {
    {"", "Concat", 1, OP_LATEST, 1, OP_ANY_NUMBER, 1, 1, 0, check_concat, shapes_concat, NULL, prepare_concat,
     run_concat},
    {"", "Split", 1, OP_LATEST, 1, 2, 1, OP_ANY_NUMBER, 0, check_split, shapes_split, NULL, NULL, run_split},
    {"", "Transpose", 1, OP_LATEST, 1, 1, 1, 1, 0, check_attributes, shapes_transpose, NULL,
     prepare_transpose, run_permutation},
    {"", "DepthToSpace", 1, OP_LATEST, 1, 1, 1, 1, 0, check_blocks, shapes_blocks, NULL, prepare_blocks,
     run_permutation},
    {"", "SpaceToDepth", 1, OP_LATEST, 1, 1, 1, 1, 0, check_blocks, shapes_blocks, NULL, prepare_blocks,
     run_permutation},
    {0},
};
