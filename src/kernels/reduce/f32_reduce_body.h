/* kernels/reduce/f32_reduce_body.h - every reduction of F32_REDUCE_LIST for one instruction set.
 *
 * A reduction is: a neutral element, a map of each element, a fold of two partial results, the fold of a
 * vector's lanes, and what happens to the whole at the end. */
#include "kernels/reduce/reduce_kernels.h"

#define INFINITE __builtin_inff()

enum fold { FOLD_ADD, FOLD_MUL, FOLD_MAX, FOLD_MIN };
enum map { MAP_NONE, MAP_ABS, MAP_SQUARE };

struct reduction {
    enum fold fold;
    enum map map;
    int mean;
};

static const struct reduction red_sum = {FOLD_ADD, MAP_NONE, 0};
static const struct reduction red_mean = {FOLD_ADD, MAP_NONE, 1};
static const struct reduction red_max = {FOLD_MAX, MAP_NONE, 0};
static const struct reduction red_min = {FOLD_MIN, MAP_NONE, 0};
static const struct reduction red_prod = {FOLD_MUL, MAP_NONE, 0};
static const struct reduction red_sum_abs = {FOLD_ADD, MAP_ABS, 0};
static const struct reduction red_sum_square = {FOLD_ADD, MAP_SQUARE, 0};

SIMD_INLINE vf neutral(const struct reduction red)
{
    return vf_set1(red.fold == FOLD_ADD   ? 0.0f
                   : red.fold == FOLD_MUL ? 1.0f
                   : red.fold == FOLD_MAX ? -INFINITE
                                          : INFINITE);
}

SIMD_INLINE vf combine(const struct reduction red, vf a, vf b)
{
    return red.fold == FOLD_ADD   ? vf_add(a, b)
           : red.fold == FOLD_MUL ? vf_mul(a, b)
           : red.fold == FOLD_MAX ? vf_max_nan(a, b)
                                  : vf_min_nan(a, b);
}

SIMD_INLINE vf take(const struct reduction red, vf acc, vf x)
{
    if (red.map == MAP_SQUARE) return vf_fma(x, x, acc);
    return combine(red, acc, red.map == MAP_ABS ? vf_abs(x) : x);
}

SIMD_INLINE float fold_lanes(const struct reduction red, vf a)
{
    if (red.fold == FOLD_ADD) return vf_hsum(a);
    if (red.fold == FOLD_MAX) return vf_hmax(a);
    if (red.fold == FOLD_MIN) return vf_hmin(a);
    float lanes[VF_LANES], product = 1.0f;
    vf_store(lanes, a);
    for (size_t i = 0; i < VF_LANES; i++) product *= lanes[i];
    return product;
}

/* Rows of at most one vector. */
SIMD_INLINE void reduce_short(const struct reduction red, float *y, const float *x, size_t ldx, size_t rows,
                              size_t cols)
{
    vt tail = vt_first(cols);
    for (; rows > 0; rows--, x += ldx) {
        vf start = neutral(red);
        float whole = fold_lanes(red, vf_keep(take(red, start, vf_load_t(x, tail)), tail, start));
        *y++ = red.mean ? whole / (float)cols : whole;
    }
}

SIMD_INLINE void reduce_inner(const struct reduction red, float *y, const float *x, size_t ldx, size_t rows,
                              size_t cols)
{
    if (cols <= VF_LANES) {
        reduce_short(red, y, x, ldx, rows, cols);
        return;
    }
    for (; rows > 0; rows--, x += ldx) {
        vf acc[4];
        size_t j = 0;
        SIMD_UNROLL
        for (size_t s = 0; s < 4; s++) acc[s] = neutral(red);
        for (; j + 4 * VF_LANES <= cols; j += 4 * VF_LANES) {
            SIMD_UNROLL
            for (size_t s = 0; s < 4; s++) acc[s] = take(red, acc[s], vf_load(x + j + s * VF_LANES));
        }
        for (; j + VF_LANES <= cols; j += VF_LANES) acc[0] = take(red, acc[0], vf_load(x + j));
        if (j < cols) {
            vt tail = vt_first(cols - j);
            acc[1] = vf_keep(take(red, acc[1], vf_load_t(x + j, tail)), tail, acc[1]);
        }
        float whole = fold_lanes(red,
                                 combine(red, combine(red, acc[0], acc[1]), combine(red, acc[2], acc[3])));
        *y++ = red.mean ? whole / (float)cols : whole;
    }
}

SIMD_INLINE vf reduce_column(const struct reduction red, const float *x, size_t ldx, size_t rows, int part,
                             vt tail)
{
    vf acc[2] = {neutral(red), neutral(red)};
    size_t r = 0;
    for (; r + 2 <= rows; r += 2, x += 2 * ldx) {
        acc[0] = take(red, acc[0], part ? vf_load_t(x, tail) : vf_load(x));
        acc[1] = take(red, acc[1], part ? vf_load_t(x + ldx, tail) : vf_load(x + ldx));
    }
    if (r < rows) acc[0] = take(red, acc[0], part ? vf_load_t(x, tail) : vf_load(x));
    vf whole = combine(red, acc[0], acc[1]);
    return red.mean ? vf_div(whole, vf_set1((float)rows)) : whole;
}

SIMD_INLINE void reduce_outer(const struct reduction red, float *y, size_t ldy, const float *x,
                              size_t ld_batch, size_t ldx, size_t batch, size_t rows, size_t cols)
{
    vt tail = vt_first(cols % VF_LANES);
    for (; batch > 0; batch--, x += ld_batch, y += ldy) {
        size_t j = 0;
        for (; j + VF_LANES <= cols; j += VF_LANES)
            vf_store(y + j, reduce_column(red, x + j, ldx, rows, 0, tail));
        if (j < cols) vf_store_t(y + j, tail, reduce_column(red, x + j, ldx, rows, 1, tail));
    }
}

#define X(name, arg)                                                                                     \
    void ISA(f32_reduce_inner_##name)(float *y, const float *x, size_t ldx, size_t rows, size_t cols)    \
    {                                                                                                    \
        reduce_inner(red_##name, y, x, ldx, rows, cols);                                                 \
    }                                                                                                    \
    void ISA(f32_reduce_outer_##name)(float *y, size_t ldy, const float *x, size_t ld_batch, size_t ldx, \
                                      size_t batch, size_t rows, size_t cols)                            \
    {                                                                                                    \
        reduce_outer(red_##name, y, ldy, x, ld_batch, ldx, batch, rows, cols);                           \
    }
F32_REDUCE_LIST(X, 0)
#undef X
