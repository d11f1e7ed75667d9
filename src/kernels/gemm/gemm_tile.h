/* kernels/gemm/gemm_tile.h - the register tile every f32 product is made of.
 *
 * R rows by V vectors of C stay in registers while k runs. With few accumulators the additions would wait
 * for each other, so k is then spread over S sets of them, added up at the end. R, V and S are
 * constants where this is inlined. Included after one of the simd__*.h headers. */
#ifndef KERNELS_GEMM_TILE_H
#define KERNELS_GEMM_TILE_H

#include "kernels/gemm/gemm_kernels.h"

#define TILE_MAX_VECS ((size_t)4)

/* As many sets of accumulators as help (about a dozen additions under way at once) and as fit beside the
 * operands: TILE_REGISTERS is what an instruction set can spare. */
#define TILE_SETS(R, V) ((R) * (V) <= TILE_REGISTERS / 4 ? 4 : (R) * (V) <= TILE_REGISTERS / 2 ? 2 : 1)

struct gemm_tile {
    const float *a; /* element (row, p) at a[row * a_row + p * a_k] */
    size_t a_row, a_k;
    const float *b; /* row p at b + p * b_k */
    size_t b_k, k;
    const float *bias; /* or NULL, at the tile's first column */
    const float *c0;   /* or NULL */
    size_t ldc0;
    float *c;
    size_t ldc;
    size_t cols;         /* valid columns, in ((V - 1) * VF_LANES, V * VF_LANES] */
    const float *lowest; /* tile_lowest(is ReLU) */
};

/* What a tile must know of its last vector: whether C and bias, and whether B, end inside it. */
enum tile_tail { TILE_FULL, TILE_C_TAIL, TILE_BC_TAIL };

static const float tile_lowest_values[2] = {-__builtin_inff(), 0.0f};
SIMD_INLINE const float *tile_lowest(int relu)
{
    return &tile_lowest_values[relu];
}

/* One step of k: set[r][v] += A[r, p] * B[p, v]. */
SIMD_INLINE void tile_step(const size_t R, const size_t V, const enum tile_tail kind,
                           const struct gemm_tile *t, vf set[][TILE_MAX_VECS], const float *a, const float *b,
                           vt tail)
{
    vf row[TILE_MAX_VECS];
    SIMD_UNROLL
    for (size_t v = 0; v < V; v++)
        row[v] = kind == TILE_BC_TAIL && v == V - 1 ? vf_load_t(b + v * VF_LANES, tail)
                                                    : vf_load(b + v * VF_LANES);
    if (R > 1) {
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) SIMD_PIN(row[v]);
    }
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        vf x = vf_set1(a[r * t->a_row]);
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) set[r][v] = vf_fma(x, row[v], set[r][v]);
    }
}

/* The accumulators' first values: bias + C0. */
SIMD_INLINE void tile_start(const size_t R, const size_t V, const enum tile_tail kind,
                            const struct gemm_tile *t, vf set[][TILE_MAX_VECS], vt tail)
{
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) {
            const int part = kind != TILE_FULL && v == V - 1;
            vf x = vf_zero();
            if (t->bias != NULL) {
                const float *bias = t->bias + v * VF_LANES;
                x = part ? vf_load_t(bias, tail) : vf_load(bias);
            }
            if (t->c0 != NULL) {
                const float *c0 = t->c0 + r * t->ldc0 + v * VF_LANES;
                x = vf_add(x, part ? vf_load_t(c0, tail) : vf_load(c0));
            }
            set[r][v] = x;
        }
    }
}

SIMD_INLINE void tile_store(const size_t R, const size_t V, const enum tile_tail kind,
                            const struct gemm_tile *t, vf set[][TILE_MAX_VECS])
{
    /* Made after the loop over k on purpose: before it they would take registers from accumulators. */
    const float *lowest_at = t->lowest;
    size_t cols = t->cols;
    __asm__ volatile("" : "+r"(lowest_at), "+r"(cols));
    vf lowest = vf_set1(*lowest_at);
    vt tail = vt_first(cols - (V - 1) * VF_LANES);
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) {
            float *c = t->c + r * t->ldc + v * VF_LANES;
            vf x = vf_max(lowest, set[r][v]);
            if (kind != TILE_FULL && v == V - 1)
                vf_store_t(c, tail, x);
            else
                vf_store(c, x);
        }
    }
}

SIMD_INLINE void tile_run(const size_t R, const size_t V, const enum tile_tail kind,
                          const struct gemm_tile *t)
{
    const size_t S = TILE_SETS(R, V);
    vt tail = vt_first(t->cols - (V - 1) * VF_LANES);
    vf acc[4][8][TILE_MAX_VECS];
    tile_start(R, V, kind, t, acc[0], tail);
    SIMD_UNROLL
    for (size_t s = 1; s < S; s++) {
        SIMD_UNROLL
        for (size_t r = 0; r < R; r++) {
            SIMD_UNROLL
            for (size_t v = 0; v < V; v++) acc[s][r][v] = vf_zero();
        }
    }
    const float *a = t->a, *b = t->b;
    size_t p = 0;
    for (; p + S <= t->k; p += S) {
        SIMD_UNROLL
        for (size_t s = 0; s < S; s++) tile_step(R, V, kind, t, acc[s], a + s * t->a_k, b + s * t->b_k, tail);
        a += S * t->a_k;
        b += S * t->b_k;
    }
    if (S > 1)
        for (; p < t->k; p++, a += t->a_k, b += t->b_k) tile_step(R, V, kind, t, acc[0], a, b, tail);
    SIMD_UNROLL
    for (size_t s = 1; s < S; s++) {
        SIMD_UNROLL
        for (size_t r = 0; r < R; r++) {
            SIMD_UNROLL
            for (size_t v = 0; v < V; v++) acc[0][r][v] = vf_add(acc[0][r][v], acc[s][r][v]);
        }
    }
    tile_store(R, V, kind, t, acc[0]);
}

#endif
