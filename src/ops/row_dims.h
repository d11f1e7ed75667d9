/* ops/row_dims.h - outputs whose dimension 0 is that of input 0 and whose rows have a fixed shape.
 *
 * The fused operators that work on rows carry the shape of a row of output j in the attribute "dims<j>".
 * Threads: pure functions. */
#ifndef OPS_ROW_DIMS_H
#define OPS_ROW_DIMS_H

#include "ops/op.h"

/* Writes the attribute for output j, whose value looks like *info (all dimensions behind the first
 * constant). False: no memory. */
bool row_dims_set(struct graph *graph, struct node *node, uint32_t j, const struct value_info *info);

/* Fills every output of the node from the attributes. An op_def's `shapes`. */
ONNXD_MUST_USE onnxd_status row_dims_shapes(struct op_shapes *s, onnxd_error *err);

/* Elements behind dimension 0. */
size_t row_elements(const onnxd_tensor *tensor);

#endif
