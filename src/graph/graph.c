#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

/* ---- dimensions ---------------------------------------------------------------------------------- */

struct dim dim_mul(struct dim a, struct dim b)
{
    if (dim_is_constant(a) && a.n == 0) return a;
    if (dim_is_constant(b) && b.n == 0) return b;
    if (!dim_is_known(a) || !dim_is_known(b)) return dim_unknown();
    if (!dim_is_constant(a) && !dim_is_constant(b)) return dim_unknown();
    struct dim result = {.symbol = dim_is_constant(a) ? b.symbol : a.symbol};
    return checked_mul_i64(a.n, b.n, &result.n) ? result : dim_unknown();
}

struct dim dim_div(struct dim a, struct dim b)
{
    if (!dim_is_known(a) || !dim_is_known(b) || b.n == 0 || a.n % b.n != 0) return dim_unknown();
    if (dim_is_constant(b)) return (struct dim){a.n / b.n, a.symbol};
    return a.symbol == b.symbol ? dim_constant(a.n / b.n) : dim_unknown();
}

struct dim dim_add(struct dim a, struct dim b)
{
    if (dim_is_constant(a) && a.n == 0) return b;
    if (dim_is_constant(b) && b.n == 0) return a;
    if (!dim_is_known(a) || !dim_is_known(b) || a.symbol != b.symbol) return dim_unknown();
    struct dim result = {.symbol = a.symbol};
    return checked_add_i64(a.n, b.n, &result.n) ? result : dim_unknown();
}

struct value_info value_info_of_tensor(const onnxd_tensor *tensor, bool constant)
{
    struct value_info info = {.type = tensor->type, .rank = (int32_t)tensor->rank};
    for (uint32_t i = 0; i < tensor->rank; i++) info.dims[i] = dim_constant(tensor->dims[i]);
    if (tensor->type == ONNXD_SEQUENCE && tensor->data != NULL)
        info.item_type = ((const onnxd_sequence *)tensor->data)->item_type;
    if (tensor->type == ONNXD_OPTIONAL && tensor->data != NULL)
        info.item_type = ((const onnxd_optional *)tensor->data)->item_type;
    if (constant) info.constant = tensor;
    return info;
}

bool value_info_static_dims(const struct value_info *info, int64_t *ret_dims)
{
    if (info->rank < 0) return false;
    for (int32_t i = 0; i < info->rank; i++) {
        if (!dim_is_constant(info->dims[i])) return false;
        ret_dims[i] = info->dims[i].n;
    }
    return true;
}

const onnxd_tensor *value_info_constant(const struct value_info *info, struct arena *arena)
{
    if (info->contents == NULL || info->rank < 0 || info->rank > 1) return NULL;
    if (info->type != ONNXD_INT64 && info->type != ONNXD_INT32 && info->type != ONNXD_BOOL) return NULL;
    for (uint32_t i = 0; i < info->n_contents; i++)
        if (!dim_is_constant(info->contents[i])) return NULL;
    onnxd_tensor *tensor = arena_alloc_zeroed(arena, sizeof *tensor);
    void *data = arena_alloc_array(arena, info->n_contents + 1, sizeof(int64_t));
    if (tensor == NULL || data == NULL) return NULL;
    *tensor = (onnxd_tensor){.type = info->type, .rank = (uint32_t)info->rank, .data = data};
    tensor->dims[0] = info->n_contents;
    for (uint32_t i = 0; i < info->n_contents; i++) {
        if (info->type == ONNXD_INT64)
            ((int64_t *)data)[i] = info->contents[i].n;
        else if (info->type == ONNXD_BOOL)
            ((uint8_t *)data)[i] = info->contents[i].n != 0;
        else
            ((int32_t *)data)[i] = (int32_t)info->contents[i].n;
    }
    return tensor;
}

struct dim value_info_n_elements(const struct value_info *info)
{
    if (info->rank < 0) return dim_unknown();
    struct dim n = dim_constant(1);
    for (int32_t i = 0; i < info->rank; i++) n = dim_mul(n, info->dims[i]);
    return n;
}

/* ---- building ------------------------------------------------------------------------------------ */

