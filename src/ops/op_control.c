/* If and Loop: operators that run a body.
 * Source: ONNX operator specification, ai.onnx, If-1..21 and Loop-1..21. */
#include "ops/op.h"

#include <string.h>

#include "ops/infer.h"
#include "ops/op_body.h"

/* ---- If ------------------------------------------------------------------------------------------ */

static onnxd_status check_if(const struct node *node, onnxd_error *err)
{
    onnxd_status status = body_check(node, "then_branch", 0, node->n_out, err);
    return status != ONNXD_OK ? status : body_check(node, "else_branch", 0, node->n_out, err);
}

static onnxd_status shapes_if(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    const struct graph *then_body = node_attribute_graph(s->node, "then_branch");
    const struct graph *else_body = node_attribute_graph(s->node, "else_branch");
    for (uint32_t i = 0; i < s->n_out; i++) {
        onnxd_type then_type = then_body->values[then_body->outputs[i]].info.type;
        onnxd_type else_type = else_body->values[else_body->outputs[i]].info.type;
        if (then_type == else_type) body_shapes(s, i, then_body, i);
    }
    return ONNXD_OK;
}

/* A condition or count: one element of the right type. */
static onnxd_status check_scalar(struct op_run *run, uint32_t in, onnxd_type type, onnxd_error *err)
{
    const onnxd_tensor *tensor = run->in[in];
    if (tensor->type != type)
        return op_error(err, run->node, ONNXD_ERR_TYPE, "input %u is %s, expected %s", in,
                        onnxd_type_name(tensor->type), onnxd_type_name(type));
    if (onnxd_tensor_n_elements(tensor) != 1)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "input %u has %lld elements, expected one", in,
                        (long long)onnxd_tensor_n_elements(tensor));
    return ONNXD_OK;
}

static onnxd_status run_if(struct op_run *run, onnxd_error *err)
{
    onnxd_status status = check_scalar(run, 0, ONNXD_BOOL, err);
    if (status != ONNXD_OK) return status;
    bool condition = body_scalar_bool(run->in[0]);
    struct graph *body = node_attribute_graph(run->node, condition ? "then_branch" : "else_branch");
    onnxd_tensor *out = op_allocate(run, (size_t)run->n_out * sizeof *out);
    if (out == NULL) return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for %u outputs", run->n_out);
    status = run->env->run_body(run, body, NULL, 0, out, run->n_out, run->env->arena, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < run->n_out; i++)
        if (run->out[i] != NULL) *run->out[i] = out[i];
    return ONNXD_OK;
}

/* ---- Loop ---------------------------------------------------------------------------------------- */

/* A body that never says stop ends here; nested loops share nothing, so this is per loop. */
#define LOOP_MAX_ITERATIONS ((int64_t)1 << 20)
/* Room for stacked outputs to begin with when the count is not known to be small. */
#define LOOP_FIRST_ROOM 16

struct loop {
    struct graph *body;
    uint32_t n_states, n_stacks;
    onnxd_tensor iteration, condition; /* the body's first two inputs */
    int64_t iteration_value;
    uint8_t condition_value;
    onnxd_tensor *states;      /* [n_states] as the next iteration reads them */
    const onnxd_tensor **in;   /* [2 + n_states] */
    onnxd_tensor *out;         /* [1 + n_states + n_stacks] */
    struct body_stack *stacks; /* [n_stacks] */
    struct arena carried[2];   /* results of the last iteration and of the one before, which it read */
};

/* Count and condition may be left out, at the end altogether. */
static uint32_t count_states(uint32_t n_in)
{
    return n_in > 2 ? n_in - 2 : 0;
}

static onnxd_status check_loop(const struct node *node, onnxd_error *err)
{
    uint32_t n_states = count_states(node->n_in);
    if (n_states > node->n_out)
        return op_error(err, node, ONNXD_ERR_MODEL, "%u carried values need as many outputs, %u are there",
                        n_states, node->n_out);
    return body_check(node, "body", 2 + n_states, 1 + node->n_out, err);
}

static onnxd_status shapes_loop(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    const struct graph *body = node_attribute_graph(s->node, "body");
    for (uint32_t i = 0; i < s->n_out; i++) {
        body_shapes(s, i, body, 1 + i);
        if (i + 2 < s->n_in && s->in[i + 2] != NULL) {
            s->out[i].type = s->in[i + 2]->type;
            s->out[i].item_type = s->in[i + 2]->item_type;
        }
    }
    return ONNXD_OK;
}

