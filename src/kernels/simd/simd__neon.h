/* kernels/simd/simd__neon.h - the vocabulary of simd_base.h for 64-bit Arm. */
#ifndef KERNELS_SIMD_NEON_H
#define KERNELS_SIMD_NEON_H

#include <arm_neon.h>

#include "kernels/simd/simd_base.h"

#define SIMD_ISA       neon
#define SIMD_REGISTER  "+w"
#define TILE_REGISTERS 24
#define VF_LANES       4

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;
typedef size_t vt; /* lanes, 0..4 */

SIMD_INLINE vt vt_first(size_t n)
{
    return n >= 4 ? 4 : n;
}
SIMD_INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
SIMD_INLINE void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}
SIMD_INLINE vf vf_load_t(const float *p, vt t)
{
    if (t >= 4) return vld1q_f32(p);
    vf v = vdupq_n_f32(0.0f);
    if (t > 0) v = vld1q_lane_f32(p, v, 0);
    if (t > 1) v = vld1q_lane_f32(p + 1, v, 1);
    if (t > 2) v = vld1q_lane_f32(p + 2, v, 2);
    return v;
}
SIMD_INLINE void vf_store_t(float *p, vt t, vf v)
{
    if (t >= 4) {
        vst1q_f32(p, v);
        return;
    }
    if (t > 0) vst1q_lane_f32(p, v, 0);
    if (t > 1) vst1q_lane_f32(p + 1, v, 1);
    if (t > 2) vst1q_lane_f32(p + 2, v, 2);
}
SIMD_INLINE vf vf_keep(vf v, vt t, vf other)
{
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    return vbslq_f32(vcltq_u32(vld1q_u32(lanes), vdupq_n_u32((uint32_t)t)), v, other);
}
SIMD_INLINE vf vf_set1(float x)
{
    return vdupq_n_f32(x);
}
SIMD_INLINE vf vf_zero(void)
{
    return vdupq_n_f32(0.0f);
}

SIMD_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
SIMD_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
SIMD_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
SIMD_INLINE vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
SIMD_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
SIMD_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}
/* A select, not fmin: the rule for NaN must be that of the other instruction sets. */
SIMD_INLINE vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
SIMD_INLINE vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
SIMD_INLINE vf vf_min_nan(vf a, vf b)
{
    return vminq_f32(a, b);
}
SIMD_INLINE vf vf_max_nan(vf a, vf b)
{
    return vmaxq_f32(a, b);
}
SIMD_INLINE vf vf_sqrt(vf a)
{
    return vsqrtq_f32(a);
}
SIMD_INLINE vf vf_abs(vf a)
{
    return vabsq_f32(a);
}
SIMD_INLINE vf vf_neg(vf a)
{
    return vnegq_f32(a);
}
SIMD_INLINE vf vf_floor(vf a)
{
    return vrndmq_f32(a);
}
SIMD_INLINE vf vf_ceil(vf a)
{
    return vrndpq_f32(a);
}
SIMD_INLINE vf vf_round_even(vf a)
{
    return vrndnq_f32(a);
}
SIMD_INLINE vf vf_copysign(vf size, vf sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, size);
}

SIMD_INLINE vm vf_lt(vf a, vf b)
{
    return vcltq_f32(a, b);
}
SIMD_INLINE vm vf_eq(vf a, vf b)
{
    return vceqq_f32(a, b);
}
SIMD_INLINE vf vf_select(vm m, vf yes, vf no)
{
    return vbslq_f32(m, yes, no);
}

SIMD_INLINE vi vf_bits(vf a)
{
    return vreinterpretq_s32_f32(a);
}
SIMD_INLINE vf vf_from_bits(vi a)
{
    return vreinterpretq_f32_s32(a);
}
SIMD_INLINE vi vi_set1(int32_t x)
{
    return vdupq_n_s32(x);
}
SIMD_INLINE vi vi_add(vi a, vi b)
{
    return vaddq_s32(a, b);
}
SIMD_INLINE vi vi_sub(vi a, vi b)
{
    return vsubq_s32(a, b);
}
SIMD_INLINE vi vi_shl23(vi a)
{
    return vshlq_n_s32(a, 23);
}
SIMD_INLINE vi vi_sra23(vi a)
{
    return vshrq_n_s32(a, 23);
}
SIMD_INLINE vi vi_sra1(vi a)
{
    return vshrq_n_s32(a, 1);
}
SIMD_INLINE vi vf_to_vi(vf a)
{
    return vcvtnq_s32_f32(a);
}
SIMD_INLINE vf vi_to_vf(vi a)
{
    return vcvtq_f32_s32(a);
}

SIMD_INLINE float vf_first(vf a)
{
    return vgetq_lane_f32(a, 0);
}
SIMD_INLINE float vf_hsum(vf a)
{
    return vaddvq_f32(a);
}
SIMD_INLINE float vf_hmax(vf a)
{
    return vmaxvq_f32(a);
}
SIMD_INLINE float vf_hmin(vf a)
{
    return vminvq_f32(a);
}

#define SIMD_BLOCK ((size_t)4)
SIMD_INLINE void simd_transpose(float *dst, size_t ldd, const float *src, size_t lds, size_t rows,
                                size_t cols)
{
    vf r[4];
    vt t = vt_first(cols);
    SIMD_UNROLL
    for (size_t i = 0; i < 4; i++) r[i] = i < rows ? vf_load_t(src + i * lds, t) : vf_zero();
    float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1]));
    float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1]));
    float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3]));
    float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));
    r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
    SIMD_UNROLL
    for (size_t i = 0; i < 4; i++)
        if (i < cols) vst1q_f32(dst + i * ldd, r[i]);
}

#include "kernels/simd/simd_generic.h"

#endif
