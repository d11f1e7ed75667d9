/* ops/matrix.h - matrix products in every lane.
 *
 * float32 goes through the kernels of the CPU; the other lanes through plain loops.
 * Threads: functions of their arguments alone. */
#ifndef OPS_MATRIX_H
#define OPS_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/elements.h"

/* C[m,n] = A[m,k] * B[k,n], plus C where `add`. Elements are of the lane's type; leading dimensions count
 * elements between rows as they lie in memory. k = 0 gives zeros (or C). */
struct matrix_product {
    enum lane lane;
    int64_t m, n, k;
    const void *a; /* [m, k], or [k, m] where a_transposed */
    int64_t lda;
    bool a_transposed;
    const void *b; /* [k, n], or [n, k] where b_transposed */
    int64_t ldb;
    bool b_transposed;
    void *c; /* [m, n] */
    int64_t ldc;
    bool add;
};

/* scratch: matrix_scratch_bytes() bytes, 64-byte aligned. */
void matrix_multiply(const struct matrix_product *p, void *scratch);
size_t matrix_scratch_bytes(void);

/* Bytes of one element of the lane. */
static inline size_t lane_size(enum lane lane)
{
    return lane == LANE_F32 ? 4 : 8;
}

/* A tensor's elements in the lane: its own data where they are native, else converted into `room`
 * (n elements of the lane). */
const void *matrix_operand(enum lane lane, const onnxd_tensor *tensor, void *room);

#endif
