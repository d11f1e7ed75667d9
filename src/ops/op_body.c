#include "ops/op_body.h"

#include <string.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

onnxd_status body_check(const struct node *node, const char *attribute, uint32_t n_in, uint32_t n_out,
                        onnxd_error *err)
{
    const struct graph *body = node_attribute_graph(node, attribute);
    if (body == NULL)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' (a graph) is missing", attribute);
    if (body->n_inputs != n_in || body->n_outputs != n_out)
        return op_error(err, node, ONNXD_ERR_MODEL, "'%s' has %u inputs and %u outputs, expected %u and %u",
                        attribute, body->n_inputs, body->n_outputs, n_in, n_out);
    return ONNXD_OK;
}

void body_shapes(struct op_shapes *s, uint32_t out, const struct graph *body, uint32_t body_output)
{
    if (out >= s->n_out) return;
    const struct value_info *info = &body->values[body->outputs[body_output]].info;
    s->out[out].type = info->type;
    s->out[out].item_type = info->item_type;
    if (type_is_container(info->type)) s->out[out].rank = 0;
}

void body_arena_init(struct arena *arena, const struct op_run *run)
{
    const struct arena *outer = run->env->arena;
    size_t limit = outer->limit_bytes;
    if (limit > 0) limit = outer->used_bytes < limit ? limit - outer->used_bytes : 1;
    arena_init(arena, limit);
}

/* ---- stacking ------------------------------------------------------------------------------------ */

static onnxd_status make_room(struct op_run *run, struct body_stack *stack, onnxd_error *err)
{
    size_t n_bytes;
    onnxd_tensor *t = &stack->tensor;
    if (!shape_n_bytes(t->type, t->dims, t->rank, &n_bytes)) {
        char text[128];
        return op_error(err, run->node, ONNXD_ERR_LIMIT, "stacked output %s is too large",
                        shape_text(t->dims, t->rank, text, sizeof text));
    }
    t->data = op_allocate(run, n_bytes);
    if (t->data == NULL) return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for %zu bytes", n_bytes);
    memset(t->data, 0, n_bytes);
    return ONNXD_OK;
}

static onnxd_status begin(struct op_run *run, struct body_stack *stack, onnxd_type type, uint32_t rank,
                          const int64_t *dims, onnxd_error *err)
{
    if (type_is_container(type) || rank >= ONNXD_MAX_RANK || stack->axis > rank)
        return op_error(err, run->node, ONNXD_ERR_SHAPE,
                        "results of type %s and rank %u cannot be stacked on axis %u", onnxd_type_name(type),
                        rank, stack->axis);
    stack->tensor = (onnxd_tensor){.type = type, .rank = rank + 1};
    for (uint32_t i = 0, k = 0; i <= rank; i++)
        stack->tensor.dims[i] = i == stack->axis ? stack->n : dims[k++];
    return make_room(run, stack, err);
}

static bool fits(const struct body_stack *stack, const onnxd_tensor *slice)
{
    if (slice->rank + 1 != stack->tensor.rank) return false;
    for (uint32_t i = 0, k = 0; i < stack->tensor.rank; i++)
        if (i != stack->axis && stack->tensor.dims[i] != slice->dims[k++]) return false;
    return true;
}

onnxd_status body_stack_put(struct op_run *run, struct body_stack *stack, int64_t at,
                            const onnxd_tensor *slice, onnxd_error *err)
{
    if (stack->tensor.data == NULL) {
        onnxd_status status = begin(run, stack, slice->type, slice->rank, slice->dims, err);
        if (status != ONNXD_OK) return status;
    }
    if (slice->type != stack->tensor.type)
        return op_error(err, run->node, ONNXD_ERR_TYPE, "results to stack change from %s to %s",
                        onnxd_type_name(stack->tensor.type), onnxd_type_name(slice->type));
    if (!fits(stack, slice)) {
        char a[128];
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "a result of shape %s does not fit the earlier ones",
                        shape_text(slice->dims, slice->rank, a, sizeof a));
    }
    onnxd_tensor copy = *slice;
    if (slice->type == ONNXD_STRING) { /* the characters must outlive the iteration */
        onnxd_status status = op_copy_tensor(run->env->arena, slice, &copy, err);
        if (status != ONNXD_OK) return status;
    }
    size_t outer = 1, inner = type_size(copy.type);
    for (uint32_t i = 0; i < copy.rank; i++) *(i < stack->axis ? &outer : &inner) *= (size_t)copy.dims[i];
    size_t step = inner * (size_t)stack->n;
    char *to = (char *)stack->tensor.data + (size_t)at * inner;
    if (inner > 0)
        for (size_t o = 0; o < outer; o++) memcpy(to + o * step, (const char *)copy.data + o * inner, inner);
    return ONNXD_OK;
}

onnxd_status body_stack_empty(struct op_run *run, struct body_stack *stack, const struct value_info *info,
                              onnxd_error *err)
{
    int64_t dims[ONNXD_MAX_RANK] = {0};
    uint32_t rank = info->rank >= 0 ? (uint32_t)info->rank : 0;
    for (uint32_t i = 0; i < rank; i++) dims[i] = dim_is_constant(info->dims[i]) ? info->dims[i].n : 0;
    if (stack->tensor.data != NULL) return ONNXD_OK;
    return begin(run, stack, info->type, rank, dims, err);
}

onnxd_status body_stack_grow(struct op_run *run, struct body_stack *stack, onnxd_error *err)
{
    onnxd_tensor old = stack->tensor;
    stack->n *= 2;
    if (old.data == NULL) return ONNXD_OK;
    stack->tensor.dims[0] = stack->n;
    onnxd_status status = make_room(run, stack, err);
    if (status == ONNXD_OK) memcpy(stack->tensor.data, old.data, onnxd_tensor_n_bytes(&old));
    return status;
}

bool body_scalar_bool(const onnxd_tensor *tensor)
{
    return *(const uint8_t *)tensor->data != 0;
}
