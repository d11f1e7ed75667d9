/* Sequences of tensors: SequenceConstruct, SequenceEmpty, SequenceAt, SequenceInsert, SequenceErase,
 * SequenceLength, SequenceMap; and Optional, OptionalHasElement, OptionalGetElement.
 *
 * A tensor that enters a sequence is copied, since the plan may give its place to another one; items that
 * are in a sequence already are shared by the sequences made from it, and copied when they leave.
 * Source: ONNX operator specification, ai.onnx, opset 11 to 18. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/op_body.h"
#include "tensor/dtype.h"

static void set_container(struct op_shapes *s, uint32_t out, onnxd_type type, onnxd_type item_type)
{
    shapes_set(s, out, type, 0, NULL);
    if (out < s->n_out) s->out[out].item_type = item_type;
}

static onnxd_status expect_type(const struct op_shapes *s, uint32_t in, onnxd_type type, onnxd_error *err)
{
    if (!shapes_has(s, in) || s->in[in]->type == ONNXD_UNDEFINED || s->in[in]->type == type) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_TYPE, "input %u is %s, expected %s", in,
                    onnxd_type_name(s->in[in]->type), onnxd_type_name(type));
}

static onnxd_status no_room(const struct op_run *run, onnxd_error *err)
{
    return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room: the session's memory limit is reached");
}

/* A sequence with room for n items, n set. */
static onnxd_sequence *new_sequence(struct op_run *run, size_t n, onnxd_type item_type)
{
    onnxd_sequence *sequence = op_allocate(run, sizeof *sequence);
    onnxd_tensor *items = arena_alloc_array(run->env->arena, n, sizeof *items);
    if (sequence == NULL || items == NULL) return NULL;
    *sequence = (onnxd_sequence){.n = n, .items = items, .item_type = item_type};
    return sequence;
}

static void give(struct op_run *run, uint32_t out, onnxd_type type, void *container)
{
    if (run->out[out] != NULL) *run->out[out] = (onnxd_tensor){.type = type, .data = container};
}

/* ---- making -------------------------------------------------------------------------------------- */

static onnxd_status shapes_construct(struct op_shapes *s, onnxd_error *err)
{
    set_container(s, 0, ONNXD_SEQUENCE, s->in[0]->type);
    for (uint32_t i = 1; i < s->n_in; i++) {
        onnxd_status status = expect_type(s, i, s->in[0]->type, err);
        if (status != ONNXD_OK && s->in[0]->type != ONNXD_UNDEFINED) return status;
    }
    return ONNXD_OK;
}

static onnxd_status run_construct(struct op_run *run, onnxd_error *err)
{
    onnxd_sequence *sequence = new_sequence(run, run->n_in, run->in[0]->type);
    if (sequence == NULL) return no_room(run, err);
    for (uint32_t i = 0; i < run->n_in; i++) {
        if (run->in[i]->type != sequence->item_type)
            return op_error(err, run->node, ONNXD_ERR_TYPE, "input %u is %s, the first one %s", i,
                            onnxd_type_name(run->in[i]->type), onnxd_type_name(sequence->item_type));
        onnxd_status status = op_copy_tensor(run->env->arena, run->in[i], &sequence->items[i], err);
        if (status != ONNXD_OK) return status;
    }
    give(run, 0, ONNXD_SEQUENCE, sequence);
    return ONNXD_OK;
}

static onnxd_type empty_type(const struct node *node)
{
    return (onnxd_type)node_attribute_int(node, "dtype", ONNXD_FLOAT32);
}

static onnxd_status check_empty(const struct node *node, onnxd_error *err)
{
    if (type_size(empty_type(node)) > 0) return check_attributes(node, err);
    return op_error(err, node, ONNXD_ERR_MODEL, "dtype %lld is no element type",
                    (long long)node_attribute_int(node, "dtype", 0));
}

static onnxd_status shapes_empty(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    set_container(s, 0, ONNXD_SEQUENCE, empty_type(s->node));
    return ONNXD_OK;
}

static onnxd_status run_empty(struct op_run *run, onnxd_error *err)
{
    onnxd_sequence *sequence = new_sequence(run, 0, empty_type(run->node));
    if (sequence == NULL) return no_room(run, err);
    give(run, 0, ONNXD_SEQUENCE, sequence);
    return ONNXD_OK;
}

