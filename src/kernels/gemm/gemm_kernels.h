/* kernels/gemm/gemm_kernels.h - matrix products.
 *
 * f32_gemm         C[m,n] = act(A[m,k] * B[k,n] + bias + C0) with B packed once
 * f32_gemv_sparse  the same for one row with many zeros
 * f32_matmul       C[m,n] = A[m,k] * B[k,n] + C0 of matrices known only now, either of them transposed
 * bf16_gemm        f32_gemm with operands rounded to bf16
 *
 * Any sizes, zero included (k = 0 gives act(bias + C0)). Nothing outside the named elements is read or
 * written, whatever the strides. Strides count elements; a stride is at least the row's length.
 *
 * Packed B. Panels of `panel` columns (struct kernels tells how many), each [k][panel], zero padded, one
 * after the other: reading B is one ascending stream. Matrices of at most `narrow` columns are kept
 * transposed instead, [n][k rounded up to 16], for dot products. Which of the two is the business of
 * pack and gemm alone; both must come from the same struct kernels. A buffer must be 64-byte aligned.
 *
 * Speed. From 8 rows on the product is bound by arithmetic; below, by reading B. Rows are shared out
 * evenly among tiles (9 is 5 + 4), so no row count falls off a cliff.
 *
 * Ownership: everything is the caller's; nothing is allocated.
 * Threads:   functions of their arguments alone. */
#ifndef KERNELS_GEMM_KERNELS_H
#define KERNELS_GEMM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum f32_activation {
    F32_ACT_NONE,
    F32_ACT_RELU,
    F32_ACT_SIGMOID,
    F32_ACT_TANH,
    F32_ACT_LEAKY_RELU, /* x < 0 ? alpha * x : x */
    F32_ACT_COUNT
};

struct f32_gemm {
    size_t m, n, k;
    const float *a; /* [m, k], row stride lda */
    size_t lda;
    const void *b; /* packed by the pack function that goes with the product, of the same struct kernels */
    const float *bias; /* [n], or NULL for 0 */
    const float *c0;   /* [m, n], row stride ldc0, added before the activation; NULL for 0; may be c */
    size_t ldc0;
    float *c; /* [m, n], row stride ldc; overlaps neither a nor b */
    size_t ldc;
    enum f32_activation act;
    float alpha; /* of F32_ACT_LEAKY_RELU */
};

typedef void f32_gemm_fn(const struct f32_gemm *g);

/* Floats (units of 4 bytes) that packing [k, n] takes. */
typedef size_t f32_gemm_packed_size_fn(size_t n, size_t k);

/* Packs B, row-major [k, n] with row stride ldb, or [n, k] where `transposed` is not 0. */
typedef void f32_gemm_pack_fn(void *packed, const float *b, size_t ldb, int transposed, size_t n, size_t k);

/* f32_gemm of one row (m must be 1) that leaves zeros of A out: where A comes from a ReLU about half of B is
 * not read. Weights that a zero meets are not looked at, so an infinite or NaN one goes unnoticed there. The
 * caller tries which of the two is faster for its data. scratch: f32_gemv_sparse_scratch(k) bytes, aligned
 * for floats; k below 2^27. */
typedef void f32_gemv_sparse_fn(const struct f32_gemm *g, void *scratch);
static inline size_t f32_gemv_sparse_scratch(size_t k)
{
    return (k + 16) * (sizeof(float) + sizeof(uint32_t));
}

/* C[m,n] = A[m,k] * B[k,n] + C0, nothing packed beforehand. */
struct f32_matmul {
    size_t m, n, k;
    const float *a; /* [m, k], or [k, m] where a_transposed; row stride lda */
    size_t lda;
    int a_transposed;
    const float *b; /* [k, n], or [n, k] where b_transposed; row stride ldb */
    size_t ldb;
    int b_transposed;
    const float *c0; /* [m, n], row stride ldc0; NULL for 0; may be c */
    size_t ldc0;
    float *c; /* [m, n], row stride ldc; overlaps neither a nor b */
    size_t ldc;
};

/* scratch: F32_MATMUL_SCRATCH floats, 64-byte aligned; not kept between calls. */
#define F32_MATMUL_SCRATCH ((size_t)384 * 32)
typedef void f32_matmul_fn(const struct f32_matmul *g, float *scratch);

#define GEMM_KERNELS(X, arg)                              \
    X(f32_gemm, f32_gemm_fn, arg)                         \
    X(f32_gemm_packed_size, f32_gemm_packed_size_fn, arg) \
    X(f32_gemm_pack, f32_gemm_pack_fn, arg)               \
    X(f32_gemv_sparse, f32_gemv_sparse_fn, arg)           \
    X(f32_matmul, f32_matmul_fn, arg)

/* The product of f32_gemm with A and B rounded to bf16 (each operand off by up to 2^-8 of itself) and sums in
 * 32 bits: half of B's bytes. Same arguments, B packed by bf16_gemm_pack. Fast where struct kernels says
 * has_bf16. B of at most 8 columns may be kept in 32 bits. */
#define BF16_KERNELS(X, arg)                               \
    X(bf16_gemm, f32_gemm_fn, arg)                         \
    X(bf16_gemm_packed_size, f32_gemm_packed_size_fn, arg) \
    X(bf16_gemm_pack, f32_gemm_pack_fn, arg)

#define DECLARE(name, type, isa) type name##__##isa;
BF16_KERNELS(DECLARE, scalar)
BF16_KERNELS(DECLARE, avx512bf16)
GEMM_KERNELS(DECLARE, scalar)
GEMM_KERNELS(DECLARE, avx2)
GEMM_KERNELS(DECLARE, avx512)
GEMM_KERNELS(DECLARE, neon)
#undef DECLARE

#endif
