/* kernels/gemm/f32_matmul_body.h - f32_matmul for one instruction set; GEMM_VECS as in f32_gemm_body.h.
 *
 * B goes panel by panel through scratch that stays in L1 when it is transposed, or when enough rows use
 * it to pay for the copy (columns a power of two apart share cache sets). Else B is read where it is. */
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_tiles.h"
#include "kernels/gemm/gemm_transpose.h"

#define PANEL     (GEMM_VECS * VF_LANES)
#define K_BLOCK   ((size_t)256)
#define K_WHOLE   ((size_t)384) /* up to here one block; times 32 columns that is F32_MATMUL_SCRATCH */
#define COPY_ROWS ((size_t)24)

static void copy_panel(float *dst, size_t width, const float *b, size_t ldb, size_t cols, size_t k)
{
    for (; k > 0; k--, b += ldb)
        for (size_t j = 0; j < width; j += VF_LANES, dst += VF_LANES)
            vf_store(dst, vf_load_t(b + j, vt_first(cols - j)));
}

/* Columns [col, col + cols) over k in [p, p + k). */
static void panel_product(const struct f32_matmul *g, size_t col, size_t cols, size_t p, size_t k,
                          float *scratch)
{
    size_t width = (cols + VF_LANES - 1) / VF_LANES * VF_LANES;
    int copied = g->b_transposed || g->m >= COPY_ROWS;
    if (g->b_transposed)
        transpose_panel(scratch, width, g->b + col * g->ldb + p, g->ldb, cols, k);
    else if (copied)
        copy_panel(scratch, width, g->b + p * g->ldb + col, g->ldb, cols, k);
    struct gemm_tile t = {
        .a = g->a + (g->a_transposed ? p * g->lda : p),
        .a_row = g->a_transposed ? 1 : g->lda,
        .a_k = g->a_transposed ? g->lda : 1,
        .b = copied ? scratch : g->b + p * g->ldb + col,
        .b_k = copied ? width : g->ldb,
        .k = k,
        .c0 = p > 0           ? g->c + col
              : g->c0 != NULL ? g->c0 + col
                              : NULL,
        .ldc0 = p > 0 ? g->ldc : g->ldc0,
        .c = g->c + col,
        .ldc = g->ldc,
        .cols = cols,
        .lowest = tile_lowest(0),
    };
    ISA(f32_tiles)(&t, g->m, copied || cols % VF_LANES == 0);
}

void ISA(f32_matmul)(const struct f32_matmul *g, float *scratch)
{
    if (g->m == 0) return;
    for (size_t p = 0; p == 0 || p < g->k; p += K_BLOCK) {
        size_t left = g->k - p, k = left > K_WHOLE ? K_BLOCK : left;
        for (size_t col = 0; col < g->n; col += PANEL)
            panel_product(g, col, g->n - col < PANEL ? g->n - col : PANEL, p, k, scratch);
        if (k == left) break;
    }
}
