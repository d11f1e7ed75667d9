/* kernels/simd/simd__avx512.h - the vocabulary of simd_base.h for AVX-512 F, BW, DQ and VL. */
#ifndef KERNELS_SIMD_AVX512_H
#define KERNELS_SIMD_AVX512_H

#include <immintrin.h>

#include "kernels/simd/simd_base.h"

#define SIMD_ISA       avx512
#define SIMD_REGISTER  "+v"
#define TILE_REGISTERS 24
#define VF_LANES       16

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
typedef __mmask16 vt;

SIMD_INLINE vt vt_first(size_t n)
{
    return n >= 16 ? (vt)0xffff : (vt)((1u << n) - 1);
}
SIMD_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
SIMD_INLINE vf vf_load_t(const float *p, vt t)
{
    return _mm512_maskz_loadu_ps(t, p);
}
SIMD_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
SIMD_INLINE void vf_store_t(float *p, vt t, vf v)
{
    _mm512_mask_storeu_ps(p, t, v);
}
SIMD_INLINE vf vf_keep(vf v, vt t, vf other)
{
    return _mm512_mask_mov_ps(other, t, v);
}
SIMD_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
SIMD_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

SIMD_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
SIMD_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
SIMD_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
SIMD_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
SIMD_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
SIMD_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
SIMD_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
SIMD_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
SIMD_INLINE vf vf_min_nan(vf a, vf b)
{
    return _mm512_mask_mov_ps(_mm512_min_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
SIMD_INLINE vf vf_max_nan(vf a, vf b)
{
    return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
SIMD_INLINE vf vf_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
SIMD_INLINE vf vf_abs(vf a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}
SIMD_INLINE vf vf_neg(vf a)
{
    return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a);
}
SIMD_INLINE vf vf_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
SIMD_INLINE vf vf_ceil(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
SIMD_INLINE vf vf_round_even(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
SIMD_INLINE vf vf_copysign(vf size, vf sign)
{
    vf bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_and_ps(bit, sign), _mm512_andnot_ps(bit, size));
}

SIMD_INLINE vm vf_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
SIMD_INLINE vm vf_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
SIMD_INLINE vf vf_select(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}

SIMD_INLINE vi vf_bits(vf a)
{
    return _mm512_castps_si512(a);
}
SIMD_INLINE vf vf_from_bits(vi a)
{
    return _mm512_castsi512_ps(a);
}
SIMD_INLINE vi vi_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}
SIMD_INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
SIMD_INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
SIMD_INLINE vi vi_shl23(vi a)
{
    return _mm512_slli_epi32(a, 23);
}
SIMD_INLINE vi vi_sra23(vi a)
{
    return _mm512_srai_epi32(a, 23);
}
SIMD_INLINE vi vi_sra1(vi a)
{
    return _mm512_srai_epi32(a, 1);
}
SIMD_INLINE vi vf_to_vi(vf a)
{
    return _mm512_cvtps_epi32(a);
}
SIMD_INLINE vf vi_to_vf(vi a)
{
    return _mm512_cvtepi32_ps(a);
}
SIMD_INLINE vf vf_scale2(vf x, vf n)
{
    return _mm512_scalef_ps(x, n);
}

SIMD_INLINE float vf_first(vf a)
{
    return _mm512_cvtss_f32(a);
}

/* Folds 16 lanes to one with `op`, halving the width each time. */
#define SIMD_FOLD(a, op128, op)                                               \
    __m256 w = op(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));   \
    __m128 x = op128(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1)); \
    x = op128(x, _mm_movehl_ps(x, x));                                        \
    x = op128(x, _mm_movehdup_ps(x));                                         \
    float folded = _mm_cvtss_f32(x)
SIMD_INLINE float vf_hsum(vf a)
{
    SIMD_FOLD(a, _mm_add_ps, _mm256_add_ps);
    return folded;
}
SIMD_INLINE float vf_hmax(vf a)
{
    SIMD_FOLD(a, _mm_max_ps, _mm256_max_ps);
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) ? __builtin_nanf("") : folded;
}
SIMD_INLINE float vf_hmin(vf a)
{
    SIMD_FOLD(a, _mm_min_ps, _mm256_min_ps);
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) ? __builtin_nanf("") : folded;
}
#undef SIMD_FOLD

SIMD_INLINE size_t simd_nonzeros(float *value, uint32_t *index, const float *x, size_t n)
{
    size_t found = 0;
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = vf_load_t(x + i, vt_first(n - i));
        __mmask16 nonzero = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        /* Compressed in registers: the store that compresses is many times slower. */
        _mm512_storeu_ps(value + found, _mm512_maskz_compress_ps(nonzero, v));
        _mm512_storeu_si512(index + found, _mm512_maskz_compress_epi32(nonzero, at));
        found += (size_t)__builtin_popcount(nonzero);
        at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
    }
    return found;
}

#include "kernels/simd/simd_transpose8.h"

#endif
