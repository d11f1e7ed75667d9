/* ops/op_evaluate.h - run nodes and whole graphs on concrete tensors, one by one.
 *
 * The plain way to execute: shapes are found, memory is taken and the operator is prepared at every call.
 * It serves constant folding, bodies of control flow, and nodes whose shapes are known only during a
 * run; planned programs (engine/program.h) do without it.
 *
 * Ownership: results lie in the arena that the caller names; scratch memory is kept in the evaluator.
 * Threads:   an evaluator is used by one thread at a time. */
#ifndef OPS_OP_EVALUATE_H
#define OPS_OP_EVALUATE_H

#include "ops/op.h"

#define EVALUATOR_MAX_DEPTH 33 /* nested bodies */

struct evaluator {
    size_t limit_bytes; /* of each level's scratch memory */
    struct evaluator_level {
        struct arena scratch; /* of the node being run */
        struct arena values;  /* of the body being run */
    } levels[EVALUATOR_MAX_DEPTH];
};

void evaluator_init(struct evaluator *evaluator, size_t limit_bytes);
void evaluator_done(struct evaluator *evaluator);
size_t evaluator_memory_bytes(const struct evaluator *evaluator);

/* Runs one node. in: [n_in + n_captured] tensors, NULL where left out. ret_out: [n_out]; results lie in
 * `arena`, or share memory with inputs or constants. A node that needs more memory than the arena's limit
 * fails with ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status evaluate_node(struct evaluator *evaluator, const struct node *node,
                                          const onnxd_tensor *const *in, onnxd_tensor *ret_out,
                                          struct arena *arena, onnxd_error *err);

/* All wanted outputs have exact shapes and together at most max_bytes: the node may be run ahead of time. */
bool evaluate_outputs_fit(const struct node *node, const struct value_info *out, size_t max_bytes);

#endif
