/* kernels/elementwise/f32_unary_body.h - every function of F32_UNARY_LIST for one instruction set. */
#include "kernels/elementwise/elementwise_kernels.h"
#include "kernels/simd/simd_math.h"

/* Functions that tend to 0 from below as x falls: from here on they are 0 in single precision, and
 * minus infinity times 0 must not become NaN. */
#define TO_ZERO (-120.0f)

SIMD_INLINE vf elu_of(vf x, vf scaled, vf alpha)
{
    return vf_select(vf_lt(x, vf_zero()), vf_mul(alpha, vf_expm1_negative(scaled)), x);
}
SIMD_INLINE vf unit(vf x) /* to [0, 1] */
{
    return vf_min(vf_set1(1.0f), vf_max(vf_zero(), x));
}

SIMD_INLINE vf op_abs(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_abs(x);
}
SIMD_INLINE vf op_neg(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_neg(x);
}
SIMD_INLINE vf op_sqrt(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_sqrt(x);
}
SIMD_INLINE vf op_square(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_mul(x, x);
}
SIMD_INLINE vf op_reciprocal(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_div(vf_set1(1.0f), x);
}
SIMD_INLINE vf op_floor(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_floor(x);
}
SIMD_INLINE vf op_ceil(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_ceil(x);
}
SIMD_INLINE vf op_round(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_round_even(x);
}
SIMD_INLINE vf op_sign(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    vf negative = vf_select(vf_lt(x, vf_zero()), vf_set1(-1.0f), x);
    return vf_select(vf_lt(vf_zero(), x), vf_set1(1.0f), negative);
}
SIMD_INLINE vf op_exp(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_exp(x);
}
SIMD_INLINE vf op_log(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_log(x);
}
SIMD_INLINE vf op_erf(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_erf(x);
}
SIMD_INLINE vf op_tanh(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_tanh(x);
}
SIMD_INLINE vf op_sigmoid(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_sigmoid(x);
}
SIMD_INLINE vf op_relu(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_max(vf_zero(), x);
}
SIMD_INLINE vf op_leaky_relu(vf x, vf alpha, vf beta)
{
    return (void)beta, vf_select(vf_lt(x, vf_zero()), vf_mul(alpha, x), x);
}
SIMD_INLINE vf op_thresholded_relu(vf x, vf alpha, vf beta)
{
    (void)beta;
    vf kept = vf_select(vf_lt(alpha, x), x, vf_zero());
    return vf_select(vf_eq(x, x), kept, x);
}
SIMD_INLINE vf op_elu(vf x, vf alpha, vf beta)
{
    return (void)beta, elu_of(x, x, alpha);
}
SIMD_INLINE vf op_celu(vf x, vf alpha, vf beta)
{
    return (void)beta, elu_of(x, vf_div(x, alpha), alpha);
}
SIMD_INLINE vf op_selu(vf x, vf alpha, vf beta)
{
    return vf_mul(beta, elu_of(x, x, alpha));
}
SIMD_INLINE vf op_softplus(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    return vf_add(vf_max(vf_zero(), x), vf_log1p_unit(vf_exp(vf_neg(vf_abs(x)))));
}
SIMD_INLINE vf op_softsign(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    vf a = vf_min(vf_set1(0x1p100f), vf_abs(x)); /* +-1 from 2^25 on, infinity too */
    return vf_copysign(vf_div(a, vf_add(vf_set1(1.0f), a)), x);
}
SIMD_INLINE vf op_silu(vf x, vf alpha, vf beta)
{
    return (void)alpha, (void)beta, vf_mul(vf_max(vf_set1(TO_ZERO), x), vf_sigmoid(x));
}
SIMD_INLINE vf op_mish(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    vf two = vf_set1(2.0f), w = vf_exp(vf_min(vf_set1(20.0f), x)); /* x itself from 20 on */
    vf p = vf_mul(w, vf_add(w, two));                              /* tanh(softplus(x)) = p / (p + 2) */
    return vf_mul(vf_max(vf_set1(TO_ZERO), x), vf_div(p, vf_add(p, two)));
}
SIMD_INLINE vf op_gelu(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    vf half = vf_mul(vf_set1(0.5f), vf_max(vf_set1(TO_ZERO), x));
    return vf_fma(half, vf_erf(vf_mul(x, vf_set1(0x1.6a09e6p-1f))), half);
}
SIMD_INLINE vf op_gelu_tanh(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    /* (1 + tanh(u)) / 2 = sigmoid(2u); the clamp keeps x^3 finite where the answer is already x or 0. */
    vf t = vf_max(vf_set1(TO_ZERO), vf_min(vf_set1(-TO_ZERO), x)), t2 = vf_mul(t, t);
    vf u = vf_mul(t, vf_step(vf_set1(0x1.2444c6p-4f), t2, 0x1.988454p+0f));
    return vf_mul(vf_max(vf_set1(TO_ZERO), x), vf_sigmoid(u));
}
SIMD_INLINE vf op_hard_sigmoid(vf x, vf alpha, vf beta)
{
    return unit(vf_fma(alpha, x, beta));
}
SIMD_INLINE vf op_hard_swish(vf x, vf alpha, vf beta)
{
    (void)alpha, (void)beta;
    vf gate = unit(vf_step(vf_set1(0x1.555556p-3f), x, 0.5f));
    return vf_mul(vf_max(vf_set1(-3.0f), x), gate);
}
SIMD_INLINE vf op_clip(vf x, vf alpha, vf beta)
{
    return vf_min(beta, vf_max(alpha, x));
}
SIMD_INLINE vf op_affine(vf x, vf alpha, vf beta)
{
    return vf_fma(alpha, x, beta);
}

#define X(name, arg)                                                                                      \
    void ISA(f32_##name)(float *y, const float *x, size_t n, float alpha_, float beta_)                   \
    {                                                                                                     \
        vf alpha = vf_set1(alpha_), beta = vf_set1(beta_);                                                \
        size_t i = 0;                                                                                     \
        for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, op_##name(vf_load(x + i), alpha, beta)); \
        if (i == n) return;                                                                               \
        vt tail = vt_first(n - i);                                                                        \
        vf_store_t(y + i, tail, op_##name(vf_load_t(x + i, tail), alpha, beta));                          \
    }
F32_UNARY_LIST(X, 0)
#undef X
