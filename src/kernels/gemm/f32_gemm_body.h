/* kernels/gemm/f32_gemm_body.h - f32_gemm for one vector instruction set; see gemm_kernels.h.
 *
 * The including file defines GEMM_ROWS (rows of the largest tile), GEMM_VECS (vectors in a panel) and
 * GEMM_NARROW. Loops, from the outside: blocks of k whose panel stays in L1, chunks of rows whose A
 * stays in L2, panels of B, tiles of rows. Up to GEMM_ROWS rows B is read once from end to end. */
#include "kernels/gemm/gemm_tile.h"
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/activate_block.h"

#define GEMM_PANEL (GEMM_VECS * VF_LANES)
#define K_BLOCK    ((size_t)256) /* a panel of 32 columns takes 32 KB of L1 */
#define K_WHOLE    ((size_t)384) /* up to here one block */
#define ROW_CHUNK  ((size_t)128)
#define K_ROUND    ((size_t)16)

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

size_t ISA(f32_gemm_packed_size)(size_t n, size_t k)
{
    return n <= GEMM_NARROW ? n * round_up(k, K_ROUND) : round_up(n, GEMM_PANEL) * k;
}

void ISA(f32_gemm_pack)(void *packed, const float *b, size_t ldb, int transposed, size_t n, size_t k)
{
    float *to = packed;
    size_t row = transposed ? 1 : ldb, col = transposed ? ldb : 1;
    if (n <= GEMM_NARROW) {
        for (size_t j = 0; j < n; j++)
            for (size_t p = 0; p < round_up(k, K_ROUND); p++) *to++ = p < k ? b[p * row + j * col] : 0.0f;
        return;
    }
    for (size_t j0 = 0; j0 < n; j0 += GEMM_PANEL)
        for (size_t p = 0; p < k; p++)
            for (size_t j = j0; j < j0 + GEMM_PANEL; j++) *to++ = j < n ? b[p * row + j * col] : 0.0f;
}

/* ---- panels ---- */

struct k_block {
    size_t first, n;
    int is_first, is_last;
};

SIMD_INLINE void panel_range(const size_t R, const struct f32_gemm *g, size_t row, size_t col, size_t col_end,
                             const struct k_block *kb)
{
    struct gemm_tile t = {
        .a = g->a + row * g->lda + kb->first,
        .a_row = g->lda,
        .a_k = 1,
        .b = (const float *)g->b + col * g->k + kb->first * GEMM_PANEL,
        .b_k = GEMM_PANEL,
        .k = kb->n,
        .bias = kb->is_first && g->bias != NULL ? g->bias + col : NULL,
        .c = g->c + row * g->ldc + col,
        .ldc = g->ldc,
        .cols = GEMM_PANEL,
        .lowest = tile_lowest(kb->is_last && g->act == F32_ACT_RELU),
    };
    if (!kb->is_first) { /* the sum so far */
        t.c0 = t.c;
        t.ldc0 = g->ldc;
    } else if (g->c0 != NULL) {
        t.c0 = g->c0 + row * g->ldc0 + col;
        t.ldc0 = g->ldc0;
    }
    for (; col + GEMM_PANEL <= col_end; col += GEMM_PANEL) {
        tile_run(R, GEMM_VECS, TILE_FULL, &t);
        t.b += GEMM_PANEL * g->k;
        t.c += GEMM_PANEL;
        if (t.bias != NULL) t.bias += GEMM_PANEL;
        if (t.c0 != NULL) t.c0 += GEMM_PANEL;
    }
    if (col == col_end) return;
    t.cols = col_end - col;
    switch ((t.cols + VF_LANES - 1) / VF_LANES) {
    case 1: tile_run(R, 1, TILE_C_TAIL, &t); break;
    case 2: tile_run(R, 2, TILE_C_TAIL, &t); break;
#if GEMM_VECS > 2
    case 3: tile_run(R, 3, TILE_C_TAIL, &t); break;
    default: tile_run(R, 4, TILE_C_TAIL, &t); break;
#endif
    }
}

typedef void panels_fn(const struct f32_gemm *g, size_t row, size_t col, size_t col_end,
                       const struct k_block *kb);

#define ROWS(R)                                                                                          \
    static void ISA(f32_gemm_rows_##R)(const struct f32_gemm *g, size_t row, size_t col, size_t col_end, \
                                       const struct k_block *kb)                                         \
    {                                                                                                    \
        panel_range(R, g, row, col, col_end, kb);                                                        \
    }
