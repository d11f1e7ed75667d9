/* kernels/gemm/gemm_tile.h - the register tile every f32 product is made of.
 *
 * R rows by V vectors of C stay in registers while k runs. With few accumulators the additions would wait
 * for each other, so k is then spread over S sets of them, added up at the end. R, V and S are
 * constants where this is inlined. Included after one of the simd__*.h headers. */
#ifndef KERNELS_GEMM_TILE_H
#define KERNELS_GEMM_TILE_H

#include "kernels/gemm/gemm_kernels.h"

#define TILE_MAX_VECS ((size_t)4)

/* Sets of accumulators so that about eight additions are under way at once. */
#define TILE_SETS(R, V) ((R) * (V) >= 7 ? 1 : (R) * (V) >= 3 ? 2 : 4)

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
    size_t cols;  /* valid columns, in ((V - 1) * VF_LANES, V * VF_LANES] */
    float lowest; /* 0 for ReLU, else -infinity */
};

/* One step of k: set[r][v] += A[r, p] * B[p, v]. With b_tail the last vector of B ends at `cols`. */
SIMD_INLINE void tile_step(const size_t R, const size_t V, vf set[][TILE_MAX_VECS], const struct gemm_tile *t,
                           const float *a, const float *b, const int b_tail, vt tail)
{
    vf row[TILE_MAX_VECS];
    SIMD_UNROLL
    for (size_t v = 0; v < V; v++)
        row[v] = b_tail && v == V - 1 ? vf_load_t(b + v * VF_LANES, tail) : vf_load(b + v * VF_LANES);
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        vf x = vf_set1(a[r * t->a_row]);
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) set[r][v] = vf_fma(x, row[v], set[r][v]);
    }
}

SIMD_INLINE vf tile_start(const struct gemm_tile *t, size_t r, size_t at, const int full, vt tail)
{
    vf x = vf_zero();
    if (t->bias != NULL) x = full ? vf_load(t->bias + at) : vf_load_t(t->bias + at, tail);
    if (t->c0 != NULL) {
        const float *c0 = t->c0 + r * t->ldc0 + at;
        x = vf_add(x, full ? vf_load(c0) : vf_load_t(c0, tail));
    }
    return x;
}

/* b_tail: B is not padded, so its last vector is loaded by mask. */
SIMD_INLINE void tile_run(const size_t R, const size_t V, const size_t S, const struct gemm_tile *t,
                          const int b_tail)
{
    vt tail = vt_first(t->cols - (V - 1) * VF_LANES);
    vf acc[4][8][TILE_MAX_VECS];
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) acc[0][r][v] = tile_start(t, r, v * VF_LANES, v < V - 1, tail);
    }
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
        for (size_t s = 0; s < S; s++)
            tile_step(R, V, acc[s], t, a + s * t->a_k, b + s * t->b_k, b_tail, tail);
        a += S * t->a_k;
        b += S * t->b_k;
    }
    if (S > 1)
        for (; p < t->k; p++, a += t->a_k, b += t->b_k) tile_step(R, V, acc[0], t, a, b, b_tail, tail);
    SIMD_UNROLL
    for (size_t s = 1; s < S; s++) {
        SIMD_UNROLL
        for (size_t r = 0; r < R; r++) {
            SIMD_UNROLL
            for (size_t v = 0; v < V; v++) acc[0][r][v] = vf_add(acc[0][r][v], acc[s][r][v]);
        }
    }
    vf lowest = vf_set1(t->lowest);
    SIMD_UNROLL
    for (size_t r = 0; r < R; r++) {
        SIMD_UNROLL
        for (size_t v = 0; v < V; v++) {
            float *c = t->c + r * t->ldc + v * VF_LANES;
            vf x = vf_max(lowest, acc[0][r][v]);
            if (v < V - 1)
                vf_store(c, x);
            else
                vf_store_t(c, tail, x);
        }
    }
}

#endif
