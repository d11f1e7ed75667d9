/* Nodes that change nothing: their readers read what they read.
 *
 * Identity; Dropout outside training; Cast to the same type; Reshape, Flatten, Squeeze, Unsqueeze, Expand,
 * Tile, Transpose and Concat that keep the shape; x + 0, x - 0, x * 1, x / 1 where the shape stays; and the
 * same node twice. Pow(x, 2) becomes x * x. */
#include "optimize/passes.h"

#include <string.h>

#include "base/map.h"

/* A float32 value that is `number` everywhere: a constant, or ConstantOfShape behind nodes that only
 * reshape or repeat. */
static bool is_splat(const struct graph *graph, uint32_t value, float number)
{
    for (int depth = 0; depth < 16; depth++) {
        const onnxd_tensor *constant = graph->values[value].info.constant;
        const struct node *node = producer_of(graph, value);
        if (constant == NULL && node_is(node, "ConstantOfShape")) {
            constant = node_attribute_tensor(node, "value");
            if (constant == NULL) return number == 0;
        }
        if (constant != NULL) {
            int64_t n = onnxd_tensor_n_elements(constant);
            if (constant->type != ONNXD_FLOAT32 || n > 4096) return false;
            for (int64_t i = 0; i < n; i++)
                if (((const float *)constant->data)[i] != number) return false;
            return true;
        }
        bool keeps = node_is(node, "Reshape") || node_is(node, "Unsqueeze") || node_is(node, "Squeeze") ||
                     node_is(node, "Expand") || node_is(node, "Identity") ||
                     (node_is(node, "Cast") && graph->values[node->in[0]].info.type == ONNXD_FLOAT32);
        if (!keeps) return false;
        value = node->in[0];
    }
    return false;
}

/* The input that the node's output equals, or -1. */
static int same_as_input(const struct graph *graph, const struct node *node)
{
    const struct value_info *out = &graph->values[node->out[0]].info;
    if (node_is(node, "Identity")) return 0;
    if (node_is(node, "Dropout")) {
        bool mask_read = node->n_out > 1 && node->out[1] != GRAPH_NONE &&
                         graph->values[node->out[1]].n_uses > 0;
        bool may_train = node->n_in > 2 || node_attribute_int(node, "is_test", 1) == 0;
        return mask_read || may_train ? -1 : 0;
    }
    static const char *const shape_only[] = {"Cast",      "Reshape", "Flatten", "Squeeze",
                                             "Unsqueeze", "Expand",  "Tile"};
    for (size_t i = 0; i < sizeof shape_only / sizeof shape_only[0]; i++)
        if (node_is(node, shape_only[i])) return same_shape(graph, node->out[0], node->in[0]) ? 0 : -1;
    if (node_is(node, "Concat"))
        return node->n_in == 1 && same_shape(graph, node->out[0], node->in[0]) ? 0 : -1;
    if (node->n_in != 2 || out->type != ONNXD_FLOAT32 || node->opset < 7) return -1;
    if (node_is(node, "Add") || node_is(node, "Mul")) {
        float neutral = node_is(node, "Mul") ? 1 : 0;
        for (int i = 0; i < 2; i++)
            if (same_shape(graph, node->out[0], node->in[i]) && is_splat(graph, node->in[1 - i], neutral))
                return i;
    }
    if (node_is(node, "Sub") || node_is(node, "Div"))
        return same_shape(graph, node->out[0], node->in[0]) &&
                       is_splat(graph, node->in[1], node_is(node, "Div") ? 1 : 0)
                   ? 0
                   : -1;
    return -1;
}

static void square_for_power(struct pass *pass, struct node *node)
{
    if (!node_is(node, "Pow") || pass->graph->values[node->out[0]].info.type != ONNXD_FLOAT32) return;
    if (!same_shape(pass->graph, node->in[0], node->out[0]) || !is_splat(pass->graph, node->in[1], 2)) return;
    const struct op_def *mul = op_find("", "Mul", node->opset < 7 ? 7 : node->opset);
    if (mul == NULL) return;
    node->op_type = "Mul";
    node->op = mul;
    if (node->opset < 7) node->opset = 7;
    node->n_attributes = 0;
    node->in[1] = node->in[0];
    pass->n_changes++;
}

/* ---- the same node twice ------------------------------------------------------------------------- */

static uint64_t hash_attribute(const struct attribute *a, uint64_t h)
{
    h = hash_bytes(a->name, strlen(a->name), h);
    switch (a->kind) {
    case ATTRIBUTE_FLOAT: return hash_bytes(&a->f, sizeof a->f, h);
    case ATTRIBUTE_INT: return hash_bytes(&a->i, sizeof a->i, h);
    case ATTRIBUTE_STRING: return hash_bytes(a->s.data, a->s.len, h);
    case ATTRIBUTE_INTS: return hash_bytes(a->ints, a->n * sizeof *a->ints, h);
    case ATTRIBUTE_FLOATS: return hash_bytes(a->floats, a->n * sizeof *a->floats, h);
    default: return h;
    }
}