/* Makes room for one more element in an arena-backed array; old storage is left to the arena. */
static bool grow_array(struct arena *arena, void **items, uint32_t n, uint32_t *capacity, size_t size)
{
    if (n < *capacity) return true;
    if (*capacity > UINT32_MAX / 4) return false;
    uint32_t bigger = *capacity == 0 ? 16 : *capacity * 2;
    void *copy = arena_alloc_array(arena, bigger, size);
    if (copy == NULL) return false;
    if (n > 0) memcpy(copy, *items, n * size);
    *items = copy;
    *capacity = bigger;
    return true;
}

struct graph *graph_create(struct arena *arena)
{
    struct graph *graph = arena_alloc_zeroed(arena, sizeof *graph);
    if (graph == NULL) return NULL;
    graph->arena = arena;
    graph->name = "";
    if (!grow_array(arena, (void **)&graph->symbols, 0, &graph->symbols_capacity, sizeof *graph->symbols))
        return NULL;
    graph->n_symbols = 1; /* 0 is DIM_CONSTANT */
    return graph;
}

uint32_t graph_add_value(struct graph *graph, const char *name, const struct value_info *info)
{
    if (!grow_array(graph->arena, (void **)&graph->values, graph->n_values, &graph->values_capacity,
                    sizeof *graph->values))
        return GRAPH_NONE;
    const char *copy = name != NULL ? arena_strdup(graph->arena, name)
                                    : arena_printf(graph->arena, "#%u", graph->n_values);
    if (copy == NULL) return GRAPH_NONE;
    graph->values[graph->n_values] = (struct value){
        .name = copy, .info = info != NULL ? *info : value_info_unknown(), .producer = GRAPH_NONE};
    return graph->n_values++;
}

uint32_t graph_add_constant(struct graph *graph, const char *name, const onnxd_tensor *tensor)
{
    struct value_info info = value_info_of_tensor(tensor, true);
    return graph_add_value(graph, name, &info);
}

struct node *graph_insert_node(struct graph *graph, uint32_t at, const char *domain, const char *op_type,
                               const char *name, uint32_t n_in, uint32_t n_out)
{
    struct node *node = arena_alloc_zeroed(graph->arena, sizeof *node);
    if (node == NULL || !grow_array(graph->arena, (void **)&graph->nodes, graph->n_nodes,
                                    &graph->nodes_capacity, sizeof(struct node *)))
        return NULL;
    node->domain = arena_strdup(graph->arena, domain);
    node->op_type = arena_strdup(graph->arena, op_type);
    node->name = name != NULL && name[0] != 0 ? arena_strdup(graph->arena, name)
                                              : arena_printf(graph->arena, "%s_%u", op_type, graph->n_nodes);
    node->in = arena_alloc_array(graph->arena, n_in, sizeof *node->in);
    node->out = arena_alloc_array(graph->arena, n_out, sizeof *node->out);
    if (node->domain == NULL || node->op_type == NULL || node->name == NULL || node->in == NULL ||
        node->out == NULL)
        return NULL;
    for (uint32_t i = 0; i < n_in; i++) node->in[i] = GRAPH_NONE;
    for (uint32_t i = 0; i < n_out; i++) node->out[i] = GRAPH_NONE;
    node->n_in = n_in;
    node->n_out = n_out;
    memmove(graph->nodes + at + 1, graph->nodes + at, (graph->n_nodes - at) * sizeof(struct node *));
    graph->nodes[at] = node;
    graph->n_nodes++;
    return node;
}

struct node *graph_add_node(struct graph *graph, const char *domain, const char *op_type, const char *name,
                            uint32_t n_in, uint32_t n_out)
{
    return graph_insert_node(graph, graph->n_nodes, domain, op_type, name, n_in, n_out);
}

uint32_t graph_add_symbol(struct graph *graph, const char *name)
{
    if (!grow_array(graph->arena, (void **)&graph->symbols, graph->n_symbols, &graph->symbols_capacity,
                    sizeof *graph->symbols))
        return DIM_UNKNOWN;
    const char *copy = name != NULL ? arena_strdup(graph->arena, name)
                                    : arena_printf(graph->arena, "?%u", graph->n_symbols);
    if (copy == NULL) return DIM_UNKNOWN;
    graph->symbols[graph->n_symbols] = copy;
    return graph->n_symbols++;
}

