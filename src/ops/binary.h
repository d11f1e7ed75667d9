/* ops/binary.h - elementwise functions of two operands, one per lane.
 *
 * Threads: pure functions. */
#ifndef OPS_BINARY_H
#define OPS_BINARY_H

#include "graph/graph.h"
#include "kernels/kernels.h"
#include "ops/elements.h"

/* out[i] = f(a[i * a_stride], b[i * b_stride]) for i < n; strides are 0 or 1. Operands have the lane's
 * type, and so has out, or uint8 for those that answer a question. out may lie on a or b. */
typedef void (*binary_fn)(const void *a, int64_t a_stride, const void *b, int64_t b_stride, void *out,
                          int64_t n);

struct binary_op {
    const char *name;
    binary_fn fn[4]; /* by lane; NULL: not defined there */
    bool asks;       /* out is bool */
    uint32_t kernel; /* 1 + enum f32_binary of the CPU's own functions for LANE_F32; 0: none */
};

/* The functions of a node's operator, whose attributes (fmod, direction) may choose among several. */
const struct binary_op *binary_find(const struct node *node);
/* By the operator's name alone; NULL: none. */
const struct binary_op *binary_named(const char *name);

#endif
