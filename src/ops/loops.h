/* ops/loops.h - nested loops over strided operands: the core of broadcasting, slicing and transposing.
 *
 * A loop nest has dimensions, outermost first, and for each operand the stride in elements by which it
 * moves along each of them. Simplified, it has as few dimensions as possible; the innermost is left to the
 * caller's own loop:
 *
 *     struct loops_cursor c;
 *     for (loops_start(&loops, &c); c.more; loops_next(&loops, &c))
 *         f(a + c.offset[0], loops_inner_stride(&loops, 0), ..., loops_inner(&loops));
 *
 * Threads: plain values. */
#ifndef OPS_LOOPS_H
#define OPS_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/tensor.h"

enum { LOOPS_MAX_RANK = 2 * ONNXD_MAX_RANK, LOOPS_MAX_OPERANDS = 4 };

struct loops {
    uint32_t rank; /* at least 1 after loops_simplify */
    uint32_t n_operands;
    int64_t dims[LOOPS_MAX_RANK];
    int64_t strides[LOOPS_MAX_OPERANDS][LOOPS_MAX_RANK];
};

struct loops_cursor {
    int64_t index[LOOPS_MAX_RANK];
    int64_t offset[LOOPS_MAX_OPERANDS]; /* in elements, of the innermost loop's start */
    bool more;
};

/* Over `dims`, operands still without strides. */
void loops_init(struct loops *loops, const int64_t *dims, uint32_t rank, uint32_t n_operands);

/* Operand k is a contiguous tensor of these dims broadcast to the loops' (which must be the full shape). */
void loops_broadcast(struct loops *loops, uint32_t k, const int64_t *dims, uint32_t rank);

/* Drops loops of size 1 and joins neighbours that every operand walks through evenly. */
void loops_simplify(struct loops *loops);

void loops_start(const struct loops *loops, struct loops_cursor *c);
void loops_next(const struct loops *loops, struct loops_cursor *c);

static inline int64_t loops_inner(const struct loops *loops)
{
    return loops->dims[loops->rank - 1];
}
static inline int64_t loops_inner_stride(const struct loops *loops, uint32_t k)
{
    return loops->strides[k][loops->rank - 1];
}

/* Copies elements of `size` bytes (1, 2, 4, 8 or 16) from operand 1 to operand 0. */
void loops_copy(const struct loops *loops, size_t size, void *to, const void *from);

#endif
