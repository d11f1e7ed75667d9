#include "optimize/passes.h"

#include <string.h>

#include "base/error.h"

/* Copies the body's values into the outer graph; map[v] is the new index of body value v. */
static bool adopt_values(struct graph *graph, const struct node *node, const struct graph *body,
                         uint32_t *map)
{
    for (uint32_t v = 0; v < body->n_values; v++) map[v] = GRAPH_NONE;
    for (uint32_t i = 0; i < body->n_captures; i++)
        map[body->captures[i].inner] = node->in[body->captures[i].outer];
    for (uint32_t v = 0; v < body->n_values; v++) {
        if (map[v] != GRAPH_NONE) continue;
        map[v] = graph_add_value(graph, body->values[v].name, &body->values[v].info);
        if (map[v] == GRAPH_NONE) return false;
    }
    return true;
}

/* Places the body's nodes where the If stood. Node numbers of earlier nodes do not change. */
static bool adopt_nodes(struct graph *graph, uint32_t at, const struct graph *body, const uint32_t *map)
{
    uint32_t n = graph->n_nodes + body->n_nodes;
    struct node **nodes = arena_alloc_array(graph->arena, n + 1, sizeof *nodes);
    if (nodes == NULL) return false;
    memcpy(nodes, graph->nodes, at * sizeof *nodes);
    memcpy(nodes + at, body->nodes, body->n_nodes * sizeof *nodes);
    memcpy(nodes + at + body->n_nodes, graph->nodes + at, (graph->n_nodes - at) * sizeof *nodes);
    for (uint32_t i = at; i < at + body->n_nodes; i++) {
        struct node *moved = nodes[i];
        for (uint32_t k = 0; k < moved->n_in + moved->n_captured; k++)
            if (moved->in[k] != GRAPH_NONE) moved->in[k] = map[moved->in[k]];
        for (uint32_t k = 0; k < moved->n_out; k++)
            if (moved->out[k] != GRAPH_NONE) moved->out[k] = map[moved->out[k]];
    }
    graph->nodes = nodes;
    graph->n_nodes = n;
    graph->nodes_capacity = n + 1;
    return true;
}

static const struct graph *chosen_branch(const struct graph *graph, const struct node *node)
{
    if (node->removed || !node_is(node, "If") || node->in[0] == GRAPH_NONE) return NULL;
    const onnxd_tensor *condition = graph->values[node->in[0]].info.constant;
    if (condition == NULL || condition->type != ONNXD_BOOL || onnxd_tensor_n_elements(condition) != 1)
        return NULL;
    return node_attribute_graph(node, *(const uint8_t *)condition->data ? "then_branch" : "else_branch");
}

onnxd_status pass_inline_if(struct pass *pass)
{
    struct graph *graph = pass->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        const struct graph *body = chosen_branch(graph, node);
        if (node->removed || body == NULL || body->n_outputs < node->n_out || body->n_inputs > 0) continue;
        uint32_t *map = arena_alloc_array(graph->arena, body->n_values + 1, sizeof *map);
        if (map == NULL || !adopt_values(graph, node, body, map) || !adopt_nodes(graph, i, body, map))
            return error_set(pass->err, ONNXD_ERR_LIMIT, "node '%.100s' (If): no room to inline its branch",
                             node->name);
        node->removed = true;
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k] != GRAPH_NONE) graph_replace_uses(graph, node->out[k], map[body->outputs[k]]);
        pass->n_changes++;
    }
    graph_compact(graph);
    return ONNXD_OK;
}
