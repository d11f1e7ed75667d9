/* f32_attention in plain C: the reference the vector variants are tested against. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/attention/attention_kernels.h"
#include "kernels/simd/simd_math.h"
#include "kernels/reduce/softmax_row.h"

void f32_attention__scalar(const struct f32_attention *g, float *scratch)
{
    for (size_t i = 0; i < g->tq; i++) {
        float *o = g->o + i * g->ldo;
        for (size_t j = 0; j < g->tk; j++) {
            scratch[j] = 0.0f;
            for (size_t p = 0; p < g->d; p++) scratch[j] += g->q[i * g->ldq + p] * g->k[j * g->ldk + p];
        }
        softmax_row(scratch, scratch, g->mask != NULL ? g->mask + i * g->ld_mask : NULL, g->scale, g->tk);
        for (size_t c = 0; c < g->dv; c++) o[c] = 0.0f;
        for (size_t j = 0; j < g->tk; j++)
            for (size_t c = 0; c < g->dv; c++) o[c] += scratch[j] * g->v[j * g->ldv + c];
    }
}
