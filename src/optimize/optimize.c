#include "optimize/optimize.h"

#include <string.h>

#include "optimize/passes.h"

/* Working memory for folding; a node that needs more is left to the run. */
#define EVALUATOR_BYTES ((size_t)256 << 20)

typedef onnxd_status (*pass_fn)(struct pass *pass);

/* Runs inference and the inlining that it allows until nothing more changes. */
static onnxd_status settle(struct pass *pass)
{
    onnxd_status status;
    do {
        pass->n_changes = 0;
        status = pass_infer(pass);
        pass->n_changes = 0;
        if (status == ONNXD_OK) status = pass_inline_if(pass);
    } while (status == ONNXD_OK && pass->n_changes > 0);
    return status;
}

static onnxd_status fuse(struct pass *pass)
{
    static const pass_fn passes[] = {pass_fuse_assemble, pass_fuse_dense, pass_fuse_attention,
                                     pass_fuse_chain};
    onnxd_status status = ONNXD_OK;
    do {
        pass->n_changes = 0;
        status = pass_simplify(pass);
        if (status == ONNXD_OK && pass->n_changes > 0) status = settle(pass), pass->n_changes = 1;
    } while (status == ONNXD_OK && pass->n_changes > 0);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0] && status == ONNXD_OK; i++)
        status = passes[i](pass);
    return status;
}

/* Only the fused products have a form with narrow weights. */
static onnxd_status mark_bf16(struct pass *pass)
{
    for (uint32_t i = 0; i < pass->graph->n_nodes; i++) {
        struct node *node = pass->graph->nodes[i];
        if (strcmp(node->domain, "onnxd") != 0 || strcmp(node->op_type, "Dense") != 0) continue;
        if (!node_set_int(pass->graph, node, "bf16", 1)) return pass_no_room(pass);
    }
    return ONNXD_OK;
}

static onnxd_status pack_graph(struct graph *graph, onnxd_error *err)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        onnxd_status status = ONNXD_OK;
        if (node->op->pack != NULL && node->packed == NULL)
            status = node->op->pack(node, graph, graph->arena, err);
        for (uint32_t a = 0; a < node->n_attributes && status == ONNXD_OK; a++)
            if (node->attributes[a].kind == ATTRIBUTE_GRAPH)
                status = pack_graph(node->attributes[a].graph, err);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

onnxd_status optimize_graph(struct graph *graph, const struct optimize_options *options, onnxd_error *err)
{
    struct evaluator evaluator;
    evaluator_init(&evaluator, EVALUATOR_BYTES);
    struct pass pass = {.graph = graph, .symbols = graph, .evaluator = &evaluator, .err = err};
    if (options->ret_n_original != NULL) *options->ret_n_original = graph->n_nodes;
    onnxd_status status = pass_bind_operators(&pass);
    if (status == ONNXD_OK) status = settle(&pass);
    if (status == ONNXD_OK && options->ret_row_wise != NULL)
        *options->ret_row_wise = graph_is_row_wise(graph, graph->arena);
    if (status == ONNXD_OK && !options->no_fusion) status = fuse(&pass);
    if (status == ONNXD_OK && options->bf16) status = mark_bf16(&pass);
    if (status == ONNXD_OK) status = pack_graph(graph, err);
    evaluator_done(&evaluator);
    return status;
}
