#include "ops/op_evaluate.h"

#include <string.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

struct evaluator_env { /* what run_body finds behind run->env */
    struct op_env env;
    struct evaluator *evaluator;
};

void evaluator_init(struct evaluator *evaluator, size_t limit_bytes)
{
    evaluator->limit_bytes = limit_bytes;
    for (int i = 0; i < EVALUATOR_MAX_DEPTH; i++) {
        arena_init(&evaluator->levels[i].scratch, limit_bytes);
        arena_init(&evaluator->levels[i].values, limit_bytes);
    }
}

void evaluator_done(struct evaluator *evaluator)
{
    for (int i = 0; i < EVALUATOR_MAX_DEPTH; i++) {
        arena_done(&evaluator->levels[i].scratch);
        arena_done(&evaluator->levels[i].values);
    }
}

size_t evaluator_memory_bytes(const struct evaluator *evaluator)
{
    size_t n = 0;
    for (int i = 0; i < EVALUATOR_MAX_DEPTH; i++)
        n += evaluator->levels[i].scratch.used_bytes + evaluator->levels[i].values.used_bytes;
    return n;
}

/* ---- one node ------------------------------------------------------------------------------------ */

static onnxd_status out_of_room(const struct node *node, onnxd_error *err)
{
    return op_error(err, node, ONNXD_ERR_LIMIT, "needs more memory than the limit allows");
}

/* The outputs' value_info from the actual inputs. */
static onnxd_status find_shapes(const struct node *node, const onnxd_tensor *const *in,
                                struct value_info *out, struct arena *scratch, onnxd_error *err)
{
    struct value_info *infos = arena_alloc_array(scratch, node->n_in, sizeof *infos);
    const struct value_info **in_infos = arena_alloc_array(scratch, node->n_in, sizeof *in_infos);
    if (infos == NULL || in_infos == NULL) return out_of_room(node, err);
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (in[i] == NULL) continue;
        infos[i] = value_info_of_tensor(in[i], true);
        in_infos[i] = &infos[i];
    }
    for (uint32_t i = 0; i < node->n_out; i++) out[i] = value_info_unknown();
    struct op_shapes s = {
        .node = node, .in = in_infos, .n_in = node->n_in, .out = out, .n_out = node->n_out, .arena = scratch};
    return node->op->shapes(&s, err);
}

static onnxd_status allocate_planned(const struct node *node, const struct value_info *info, uint32_t i,
                                     struct arena *arena, onnxd_tensor *out, onnxd_error *err)
{
    int64_t dims[ONNXD_MAX_RANK];
    size_t n_bytes = 0;
    if (info->type == ONNXD_UNDEFINED || !value_info_static_dims(info, dims))
        return op_error(err, node, ONNXD_ERR_INTERNAL, "shape of output %u stayed unknown", i);
    *out = (onnxd_tensor){.type = info->type, .rank = (uint32_t)info->rank};
    if (info->rank > 0) memcpy(out->dims, dims, (size_t)info->rank * sizeof *dims);
    if (type_is_container(info->type)) return ONNXD_OK;
    if (!shape_n_bytes(info->type, dims, out->rank, &n_bytes))
        return op_error(err, node, ONNXD_ERR_LIMIT, "output %u is too large", i);
    out->data = arena_alloc(arena, n_bytes);
    if (out->data != NULL && info->type == ONNXD_STRING) memset(out->data, 0, n_bytes);
    return out->data != NULL ? ONNXD_OK : out_of_room(node, err);
}

bool evaluate_outputs_fit(const struct node *node, const struct value_info *out, size_t max_bytes)
{
    size_t total = 0;
    for (uint32_t i = 0; i < node->n_out; i++) {
        int64_t dims[ONNXD_MAX_RANK];
        size_t n_bytes;
        if (node->out[i] == GRAPH_NONE) continue;
        if (!value_info_static_dims(&out[i], dims) ||
            !shape_n_bytes(out[i].type, dims, (uint32_t)out[i].rank, &n_bytes))
            return false;
        if (n_bytes > max_bytes || (total += n_bytes) > max_bytes) return false;
    }
    return true;
}

static onnxd_status run_body(struct op_run *run, struct graph *body, const onnxd_tensor *const *in,
                             uint32_t n_in, onnxd_tensor *out, uint32_t n_out, struct arena *arena,
                             onnxd_error *err);

static onnxd_status run_prepared(struct evaluator *evaluator, uint32_t depth, const struct node *node,
                                 const onnxd_tensor *const *in, onnxd_tensor *out, struct arena *arena,
                                 onnxd_error *err)
{
    struct arena *scratch = &evaluator->levels[depth].scratch;
    onnxd_tensor **out_pointers = arena_alloc_array(scratch, node->n_out, sizeof *out_pointers);
    if (out_pointers == NULL) return out_of_room(node, err);
    for (uint32_t i = 0; i < node->n_out; i++) out_pointers[i] = node->out[i] == GRAPH_NONE ? NULL : &out[i];
    struct op_plan plan = {.node = node,
                           .in = in,
                           .n_in = node->n_in,
                           .out = (const onnxd_tensor *const *)out_pointers,
                           .n_out = node->n_out,
                           .arena = scratch,
                           .run = node->op->run,
                           .view_of = -1,
                           .in_place_of = -1};
    onnxd_status status = ONNXD_OK;
    if (node->op->prepare != NULL) status = node->op->prepare(&plan, err);
    if (status != ONNXD_OK) return status;
    struct evaluator_env env = {.env = {.arena = arena, .run_body = run_body, .depth = depth},
                                .evaluator = evaluator};
    struct op_run run = {.node = node,
                         .in = in,
                         .n_in = node->n_in,
                         .out = out_pointers,
                         .n_out = node->n_out,
                         .state = plan.state,
                         .workspace = plan.workspace_bytes > 0 ? arena_alloc(scratch, plan.workspace_bytes)
                                                               : NULL,
                         .env = &env.env};
    if (plan.workspace_bytes > 0 && run.workspace == NULL) return out_of_room(node, err);
    return plan.run(&run, err);
}

