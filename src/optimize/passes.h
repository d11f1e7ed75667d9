/* optimize/passes.h - the graph passes, in the order in which optimize_graph runs them.
 *
 * Each pass is one file. A pass takes a graph whose uses are counted (graph_count_uses) and whose nodes
 * are in order, and leaves it so. Passes return ONNXD_OK, or ONNXD_ERR_LIMIT when the model's memory
 * limit is reached; the first two also report what is wrong with the model.
 *
 * Threads: one at a time per model. */
#ifndef OPTIMIZE_PASSES_H
#define OPTIMIZE_PASSES_H

#include "graph/graph.h"
#include "ops/op_evaluate.h"

struct pass {
    struct graph *graph;   /* the one being worked on */
    struct graph *symbols; /* the main graph, which numbers the symbols */
    struct evaluator *evaluator;
    uint32_t n_changes; /* set by the pass */
    onnxd_error *err;
};

/* Looks every operator up, bodies included, and lets it check its node. Missing ones are all named in one
 * ONNXD_ERR_UNSUPPORTED. */
ONNXD_MUST_USE onnxd_status pass_bind_operators(struct pass *pass);

/* Follows types and symbolic shapes through the graph and replaces what does not depend on the inputs by
 * constants. Bodies are visited with unknown inputs. */
ONNXD_MUST_USE onnxd_status pass_infer(struct pass *pass);

/* Puts the branch of an If whose condition is constant in its place. */
ONNXD_MUST_USE onnxd_status pass_inline_if(struct pass *pass);

/* Drops nodes that change nothing and second copies of a node. */
ONNXD_MUST_USE onnxd_status pass_simplify(struct pass *pass);

/* Matrix products with constant weights, and what follows them, become onnxd.Dense. */
ONNXD_MUST_USE onnxd_status pass_fuse_dense(struct pass *pass);

/* Attention blocks become onnxd.MultiHead; after pass_fuse_dense. */
ONNXD_MUST_USE onnxd_status pass_fuse_attention(struct pass *pass);

/* Runs of elementwise operators and reductions become onnxd.Chain; the last fusion. */
ONNXD_MUST_USE onnxd_status pass_fuse_chain(struct pass *pass);

/* What is only pieces of inputs and of embedding tables becomes one onnxd.Assemble. */
ONNXD_MUST_USE onnxd_status pass_fuse_assemble(struct pass *pass);

/* Each output row depends on its own input row alone. Asked before fusion, of operators of the standard.
 * `arena` is for working memory. */
bool graph_is_row_wise(const struct graph *graph, struct arena *arena);

/* ---- what passes ask of a graph, in query.c ------------------------------------------------------- */

/* ONNXD_ERR_LIMIT: the arena is full. */
onnxd_status pass_no_room(struct pass *pass);

/* The same type, rank and certainly equal dimensions. */
bool same_shape(const struct graph *graph, uint32_t a, uint32_t b);

/* The only node that reads the value, and its index; NULL when there are more or none, when it is captured
 * by a body, or when it is an output of the graph. */
struct node *only_reader(const struct graph *graph, uint32_t value, uint32_t *ret_index);

static inline const struct value_info *info_of(const struct graph *graph, uint32_t value)
{
    return &graph->values[value].info;
}

/* Node is `op_type` of ai.onnx. */
bool node_is(const struct node *node, const char *op_type);

/* The node that computes the value, or NULL. */
static inline struct node *producer_of(const struct graph *graph, uint32_t value)
{
    if (value == GRAPH_NONE) return NULL;
    uint32_t p = graph->values[value].producer;
    return p == GRAPH_NONE ? NULL : graph->nodes[p];
}

#endif
