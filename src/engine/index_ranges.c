#include "engine/index_ranges.h"

#include <string.h>

static uint32_t input_of(const struct graph *graph, uint32_t value)
{
    for (uint32_t i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i] == value) return i;
    return GRAPH_NONE;
}

static void bound(const struct input_range *range, size_t element, int64_t below)
{
    if (element < range->n && below > 0 && (range->below[element] == 0 || below < range->below[element]))
        range->below[element] = below;
}

static void learn_from_assemble(const struct input_range *ranges, const struct graph *graph,
                                const struct node *node)
{
    enum { FIELDS = 5 }; /* source, column, table, ...: see op_assemble.c */
    size_t n;
    const int64_t *lookups = node_attribute_ints(node, "lookups", &n);
    for (size_t i = 0; lookups != NULL && i + FIELDS <= n; i += FIELDS) {
        if (lookups[i] >= node->n_in || lookups[i + 2] >= node->n_in) continue;
        uint32_t input = input_of(graph, node->in[lookups[i]]);
        const onnxd_tensor *table = graph->values[node->in[lookups[i + 2]]].info.constant;
        if (input == GRAPH_NONE || table == NULL || table->rank < 1) continue;
        bound(&ranges[input], (size_t)lookups[i + 1], table->dims[0]);
    }
}

/* The value that `value` is a conversion or another shape of. */
static uint32_t behind_conversions(const struct graph *graph, uint32_t value)
{
    static const char *const plain[] = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"};
    for (uint32_t hops = 0; hops < 16; hops++) {
        uint32_t producer = graph->values[value].producer;
        if (producer == GRAPH_NONE || producer >= graph->n_nodes) break;
        const struct node *node = graph->nodes[producer];
        bool passes = false;
        for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
            passes |= strcmp(node->op_type, plain[i]) == 0;
        if (!passes || node->in[0] == GRAPH_NONE) break;
        value = node->in[0];
    }
    return value;
}

static void learn_from_gather(const struct input_range *ranges, const struct graph *graph,
                              const struct node *node)
{
    const onnxd_tensor *table = graph->values[node->in[0]].info.constant;
    uint32_t input = input_of(graph, behind_conversions(graph, node->in[1]));
    int64_t axis = node_attribute_int(node, "axis", 0);
    if (table == NULL || input == GRAPH_NONE || axis < 0 || axis >= table->rank) return;
    for (size_t k = 0; k < ranges[input].n; k++) bound(&ranges[input], k, table->dims[axis]);
}

void index_ranges_learn(const struct graph *graph, const struct input_range *ranges)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        if (strcmp(node->op_type, "Assemble") == 0) learn_from_assemble(ranges, graph, node);
        if (strcmp(node->op_type, "Gather") == 0) learn_from_gather(ranges, graph, node);
    }
}