/* ---- positions ----------------------------------------------------------------------------------- */

/* Input `in` as a position in 0..n-1, counted from the end when negative; `otherwise` when left out. */
static onnxd_status position(struct op_run *run, uint32_t in, size_t n, size_t otherwise, size_t *ret,
                             onnxd_error *err)
{
    *ret = otherwise;
    if (!tensor_given(run->in, run->n_in, in)) return ONNXD_OK;
    if (onnxd_tensor_n_elements(run->in[in]) != 1)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "position must be one integer");
    int64_t p = element_i64(run->in[in], 0), size = (int64_t)n;
    if (p < -size || p >= size)
        return op_error(err, run->node, ONNXD_ERR_RANGE, "position %lld is outside a sequence of %zu",
                        (long long)p, n);
    *ret = (size_t)(p < 0 ? p + size : p);
    return ONNXD_OK;
}

static onnxd_status shapes_at(struct op_shapes *s, onnxd_error *err)
{
    shapes_set_type(s, 0, s->in[0]->item_type);
    return expect_type(s, 0, ONNXD_SEQUENCE, err);
}

static onnxd_status run_at(struct op_run *run, onnxd_error *err)
{
    const onnxd_sequence *sequence = run->in[0]->data;
    size_t at;
    if (sequence->n == 0) return op_error(err, run->node, ONNXD_ERR_RANGE, "the sequence is empty");
    onnxd_status status = position(run, 1, sequence->n, 0, &at, err);
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    return op_copy_tensor(run->env->arena, &sequence->items[at], run->out[0], err);
}

static onnxd_status shapes_insert(struct op_shapes *s, onnxd_error *err)
{
    onnxd_type item_type = s->in[0]->item_type;
    set_container(s, 0, ONNXD_SEQUENCE, item_type != ONNXD_UNDEFINED ? item_type : s->in[1]->type);
    return expect_type(s, 0, ONNXD_SEQUENCE, err);
}

static onnxd_status run_insert(struct op_run *run, onnxd_error *err)
{
    const onnxd_sequence *from = run->in[0]->data;
    size_t at;
    if (run->in[1]->type != from->item_type)
        return op_error(err, run->node, ONNXD_ERR_TYPE, "a %s tensor cannot enter a sequence of %s",
                        onnxd_type_name(run->in[1]->type), onnxd_type_name(from->item_type));
    onnxd_status status = position(run, 2, from->n + 1, from->n, &at, err);
    if (status != ONNXD_OK) return status;
    /* A negative position counts from the end of the old sequence: -1 is in front of the last item. */
    if (tensor_given(run->in, run->n_in, 2) && element_i64(run->in[2], 0) < 0) {
        if (at == 0) return op_error(err, run->node, ONNXD_ERR_RANGE, "position is in front of the sequence");
        at--;
    }
    onnxd_sequence *sequence = new_sequence(run, from->n + 1, from->item_type);
    if (sequence == NULL) return no_room(run, err);
    for (size_t i = 0; i < from->n; i++) sequence->items[i + (i >= at)] = from->items[i];
    status = op_copy_tensor(run->env->arena, run->in[1], &sequence->items[at], err);
    if (status == ONNXD_OK) give(run, 0, ONNXD_SEQUENCE, sequence);
    return status;
}

static onnxd_status shapes_erase(struct op_shapes *s, onnxd_error *err)
{
    set_container(s, 0, ONNXD_SEQUENCE, s->in[0]->item_type);
    return expect_type(s, 0, ONNXD_SEQUENCE, err);
}

static onnxd_status run_erase(struct op_run *run, onnxd_error *err)
{
    const onnxd_sequence *from = run->in[0]->data;
    size_t at;
    if (from->n == 0) return op_error(err, run->node, ONNXD_ERR_RANGE, "the sequence is empty");
    onnxd_status status = position(run, 1, from->n, from->n - 1, &at, err);
    if (status != ONNXD_OK) return status;
    onnxd_sequence *sequence = new_sequence(run, from->n - 1, from->item_type);
    if (sequence == NULL) return no_room(run, err);
    for (size_t i = 0; i < from->n; i++)
        if (i != at) sequence->items[i - (i > at)] = from->items[i];
    give(run, 0, ONNXD_SEQUENCE, sequence);
    return ONNXD_OK;
}

