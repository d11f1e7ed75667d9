#include "optimize/passes.h"

#include <string.h>

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* Larger results are left to the run, so that a small file cannot ask for much memory at load. */
#define MAX_FOLDED_BYTES ((size_t)64 << 20)

static bool may_fold(const struct graph *graph, const struct node *node, const struct value_info *out)
{
    if ((node->op->flags & (OP_DYNAMIC | OP_IMPURE)) != 0 || node->n_captured > 0) return false;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != GRAPH_NONE && graph->values[node->in[i]].info.constant == NULL) return false;
    return evaluate_outputs_fit(node, out, MAX_FOLDED_BYTES);
}

/* Runs the node now. A failure is not reported here: the node stays, and its run will say what is wrong. */
static onnxd_status fold(struct pass *pass, struct node *node)
{
    struct graph *graph = pass->graph;
    const onnxd_tensor **in = arena_alloc_array(graph->arena, node->n_in, sizeof *in);
    onnxd_tensor *out = arena_alloc_array(graph->arena, node->n_out, sizeof *out);
    if (in == NULL || out == NULL) return pass_no_room(pass);
    for (uint32_t i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == GRAPH_NONE ? NULL : graph->values[node->in[i]].info.constant;
    if (evaluate_node(pass->evaluator, node, in, out, graph->arena, NULL) != ONNXD_OK) return ONNXD_OK;
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != GRAPH_NONE)
            graph->values[node->out[i]].info = value_info_of_tensor(&out[i], true);
    node->removed = true;
    pass->n_changes++;
    return ONNXD_OK;
}

static bool all_outputs_constant(const struct graph *graph, const struct node *node)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != GRAPH_NONE && graph->values[node->out[i]].info.constant == NULL) return false;
    return true;
}

static onnxd_status infer_node(struct pass *pass, struct node *node)
{
    struct graph *graph = pass->graph;
    const struct value_info **in = arena_alloc_array(graph->arena, node->n_in, sizeof *in);
    struct value_info *out = arena_alloc_array(graph->arena, node->n_out, sizeof *out);
    if (in == NULL || out == NULL) return pass_no_room(pass);
    for (uint32_t i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == GRAPH_NONE ? NULL : &graph->values[node->in[i]].info;
    for (uint32_t i = 0; i < node->n_out; i++) out[i] = value_info_unknown();
    struct op_shapes s = {.node = node,
                          .in = in,
                          .n_in = node->n_in,
                          .out = out,
                          .n_out = node->n_out,
                          .graph = pass->symbols,
                          .arena = graph->arena};
    onnxd_status status = node->op->shapes(&s, pass->err);
    if (status != ONNXD_OK) return status;
    if (may_fold(graph, node, out)) {
        status = fold(pass, node);
        if (status != ONNXD_OK || node->removed) return status;
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (node->out[i] == GRAPH_NONE) continue;
        out[i].constant = value_info_constant(&out[i], graph->arena);
        graph->values[node->out[i]].info = out[i];
    }
    if (all_outputs_constant(graph, node)) {
        node->removed = true;
        pass->n_changes++;
    }
    return ONNXD_OK;
}

/* A body's constants can be folded; nothing is assumed about what reaches it from outside. */
static onnxd_status infer_bodies(struct pass *pass, const struct node *node)
{
    for (uint32_t i = 0; i < node->n_attributes; i++) {
        if (node->attributes[i].kind != ATTRIBUTE_GRAPH) continue;
        struct pass inner = *pass;
        inner.graph = node->attributes[i].graph;
        for (uint32_t k = 0; k < inner.graph->n_inputs; k++)
            inner.graph->values[inner.graph->inputs[k]].info = value_info_unknown();
        onnxd_status status = pass_infer(&inner);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

onnxd_status pass_infer(struct pass *pass)
{
    struct graph *graph = pass->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i]->removed) continue;
        onnxd_status status = infer_node(pass, graph->nodes[i]);
        if (status == ONNXD_OK && !graph->nodes[i]->removed) status = infer_bodies(pass, graph->nodes[i]);
        if (status != ONNXD_OK) return status;
    }
    graph_compact(graph);
    return ONNXD_OK;
}
