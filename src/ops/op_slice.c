/* Slice. Starts, ends and axes are attributes before opset 10, inputs from then on, with steps.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* One axis of a slice, in range. */
struct cut {
    int64_t start, step, count;
};

/* What a slice of an axis of this size holds; step is not 0. */
static struct cut cut_axis(int64_t size, int64_t start, int64_t end, int64_t step)
{
    if (start < 0) start += size;
    if (end < 0) end += size;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    start = start < 0 ? (step > 0 ? 0 : -1) : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    struct cut cut = {start, step, 0};
    if (step > 0 && end > start) cut.count = (end - start - 1) / step + 1;
    if (step < 0 && start > end)
        cut.count = (int64_t)(((uint64_t)start - (uint64_t)end - 1) / (0 - (uint64_t)step)) + 1;
    if (cut.count == 0) cut.start = 0;
    return cut;
}

/* ---- shapes ----------------------------------------------------------------------------------------- */

struct slice_lists {
    const struct dim *starts, *ends;
    int64_t axes[ONNXD_MAX_RANK], steps[ONNXD_MAX_RANK];
    uint32_t n;
};

static onnxd_status check_slice(const struct node *node, onnxd_error *err)
{
    size_t n_starts, n_ends, n_axes;
    onnxd_status status = check_attributes(node, err);
    if (status != ONNXD_OK || node->opset >= 10) return status;
    bool present = node_attribute_ints(node, "starts", &n_starts) != NULL;
    present = node_attribute_ints(node, "ends", &n_ends) != NULL && present;
    bool has_axes = node_attribute_ints(node, "axes", &n_axes) != NULL;
    if (!present || n_starts != n_ends || (has_axes && n_axes != n_starts) || n_starts > ONNXD_MAX_RANK)
        return op_error(err, node, ONNXD_ERR_MODEL, "attributes 'starts', 'ends' and 'axes' do not match");
    return ONNXD_OK;
}

static const struct dim *attribute_dims(struct op_shapes *s, const char *name, uint32_t *ret_n)
{
    size_t n;
    const int64_t *ints = node_attribute_ints(s->node, name, &n);
    struct dim *dims = arena_alloc_array(s->arena, n + 1, sizeof *dims);
    for (size_t i = 0; i < n && dims != NULL; i++) dims[i] = dim_constant(ints[i]);
    *ret_n = (uint32_t)n;
    return dims;
}

/* False when axes or steps are not known yet; starts or ends alone may be (NULL). */
static bool read_lists(struct op_shapes *s, uint32_t rank, struct slice_lists *l, onnxd_status *status,
                       onnxd_error *err)
{
    uint32_t n_starts = 0, n_ends = 0, n_axes = 0, n_steps = 0;
    bool by_input = s->node->opset >= 10, given_axes, given_steps = false;
    if (by_input) {
        if (!infer_contents(s, 0 + 1, &l->starts, &n_starts)) l->starts = NULL;
        if (!infer_contents(s, 2, &l->ends, &n_ends)) l->ends = NULL;
        if (!infer_list(s, 4, NULL, l->steps, ONNXD_MAX_RANK, &n_steps, &given_steps)) return false;
    } else {
        l->starts = attribute_dims(s, "starts", &n_starts);
        l->ends = attribute_dims(s, "ends", &n_ends);
    }
    if (!infer_list(s, by_input ? 3 : GRAPH_NONE, "axes", l->axes, ONNXD_MAX_RANK, &n_axes, &given_axes))
        return false;
    if (l->starts == NULL && l->ends == NULL && !given_axes) return false;
    l->n = l->starts != NULL ? n_starts : l->ends != NULL ? n_ends : n_axes;
    if ((l->starts != NULL && n_starts != l->n) || (l->ends != NULL && n_ends != l->n) ||
        (given_axes && n_axes != l->n) || (given_steps && n_steps != l->n) || l->n > rank) {
        *status = op_error(err, s->node, ONNXD_ERR_SHAPE,
                           "starts, ends, axes and steps have %u, %u, %u and %u elements for rank %u",
                           n_starts, n_ends, n_axes, n_steps, rank);
        return false;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        if (!given_axes) l->axes[i] = i;
        if (!given_steps) l->steps[i] = 1;
        if (l->steps[i] == 0) *status = op_error(err, s->node, ONNXD_ERR_RANGE, "steps holds 0");
    }
    return *status == ONNXD_OK;
}

/* Size of a sliced axis, as far as it is known. */
static struct dim sliced_dim(const struct slice_lists *l, uint32_t i, struct dim size)
{
    if (l->starts == NULL || l->ends == NULL) return dim_unknown();
    struct dim start = l->starts[i], end = l->ends[i];
    if (!dim_is_known(start) || !dim_is_known(end)) return dim_unknown();
    if (dim_is_constant(size) && dim_is_constant(start) && dim_is_constant(end))
        return dim_constant(cut_axis(size.n, start.n, end.n, l->steps[i]).count);
    bool to_the_end = dim_equal(end, size) || (dim_is_constant(end) && end.n >= INT32_MAX);
    if (l->steps[i] == 1 && dim_is_constant(start) && start.n == 0 && to_the_end) return size;
    return dim_unknown();
}

static void follow_slice(struct op_shapes *s, const struct slice_lists *l)
{
    const struct dim *values;
    uint32_t n;
    const struct value_info *out = &s->out[0];
    if (out->rank != 1 || l->n != 1 || !dim_is_constant(out->dims[0]) || !infer_contents(s, 0, &values, &n))
        return;
    struct cut cut = cut_axis(n, l->starts[0].n, l->ends[0].n, l->steps[0]);
    struct dim *contents = infer_set_contents(s, (uint32_t)cut.count);
    for (int64_t i = 0; i < cut.count && contents != NULL; i++)
        contents[i] = values[cut.start + i * cut.step];
}

