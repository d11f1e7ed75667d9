/* f32_matmul in plain C: the reference the vector variants are tested against. */
#include "kernels/gemm/gemm_kernels.h"

void f32_matmul__scalar(const struct f32_matmul *g, float *scratch)
{
    (void)scratch;
    size_t a_row = g->a_transposed ? 1 : g->lda, a_k = g->a_transposed ? g->lda : 1;
    size_t b_k = g->b_transposed ? 1 : g->ldb, b_col = g->b_transposed ? g->ldb : 1;
    for (size_t i = 0; i < g->m; i++) {
        float *c = g->c + i * g->ldc;
        for (size_t j = 0; j < g->n; j++) c[j] = g->c0 != NULL ? g->c0[i * g->ldc0 + j] : 0.0f;
        for (size_t p = 0; p < g->k; p++)
            for (size_t j = 0; j < g->n; j++) c[j] += g->a[i * a_row + p * a_k] * g->b[p * b_k + j * b_col];
    }
}