static onnxd_status evaluate_at(struct evaluator *evaluator, uint32_t depth, const struct node *node,
                                const onnxd_tensor *const *in, onnxd_tensor *ret_out, struct arena *arena,
                                onnxd_error *err)
{
    struct arena *scratch = &evaluator->levels[depth].scratch;
    arena_reset(scratch);
    struct value_info *infos = arena_alloc_array(scratch, node->n_out, sizeof *infos);
    onnxd_tensor *out = arena_alloc_array(scratch, node->n_out, sizeof *out);
    if (infos == NULL || out == NULL) return out_of_room(node, err);
    onnxd_status status = find_shapes(node, in, infos, scratch, err);
    bool dynamic = (node->op->flags & OP_DYNAMIC) != 0;
    for (uint32_t i = 0; i < node->n_out && status == ONNXD_OK; i++)
        if (!dynamic && node->out[i] != GRAPH_NONE)
            status = allocate_planned(node, &infos[i], i, arena, &out[i], err);
    if (status == ONNXD_OK) status = run_prepared(evaluator, depth, node, in, out, arena, err);
    if (status == ONNXD_OK && node->n_out > 0) memcpy(ret_out, out, node->n_out * sizeof *out);
    return status;
}

onnxd_status evaluate_node(struct evaluator *evaluator, const struct node *node,
                           const onnxd_tensor *const *in, onnxd_tensor *ret_out, struct arena *arena,
                           onnxd_error *err)
{
    return evaluate_at(evaluator, 0, node, in, ret_out, arena, err);
}

/* ---- bodies -------------------------------------------------------------------------------------- */

struct frame {
    const onnxd_tensor **current; /* [n_values] what each value is now, NULL before it is computed */
    onnxd_tensor *storage;        /* [n_values] */
};

static onnxd_status open_frame(struct frame *frame, const struct op_run *run, const struct graph *body,
                               const onnxd_tensor *const *in, uint32_t n_in, struct arena *values,
                               onnxd_error *err)
{
    if (n_in != body->n_inputs)
        return op_error(err, run->node, ONNXD_ERR_MODEL, "its body '%.100s' takes %u inputs, not %u",
                        body->name, body->n_inputs, n_in);
    frame->current = arena_alloc_array(values, body->n_values, sizeof *frame->current);
    frame->storage = arena_alloc_array(values, body->n_values, sizeof *frame->storage);
    if (frame->current == NULL || frame->storage == NULL) return out_of_room(run->node, err);
    for (uint32_t v = 0; v < body->n_values; v++) frame->current[v] = body->values[v].info.constant;
    for (uint32_t i = 0; i < n_in; i++) frame->current[body->inputs[i]] = in[i];
    for (uint32_t i = 0; i < body->n_captures; i++)
        frame->current[body->captures[i].inner] = run->in[body->captures[i].outer];
    return ONNXD_OK;
}

static onnxd_status run_body_node(struct evaluator *evaluator, uint32_t depth, const struct node *node,
                                  struct frame *frame, onnxd_error *err)
{
    struct arena *values = &evaluator->levels[depth].values;
    uint32_t n_in = node->n_in + node->n_captured;
    const onnxd_tensor **in = arena_alloc_array(values, n_in, sizeof *in);
    onnxd_tensor *out = arena_alloc_array(values, node->n_out, sizeof *out);
    if (in == NULL || out == NULL) return out_of_room(node, err);
    for (uint32_t i = 0; i < n_in; i++)
        in[i] = node->in[i] == GRAPH_NONE ? NULL : frame->current[node->in[i]];
    onnxd_status status = evaluate_at(evaluator, depth, node, in, out, values, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != GRAPH_NONE) {
            frame->storage[node->out[i]] = out[i];
            frame->current[node->out[i]] = &frame->storage[node->out[i]];
        }
    return ONNXD_OK;
}

static onnxd_status run_body(struct op_run *run, struct graph *body, const onnxd_tensor *const *in,
                             uint32_t n_in, onnxd_tensor *out, uint32_t n_out, struct arena *arena,
                             onnxd_error *err)
{
    struct evaluator *evaluator = ((struct evaluator_env *)run->env)->evaluator;
    uint32_t depth = run->env->depth + 1;
    if (depth >= EVALUATOR_MAX_DEPTH)
        return op_error(err, run->node, ONNXD_ERR_LIMIT, "bodies are nested deeper than %d",
                        EVALUATOR_MAX_DEPTH - 1);
    if (n_out > body->n_outputs)
        return op_error(err, run->node, ONNXD_ERR_MODEL, "its body '%.100s' has %u outputs, not %u",
                        body->name, body->n_outputs, n_out);
    struct arena *values = &evaluator->levels[depth].values;
    arena_reset(values);
    struct frame frame;
    onnxd_status status = open_frame(&frame, run, body, in, n_in, values, err);
    for (uint32_t i = 0; i < body->n_nodes && status == ONNXD_OK; i++)
        status = run_body_node(evaluator, depth, body->nodes[i], &frame, err);
    for (uint32_t i = 0; i < n_out && status == ONNXD_OK; i++) {
        const onnxd_tensor *result = frame.current[body->outputs[i]];
        if (result == NULL)
            status = op_error(err, run->node, ONNXD_ERR_MODEL, "its body leaves output %u empty", i);
        else
            status = op_copy_tensor(arena, result, &out[i], err);
    }
    return status;
}
