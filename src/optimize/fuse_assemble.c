/* Values that are pieces of the graph's inputs and of constant tables are built by one onnxd.Assemble at
 * the front of the program: a hundred Slice, Cast, Gather and Concat nodes become one pass over the rows. */
#include "optimize/passes.h"

#include <string.h>

#include "base/error.h"
#include "ops/row_dims.h"
#include "optimize/row_layout.h"

enum { MAX_OUTPUTS = 16, MAX_SOURCES = 16, FIELDS = 5 };

struct assembly {
    uint32_t sources[MAX_SOURCES], n_sources;
    uint32_t outputs[MAX_OUTPUTS], n_outputs;
    uint32_t *tables, n_tables, tables_capacity;
    int64_t *lookups, *copies; /* fields of the attributes, see ops/op_assemble.c */
    size_t n_lookups, n_copies, capacity;
};

static bool only_moves_data(const struct node *node)
{
    static const char *const names[] = {"Slice",   "Split",     "Concat", "Reshape", "Flatten",
                                        "Squeeze", "Unsqueeze", "Gather", "Cast"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (node_is(node, names[i])) return true;
    return false;
}

/* Some node that computes, or the caller, reads the value. */
static bool is_read_by_others(const struct graph *graph, uint32_t value)
{
    for (uint32_t j = 0; j < graph->n_outputs; j++)
        if (graph->outputs[j] == value) return true;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++) {
            if (node->in[k] != value) continue;
            bool moves = only_moves_data(node) && k == 0;
            if (node_is(node, "Concat")) moves = true;
            if (node_is(node, "Gather")) moves = k == 1;
            if (!moves) return true;
            /* A mover whose own layout is not understood has to read the value itself. */
            if (!has_rows(&graph->values[node->out[0]].info)) return true;
        }
    }
    return false;
}

static bool is_graph_input(const struct graph *graph, uint32_t value)
{
    for (uint32_t i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i] == value) return true;
    return false;
}

/* Made of graph inputs alone, and more than a plain copy of one. */
static bool is_worth_it(const struct graph *graph, const struct layout *layout)
{
    bool lookup = false;
    for (uint32_t i = 0; i < layout->n; i++) {
        const struct piece *p = &layout->pieces[i];
        onnxd_type type = graph->values[p->source].info.type;
        if (!is_graph_input(graph, p->source)) return false;
        if (p->table == GRAPH_NONE && type != ONNXD_FLOAT32) return false;
        lookup = lookup || p->table != GRAPH_NONE;
    }
    return lookup || layout->n > 1;
}

static uint32_t index_in(uint32_t *list, uint32_t *n, uint32_t max, uint32_t value)
{
    for (uint32_t i = 0; i < *n; i++)
        if (list[i] == value) return i;
    if (*n == max) return UINT32_MAX;
    list[*n] = value;
    return (*n)++;
}

static bool add_output(struct assembly *a, uint32_t value, const struct layout *layout)
{
    uint32_t to = 0;
    if (a->n_outputs == MAX_OUTPUTS || a->n_lookups + a->n_copies + layout->n > a->capacity) return false;
    for (uint32_t i = 0; i < layout->n; i++) {
        const struct piece *p = &layout->pieces[i];
        uint32_t source = index_in(a->sources, &a->n_sources, MAX_SOURCES, p->source);
        if (source == UINT32_MAX) return false;
        int64_t *f;
        if (p->table != GRAPH_NONE) {
            uint32_t table = index_in(a->tables, &a->n_tables, a->tables_capacity, p->table);
            f = a->lookups + a->n_lookups++ * FIELDS;
            f[0] = source, f[1] = p->column, f[2] = table;
        } else {
            f = a->copies + a->n_copies++ * FIELDS;
            f[0] = source, f[1] = p->column, f[2] = p->width;
        }
        f[3] = a->n_outputs, f[4] = to;
        to += p->width;
    }
    a->outputs[a->n_outputs++] = value;
    return true;
}

static onnxd_status place_assembly(struct pass *pass, struct assembly *a)
{
    struct graph *graph = pass->graph;
    struct node *node = graph_insert_node(graph, 0, "onnxd", "Assemble", NULL, a->n_sources + a->n_tables,
                                          a->n_outputs);
    if (node == NULL) return pass_no_room(pass);
    node->opset = 1;
    node->op = op_find("onnxd", "Assemble", 1);
    memcpy(node->in, a->sources, a->n_sources * sizeof *node->in);
    if (a->n_tables > 0) memcpy(node->in + a->n_sources, a->tables, a->n_tables * sizeof *node->in);
    for (size_t i = 0; i < a->n_lookups; i++) a->lookups[i * FIELDS + 2] += a->n_sources;
    bool ok = node_set_int(graph, node, "n_sources", a->n_sources) &&
              node_set_ints(graph, node, "lookups", a->lookups, a->n_lookups * FIELDS) &&
              node_set_ints(graph, node, "copies", a->copies, a->n_copies * FIELDS);
    for (uint32_t j = 0; j < a->n_outputs && ok; j++) {
        ok = row_dims_set(graph, node, j, &graph->values[a->outputs[j]].info);
        /* The node that made the value so far makes one that nobody reads, and goes. */
        for (uint32_t i = 1; i < graph->n_nodes && ok; i++)
            for (uint32_t k = 0; k < graph->nodes[i]->n_out && ok; k++)
                if (graph->nodes[i]->out[k] == a->outputs[j]) {
                    graph->nodes[i]->out[k] = graph_add_value(graph, NULL,
                                                              &graph->values[a->outputs[j]].info);
                    ok = graph->nodes[i]->out[k] != GRAPH_NONE;
                }
        node->out[j] = a->outputs[j];
    }
    if (!ok) return pass_no_room(pass);
    pass->n_changes++;
    graph_compact(graph);
    return ONNXD_OK;
}

onnxd_status pass_fuse_assemble(struct pass *pass)
{
    struct graph *graph = pass->graph;
    struct arena *arena = graph->arena;
    struct assembly a = {.capacity = 4096, .tables_capacity = 1024};
    a.tables = arena_alloc_array(arena, a.tables_capacity, sizeof *a.tables);
    a.lookups = arena_alloc_array(arena, a.capacity * FIELDS, sizeof *a.lookups);
    a.copies = arena_alloc_array(arena, a.capacity * FIELDS, sizeof *a.copies);
    if (a.tables == NULL || a.lookups == NULL || a.copies == NULL) return pass_no_room(pass);
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        if (!only_moves_data(node) || node_is(node, "Cast")) continue;
        for (uint32_t k = 0; k < node->n_out; k++) {
            uint32_t value = node->out[k];
            if (value == GRAPH_NONE || graph->values[value].info.type != ONNXD_FLOAT32 ||
                !is_read_by_others(graph, value))
                continue;
            struct layout layout = row_layout(graph, value, arena, 0);
            if (layout.n == 0 || !is_worth_it(graph, &layout)) continue;
            struct assembly before = a;
            if (!add_output(&a, value, &layout)) a = before;
        }
    }
    return a.n_outputs > 0 ? place_assembly(pass, &a) : ONNXD_OK;
}
