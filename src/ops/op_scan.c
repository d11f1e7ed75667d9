/* Scan: a body run once for each slice of its inputs, with state carried on and results stacked.
 * Source: ONNX operator specification, ai.onnx, Scan-8 (batched, axis 1 is time) and Scan-9..21. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/op_body.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

struct scan {
    struct graph *body;
    uint32_t n_states, n_slices, n_stacks;
    const int64_t *in_axes, *in_directions, *out_axes, *out_directions; /* NULL: all 0 */
    onnxd_tensor *states;                                               /* [n_states] */
    onnxd_tensor *slices;                                               /* [n_slices] one step's */
    const onnxd_tensor **in;                                            /* [n_states + n_slices] */
    onnxd_tensor *out;                                                  /* [n_states + n_stacks] */
    struct body_stack *stacks;                                          /* [n_stacks] */
    struct arena carried[2]; /* results of the last step and of the one before, which it read */
};

/* Scan-8 has the lengths of the sequences in front. */
static uint32_t first_input(const struct node *node)
{
    return node->opset < 9 ? 1 : 0;
}

static onnxd_status check_list(const struct node *node, const char *name, uint32_t n, bool directions,
                               onnxd_error *err)
{
    size_t n_given;
    const int64_t *given = node_attribute_ints(node, name, &n_given);
    if (given == NULL) return ONNXD_OK;
    if (n_given != n)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' has %zu entries, expected %u", name,
                        n_given, n);
    for (uint32_t i = 0; directions && i < n; i++)
        if (given[i] != 0 && given[i] != 1)
            return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' holds %lld, expected 0 or 1", name,
                            (long long)given[i]);
    return ONNXD_OK;
}

static onnxd_status check_scan(const struct node *node, onnxd_error *err)
{
    if (node->n_in > OP_ANY_NUMBER || node->n_out > OP_ANY_NUMBER)
        return op_error(err, node, ONNXD_ERR_LIMIT, "more than %d inputs or outputs", OP_ANY_NUMBER);
    uint32_t n_values = node->n_in - first_input(node);
    int64_t n_slices = node_attribute_int(node, "num_scan_inputs", 0);
    if (n_slices < 1 || n_slices > n_values)
        return op_error(err, node, ONNXD_ERR_MODEL, "num_scan_inputs is %lld, expected 1..%u",
                        (long long)n_slices, n_values);
    uint32_t n = (uint32_t)n_slices, n_states = n_values - n;
    if (n_states > node->n_out)
        return op_error(err, node, ONNXD_ERR_MODEL, "%u states need as many outputs, %u are there", n_states,
                        node->n_out);
    uint32_t n_stacks = node->n_out - n_states;
    onnxd_status status = body_check(node, "body", n_values, node->n_out, err);
    if (status == ONNXD_OK) status = check_list(node, "directions", n, true, err);
    if (status == ONNXD_OK) status = check_list(node, "scan_input_axes", n, false, err);
    if (status == ONNXD_OK) status = check_list(node, "scan_input_directions", n, true, err);
    if (status == ONNXD_OK) status = check_list(node, "scan_output_axes", n_stacks, false, err);
    if (status == ONNXD_OK) status = check_list(node, "scan_output_directions", n_stacks, true, err);
    return status;
}

static onnxd_status shapes_scan(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    const struct graph *body = node_attribute_graph(s->node, "body");
    for (uint32_t i = 0; i < s->n_out; i++) body_shapes(s, i, body, i);
    return ONNXD_OK;
}

/* ---- one sequence -------------------------------------------------------------------------------- */

