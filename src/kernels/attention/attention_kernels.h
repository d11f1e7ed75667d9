/* kernels/attention/attention_kernels.h - scaled dot-product attention of one head.
 *
 * O[tq, dv] = softmax(scale * Q[tq, d] * K[tk, d]^T + mask) * V[tk, dv], the softmax over each row (Vaswani
 * et al. 2017). Made for sizes such as 15 x 15 with d = 16, where everything stays in L1; right for any size.
 * A row whose inputs to the softmax are all -infinity gives NaN.
 *
 * Ownership: everything is the caller's.
 * Threads:   functions of their arguments alone. */
#ifndef KERNELS_ATTENTION_KERNELS_H
#define KERNELS_ATTENTION_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct f32_attention {
    size_t tq, tk, d, dv;
    const float *q; /* [tq, d], row stride ldq */
    size_t ldq;
    const float *k; /* [tk, d], row stride ldk */
    size_t ldk;
    const float *v; /* [tk, dv], row stride ldv */
    size_t ldv;
    const float *mask; /* [tq, tk], row stride ld_mask, 0 for one row; NULL for none; added to the scores */
    size_t ld_mask;
    float scale;
    float *o; /* [tq, dv], row stride ldo; overlaps no input */
    size_t ldo;
};

#define F32_ATTENTION_ROWS ((size_t)24) /* rows of Q whose scores are held at once */

/* Floats of scratch that a call needs; 64-byte aligned; not kept between calls. */
static inline size_t f32_attention_scratch(size_t tk, size_t d)
{
    return (d + F32_ATTENTION_ROWS) * ((tk + 31) / 32 * 32);
}

typedef void f32_attention_fn(const struct f32_attention *g, float *scratch);

#define ATTENTION_KERNELS(X, arg) X(f32_attention, f32_attention_fn, arg)

#define DECLARE(name, type, isa) type name##__##isa;
ATTENTION_KERNELS(DECLARE, scalar)
ATTENTION_KERNELS(DECLARE, avx2)
ATTENTION_KERNELS(DECLARE, avx512)
ATTENTION_KERNELS(DECLARE, neon)
#undef DECLARE

#endif
