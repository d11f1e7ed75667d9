/* kernels/simd/simd__avx2.h - the vocabulary of simd_base.h for AVX2 with FMA. */
#ifndef KERNELS_SIMD_AVX2_H
#define KERNELS_SIMD_AVX2_H

#include <immintrin.h>

#include "kernels/simd/simd_base.h"

#define SIMD_ISA       avx2
#define SIMD_REGISTER  "+x"
#define TILE_REGISTERS 12
#define VF_LANES       8

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;
typedef __m256i vt;

SIMD_INLINE vt vt_first(size_t n)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= 8 ? 8 : (int)n), lane);
}
SIMD_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
SIMD_INLINE vf vf_load_t(const float *p, vt t)
{
    return _mm256_maskload_ps(p, t);
}
SIMD_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
SIMD_INLINE void vf_store_t(float *p, vt t, vf v)
{
    _mm256_maskstore_ps(p, t, v);
}
SIMD_INLINE vf vf_keep(vf v, vt t, vf other)
{
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(t));
}
SIMD_INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
SIMD_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

SIMD_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
SIMD_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
SIMD_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
SIMD_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
SIMD_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
SIMD_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
SIMD_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
SIMD_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
SIMD_INLINE vf vf_min_nan(vf a, vf b)
{
    return _mm256_blendv_ps(_mm256_min_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
SIMD_INLINE vf vf_max_nan(vf a, vf b)
{
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
SIMD_INLINE vf vf_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
SIMD_INLINE vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
SIMD_INLINE vf vf_neg(vf a)
{
    return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a);
}
SIMD_INLINE vf vf_floor(vf a)
{
    return _mm256_floor_ps(a);
}
SIMD_INLINE vf vf_ceil(vf a)
{
    return _mm256_ceil_ps(a);
}
SIMD_INLINE vf vf_round_even(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
SIMD_INLINE vf vf_copysign(vf size, vf sign)
{
    vf bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_and_ps(bit, sign), _mm256_andnot_ps(bit, size));
}

SIMD_INLINE vm vf_lt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
SIMD_INLINE vm vf_eq(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
SIMD_INLINE vf vf_select(vm m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}

SIMD_INLINE vi vf_bits(vf a)
{
    return _mm256_castps_si256(a);
}
SIMD_INLINE vf vf_from_bits(vi a)
{
    return _mm256_castsi256_ps(a);
}
SIMD_INLINE vi vi_set1(int32_t x)
{
    return _mm256_set1_epi32(x);
}
SIMD_INLINE vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}
SIMD_INLINE vi vi_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}
SIMD_INLINE vi vi_shl23(vi a)
{
    return _mm256_slli_epi32(a, 23);
}
SIMD_INLINE vi vi_sra23(vi a)
{
    return _mm256_srai_epi32(a, 23);
}
SIMD_INLINE vi vi_sra1(vi a)
{
    return _mm256_srai_epi32(a, 1);
}
SIMD_INLINE vi vf_to_vi(vf a)
{
    return _mm256_cvtps_epi32(a);
}
SIMD_INLINE vf vi_to_vf(vi a)
{
    return _mm256_cvtepi32_ps(a);
}

SIMD_INLINE float vf_first(vf a)
{
    return _mm256_cvtss_f32(a);
}

/* Folds 8 lanes to one with `op`, halving the width each time. */
#define SIMD_FOLD(a, op)                                                   \
    __m128 x = op(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)); \
    x = op(x, _mm_movehl_ps(x, x));                                        \
    x = op(x, _mm_movehdup_ps(x));                                         \
    float folded = _mm_cvtss_f32(x)
SIMD_INLINE int vf_any_nan(vf a)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
SIMD_INLINE float vf_hsum(vf a)
{
    SIMD_FOLD(a, _mm_add_ps);
    return folded;
}
SIMD_INLINE float vf_hmax(vf a)
{
    SIMD_FOLD(a, _mm_max_ps);
    return vf_any_nan(a) ? __builtin_nanf("") : folded;
}
SIMD_INLINE float vf_hmin(vf a)
{
    SIMD_FOLD(a, _mm_min_ps);
    return vf_any_nan(a) ? __builtin_nanf("") : folded;
}
#undef SIMD_FOLD

#include "kernels/simd/simd_generic.h"
#include "kernels/simd/simd_transpose8.h"

#endif