ROWS(1)
ROWS(2)
ROWS(3)
ROWS(4)
ROWS(5)
ROWS(6)
#if GEMM_ROWS > 6
ROWS(7)
ROWS(8)
#endif
#undef ROWS

static panels_fn *const panels_of[GEMM_ROWS + 1] = {
    NULL,
    ISA(f32_gemm_rows_1),
    ISA(f32_gemm_rows_2),
    ISA(f32_gemm_rows_3),
    ISA(f32_gemm_rows_4),
    ISA(f32_gemm_rows_5),
    ISA(f32_gemm_rows_6),
#if GEMM_ROWS > 6
    ISA(f32_gemm_rows_7),
    ISA(f32_gemm_rows_8),
#endif
};

/* Rows [row, row_end) shared evenly among the fewest tiles. */
static void row_tiles(const struct f32_gemm *g, size_t row, size_t row_end, size_t col, size_t col_end,
                      const struct k_block *kb)
{
    size_t n_tiles = (row_end - row + GEMM_ROWS - 1) / GEMM_ROWS;
    for (; n_tiles > 0; n_tiles--) {
        size_t rows = (row_end - row + n_tiles - 1) / n_tiles;
        panels_of[rows](g, row, col, col_end, kb);
        if (kb->is_last && g->act > F32_ACT_RELU)
            activate_block(g, g->c + row * g->ldc + col, rows, col_end - col);
        row += rows;
    }
}

static void blocked(const struct f32_gemm *g)
{
    for (size_t p = 0; p == 0 || p < g->k; p += K_BLOCK) {
        size_t left = g->k - p, n = left > K_WHOLE ? K_BLOCK : left;
        struct k_block kb = {.first = p, .n = n, .is_first = p == 0, .is_last = n == left};
        for (size_t row = 0; row < g->m; row += ROW_CHUNK) {
            size_t row_end = g->m - row < ROW_CHUNK ? g->m : row + ROW_CHUNK;
            for (size_t col = 0; col < g->n; col += GEMM_PANEL) {
                size_t col_end = g->n - col < GEMM_PANEL ? g->n : col + GEMM_PANEL;
                row_tiles(g, row, row_end, col, col_end, &kb);
            }
        }
        if (kb.is_last) break;
    }
}

/* ---- narrow: a dot product for each element ---- */

SIMD_INLINE void dots(const size_t R, const size_t C, const size_t S, const struct f32_gemm *g, size_t row,
                      size_t col)
{
    size_t ldb = round_up(g->k, K_ROUND), p = 0;
    const float *a = g->a + row * g->lda, *b = (const float *)g->b + col * ldb;
    vf acc[4][8][4];
    SIMD_UNROLL
    for (size_t s = 0; s < S; s++) {
        SIMD_UNROLL
        for (size_t i = 0; i < R * C; i++) acc[s][i / C][i % C] = vf_zero();
    }
    for (; p + S * VF_LANES <= g->k; p += S * VF_LANES) {
        SIMD_UNROLL
        for (size_t s = 0; s < S; s++) {
            SIMD_UNROLL
            for (size_t i = 0; i < R * C; i++)
                acc[s][i / C][i % C] = vf_fma(vf_load(a + i / C * g->lda + p + s * VF_LANES),
                                              vf_load(b + i % C * ldb + p + s * VF_LANES),
                                              acc[s][i / C][i % C]);
        }
    }
    for (; p < g->k; p += VF_LANES) {
        vt tail = vt_first(g->k - p);
        SIMD_UNROLL
        for (size_t i = 0; i < R * C; i++)
            acc[0][i / C][i % C] = vf_fma(vf_load_t(a + i / C * g->lda + p, tail),
                                          vf_load(b + i % C * ldb + p), acc[0][i / C][i % C]);
    }
    float lowest = *tile_lowest(g->act == F32_ACT_RELU);
    SIMD_UNROLL
    for (size_t i = 0; i < R * C; i++) {
        size_t r = row + i / C, c = col + i % C;
        vf sum = acc[0][i / C][i % C];
        SIMD_UNROLL
        for (size_t s = 1; s < S; s++) sum = vf_add(sum, acc[s][i / C][i % C]);
        float x = vf_hsum(sum);
        if (g->bias != NULL) x += g->bias[c];
        if (g->c0 != NULL) x += g->c0[r * g->ldc0 + c];
        g->c[r * g->ldc + c] = x < lowest ? lowest : x;
    }
}