/* ---- uses and order ------------------------------------------------------------------------------ */

void graph_count_uses(struct graph *graph)
{
    for (uint32_t v = 0; v < graph->n_values; v++) {
        graph->values[v].producer = GRAPH_NONE;
        graph->values[v].n_uses = 0;
    }
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        if (node->removed) continue;
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++)
            if (node->in[k] != GRAPH_NONE) graph->values[node->in[k]].n_uses++;
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k] != GRAPH_NONE) graph->values[node->out[k]].producer = i;
    }
    for (uint32_t k = 0; k < graph->n_outputs; k++) graph->values[graph->outputs[k]].n_uses++;
}

void graph_replace_uses(struct graph *graph, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        if (node->removed) continue;
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++)
            if (node->in[k] == from) node->in[k] = to;
    }
    for (uint32_t k = 0; k < graph->n_outputs; k++)
        if (graph->outputs[k] == from) graph->outputs[k] = to;
}

void graph_compact(struct graph *graph)
{
    graph_count_uses(graph);
    for (uint32_t i = graph->n_nodes;
         i-- > 0;) { /* backwards: a dropped reader frees its inputs' producers */
        struct node *node = graph->nodes[i];
        bool used = false;
        for (uint32_t k = 0; k < node->n_out && !used; k++)
            used = node->out[k] != GRAPH_NONE && graph->values[node->out[k]].n_uses > 0;
        if (node->removed || used) continue;
        node->removed = true;
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++)
            if (node->in[k] != GRAPH_NONE) graph->values[node->in[k]].n_uses--;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (!graph->nodes[i]->removed) graph->nodes[n++] = graph->nodes[i];
    graph->n_nodes = n;
    graph_count_uses(graph);
}

/* Kahn's algorithm; among ready nodes the file's order is kept. */
onnxd_status graph_sort(struct graph *graph, onnxd_error *err)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    onnxd_status status = ONNXD_OK;
    uint32_t n = graph->n_nodes, n_done = 0, head = 0, n_edges = 0;
    graph_count_uses(graph);
    for (uint32_t i = 0; i < n; i++) n_edges += graph->nodes[i]->n_in + graph->nodes[i]->n_captured;
    uint32_t *missing = arena_alloc_array(&scratch, n + 1, sizeof *missing);
    uint32_t *first = arena_alloc_array(&scratch, n + 2,
                                        sizeof *first); /* readers of node i: edges[first[i]..] */
    uint32_t *edges = arena_alloc_array(&scratch, n_edges + 1, sizeof *edges);
    uint32_t *ready = arena_alloc_array(&scratch, n + 1, sizeof *ready);
    struct node **sorted = arena_alloc_array(graph->arena, n + 1, sizeof *sorted);
    if (missing == NULL || first == NULL || edges == NULL || ready == NULL || sorted == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "graph '%s': no memory to order %u nodes", graph->name, n);
        goto out;
    }
    for (int pass = 0; pass < 2; pass++) { /* count edges, then place them */
        for (uint32_t i = 0; i < n; i++) {
            const struct node *node = graph->nodes[i];
            for (uint32_t k = 0; k < node->n_in + node->n_captured; k++) {
                uint32_t p = node->in[k] == GRAPH_NONE ? GRAPH_NONE : graph->values[node->in[k]].producer;
                if (p == GRAPH_NONE) continue;
                if (pass == 0) {
                    first[p + 2]++;
                    missing[i]++;
                } else {
                    edges[first[p + 1]++] = i;
                }
            }
        }
        if (pass == 0)
            for (uint32_t i = 2; i < n + 2; i++) first[i] += first[i - 1];
    }
    for (uint32_t i = 0; i < n; i++)
        if (missing[i] == 0) ready[n_done++] = i;
    for (; head < n_done; head++) {
        uint32_t i = ready[head];
        sorted[head] = graph->nodes[i];
        for (uint32_t e = first[i]; e < first[i + 1]; e++)
            if (--missing[edges[e]] == 0) ready[n_done++] = edges[e];
    }
    if (n_done < n) {
        uint32_t i = 0;
        while (missing[i] == 0) i++;
        status = error_set(err, ONNXD_ERR_MODEL, "node '%s' (%s): on a cycle, or reads from one",
                           graph->nodes[i]->name, graph->nodes[i]->op_type);
        goto out;
    }
    graph->nodes = sorted;
    graph->nodes_capacity = n + 1;
    graph_count_uses(graph);