static onnxd_status begin_scan(struct op_run *run, struct scan *scan, onnxd_error *err)
{
    const struct node *node = run->node;
    size_t n;
    scan->body = node_attribute_graph(node, "body");
    scan->n_slices = (uint32_t)node_attribute_int(node, "num_scan_inputs", 0);
    scan->n_states = run->n_in - first_input(node) - scan->n_slices;
    scan->n_stacks = run->n_out - scan->n_states;
    scan->in_axes = node_attribute_ints(node, "scan_input_axes", &n);
    scan->in_directions = node_attribute_ints(node, node->opset < 9 ? "directions" : "scan_input_directions",
                                              &n);
    scan->out_axes = node_attribute_ints(node, "scan_output_axes", &n);
    scan->out_directions = node_attribute_ints(node, "scan_output_directions", &n);
    uint32_t n_in = scan->n_states + scan->n_slices, n_out = scan->n_states + scan->n_stacks;
    scan->states = op_allocate(run, (n_in + 1) * sizeof *scan->states);
    scan->slices = op_allocate(run, (n_in + 1) * sizeof *scan->slices);
    scan->in = op_allocate(run, (n_in + 1) * sizeof *scan->in);
    scan->out = op_allocate(run, (n_out + 1) * sizeof *scan->out);
    scan->stacks = op_allocate(run, (n_out + 1) * sizeof *scan->stacks);
    if (scan->states == NULL || scan->slices == NULL || scan->in == NULL || scan->out == NULL ||
        scan->stacks == NULL)
        return op_error(err, node, ONNXD_ERR_LIMIT, "no room for %u values", n_in + n_out);
    for (uint32_t i = 0; i < scan->n_states; i++) scan->in[i] = &scan->states[i];
    for (uint32_t i = 0; i < scan->n_slices; i++) scan->in[scan->n_states + i] = &scan->slices[i];
    for (uint32_t i = first_input(node); i < run->n_in; i++)
        if (run->in[i] == NULL) return op_error(err, node, ONNXD_ERR_MODEL, "input %u is left out", i);
    body_arena_init(&scan->carried[0], run);
    body_arena_init(&scan->carried[1], run);
    return ONNXD_OK;
}

static void done_scan(struct scan *scan)
{
    arena_done(&scan->carried[0]);
    arena_done(&scan->carried[1]);
}

/* A tensor without its axis, and where a step's slice of it is put together; a slice along axis 0 is a view.
 */
static onnxd_status begin_slice(struct op_run *run, const onnxd_tensor *whole, uint32_t axis,
                                onnxd_tensor *slice, onnxd_error *err)
{
    *slice = (onnxd_tensor){.type = whole->type, .rank = whole->rank - 1};
    for (uint32_t i = 0, k = 0; i < whole->rank; i++)
        if (i != axis) slice->dims[k++] = whole->dims[i];
    if (axis == 0) return ONNXD_OK;
    slice->data = op_allocate(run, onnxd_tensor_n_bytes(slice));
    return slice->data != NULL ? ONNXD_OK : op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for a slice");
}

static void take_slice(const onnxd_tensor *whole, uint32_t axis, int64_t t, onnxd_tensor *slice)
{
    size_t outer = 1, inner = type_size(whole->type);
    for (uint32_t i = 0; i < slice->rank; i++) *(i < axis ? &outer : &inner) *= (size_t)slice->dims[i];
    char *from = (char *)whole->data + (size_t)t * inner;
    if (axis == 0) {
        slice->data = from;
        return;
    }
    if (inner == 0) return;
    for (size_t o = 0; o < outer; o++)
        memcpy((char *)slice->data + o * inner, from + o * inner * (size_t)whole->dims[axis], inner);
}

static onnxd_status step(struct op_run *run, struct scan *scan, int64_t t, int64_t n_steps, onnxd_error *err)
{
    uint32_t n_in = scan->n_states + scan->n_slices, n_out = scan->n_states + scan->n_stacks;
    struct arena *results = &scan->carried[t & 1];
    arena_reset(results);
    onnxd_status status = run->env->run_body(run, scan->body, scan->in, n_in, scan->out, n_out, results, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < scan->n_stacks; i++) {
        bool back = scan->out_directions != NULL && scan->out_directions[i] == 1;
        if (t == 0 && scan->out_axes != NULL) {
            uint32_t rank = scan->out[scan->n_states + i].rank + 1;
            status = op_axis(run->node, scan->out_axes[i], rank, &scan->stacks[i].axis, err);
        }
        if (status == ONNXD_OK)
            status = body_stack_put(run, &scan->stacks[i], back ? n_steps - 1 - t : t,
                                    &scan->out[scan->n_states + i], err);
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < scan->n_states; i++) scan->states[i] = scan->out[i];
    return status;
}

