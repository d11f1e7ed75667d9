/* kernels/attention/f32_attention_body.h - f32_attention for one instruction set; GEMM_VECS as in
 * f32_gemm_body.h.
 *
 * K is transposed once into panels; then, a block of query rows at a time, scores, softmax and the sum over V
 * follow each other while the scores are in L1. Where all queries fit one vector, Q is transposed instead and
 * lanes are queries: the softmax then runs down whole vectors, without a sum across lanes. */
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

/* One vector of C for each of R rows, all in registers at once: c[r] = sum over p of a[r, p] * b[p]. With so
 * many independent sums no multiplication waits for another. */
SIMD_INLINE void vector_product(const size_t R, float *c, size_t ldc, const float *a, size_t a_row,
                                size_t a_k, const float *b, size_t ldb, size_t k)
{
    vf sum[16];
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) sum[r] = vf_zero();
    for (size_t p = 0; p < k; p++, a += a_k, b += ldb) {
        vf x = vf_load(b);
        SIMD_PIN(x);
        SIMD_UNROLL
        for (size_t r = 0; r < R; r++) sum[r] = vf_fma(vf_set1(a[r * a_row]), x, sum[r]);
    }
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) vf_store(c + r * ldc, sum[r]);
}

/* False where R does not have a case of its own: products of at least 6 rows are worth one. */
static int vector_product_of(size_t rows, float *c, size_t ldc, const float *a, size_t a_row, size_t a_k,
                             const float *b, size_t ldb, size_t k)
{
#define ROWS(R) \
    case R: vector_product(R, c, ldc, a, a_row, a_k, b, ldb, k); return 1;
    switch (TILE_REGISTERS >= 16 ? rows : 0) {
        ROWS(6)
        ROWS(7)
        ROWS(8)
        ROWS(9)
        ROWS(10)
        ROWS(11)
        ROWS(12)
        ROWS(13)
        ROWS(14)
        ROWS(15)
        ROWS(16)
    default: return 0;
    }
#undef ROWS
}

/* scores[tk, VF_LANES]: column i belongs to query i; columns past tq are 0 and come out finite. */
static void softmax_columns(const struct f32_attention *g, float *scores)
{
    vf scale = vf_set1(g->scale), most = vf_set1(-__builtin_inff()), sum = vf_zero();
    for (size_t j = 0; j < g->tk; j++) {
        vf x = vf_mul(scale, vf_load(scores + j * VF_LANES));
        most = vf_max_nan(most, x);
        vf_store(scores + j * VF_LANES, x);
    }
    for (size_t j = 0; j < g->tk; j++) {
        vf e = vf_exp(vf_sub(vf_load(scores + j * VF_LANES), most));
        sum = vf_add(sum, e);
        vf_store(scores + j * VF_LANES, e);
    }
    vf factor = vf_div(vf_set1(1.0f), sum);
    for (size_t j = 0; j < g->tk; j++)
        vf_store(scores + j * VF_LANES, vf_mul(factor, vf_load(scores + j * VF_LANES)));
}

static void attend_in_lanes(const struct f32_attention *g, float *scratch)
{
    float *qt = scratch, *scores = scratch + g->d * VF_LANES;
    transpose_panel(qt, VF_LANES, g->q, g->ldq, g->tq, g->d);
    struct gemm_tile t = {.a = g->k, .a_row = g->ldk, .a_k = 1, .b = qt, .b_k = VF_LANES, .k = g->d};
    t.lowest = tile_lowest(0);
    t.c = scores;
    t.ldc = t.cols = VF_LANES;
    if (!vector_product_of(g->tk, scores, VF_LANES, g->k, g->ldk, 1, qt, VF_LANES, g->d))
        ISA(f32_tiles)(&t, g->tk, 1);
    softmax_columns(g, scores);
    if (g->dv == VF_LANES && vector_product_of(g->tq, g->o, g->ldo, scores, 1, VF_LANES, g->v, g->ldv, g->tk))
        return;
    t.a = scores;
    t.a_row = 1;
    t.a_k = t.b_k = VF_LANES;
    t.k = g->tk;
    t.ldc = g->ldo;
    for (size_t col = 0; col < g->dv; col += PANEL) {
        t.cols = at_most(g->dv - col, PANEL);
        t.b = g->v + col;
        t.b_k = g->ldv;
        t.c = g->o + col;
        ISA(f32_tiles)(&t, g->tq, t.cols % VF_LANES == 0);
    }
}

void ISA(f32_attention)(const struct f32_attention *g, float *scratch)
{
    /* Scratch is made for tk columns: as many rows of one vector fit when there are enough of them. */
    if (g->mask == NULL && g->tq <= VF_LANES && g->tk <= F32_ATTENTION_ROWS) {
        attend_in_lanes(g, scratch);
        return;
    }
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