static onnxd_status shapes_length(struct op_shapes *s, onnxd_error *err)
{
    shapes_set(s, 0, ONNXD_INT64, 0, NULL);
    return expect_type(s, 0, ONNXD_SEQUENCE, err);
}

static onnxd_status run_length(struct op_run *run, onnxd_error *err)
{
    onnxd_status status = op_allocate_output(run, 0, ONNXD_INT64, 0, NULL, err);
    if (status == ONNXD_OK && run->out[0] != NULL)
        *(int64_t *)run->out[0]->data = (int64_t)((const onnxd_sequence *)run->in[0]->data)->n;
    return status;
}

/* ---- SequenceMap --------------------------------------------------------------------------------- */

static onnxd_status check_map(const struct node *node, onnxd_error *err)
{
    return body_check(node, "body", node->n_in, node->n_out, err);
}

static onnxd_status shapes_map(struct op_shapes *s, onnxd_error *err)
{
    const struct graph *body = node_attribute_graph(s->node, "body");
    for (uint32_t i = 0; i < s->n_out; i++)
        set_container(s, i, ONNXD_SEQUENCE, body->values[body->outputs[i]].info.type);
    return expect_type(s, 0, ONNXD_SEQUENCE, err);
}

/* Runs the body for item `at` and puts its results into the sequences. */
static onnxd_status map_item(struct op_run *run, size_t at, onnxd_sequence **sequences,
                             const onnxd_tensor **in, onnxd_tensor *out, onnxd_error *err)
{
    for (uint32_t i = 0; i < run->n_in; i++)
        in[i] = run->in[i]->type == ONNXD_SEQUENCE ? &((const onnxd_sequence *)run->in[i]->data)->items[at]
                                                   : run->in[i];
    onnxd_status status = run->env->run_body(run, node_attribute_graph(run->node, "body"), in, run->n_in, out,
                                             run->n_out, run->env->arena, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < run->n_out; i++) {
        sequences[i]->item_type = out[i].type;
        sequences[i]->items[at] = out[i];
    }
    return status;
}

static onnxd_status run_map(struct op_run *run, onnxd_error *err)
{
    const struct graph *body = node_attribute_graph(run->node, "body");
    size_t n = ((const onnxd_sequence *)run->in[0]->data)->n;
    onnxd_sequence **sequences = arena_alloc_array(run->env->arena, run->n_out, sizeof(onnxd_sequence *));
    const onnxd_tensor **in = arena_alloc_array(run->env->arena, run->n_in, sizeof(onnxd_tensor *));
    onnxd_tensor *out = arena_alloc_array(run->env->arena, run->n_out, sizeof *out);
    if (sequences == NULL || in == NULL || out == NULL) return no_room(run, err);
    for (uint32_t i = 1; i < run->n_in; i++) {
        if (run->in[i]->type != ONNXD_SEQUENCE) continue;
        size_t other = ((const onnxd_sequence *)run->in[i]->data)->n;
        if (other != n)
            return op_error(err, run->node, ONNXD_ERR_SHAPE, "input %u has %zu items, the first one %zu", i,
                            other, n);
    }
    for (uint32_t i = 0; i < run->n_out; i++) {
        sequences[i] = new_sequence(run, n, body->values[body->outputs[i]].info.type);
        if (sequences[i] == NULL) return no_room(run, err);
    }
    onnxd_status status = ONNXD_OK;
    for (size_t at = 0; at < n && status == ONNXD_OK; at++)
        status = map_item(run, at, sequences, in, out, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < run->n_out; i++)
        give(run, i, ONNXD_SEQUENCE, sequences[i]);
    return status;
}

/* ---- optionals ----------------------------------------------------------------------------------- */

static onnxd_status check_optional(const struct node *node, onnxd_error *err)
{
    const struct attribute *type = node_attribute(node, "type");
    bool given = node->n_in > 0 && node->in[0] != GRAPH_NONE;
    if (!given && (type == NULL || type->kind != ATTRIBUTE_TYPE))
        return op_error(err, node, ONNXD_ERR_MODEL, "an empty optional needs the attribute 'type'");
    return ONNXD_OK;
}

static onnxd_type optional_item_type(const struct node *node)
{
    const struct attribute *type = node_attribute(node, "type");
    return type != NULL && type->kind == ATTRIBUTE_TYPE ? type->type->type : ONNXD_UNDEFINED;
}

