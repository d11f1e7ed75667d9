/* ops/tree_ensemble.h - decision trees packed for running.
 *
 * The attributes of TreeEnsembleClassifier and TreeEnsembleRegressor list nodes in any order, linked by
 * numbers. Packed, every tree lies together in the order of a walk that goes to the true side first, 16
 * bytes a node; a leaf leads to itself, so that several rows can walk in step until none moves any more.
 *
 * Ownership: everything lies in the arena given.
 * Threads:   read only once built. */
#ifndef OPS_TREE_ENSEMBLE_H
#define OPS_TREE_ENSEMBLE_H

#include "base/arena.h"
#include "graph/graph.h"
#include "onnxd/status.h"

enum tree_mode { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ, TREE_LEAF };

#define TREE_MISSING_TRUE (1u << 31) /* in tree_node.feature: NaN goes to the true side */

struct tree_node {
    float value; /* threshold; of a leaf of an ensemble with one output, what it adds */
    uint32_t feature;
    uint32_t child[2]; /* [0] when the comparison is false, [1] when it is true */
};

struct tree_weight {
    uint32_t output;
    float weight;
};

struct tree_ensemble {
    struct tree_node *nodes;     /* [n_nodes] */
    double *values;              /* [n_nodes] thresholds in full precision; NULL unless given as float64 */
    uint8_t *modes;              /* [n_nodes] enum tree_mode */
    uint32_t *first_weight;      /* [n_nodes + 1] of each node, into weights */
    struct tree_weight *weights; /* [n_weights] */
    double *weights_f64;         /* [n_weights]; NULL unless given as float64 */
    uint32_t *roots;             /* [n_trees] in the order in which the trees are listed */
    uint32_t n_nodes, n_trees, n_weights;
    uint32_t n_features;  /* columns that the nodes read: the highest plus one */
    enum tree_mode mode;  /* of every inner node, when same_mode */
    bool same_mode;       /* and none tracks missing values */
    bool negative_weight; /* some weight is below 0 */
    bool one_output;      /* every weight belongs to output 0: leaves hold their sum in value */
    uint32_t only_output; /* all weights belong to this output, or UINT32_MAX */
};

/* Builds from the node's attributes; `leaf` is "target" or "class", the prefix of the weights' attributes;
 * n_outputs is what their ids must stay below. ONNXD_ERR_MODEL, ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status tree_ensemble_build(const struct node *node, const char *leaf, int64_t n_outputs,
                                                struct arena *arena, struct tree_ensemble **ret,
                                                onnxd_error *err);

/* Float attribute `name`, or tensor attribute `name`_as_tensor of float32 or float64, as doubles. NULL and
 * *ret_n = 0 when absent; *ret_f64 tells whether it was float64. The arena holds the list. */
const double *tree_float_list(const struct node *node, const char *name, struct arena *arena, size_t *ret_n,
                              bool *ret_f64);

/* Leaves that n rows reach in the tree that starts at `root`. x: rows `stride` floats apart. leaves: [n]. */
void tree_walk_rows(const struct tree_ensemble *ensemble, uint32_t root, const float *x, size_t stride,
                    size_t n, uint32_t *leaves);

/* Leaves that one row reaches in n trees. */
void tree_walk_trees(const struct tree_ensemble *ensemble, const uint32_t *roots, size_t n, const float *x,
                     uint32_t *leaves);

/* The leaf that a row of doubles reaches. */
uint32_t tree_walk_f64(const struct tree_ensemble *ensemble, uint32_t root, const double *x);

#endif