/* Runs n_steps over `whole` tensors; scan->states hold the initial states and then the final ones. Stacks
 * have room for n_rows >= n_steps; the rest stays 0. */
static onnxd_status scan_sequence(struct op_run *run, struct scan *scan, const onnxd_tensor *whole,
                                  int64_t n_steps, int64_t n_rows, onnxd_error *err)
{
    uint32_t axes[OP_ANY_NUMBER];
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < scan->n_slices; i++) {
        axes[i] = 0;
        if (whole[i].rank == 0 || type_is_container(whole[i].type))
            return op_error(err, run->node, ONNXD_ERR_SHAPE, "scan input %u has no axis", i);
        if (scan->in_axes != NULL)
            status = op_axis(run->node, scan->in_axes[i], whole[i].rank, &axes[i], err);
        if (status == ONNXD_OK) status = begin_slice(run, &whole[i], axes[i], &scan->slices[i], err);
        if (status != ONNXD_OK) return status;
        if (whole[i].dims[axes[i]] < n_steps)
            return op_error(err, run->node, ONNXD_ERR_SHAPE, "scan input %u has %lld steps, expected %lld", i,
                            (long long)whole[i].dims[axes[i]], (long long)n_steps);
    }
    for (uint32_t i = 0; i < scan->n_stacks; i++) scan->stacks[i] = (struct body_stack){.n = n_rows};
    for (int64_t t = 0; t < n_steps; t++) {
        for (uint32_t i = 0; i < scan->n_slices; i++) {
            bool back = scan->in_directions != NULL && scan->in_directions[i] == 1;
            take_slice(&whole[i], axes[i], back ? n_steps - 1 - t : t, &scan->slices[i]);
        }
        status = step(run, scan, t, n_steps, err);
        if (status != ONNXD_OK) return status;
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < scan->n_stacks; i++) {
        const struct value_info *info = &scan->body->values[scan->body->outputs[scan->n_states + i]].info;
        if (n_steps == 0) status = body_stack_empty(run, &scan->stacks[i], info, err);
    }
    return status;
}

static onnxd_status run_scan(struct op_run *run, onnxd_error *err)
{
    struct scan scan = {0};
    onnxd_tensor whole[OP_ANY_NUMBER];
    onnxd_status status = begin_scan(run, &scan, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < scan.n_states; i++) scan.states[i] = *run->in[i];
    for (uint32_t i = 0; i < scan.n_slices; i++) whole[i] = *run->in[scan.n_states + i];
    uint32_t axis = 0;
    if (scan.in_axes != NULL) status = op_axis(run->node, scan.in_axes[0], whole[0].rank, &axis, err);
    if (status == ONNXD_OK) {
        int64_t n_steps = whole[0].rank > 0 ? whole[0].dims[axis] : 0;
        for (uint32_t i = 1; i < scan.n_slices && status == ONNXD_OK; i++) {
            uint32_t other = 0;
            if (scan.in_axes != NULL)
                status = op_axis(run->node, scan.in_axes[i], whole[i].rank, &other, err);
            if (status == ONNXD_OK && whole[i].rank > 0 && whole[i].dims[other] != n_steps)
                status = op_error(err, run->node, ONNXD_ERR_SHAPE,
                                  "scan input %u has %lld steps, the first one %lld", i,
                                  (long long)whole[i].dims[other], (long long)n_steps);
        }
        if (status == ONNXD_OK) status = scan_sequence(run, &scan, whole, n_steps, n_steps, err);
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < run->n_out; i++) {
        if (run->out[i] == NULL) continue;
        if (i < scan.n_states)
            status = op_copy_tensor(run->env->arena, &scan.states[i], run->out[i], err);
        else
            *run->out[i] = scan.stacks[i - scan.n_states].tensor;
    }
    done_scan(&scan);
    return status;
}

/* ---- Scan-8: the same for each row of a batch ------------------------------------------------------ */

