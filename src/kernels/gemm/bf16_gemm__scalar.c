/* bf16_gemm in plain C: the reference the vector variant is tested against, and what CPUs without bf16
 * instructions run. B is kept as [k][n] of bf16. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/gemm/gemm_kernels.h"
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/activate_scalar.h"

static uint16_t to_bf16(float x)
{
    uint32_t bits = (uint32_t)vf_bits(x);
    return (uint16_t)(x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : bits >> 16 | 0x40);
}

static float from_bf16(uint16_t x)
{
    return vf_from_bits((int32_t)((uint32_t)x << 16));
}

size_t bf16_gemm_packed_size__scalar(size_t n, size_t k)
{
    return (n * k + 1) / 2;
}

void bf16_gemm_pack__scalar(void *packed, const float *b, size_t ldb, int transposed, size_t n, size_t k)
{
    uint16_t *to = packed;
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < n; j++) *to++ = to_bf16(transposed ? b[j * ldb + p] : b[p * ldb + j]);
}

void bf16_gemm__scalar(const struct f32_gemm *g)
{
    const uint16_t *b = g->b;
    for (size_t i = 0; i < g->m; i++) {
        float *c = g->c + i * g->ldc;
        for (size_t j = 0; j < g->n; j++)
            c[j] = (g->bias != NULL ? g->bias[j] : 0.0f) + (g->c0 != NULL ? g->c0[i * g->ldc0 + j] : 0.0f);
        for (size_t p = 0; p < g->k; p++) {
            float x = from_bf16(to_bf16(g->a[i * g->lda + p]));
            for (size_t j = 0; j < g->n; j++) c[j] += x * from_bf16(b[p * g->n + j]);
        }
        for (size_t j = 0; j < g->n; j++) c[j] = activate_scalar(g, c[j]);
    }
}