out:
    arena_done(&scratch);
    return status;
}

/* ---- attributes ---------------------------------------------------------------------------------- */

const struct attribute *node_attribute(const struct node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_attributes; i++)
        if (strcmp(node->attributes[i].name, name) == 0) return &node->attributes[i];
    return NULL;
}

static const struct attribute *attribute_of_kind(const struct node *node, const char *name,
                                                 enum attribute_kind kind)
{
    const struct attribute *a = node_attribute(node, name);
    return a != NULL && a->kind == kind ? a : NULL;
}

int64_t node_attribute_int(const struct node *node, const char *name, int64_t otherwise)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_INT);
    return a != NULL ? a->i : otherwise;
}

float node_attribute_float(const struct node *node, const char *name, float otherwise)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_FLOAT);
    return a != NULL ? a->f : otherwise;
}

const int64_t *node_attribute_ints(const struct node *node, const char *name, size_t *ret_n)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_INTS);
    *ret_n = a != NULL ? a->n : 0;
    return a != NULL ? a->ints : NULL;
}

const float *node_attribute_floats(const struct node *node, const char *name, size_t *ret_n)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_FLOATS);
    *ret_n = a != NULL ? a->n : 0;
    return a != NULL ? a->floats : NULL;
}

const onnxd_string *node_attribute_strings(const struct node *node, const char *name, size_t *ret_n)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_STRINGS);
    *ret_n = a != NULL ? a->n : 0;
    return a != NULL ? a->strings : NULL;
}

bool node_attribute_is(const struct node *node, const char *name, const char *text)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_STRING);
    return a != NULL && a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

const onnxd_tensor *node_attribute_tensor(const struct node *node, const char *name)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_TENSOR);
    return a != NULL ? a->tensor : NULL;
}

struct graph *node_attribute_graph(const struct node *node, const char *name)
{
    const struct attribute *a = attribute_of_kind(node, name, ATTRIBUTE_GRAPH);
    return a != NULL ? a->graph : NULL;
}

static bool set_attribute(struct graph *graph, struct node *node, struct attribute attribute)
{
    for (uint32_t i = 0; i < node->n_attributes; i++)
        if (strcmp(node->attributes[i].name, attribute.name) == 0) {
            node->attributes[i] = attribute;
            return true;
        }
    struct attribute *bigger = arena_alloc_array(graph->arena, node->n_attributes + 1, sizeof *bigger);
    attribute.name = arena_strdup(graph->arena, attribute.name);
    if (bigger == NULL || attribute.name == NULL) return false;
    if (node->n_attributes > 0) memcpy(bigger, node->attributes, node->n_attributes * sizeof *bigger);
    bigger[node->n_attributes++] = attribute;
    node->attributes = bigger;
    return true;
}

bool node_set_int(struct graph *graph, struct node *node, const char *name, int64_t value)
{
    return set_attribute(graph, node, (struct attribute){.name = name, .kind = ATTRIBUTE_INT, .i = value});
}

bool node_set_float(struct graph *graph, struct node *node, const char *name, float value)
{
    return set_attribute(graph, node, (struct attribute){.name = name, .kind = ATTRIBUTE_FLOAT, .f = value});
}

bool node_set_ints(struct graph *graph, struct node *node, const char *name, const int64_t *values, size_t n)
{
    int64_t *copy = arena_memdup(graph->arena, values, n * sizeof *values);
    return copy != NULL &&
           set_attribute(graph, node,
                         (struct attribute){.name = name, .kind = ATTRIBUTE_INTS, .n = n, .ints = copy});
}

bool node_set_floats(struct graph *graph, struct node *node, const char *name, const float *values, size_t n)
{
    float *copy = arena_memdup(graph->arena, values, n * sizeof *values);
    return copy != NULL &&
           set_attribute(graph, node,
                         (struct attribute){.name = name, .kind = ATTRIBUTE_FLOATS, .n = n, .floats = copy});
}
