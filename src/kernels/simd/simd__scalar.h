/* kernels/simd/simd__scalar.h - the vocabulary of simd_base.h, one lane wide, in plain C. */
#ifndef KERNELS_SIMD_SCALAR_H
#define KERNELS_SIMD_SCALAR_H

#include "kernels/simd/simd_base.h"

#define SIMD_ISA   scalar
#define SIMD_BLOCK ((size_t)1)
#define VF_LANES   1

typedef float vf;
typedef int32_t vi;
typedef int vm;
typedef size_t vt;

SIMD_INLINE vt vt_first(size_t n)
{
    return n;
}
SIMD_INLINE vf vf_load(const float *p)
{
    return *p;
}
SIMD_INLINE vf vf_load_t(const float *p, vt t)
{
    return t > 0 ? *p : 0.0f;
}
SIMD_INLINE void vf_store(float *p, vf v)
{
    *p = v;
}
SIMD_INLINE void vf_store_t(float *p, vt t, vf v)
{
    if (t > 0) *p = v;
}
SIMD_INLINE vf vf_keep(vf v, vt t, vf other)
{
    return t > 0 ? v : other;
}
SIMD_INLINE vf vf_set1(float x)
{
    return x;
}
SIMD_INLINE vf vf_zero(void)
{
    return 0.0f;
}

SIMD_INLINE vf vf_add(vf a, vf b)
{
    return a + b;
}
SIMD_INLINE vf vf_sub(vf a, vf b)
{
    return a - b;
}
SIMD_INLINE vf vf_mul(vf a, vf b)
{
    return a * b;
}
SIMD_INLINE vf vf_div(vf a, vf b)
{
    return a / b;
}
SIMD_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
SIMD_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return c - a * b;
}
SIMD_INLINE vf vf_min(vf a, vf b)
{
    return a < b ? a : b;
}
SIMD_INLINE vf vf_max(vf a, vf b)
{
    return a > b ? a : b;
}
SIMD_INLINE vf vf_min_nan(vf a, vf b)
{
    return a != a ? a : vf_min(a, b);
}
SIMD_INLINE vf vf_max_nan(vf a, vf b)
{
    return a != a ? a : vf_max(a, b);
}
SIMD_INLINE vf vf_sqrt(vf a)
{
    return __builtin_sqrtf(a);
}
SIMD_INLINE vf vf_abs(vf a)
{
    return __builtin_fabsf(a);
}
SIMD_INLINE vf vf_neg(vf a)
{
    return -a;
}
SIMD_INLINE vf vf_floor(vf a)
{
    return __builtin_floorf(a);
}
SIMD_INLINE vf vf_ceil(vf a)
{
    return __builtin_ceilf(a);
}
SIMD_INLINE vf vf_round_even(vf a)
{
    return __builtin_rintf(a);
}
SIMD_INLINE vf vf_copysign(vf size, vf sign)
{
    return __builtin_copysignf(size, sign);
}

SIMD_INLINE vm vf_lt(vf a, vf b)
{
    return a < b;
}
SIMD_INLINE vm vf_eq(vf a, vf b)
{
    return a == b;
}
SIMD_INLINE vf vf_select(vm m, vf yes, vf no)
{
    return m ? yes : no;
}

SIMD_INLINE vi vf_bits(vf a)
{
    vi i;
    __builtin_memcpy(&i, &a, sizeof i);
    return i;
}
SIMD_INLINE vf vf_from_bits(vi a)
{
    vf f;
    __builtin_memcpy(&f, &a, sizeof f);
    return f;
}
SIMD_INLINE vi vi_set1(int32_t x)
{
    return x;
}
SIMD_INLINE vi vi_add(vi a, vi b)
{
    return (vi)((uint32_t)a + (uint32_t)b);
}
SIMD_INLINE vi vi_sub(vi a, vi b)
{
    return (vi)((uint32_t)a - (uint32_t)b);
}
SIMD_INLINE vi vi_shl23(vi a)
{
    return (vi)((uint32_t)a << 23);
}
SIMD_INLINE vi vi_sra23(vi a)
{
    return a >> 23;
}
SIMD_INLINE vi vi_sra1(vi a)
{
    return a >> 1;
}
SIMD_INLINE vi vf_to_vi(vf a)
{
    return a == a ? (vi)a : 0;
} /* of an integral value */
SIMD_INLINE vf vi_to_vf(vi a)
{
    return (vf)a;
}

SIMD_INLINE float vf_first(vf a)
{
    return a;
}
SIMD_INLINE float vf_hsum(vf a)
{
    return a;
}
SIMD_INLINE float vf_hmax(vf a)
{
    return a;
} /* NaN when a lane is NaN */
SIMD_INLINE float vf_hmin(vf a)
{
    return a;
}

SIMD_INLINE void simd_transpose(float *dst, size_t ldd, const float *src, size_t lds, size_t rows,
                                size_t cols)
{
    (void)ldd, (void)lds;
    if (cols > 0) *dst = rows > 0 ? *src : 0.0f;
}

#include "kernels/simd/simd_generic.h"

#endif