static void narrow(const struct f32_gemm *g)
{
    size_t row = 0;
    for (; row + 4 <= g->m; row += 4) {
        size_t col = 0;
        for (; col + 2 <= g->n; col += 2) dots(4, 2, 1, g, row, col);
        if (col == g->n) continue;
        if (row + 8 <= g->m && g->n == 1) {
            dots(8, 1, 1, g, row, col);
            row += 4;
        } else {
            dots(4, 1, 2, g, row, col);
        }
    }
    for (; row < g->m; row++) {
        size_t col = 0;
        for (; col + 4 <= g->n; col += 4) dots(1, 4, 2, g, row, col);
        for (; col < g->n; col++) dots(1, 1, 4, g, row, col);
    }
    if (g->act <= F32_ACT_RELU) return;
    if (g->m * g->n <= 4)
        activate_few(g);
    else
        activate_block(g, g->c, g->m, g->n);
}

/* ---- one row without its zeros ---- */

SIMD_INLINE void sparse_panel(const size_t V, const enum tile_tail kind, const struct gemm_tile *t,
                              const float *value, const uint32_t *index, size_t n)
{
    vt tail = vt_first(t->cols - (V - 1) * VF_LANES);
    vf acc[4][1][TILE_MAX_VECS];
    size_t i = 0;
    tile_start(1, V, kind, t, acc[0], tail);
    SIMD_UNROLL
    for (size_t s = 1; s < 4; s++) {
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) acc[s][0][v] = vf_zero();
    }
    for (; i + 4 <= n; i += 4) {
        SIMD_UNROLL
        for (size_t s = 0; s < 4; s++)
            tile_step(1, V, TILE_FULL, t, acc[s], value + i + s, t->b + index[i + s] * GEMM_PANEL, tail);
    }
    for (; i < n; i++) tile_step(1, V, TILE_FULL, t, acc[0], value + i, t->b + index[i] * GEMM_PANEL, tail);
    SIMD_UNROLL
    for (size_t v = 0; v < V; v++)
        acc[0][0][v] = vf_add(vf_add(acc[0][0][v], acc[1][0][v]), vf_add(acc[2][0][v], acc[3][0][v]));
    tile_store(1, V, kind, t, acc[0]);
}

void ISA(f32_gemv_sparse)(const struct f32_gemm *g, void *scratch)
{
    if (g->n <= GEMM_NARROW) {
        ISA(f32_gemm)(g);
        return;
    }
    float *value = scratch;
    uint32_t *index = (uint32_t *)scratch + g->k + 16;
    size_t n = simd_nonzeros(value, index, g->a, g->k), col = 0;
    struct gemm_tile t = {.cols = GEMM_PANEL, .lowest = tile_lowest(g->act == F32_ACT_RELU)};
    for (; col < g->n; col += GEMM_PANEL) {
        t.b = (const float *)g->b + col * g->k;
        t.c = g->c + col;
        t.bias = g->bias != NULL ? g->bias + col : NULL;
        t.c0 = g->c0 != NULL ? g->c0 + col : NULL;
        if (col + GEMM_PANEL <= g->n) {
            sparse_panel(GEMM_VECS, TILE_FULL, &t, value, index, n);
            continue;
        }
        t.cols = g->n - col;
        switch ((t.cols + VF_LANES - 1) / VF_LANES) {
        case 1: sparse_panel(1, TILE_C_TAIL, &t, value, index, n); break;
        case 2: sparse_panel(2, TILE_C_TAIL, &t, value, index, n); break;
#if GEMM_VECS > 2
        case 3: sparse_panel(3, TILE_C_TAIL, &t, value, index, n); break;
        default: sparse_panel(4, TILE_C_TAIL, &t, value, index, n); break;
#endif
        }
    }
    if (g->act > F32_ACT_RELU) activate_block(g, g->c, 1, g->n);
}

void ISA(f32_gemm)(const struct f32_gemm *g)
{
    if (g->m == 0 || g->n == 0) return;
    if (g->n <= GEMM_NARROW) {
        narrow(g);
    } else if (g->m <= GEMM_ROWS) {
        struct k_block whole = {.first = 0, .n = g->k, .is_first = 1, .is_last = 1};
        row_tiles(g, 0, g->m, 0, g->n, &whole);
    } else {
        blocked(g);
    }
}