static onnxd_status begin_loop(struct op_run *run, struct loop *loop, int64_t max, onnxd_error *err)
{
    loop->body = node_attribute_graph(run->node, "body");
    loop->n_states = count_states(run->n_in);
    loop->n_stacks = run->n_out - loop->n_states;
    uint32_t n = loop->n_states, k = loop->n_stacks;
    loop->states = op_allocate(run, (n + 1) * sizeof *loop->states);
    loop->in = op_allocate(run, (2 + n) * sizeof *loop->in);
    loop->out = op_allocate(run, (1 + n + k) * sizeof *loop->out);
    loop->stacks = op_allocate(run, (k + 1) * sizeof *loop->stacks);
    if (loop->states == NULL || loop->in == NULL || loop->out == NULL || loop->stacks == NULL)
        return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for %u carried values", n);
    loop->iteration = (onnxd_tensor){.type = ONNXD_INT64, .data = &loop->iteration_value};
    loop->condition = (onnxd_tensor){.type = ONNXD_BOOL, .data = &loop->condition_value};
    loop->in[0] = &loop->iteration;
    loop->in[1] = &loop->condition;
    for (uint32_t i = 0; i < n; i++) {
        if (run->in[2 + i] == NULL)
            return op_error(err, run->node, ONNXD_ERR_MODEL, "carried value %u is left out", i);
        loop->states[i] = *run->in[2 + i];
        loop->in[2 + i] = &loop->states[i];
    }
    for (uint32_t i = 0; i < k; i++)
        loop->stacks[i] = (struct body_stack){.n = max < LOOP_FIRST_ROOM ? max : LOOP_FIRST_ROOM};
    return ONNXD_OK;
}

/* One iteration: reads what the last one left in one arena, writes into the other. */
static onnxd_status iterate(struct op_run *run, struct loop *loop, onnxd_error *err)
{
    int64_t t = loop->iteration_value;
    uint32_t n = loop->n_states, k = loop->n_stacks;
    struct arena *results = &loop->carried[t & 1];
    arena_reset(results);
    onnxd_status status = run->env->run_body(run, loop->body, loop->in, 2 + n, loop->out, 1 + n + k, results,
                                             err);
    if (status != ONNXD_OK) return status;
    if (loop->out[0].type != ONNXD_BOOL || onnxd_tensor_n_elements(&loop->out[0]) != 1)
        return op_error(err, run->node, ONNXD_ERR_TYPE, "the body's condition must be one bool");
    for (uint32_t i = 0; i < k; i++) {
        if (t == loop->stacks[i].n) status = body_stack_grow(run, &loop->stacks[i], err);
        if (status == ONNXD_OK) status = body_stack_put(run, &loop->stacks[i], t, &loop->out[1 + n + i], err);
        if (status != ONNXD_OK) return status;
    }
    for (uint32_t i = 0; i < n; i++) loop->states[i] = loop->out[1 + i];
    loop->condition_value = body_scalar_bool(&loop->out[0]);
    loop->iteration_value++;
    return ONNXD_OK;
}

static onnxd_status end_loop(struct op_run *run, struct loop *loop, onnxd_error *err)
{
    for (uint32_t i = 0; i < run->n_out; i++) {
        if (run->out[i] == NULL) continue;
        onnxd_status status = ONNXD_OK;
        if (i < loop->n_states) {
            status = op_copy_tensor(run->env->arena, &loop->states[i], run->out[i], err);
        } else {
            struct body_stack *stack = &loop->stacks[i - loop->n_states];
            const struct value_info *info = &loop->body->values[loop->body->outputs[1 + i]].info;
            status = body_stack_empty(run, stack, info, err);
            *run->out[i] = stack->tensor;
            run->out[i]->dims[0] = loop->iteration_value;
        }
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

static onnxd_status run_loop(struct op_run *run, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    int64_t max = INT64_MAX;
    struct loop loop = {.condition_value = 1};
    if (tensor_given(run->in, run->n_in, 0)) {
        status = check_scalar(run, 0, ONNXD_INT64, err);
        if (status != ONNXD_OK) return status;
        max = *(const int64_t *)run->in[0]->data;
        max = max < 0 ? 0 : max;
    }
    if (tensor_given(run->in, run->n_in, 1)) {
        status = check_scalar(run, 1, ONNXD_BOOL, err);
        if (status != ONNXD_OK) return status;
        loop.condition_value = body_scalar_bool(run->in[1]);
    }
    body_arena_init(&loop.carried[0], run);
    body_arena_init(&loop.carried[1], run);
    status = begin_loop(run, &loop, max, err);
    while (status == ONNXD_OK && loop.condition_value != 0 && loop.iteration_value < max) {
        if (loop.iteration_value == LOOP_MAX_ITERATIONS)
            status = op_error(err, run->node, ONNXD_ERR_LIMIT, "did not end after %lld iterations",
                              (long long)LOOP_MAX_ITERATIONS);
        else
            status = iterate(run, &loop, err);
    }
    if (status == ONNXD_OK) status = end_loop(run, &loop, err);
    arena_done(&loop.carried[0]);
    arena_done(&loop.carried[1]);
    return status;
}

const struct op_def ops_control[] = {
    {"", "If", 1, OP_LATEST, 1, 1, 1, OP_ANY_NUMBER, OP_DYNAMIC, check_if, shapes_if, NULL, NULL, run_if},
    {"", "Loop", 1, OP_LATEST, 0, OP_ANY_NUMBER, 1, OP_ANY_NUMBER, OP_DYNAMIC | OP_BLANKS, check_loop,
     shapes_loop, NULL, NULL, run_loop},
    {0},
};