static bool same_attribute(const struct attribute *a, const struct attribute *b)
{
    if (a->kind != b->kind || strcmp(a->name, b->name) != 0 || a->n != b->n) return false;
    switch (a->kind) {
    case ATTRIBUTE_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case ATTRIBUTE_INT: return a->i == b->i;
    case ATTRIBUTE_STRING: return a->s.len == b->s.len && memcmp(a->s.data, b->s.data, a->s.len) == 0;
    case ATTRIBUTE_INTS: return memcmp(a->ints, b->ints, a->n * sizeof *a->ints) == 0;
    case ATTRIBUTE_FLOATS: return memcmp(a->floats, b->floats, a->n * sizeof *a->floats) == 0;
    default: return false; /* tensors, graphs, strings: not worth it */
    }
}

static bool same_node(const struct node *a, const struct node *b)
{
    if (a->op != b->op || a->opset != b->opset || a->n_in != b->n_in || a->n_out != b->n_out ||
        a->n_attributes != b->n_attributes || memcmp(a->in, b->in, a->n_in * sizeof *a->in) != 0)
        return false;
    for (uint32_t i = 0; i < a->n_attributes; i++)
        if (!same_attribute(&a->attributes[i], &b->attributes[i])) return false;
    return true;
}

static uint64_t hash_node(const struct node *node)
{
    uint64_t h = hash_bytes(node->in, node->n_in * sizeof *node->in, (uint64_t)(uintptr_t)node->op);
    for (uint32_t i = 0; i < node->n_attributes; i++) h = hash_attribute(&node->attributes[i], h);
    return h;
}

static void merge_into(struct graph *graph, struct node *twin, struct node *first)
{
    for (uint32_t k = 0; k < twin->n_out; k++)
        if (twin->out[k] != GRAPH_NONE && first->out[k] == GRAPH_NONE) return;
    for (uint32_t k = 0; k < twin->n_out; k++)
        if (twin->out[k] != GRAPH_NONE) graph_replace_uses(graph, twin->out[k], first->out[k]);
    twin->removed = true;
}

/* Small constants of equal contents become one value, so that their readers can be twins. */
static void merge_constants(struct graph *graph)
{
    enum { BUCKETS = 1024, MAX_BYTES = 256 };
    uint32_t *table = arena_alloc_array(graph->arena, BUCKETS, sizeof *table); /* value + 1 */
    if (table == NULL) return;
    for (uint32_t v = 0; v < graph->n_values; v++) {
        const onnxd_tensor *t = graph->values[v].info.constant;
        if (t == NULL || graph->values[v].n_uses == 0 || onnxd_type_size(t->type) == 0 ||
            t->type == ONNXD_STRING)
            continue;
        size_t n_bytes = onnxd_tensor_n_bytes(t);
        if (n_bytes > MAX_BYTES) continue;
        uint64_t h = hash_bytes(t->data, n_bytes, t->type + 64 * t->rank);
        uint32_t *slot = &table[hash_bytes(t->dims, t->rank * sizeof *t->dims, h) % BUCKETS];
        const onnxd_tensor *first = *slot > 0 ? graph->values[*slot - 1].info.constant : NULL;
        bool same = first != NULL && first->type == t->type && first->rank == t->rank &&
                    memcmp(first->dims, t->dims, t->rank * sizeof *t->dims) == 0 &&
                    memcmp(first->data, t->data, n_bytes) == 0;
        if (same)
            graph_replace_uses(graph, v, *slot - 1);
        else
            *slot = v + 1;
    }
}

static void merge_twins(struct pass *pass)
{
    enum { BUCKETS = 4096 };
    struct graph *graph = pass->graph;
    struct node **table = arena_alloc_array(graph->arena, BUCKETS, sizeof *table);
    if (table == NULL) return;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        if (node->removed || node->n_captured > 0 || (node->op->flags & (OP_IMPURE | OP_DYNAMIC)) != 0)
            continue;
        uint64_t slot = hash_node(node) % BUCKETS;
        if (table[slot] != NULL && same_node(node, table[slot])) {
            merge_into(graph, node, table[slot]);
            pass->n_changes += node->removed;
        } else {
            table[slot] = node;
        }
    }
}

onnxd_status pass_simplify(struct pass *pass)
{
    struct graph *graph = pass->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        if (node->removed || node->n_out == 0 || node->out[0] == GRAPH_NONE || node->domain[0] != 0) continue;
        int input = same_as_input(graph, node);
        if (input >= 0) {
            graph_replace_uses(graph, node->out[0], node->in[input]);
            node->removed = true;
            pass->n_changes++;
        } else {
            square_for_power(pass, node);
        }
    }
    graph_compact(graph);
    merge_constants(graph);
    merge_twins(pass);
    graph_compact(graph);
    return ONNXD_OK;
}