static onnxd_tensor row_of(const onnxd_tensor *tensor, int64_t row)
{
    onnxd_tensor view = {.type = tensor->type, .rank = tensor->rank - 1};
    for (uint32_t i = 1; i < tensor->rank; i++) view.dims[i - 1] = tensor->dims[i];
    view.data = (char *)tensor->data + (size_t)row * onnxd_tensor_n_bytes(&view);
    return view;
}

/* Steps of a row: sequence_lens, or the whole of axis 1. */
static onnxd_status row_steps(struct op_run *run, int64_t row, int64_t n_batch, int64_t n_rows,
                              int64_t *ret_steps, onnxd_error *err)
{
    *ret_steps = n_rows;
    const onnxd_tensor *lengths = run->in[0];
    if (lengths == NULL) return ONNXD_OK;
    if (lengths->type != ONNXD_INT64 || onnxd_tensor_n_elements(lengths) != n_batch)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "sequence_lens must be int64 [%lld]",
                        (long long)n_batch);
    int64_t n = ((const int64_t *)lengths->data)[row];
    if (n < 0 || n > n_rows)
        return op_error(err, run->node, ONNXD_ERR_RANGE, "sequence_lens holds %lld, expected 0..%lld",
                        (long long)n, (long long)n_rows);
    *ret_steps = n;
    return ONNXD_OK;
}

static onnxd_status scan_row(struct op_run *run, struct scan *scan, int64_t row, int64_t n_batch,
                             struct body_stack *outputs, onnxd_error *err)
{
    onnxd_tensor whole[OP_ANY_NUMBER];
    int64_t n_rows = run->in[1 + scan->n_states]->dims[1], n_steps;
    onnxd_status status = row_steps(run, row, n_batch, n_rows, &n_steps, err);
    for (uint32_t i = 0; i < scan->n_states; i++) scan->states[i] = row_of(run->in[1 + i], row);
    for (uint32_t i = 0; i < scan->n_slices; i++) whole[i] = row_of(run->in[1 + scan->n_states + i], row);
    if (status == ONNXD_OK) status = scan_sequence(run, scan, whole, n_steps, n_rows, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < run->n_out; i++)
        status = body_stack_put(
            run, &outputs[i], row,
            i < scan->n_states ? &scan->states[i] : &scan->stacks[i - scan->n_states].tensor, err);
    return status;
}

static onnxd_status run_scan_8(struct op_run *run, onnxd_error *err)
{
    struct scan scan = {0};
    struct body_stack outputs[OP_ANY_NUMBER] = {0};
    onnxd_status status = begin_scan(run, &scan, err);
    if (status != ONNXD_OK) return status;
    int64_t n_batch = run->in[1]->rank > 0 ? run->in[1]->dims[0] : 0;
    for (uint32_t i = 1; status == ONNXD_OK && i < run->n_in; i++) {
        const onnxd_tensor *in = run->in[i];
        uint32_t least = i > scan.n_states ? 2 : 1;
        if (in->rank < least || in->dims[0] != n_batch || n_batch == 0)
            status = op_error(err, run->node, ONNXD_ERR_SHAPE, "input %u needs a batch of %lld in front", i,
                              (long long)n_batch);
    }
    for (uint32_t i = 0; i < run->n_out; i++) outputs[i].n = n_batch;
    for (int64_t row = 0; status == ONNXD_OK && row < n_batch; row++)
        status = scan_row(run, &scan, row, n_batch, outputs, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < run->n_out; i++)
        if (run->out[i] != NULL) *run->out[i] = outputs[i].tensor;
    done_scan(&scan);
    return status;
}

const struct op_def ops_scan[] = {
    {"", "Scan", 8, 9, 2, OP_ANY_NUMBER, 1, OP_ANY_NUMBER, OP_DYNAMIC | OP_BLANKS, check_scan, shapes_scan,
     NULL, NULL, run_scan_8},
    {"", "Scan", 9, OP_LATEST, 1, OP_ANY_NUMBER, 1, OP_ANY_NUMBER, OP_DYNAMIC, check_scan, shapes_scan, NULL,
     NULL, run_scan},
    {0},
};
