/* bf16_gemm for AVX-512 with vdpbf16ps, which adds the products of two neighbours in k at once.
 *
 * B is packed in panels of 32 columns, [ceil(k / 2)][32] pairs (2p, 2p + 1). Of A a tile's rows are rounded
 * once, a stretch of k at a time, into a buffer on the stack, and serve every panel. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/gemm/gemm_shape__avx512.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/activate_block.h"

#define PANEL   ((size_t)32)
#define STRETCH ((size_t)256) /* pairs: 8 rows take 8 KB */

size_t bf16_gemm_packed_size__avx512bf16(size_t n, size_t k)
{
    if (n <= GEMM_NARROW) return f32_gemm_packed_size__avx512(n, k);
    return (n + PANEL - 1) / PANEL * PANEL * ((k + 1) / 2);
}

static uint32_t round_to_bf16(float x)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : bits >> 16 | 0x40;
}

void bf16_gemm_pack__avx512bf16(void *packed, const float *b, size_t ldb, int transposed, size_t n, size_t k)
{
    if (n <= GEMM_NARROW) {
        f32_gemm_pack__avx512(packed, b, ldb, transposed, n, k);
        return;
    }
    uint32_t *to = packed;
    size_t row = transposed ? 1 : ldb, col = transposed ? ldb : 1;
    for (size_t j0 = 0; j0 < n; j0 += PANEL)
        for (size_t p = 0; p < k; p += 2)
            for (size_t j = j0; j < j0 + PANEL; j++) {
                uint32_t low = j < n ? round_to_bf16(b[p * row + j * col]) : 0;
                uint32_t high = j < n && p + 1 < k ? round_to_bf16(b[(p + 1) * row + j * col]) : 0;
                *to++ = high << 16 | low;
            }
}

/* pairs[r * STRETCH + p] = rounded (A[r, 2p], A[r, 2p + 1]), 0 past n floats. */
static void round_rows(uint32_t *pairs, const float *a, size_t lda, size_t rows, size_t n)
{
    for (; rows > 0; rows--, a += lda, pairs += STRETCH)
        for (size_t p = 0; p < n; p += 32) {
            vf low = vf_load_t(a + p, vt_first(n - p));
            vf high = p + 16 < n ? vf_load_t(a + p + 16, vt_first(n - p - 16)) : vf_zero();
            __m512bh both = _mm512_cvtne2ps_pbh(high, low);
            _mm512_storeu_si512(pairs + p / 2, (__m512i)both);
        }
}

SIMD_INLINE void pair_step(const size_t R, const size_t V, vf set[][TILE_MAX_VECS], const uint32_t *pairs,
                           const uint32_t *b)
{
    __m512i row[TILE_MAX_VECS];
    SIMD_UNROLL
    for (size_t v = 0; v < V; v++) {
        row[v] = _mm512_loadu_si512(b + v * VF_LANES);
        if (R > 1) SIMD_PIN(row[v]);
    }
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        __m512i x = _mm512_set1_epi32((int)pairs[r * STRETCH]);
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) set[r][v] = _mm512_dpbf16_ps(set[r][v], (__m512bh)x, (__m512bh)row[v]);
    }
}

/* gemm_tile.h's tile_run with pairs: t->k counts pairs, t->a and t->b point at them. */
SIMD_INLINE void pair_tile(const size_t R, const size_t V, const enum tile_tail kind,
                           const struct gemm_tile *t, const uint32_t *pairs, const uint32_t *b)
{
    const size_t S = TILE_SETS(R, V);
    vf acc[4][8][TILE_MAX_VECS];
    size_t p = 0;
    tile_start(R, V, kind, t, acc[0], vt_first(t->cols - (V - 1) * VF_LANES));
    SIMD_UNROLL
    for (size_t i = R * V; i < S * R * V; i++) acc[i / (R * V)][i / V % R][i % V] = vf_zero();
    for (; p + S <= t->k; p += S) {
        SIMD_UNROLL
        for (size_t s = 0; s < S; s++) pair_step(R, V, acc[s], pairs + s, b + s * PANEL);
        pairs += S;
        b += S * PANEL;
    }
    if (S > 1)
        for (; p < t->k; p++, pairs++, b += PANEL) pair_step(R, V, acc[0], pairs, b);
    SIMD_UNROLL
    for (size_t i = R * V; i < S * R * V; i++)
        acc[0][i / V % R][i % V] = vf_add(acc[0][i / V % R][i % V], acc[i / (R * V)][i / V % R][i % V]);
    tile_store(R, V, kind, t, acc[0]);
}

