/* kernels/gemm/activate_block.h - activations that are not free, over the block just stored, while it is in
 * L1.
 *
 * Included after simd_math.h. */
#ifndef KERNELS_ACTIVATE_BLOCK_H
#define KERNELS_ACTIVATE_BLOCK_H

#include "kernels/gemm/gemm_kernels.h"

SIMD_INLINE vf activate(enum f32_activation act, vf x, vf alpha)
{
    switch (act) {
    case F32_ACT_SIGMOID: return vf_sigmoid(x);
    case F32_ACT_TANH: return vf_tanh(x);
    case F32_ACT_LEAKY_RELU: return vf_select(vf_lt(x, vf_zero()), vf_mul(alpha, x), x);
    default: return x;
    }
}

SIMD_INLINE void activate_rows(const enum f32_activation act, float *c, size_t ldc, size_t rows, size_t cols,
                               float alpha_)
{
    vf alpha = vf_set1(alpha_);
    for (; rows > 0; rows--, c += ldc) {
        size_t j = 0;
        for (; j + VF_LANES <= cols; j += VF_LANES) vf_store(c + j, activate(act, vf_load(c + j), alpha));
        if (j == cols) continue;
        vt tail = vt_first(cols - j);
        vf_store_t(c + j, tail, activate(act, vf_load_t(c + j, tail), alpha));
    }
}

static void activate_block(const struct f32_gemm *g, float *c, size_t rows, size_t cols)
{
    size_t ldc = g->ldc;
    if (ldc == cols) { /* one long row has one tail */
        cols *= rows;
        rows = 1;
    }
    switch (g->act) {
    case F32_ACT_SIGMOID: activate_rows(F32_ACT_SIGMOID, c, ldc, rows, cols, g->alpha); break;
    case F32_ACT_TANH: activate_rows(F32_ACT_TANH, c, ldc, rows, cols, g->alpha); break;
    case F32_ACT_LEAKY_RELU: activate_rows(F32_ACT_LEAKY_RELU, c, ldc, rows, cols, g->alpha); break;
    default: break;
    }
}

/* A handful of elements that were stored one by one: a vector load would wait until those stores have left
 * for the cache, which takes longer than the function itself. */
SIMD_INLINE void activate_few(const struct f32_gemm *g)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            float *c = g->c + i * g->ldc + j;
            *c = vf_first(activate(g->act, vf_set1(*c), vf_set1(g->alpha)));
        }
}

#endif
