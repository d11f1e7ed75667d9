/* kernels/simd/simd_math.h - elementary functions on vectors, written in the vocabulary of simd_base.h.
 *
 * Included after one of the simd__*.h headers. Polynomials are minimax fits made for this file (Lawson's
 * iteration on Chebyshev nodes, then rounded to float); reductions follow Cody and Waite with ln 2 split
 * so that n * LN2_HI is exact without fused multiply-add. Errors measured against double arithmetic
 * stand beside the tests (tests/kernels/test_elementwise.c). NaN passes through every function. */
#ifndef KERNELS_SIMD_MATH_H
#define KERNELS_SIMD_MATH_H

#define LOG2E  0x1.715476p+0f
#define LN2_HI 0x1.63p-1f
#define LN2_LO (-0x1.bd0106p-13f)

/* Horner steps: p * x + c. */
SIMD_INLINE vf vf_step(vf p, vf x, float c)
{
    return vf_fma(p, x, vf_set1(c));
}

/* e^r - 1 for |r| <= ln 2 / 2. */
SIMD_INLINE vf vf_expm1_core(vf r)
{
    vf q = vf_set1(0x1.6bebcap-10f);
    q = vf_step(q, r, 0x1.1228e6p-7f);
    q = vf_step(q, r, 0x1.555676p-5f);
    q = vf_step(q, r, 0x1.5554aep-3f);
    q = vf_step(q, r, 0x1.fffffep-2f);
    return vf_fma(vf_mul(r, r), q, r);
}

/* x = n ln 2 + r; returns r. */
SIMD_INLINE vf vf_exp_reduce(vf x, vf *ret_n)
{
    vf n = vf_round_even(vf_mul(x, vf_set1(LOG2E)));
    *ret_n = n;
    return vf_fnma(n, vf_set1(LN2_LO), vf_fnma(n, vf_set1(LN2_HI), x));
}

SIMD_INLINE vf vf_exp(vf x)
{
    vf n, t = vf_max(vf_set1(-104.0f), vf_min(vf_set1(89.0f), x)); /* past these: 0 and infinity */
    vf r = vf_exp_reduce(t, &n);
    return vf_scale2(vf_add(vf_set1(1.0f), vf_expm1_core(r)), n);
}

/* e^x - 1 for x <= 0, without cancellation near 0. */
SIMD_INLINE vf vf_expm1_negative(vf x)
{
    vf n, one = vf_set1(1.0f), t = vf_max(vf_set1(-25.0f), vf_min(vf_zero(), x)); /* -1 from -18 on */
    vf r = vf_exp_reduce(t, &n);
    vf s = vf_from_bits(vi_shl23(vi_add(vf_to_vi(n), vi_set1(127))));
    return vf_fma(vf_expm1_core(r), s, vf_sub(s, one));
}

/* Natural logarithm of positive normal numbers. */
SIMD_INLINE vf vf_log_normal(vf x)
{
    /* The mantissa is taken in [sqrt(1/2), sqrt(2)), whose lower end has the bits 0x3f3504f3. */
    vi bits = vf_bits(x), e = vi_sra23(vi_sub(bits, vi_set1(0x3f3504f3)));
    vf f = vf_sub(vf_from_bits(vi_sub(bits, vi_shl23(e))), vf_set1(1.0f)), n = vi_to_vf(e), z = vf_mul(f, f);
    vf p = vf_set1(-0x1.38b4aep-4f);
    p = vf_step(p, f, 0x1.055d4cp-3f);
    p = vf_step(p, f, -0x1.0d8648p-3f);
    p = vf_step(p, f, 0x1.22d9eep-3f);
    p = vf_step(p, f, -0x1.547226p-3f);
    p = vf_step(p, f, 0x1.99a00ap-3f);
    p = vf_step(p, f, -0x1.000228p-2f);
    p = vf_step(p, f, 0x1.555554p-2f);
    vf low = vf_fma(n, vf_set1(LN2_LO), vf_mul(vf_mul(f, z), p));
    low = vf_fnma(vf_set1(0.5f), z, low);
    return vf_fma(n, vf_set1(LN2_HI), vf_add(f, low));
}

SIMD_INLINE vf vf_log(vf x)
{
    vm denormal = vf_lt(x, vf_set1(0x1p-126f));
    vf y = vf_log_normal(vf_select(denormal, vf_mul(x, vf_set1(0x1p24f)), x));
    y = vf_select(denormal, vf_sub(y, vf_set1(0x1.0a2b24p+4f)), y); /* 24 ln 2 */
    y = vf_select(vf_lt(x, vf_zero()), vf_set1(__builtin_nanf("")), y);
    y = vf_select(vf_eq(x, vf_zero()), vf_set1(-__builtin_inff()), y);
    return vf_select(vf_lt(x, vf_set1(__builtin_inff())), y, x); /* infinity and NaN as they are */
}

/* log(1 + e) for 0 <= e <= 1: what rounding 1 + e lost is put back to first order. */
SIMD_INLINE vf vf_log1p_unit(vf e)
{
    vf one = vf_set1(1.0f), u = vf_add(one, e);
    return vf_add(vf_log_normal(u), vf_div(vf_sub(e, vf_sub(u, one)), u));
}

SIMD_INLINE vf vf_sigmoid(vf x)
{
    vf one = vf_set1(1.0f), e = vf_exp(vf_neg(vf_abs(x)));
    return vf_div(vf_select(vf_lt(x, vf_zero()), e, one), vf_add(one, e));
}

SIMD_INLINE vf vf_tanh(vf x)
{
    vf e = vf_expm1_negative(vf_mul(vf_set1(-2.0f), vf_abs(x)));
    return vf_copysign(vf_div(e, vf_add(vf_set1(2.0f), e)), x);
}

SIMD_INLINE vf vf_erf(vf x)
{
    vf a = vf_abs(x), z = vf_mul(x, x), t = vf_min(vf_set1(4.0f), a); /* 1 from 3.92 on */
    vf p = vf_set1(0x1.496a28p-14f);
    p = vf_step(p, z, -0x1.a3f6fcp-11f);
    p = vf_step(p, z, 0x1.5405b2p-8f);
    p = vf_step(p, z, -0x1.b7f90cp-6f);
    p = vf_step(p, z, 0x1.ce2cf8p-4f);
    p = vf_step(p, z, -0x1.81273ep-2f);
    p = vf_step(p, z, 0x1.06eba8p-3f); /* 2 / sqrt(pi) - 1: the 1 is added without rounding */
    vf q = vf_set1(-0x1.6b169cp-16f);  /* log(erfc(t)) on [1, 4] */
    q = vf_step(q, t, 0x1.ce3cccp-12f);
    q = vf_step(q, t, -0x1.1363dcp-8f);
    q = vf_step(q, t, 0x1.9ce880p-6f);
    q = vf_step(q, t, -0x1.bc0af8p-4f);
    q = vf_step(q, t, -0x1.44368ap-1f);
    q = vf_step(q, t, -0x1.212bc6p+0f);
    q = vf_step(q, t, 0x1.8881ccp-13f);
    vf big = vf_copysign(vf_sub(vf_set1(1.0f), vf_exp(q)), x);
    return vf_select(vf_lt(a, vf_set1(1.0f)), vf_fma(x, p, x), big);
}

#endif
