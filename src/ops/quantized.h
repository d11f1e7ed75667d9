/* ops/quantized.h - exact products of 8-bit matrices on float kernels, and requantisation.
 *
 * A product of two centred 8-bit numbers (zero point taken off: at most 255 in size) is exact in float, and
 * so is a sum of QUANTIZED_BLOCK of them: blocks of k are multiplied in float and added up in int32.
 * Threads: functions of their arguments alone. */
#ifndef OPS_QUANTIZED_H
#define OPS_QUANTIZED_H

#include "ops/op.h"

enum { QUANTIZED_BLOCK = 256 };

/* C[m,n] = A[m,k] * B[k,n], row-major; sums wrap like int32. */
struct quantized_product {
    int64_t m, n, k;
    const float *a; /* centred */
    int64_t lda;
    const float *b; /* centred; or packed by quantized_pack */
    int64_t ldb;
    bool b_packed;
    int32_t *c;
    int64_t ldc;
};

/* room: [m * n] floats; scratch: matrix_scratch_bytes(). */
void quantized_multiply(const struct quantized_product *p, float *room, void *scratch);

/* Packs a centred B [k, n], block by block. */
size_t quantized_packed_floats(int64_t n, int64_t k);
void quantized_pack(const float *b, int64_t n, int64_t k, float *packed);

/* Elements of an 8-bit tensor from `first` on without their zero point. zero: NULL for 0. */
void quantized_center(const onnxd_tensor *tensor, int64_t first, int64_t n, double zero, float *to);

/* Element i of a parameter that is absent (NULL: otherwise), one for all, or one for each. */
double parameter_at(const onnxd_tensor *tensor, int64_t i, double otherwise);

/* Limits of an integer type. */
double type_least(onnxd_type type);
double type_greatest(onnxd_type type);

/* round(value) + zero, half to even, within the type's limits. */
double quantized_round(double value, double zero, onnxd_type type);

#endif
