/* kernels/attention/f32_attention_body.h - f32_attention for one instruction set; GEMM_VECS as in
 * f32_gemm_body.h.
 *
 * K is transposed once into panels; then, a block of query rows at a time, scores, softmax and the sum over V
 * follow each other while the scores are in L1. */
#include "kernels/attention/attention_kernels.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_tiles.h"
#include "kernels/gemm/gemm_transpose.h"
#include "kernels/simd/simd_math.h"
#include "kernels/reduce/softmax_row.h"

#define PANEL (GEMM_VECS * VF_LANES)

static size_t padded(size_t cols)
{
    return (cols + VF_LANES - 1) / VF_LANES * VF_LANES;
}

SIMD_INLINE size_t at_most(size_t n, size_t limit)
{
    return n < limit ? n : limit;
}

/* scores[rows, tk] = Q K^T for rows of Q from `row` on. */
static void score_rows(const struct f32_attention *g, size_t row, size_t rows, const float *kt, float *scores,
                       size_t ld)
{
    struct gemm_tile t = {.a = g->q + row * g->ldq, .a_row = g->ldq, .a_k = 1, .k = g->d, .ldc = ld};
    t.lowest = tile_lowest(0);
    for (size_t col = 0; col < g->tk; col += PANEL) {
        t.cols = at_most(g->tk - col, PANEL);
        t.b = kt + col * g->d;
        t.b_k = padded(t.cols);
        t.c = scores + col;
        ISA(f32_tiles)(&t, rows, 1);
    }
}

static void softmax_rows(const struct f32_attention *g, size_t row, size_t rows, float *scores, size_t ld)
{
    const float *mask = g->mask != NULL ? g->mask + row * g->ld_mask : NULL;
    vf scale = vf_set1(g->scale);
    vt tail = vt_first(g->tk);
    for (; rows > 0; rows--, scores += ld) {
        if (g->tk <= VF_LANES)
            softmax_row_short(scores, scores, mask, scale, tail);
        else
            softmax_row(scores, scores, mask, g->scale, g->tk);
        if (mask != NULL) mask += g->ld_mask;
    }
}

static void weigh_values(const struct f32_attention *g, size_t row, size_t rows, const float *weights,
                         size_t ld)
{
    struct gemm_tile t = {.a = weights, .a_row = ld, .a_k = 1, .b_k = g->ldv, .k = g->tk, .ldc = g->ldo};
    t.lowest = tile_lowest(0);
    for (size_t col = 0; col < g->dv; col += PANEL) {
        t.cols = at_most(g->dv - col, PANEL);
        t.b = g->v + col;
        t.c = g->o + row * g->ldo + col;
        ISA(f32_tiles)(&t, rows, t.cols % VF_LANES == 0);
    }
}

void ISA(f32_attention)(const struct f32_attention *g, float *scratch)
{
    size_t ld = padded(g->tk);
    float *kt = scratch, *scores = scratch + g->d * ld;
    for (size_t col = 0; col < g->tk; col += PANEL) {
        size_t cols = at_most(g->tk - col, PANEL);
        transpose_panel(kt + col * g->d, padded(cols), g->k + col * g->ldk, g->ldk, cols, g->d);
    }
    for (size_t row = 0; row < g->tq; row += F32_ATTENTION_ROWS) {
        size_t rows = at_most(g->tq - row, F32_ATTENTION_ROWS);
        score_rows(g, row, rows, kt, scores, ld);
        softmax_rows(g, row, rows, scores, ld);
        weigh_values(g, row, rows, scores, ld);
    }
}