static onnxd_status shapes_optional(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    set_container(s, 0, ONNXD_OPTIONAL, shapes_has(s, 0) ? s->in[0]->type : optional_item_type(s->node));
    return ONNXD_OK;
}

static onnxd_status run_optional(struct op_run *run, onnxd_error *err)
{
    onnxd_optional *optional = op_allocate(run, sizeof *optional);
    onnxd_tensor *value = op_allocate(run, sizeof *value);
    if (optional == NULL || value == NULL) return no_room(run, err);
    *optional = (onnxd_optional){.item_type = optional_item_type(run->node)};
    if (tensor_given(run->in, run->n_in, 0)) {
        onnxd_status status = op_copy_tensor(run->env->arena, run->in[0], value, err);
        if (status != ONNXD_OK) return status;
        *optional = (onnxd_optional){.value = value, .item_type = value->type};
    }
    give(run, 0, ONNXD_OPTIONAL, optional);
    return ONNXD_OK;
}

/* What an input holds: an optional's value (NULL when empty), or since opset 18 the input itself. */
static const onnxd_tensor *held(const struct op_run *run)
{
    if (!tensor_given(run->in, run->n_in, 0)) return NULL;
    const onnxd_tensor *in = run->in[0];
    return in->type == ONNXD_OPTIONAL ? ((const onnxd_optional *)in->data)->value : in;
}

static onnxd_status shapes_has_element(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    shapes_set(s, 0, ONNXD_BOOL, 0, NULL);
    return ONNXD_OK;
}

static onnxd_status run_has_element(struct op_run *run, onnxd_error *err)
{
    onnxd_status status = op_allocate_output(run, 0, ONNXD_BOOL, 0, NULL, err);
    if (status == ONNXD_OK && run->out[0] != NULL) *(uint8_t *)run->out[0]->data = held(run) != NULL;
    return status;
}

static onnxd_status shapes_get_element(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    if (s->in[0]->type != ONNXD_OPTIONAL)
        shapes_copy(s, 0, 0);
    else if (type_is_container(s->in[0]->item_type))
        set_container(s, 0, s->in[0]->item_type, ONNXD_UNDEFINED);
    else
        shapes_set_type(s, 0, s->in[0]->item_type);
    return ONNXD_OK;
}

static onnxd_status run_get_element(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *value = held(run);
    if (value == NULL) return op_error(err, run->node, ONNXD_ERR_RANGE, "the optional is empty");
    return run->out[0] == NULL ? ONNXD_OK : op_copy_tensor(run->env->arena, value, run->out[0], err);
}

const struct op_def ops_sequence[] = {
    {"", "SequenceConstruct", 11, OP_LATEST, 1, OP_ANY_NUMBER, 1, 1, OP_DYNAMIC, NULL, shapes_construct, NULL,
     NULL, run_construct},
    {"", "SequenceEmpty", 11, OP_LATEST, 0, 0, 1, 1, OP_DYNAMIC, check_empty, shapes_empty, NULL, NULL,
     run_empty},
    {"", "SequenceAt", 11, OP_LATEST, 2, 2, 1, 1, OP_DYNAMIC, NULL, shapes_at, NULL, NULL, run_at},
    {"", "SequenceInsert", 11, OP_LATEST, 2, 3, 1, 1, OP_DYNAMIC, NULL, shapes_insert, NULL, NULL,
     run_insert},
    {"", "SequenceErase", 11, OP_LATEST, 1, 2, 1, 1, OP_DYNAMIC, NULL, shapes_erase, NULL, NULL, run_erase},
    {"", "SequenceLength", 11, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, NULL, shapes_length, NULL, NULL,
     run_length},
    {"", "SequenceMap", 17, OP_LATEST, 1, OP_ANY_NUMBER, 1, OP_ANY_NUMBER, OP_DYNAMIC, check_map, shapes_map,
     NULL, NULL, run_map},
    {"", "Optional", 15, OP_LATEST, 0, 1, 1, 1, OP_DYNAMIC, check_optional, shapes_optional, NULL, NULL,
     run_optional},
    {"", "OptionalHasElement", 15, OP_LATEST, 0, 1, 1, 1, OP_DYNAMIC, NULL, shapes_has_element, NULL, NULL,
     run_has_element},
    {"", "OptionalGetElement", 15, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, NULL, shapes_get_element, NULL, NULL,
     run_get_element},
    {0},
};
