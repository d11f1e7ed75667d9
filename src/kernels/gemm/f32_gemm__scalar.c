/* f32_gemm in plain C: the reference the vector variants are tested against. B is kept as [k][n]. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/gemm/gemm_kernels.h"
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/activate_scalar.h"

size_t f32_gemm_packed_size__scalar(size_t n, size_t k)
{
    return n * k;
}

void f32_gemm_pack__scalar(void *packed, const float *b, size_t ldb, int transposed, size_t n, size_t k)
{
    float *to = packed;
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < n; j++) *to++ = transposed ? b[j * ldb + p] : b[p * ldb + j];
}

void f32_gemm__scalar(const struct f32_gemm *g)
{
    const float *b = g->b;
    for (size_t i = 0; i < g->m; i++) {
        float *c = g->c + i * g->ldc;
        for (size_t j = 0; j < g->n; j++)
            c[j] = (g->bias != NULL ? g->bias[j] : 0.0f) + (g->c0 != NULL ? g->c0[i * g->ldc0 + j] : 0.0f);
        for (size_t p = 0; p < g->k; p++) {
            float x = g->a[i * g->lda + p];
            for (size_t j = 0; j < g->n; j++) c[j] += x * b[p * g->n + j];
        }
        for (size_t j = 0; j < g->n; j++) c[j] = activate_scalar(g, c[j]);
    }
}

void f32_gemv_sparse__scalar(const struct f32_gemm *g, void *scratch)
{
    (void)scratch;
    const float *b = g->b;
    for (size_t j = 0; j < g->n; j++)
        g->c[j] = (g->bias != NULL ? g->bias[j] : 0.0f) + (g->c0 != NULL ? g->c0[j] : 0.0f);
    for (size_t p = 0; p < g->k; p++) {
        if (g->a[p] == 0.0f) continue;
        for (size_t j = 0; j < g->n; j++) g->c[j] += g->a[p] * b[p * g->n + j];
    }
    for (size_t j = 0; j < g->n; j++) g->c[j] = activate_scalar(g, g->c[j]);
}
