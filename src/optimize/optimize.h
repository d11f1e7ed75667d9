/* optimize/optimize.h - from the graph as exported to the graph that runs. */
#ifndef OPTIMIZE_OPTIMIZE_H
#define OPTIMIZE_OPTIMIZE_H

#include "graph/graph.h"

struct optimize_options {
    bool no_fusion;           /* bind, infer and fold only */
    bool bf16;                /* pack weights in bfloat16 where the CPU multiplies them */
    uint32_t *ret_n_original; /* when not NULL: nodes before the first pass */
    bool *ret_row_wise;       /* when not NULL: whether output rows depend on their own input rows alone */
};

/* Binds operators, infers shapes, folds constants, inlines decided branches, simplifies and fuses, and
 * packs weights. ONNXD_ERR_UNSUPPORTED names all missing operators; ONNXD_ERR_MODEL, ONNXD_ERR_SHAPE and
 * ONNXD_ERR_TYPE what is wrong with the model; ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status optimize_graph(struct graph *graph, const struct optimize_options *options,
                                           onnxd_error *err);

#endif
