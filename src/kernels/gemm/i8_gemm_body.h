/* kernels/gemm/i8_gemm_body.h - i8_gemm for one instruction set; the compiler vectorises the inner loops.
 *
 * sum (a - za)(b - zb) = sum (a - za) b - zb sum (a - za): the zero point of B leaves the inner loop. Sums
 * wrap around as 32-bit integers do. */
#include "kernels/gemm/gemm_kernels.h"

#define INNER(name, type)                                                     \
    SIMD_INLINE void name(uint32_t *c, uint32_t x, const void *row, size_t n) \
    {                                                                         \
        const type *b = row;                                                  \
        for (size_t j = 0; j < n; j++) c[j] += x * (uint32_t)(int32_t)b[j];   \
    }
INNER(add_row_u8, uint8_t)
INNER(add_row_s8, int8_t)
#undef INNER

void ISA(i8_gemm)(const struct i8_gemm *g)
{
    for (size_t i = 0; i < g->m; i++) {
        uint32_t *c = (uint32_t *)g->c + i * g->ldc, sum = 0;
        uint32_t a_zero = g->a_zero != NULL ? (uint32_t)g->a_zero[i * g->a_zero_stride] : 0;
        for (size_t j = 0; j < g->n; j++) c[j] = 0;
        for (size_t p = 0; p < g->k; p++) {
            const uint8_t *a = (const uint8_t *)g->a + i * g->lda + p;
            const uint8_t *b = (const uint8_t *)g->b + p * g->ldb;
            uint32_t x = (g->a_signed ? (uint32_t)(int32_t)(int8_t)*a : (uint32_t)*a) - a_zero;
            sum += x;
            if (x == 0) continue;
            if (g->b_signed)
                add_row_s8(c, x, b, g->n);
            else
                add_row_u8(c, x, b, g->n);
        }
        if (g->b_zero == NULL) continue;
        for (size_t j = 0; j < g->n; j++) c[j] -= sum * (uint32_t)g->b_zero[j * g->b_zero_stride];
    }
}