/* One stretch of k, from pair `first` on, for `R` rows and all panels. t describes the first panel. */
SIMD_INLINE void stretch(const size_t R, const struct f32_gemm *g, struct gemm_tile t, const uint32_t *pairs,
                         size_t first)
{
    const uint32_t *b = (const uint32_t *)g->b + first * PANEL;
    for (size_t col = 0; col < g->n; col += PANEL) {
        t.cols = g->n - col < PANEL ? g->n - col : PANEL;
        if (t.cols == PANEL)
            pair_tile(R, 2, TILE_FULL, &t, pairs, b);
        else if (t.cols > VF_LANES)
            pair_tile(R, 2, TILE_C_TAIL, &t, pairs, b);
        else
            pair_tile(R, 1, TILE_C_TAIL, &t, pairs, b);
        b += PANEL * ((g->k + 1) / 2);
        t.c += PANEL;
        if (t.bias != NULL) t.bias += PANEL;
        if (t.c0 != NULL) t.c0 += PANEL;
    }
}

static void stretch_of(size_t rows, const struct f32_gemm *g, const struct gemm_tile *t,
                       const uint32_t *pairs, size_t first)
{
    switch (rows) {
    case 1: stretch(1, g, *t, pairs, first); break;
    case 2: stretch(2, g, *t, pairs, first); break;
    case 3: stretch(3, g, *t, pairs, first); break;
    case 4: stretch(4, g, *t, pairs, first); break;
    case 5: stretch(5, g, *t, pairs, first); break;
    case 6: stretch(6, g, *t, pairs, first); break;
    case 7: stretch(7, g, *t, pairs, first); break;
    default: stretch(8, g, *t, pairs, first); break;
    }
}

static void row_tile(const struct f32_gemm *g, size_t row, size_t rows)
{
    uint32_t pairs[8 * STRETCH];
    size_t n_pairs = (g->k + 1) / 2;
    for (size_t first = 0; first == 0 || first < n_pairs; first += STRETCH) {
        size_t left = n_pairs - first;
        int is_last = left <= STRETCH;
        struct gemm_tile t = {.k = is_last ? left : STRETCH, .c = g->c + row * g->ldc, .ldc = g->ldc};
        t.lowest = tile_lowest(is_last && g->act == F32_ACT_RELU);
        if (first > 0) { /* the sum so far */
            t.c0 = t.c;
            t.ldc0 = g->ldc;
        } else {
            t.bias = g->bias;
            t.c0 = g->c0 != NULL ? g->c0 + row * g->ldc0 : NULL;
            t.ldc0 = g->ldc0;
        }
        size_t floats = is_last ? g->k - 2 * first : 2 * STRETCH;
        round_rows(pairs, g->a + row * g->lda + 2 * first, g->lda, rows, floats);
        stretch_of(rows, g, &t, pairs, first);
    }
    if (g->act > F32_ACT_RELU) activate_block(g, g->c + row * g->ldc, rows, g->n);
}

void bf16_gemm__avx512bf16(const struct f32_gemm *g)
{
    if (g->n <= GEMM_NARROW) {
        f32_gemm__avx512(g);
        return;
    }
    size_t row = 0;
    for (size_t n_tiles = (g->m + 7) / 8; n_tiles > 0; n_tiles--) { /* as even as f32_gemm's */
        size_t rows = (g->m - row + n_tiles - 1) / n_tiles;
        row_tile(g, row, rows);
        row += rows;
    }
}