static onnxd_status shapes_slice(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    for (uint32_t i = 1; i < s->n_in && status == ONNXD_OK; i++) {
        status = infer_type(s, i, TYPES_INDEX, err);
        if (status == ONNXD_OK) status = infer_rank(s, i, 1, err);
    }
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    struct slice_lists lists = {0};
    struct dim dims[ONNXD_MAX_RANK];
    if (!read_lists(s, (uint32_t)in->rank, &lists, &status, err)) {
        if (status != ONNXD_OK) return status;
        infer_unknown_dims(dims, in->rank);
        shapes_set(s, 0, in->type, in->rank, dims);
        return ONNXD_OK;
    }
    bool marked[ONNXD_MAX_RANK];
    status = op_mark_axes(s->node, lists.axes, lists.n, (uint32_t)in->rank, marked, err);
    if (status != ONNXD_OK) return status;
    memcpy(dims, in->dims, sizeof dims);
    for (uint32_t i = 0; i < lists.n; i++) {
        int64_t axis = lists.axes[i] < 0 ? lists.axes[i] + in->rank : lists.axes[i];
        dims[axis] = sliced_dim(&lists, i, dims[axis]);
    }
    shapes_set(s, 0, in->type, in->rank, dims);
    if (lists.starts != NULL && lists.ends != NULL) follow_slice(s, &lists);
    return ONNXD_OK;
}

/* ---- programs --------------------------------------------------------------------------------------- */

struct slice_state {
    struct loops loops;
    int64_t offset; /* of the first element in the input */
    bool ready;     /* false: starts and the like are known only in the run */
};

/* Element i of list input `in`, or of the attribute. */
static int64_t list_element(const struct node *node, const onnxd_tensor *const *in, uint32_t n_in,
                            uint32_t which, const char *attribute, uint32_t i, int64_t otherwise)
{
    if (node->opset >= 10) return tensor_given(in, n_in, which) ? element_i64(in[which], i) : otherwise;
    size_t n;
    const int64_t *ints = node_attribute_ints(node, attribute, &n);
    return i < n ? ints[i] : otherwise;
}

static onnxd_status cut_all(const struct node *node, const onnxd_tensor *const *in, uint32_t n_in,
                            const onnxd_tensor *out, struct slice_state *state, onnxd_error *err)
{
    size_t n;
    const onnxd_tensor *data = in[0];
    int64_t strides[ONNXD_MAX_RANK], dims[ONNXD_MAX_RANK];
    node_attribute_ints(node, "starts", &n);
    if (node->opset >= 10) n = (size_t)onnxd_tensor_n_elements(in[1]);
    shape_strides(data->dims, data->rank, strides);
    memcpy(dims, data->dims, sizeof dims);
    state->offset = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t axis;
        onnxd_status status = op_axis(node, list_element(node, in, n_in, 3, "axes", i, i), data->rank, &axis,
                                      err);
        if (status != ONNXD_OK) return status;
        int64_t step = list_element(node, in, n_in, 4, "steps", i, 1);
        if (step == 0) return op_error(err, node, ONNXD_ERR_RANGE, "steps holds 0");
        struct cut cut = cut_axis(data->dims[axis], list_element(node, in, n_in, 1, "starts", i, 0),
                                  list_element(node, in, n_in, 2, "ends", i, 0), step);
        dims[axis] = cut.count;
        state->offset += cut.start * strides[axis];
        strides[axis] *= cut.count > 1 ? cut.step : 1;
    }
    if (!shape_equal(dims, data->rank, out->dims, out->rank))
        return op_error(err, node, ONNXD_ERR_SHAPE, "slices changed after the shape was fixed");
    loops_init(&state->loops, dims, data->rank, 2);
    loops_broadcast(&state->loops, 0, dims, data->rank);
    memcpy(state->loops.strides[1], strides, sizeof strides);
    loops_simplify(&state->loops);
    return ONNXD_OK;
}

static onnxd_status prepare_slice(struct op_plan *plan, onnxd_error *err)
{
    struct slice_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 1; i < plan->n_in; i++)
        if (plan->in[i] != NULL && plan->in[i]->data == NULL && plan->in[i]->dims[0] != 0) return ONNXD_OK;
    state->ready = true;
    status = cut_all(plan->node, plan->in, plan->n_in, plan->out[0], state, err);
    if (status == ONNXD_OK && plan_fits(plan, 0) && state->offset == 0 && state->loops.rank == 1 &&
        loops_inner_stride(&state->loops, 1) == 1)
        plan->view_of = 0; /* all of it */
    return status;
}

static onnxd_status run_slice(struct op_run *run, onnxd_error *err)
{
    const struct slice_state *state = run->state;
    struct slice_state late;
    if (!state->ready) {
        onnxd_status status = cut_all(run->node, run->in, run->n_in, run->out[0], &late, err);
        if (status != ONNXD_OK) return status;
        state = &late;
    }
    size_t size = type_size(run->in[0]->type);
    if (onnxd_tensor_n_elements(run->out[0]) > 0)
        loops_copy(&state->loops, size, run->out[0]->data,
                   (const char *)run->in[0]->data + state->offset * (int64_t)size);
    return ONNXD_OK;
}

const struct op_def ops_slice[] = {
    {"", "Slice", 1, 10, 1, 1, 1, 1, 0, check_slice, shapes_slice, NULL, prepare_slice, run_slice},
    {"", "Slice", 10, OP_LATEST, 3, 5, 1, 1, 0, check_slice, shapes_slice, NULL, prepare_slice, run_slice},
    {0},
};
