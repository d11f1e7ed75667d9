/* Elementwise functions of one operand. Source: ONNX operator specification, ai.onnx. */
#include "ops/unary.h"

#include <stddef.h>
#include <string.h>
#include <tgmath.h>

#include "ops/elements.h"

/* One function: operand of type T, result of type R, parameters p and q. */
#define UNARY(name, T, R, expression)                                         \
    static void name(const void *px, void *po, int64_t n, const void *params) \
    {                                                                         \
        const T *v = px;                                                      \
        const T p = ((const T *)params)[0], q = ((const T *)params)[1];       \
        R *out = po;                                                          \
        (void)p, (void)q;                                                     \
        LOOP_INDEPENDENT                                                      \
        for (int64_t i = 0; i < n; i++) {                                     \
            const T x = v[i];                                                 \
            out[i] = (R)(expression);                                         \
        }                                                                     \
    }

/* The mathematics come through tgmath.h in the lane's own precision. */
#define FLOATS(name, expression_of_T)                       \
    UNARY(name##_f32, float, float, expression_of_T(float)) \
    UNARY(name##_f64, double, double, expression_of_T(double))

#define ABS(T)        fabs(x)
#define ACOS(T)       acos(x)
#define ACOSH(T)      acosh(x)
#define ASIN(T)       asin(x)
#define ASINH(T)      asinh(x)
#define ATAN(T)       atan(x)
#define ATANH(T)      atanh(x)
#define CEIL(T)       ceil(x)
#define COS(T)        cos(x)
#define COSH(T)       cosh(x)
#define ERF(T)        erf(x)
#define EXP(T)        exp(x)
#define FLOOR(T)      floor(x)
#define LOG(T)        log(x)
#define NEG(T)        -x
#define RECIPROCAL(T) 1 / x
#define ROUND(T)      rint(x) /* half to even */
#define SIGN(T)       x > 0 ? 1 : x < 0 ? -1 : x
#define SIN(T)        sin(x)
#define SINH(T)       sinh(x)
#define SQRT(T)       sqrt(x)
#define TAN(T)        tan(x)
#define TANH(T)       tanh(x)

#define RELU(T)         x < 0 ? 0 : x
#define LEAKY_RELU(T)   x < 0 ? p *x : x
#define THRESHOLDED(T)  x > p ? x : 0
#define SIGMOID(T)      1 / (1 + exp(-x))
#define ELU(T)          x < 0 ? p *expm1(x) : x
#define SELU(T)         x > 0 ? q *x : q *p *expm1(x)
#define CELU(T)         x > 0 ? x : p *expm1(x / p)
#define HARD_SIGMOID(T) fmin(fmax(p *x + q, (T)0), (T)1)
#define HARD_SWISH(T)   x *fmin(fmax(x / 6 + (T)0.5, (T)0), (T)1)
#define SOFTPLUS(T)     (x > 0 ? x : 0) + log1p(exp(-fabs(x)))
#define SOFTSIGN(T)     x / (1 + fabs(x))
#define MISH(T)         x *tanh((x > 0 ? x : 0) + log1p(exp(-fabs(x))))
#define AFFINE(T)       p *x + q
#define SCALED_TANH(T)  p *tanh(q *x)
#define SWISH(T)        x / (1 + exp(-p * x))
#define SHRINK(T)       x<-p ? x + q : x> p ? x - q : 0
#define GELU(T)         (T)0.5 * x *(1 + erf(x * (T)0.70710678118654752440))
#define GELU_TANH(T)    (T)0.5 * x *(1 + tanh((T)0.79788456080286535588 * (x + (T)0.044715 * x * x * x)))

FLOATS(abs, ABS)
FLOATS(acos, ACOS)
FLOATS(acosh, ACOSH)
FLOATS(asin, ASIN)
FLOATS(asinh, ASINH)
FLOATS(atan, ATAN)
FLOATS(atanh, ATANH)
FLOATS(ceil, CEIL)
FLOATS(cos, COS)
FLOATS(cosh, COSH)
FLOATS(erf, ERF)
FLOATS(exp, EXP)
FLOATS(floor, FLOOR)
FLOATS(log, LOG)
FLOATS(neg, NEG)
FLOATS(reciprocal, RECIPROCAL)
FLOATS(round, ROUND)
FLOATS(sign, SIGN)
FLOATS(sin, SIN)
FLOATS(sinh, SINH)
FLOATS(sqrt, SQRT)
FLOATS(tan, TAN)
FLOATS(tanh, TANH)
FLOATS(relu, RELU)
FLOATS(leaky_relu, LEAKY_RELU)
FLOATS(thresholded, THRESHOLDED)
FLOATS(sigmoid, SIGMOID)
FLOATS(elu, ELU)
FLOATS(selu, SELU)
FLOATS(celu, CELU)
FLOATS(hard_sigmoid, HARD_SIGMOID)
FLOATS(hard_swish, HARD_SWISH)
FLOATS(softplus, SOFTPLUS)
FLOATS(softsign, SOFTSIGN)
FLOATS(mish, MISH)
FLOATS(affine, AFFINE)
FLOATS(scaled_tanh, SCALED_TANH)
FLOATS(swish, SWISH)
FLOATS(shrink, SHRINK)
FLOATS(gelu, GELU)
FLOATS(gelu_tanh, GELU_TANH)

UNARY(abs_i64, int64_t, int64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
UNARY(neg_i64, int64_t, int64_t, 0 - (uint64_t)x)
UNARY(sign_i64, int64_t, int64_t, (x > 0) - (x < 0))
UNARY(relu_i64, int64_t, int64_t, x < 0 ? 0 : x)
UNARY(bit_not_i64, int64_t, int64_t, ~x)
UNARY(not_i64, int64_t, uint8_t, x == 0)
UNARY(same_u64, uint64_t, uint64_t, x)
UNARY(sign_u64, uint64_t, uint64_t, x != 0)
UNARY(is_nan_f32, float, uint8_t, x != x)
UNARY(is_nan_f64, double, uint8_t, x != x)
/* p and q tell whether positive and negative infinity count. */
UNARY(is_inf_f32, float, uint8_t, (x > 3.40282347e38f && p != 0) || (x < -3.40282347e38f && q != 0))
UNARY(is_inf_f64, double, uint8_t,
      (x > 1.7976931348623157e308 && p != 0) || (x < -1.7976931348623157e308 && q != 0))

/* ---- table ------------------------------------------------------------------------------------------ */

#define KERNEL(name) 1 + F32_UNARY_##name
#define FLOAT_LANES(name)                  \
    {                                      \
        name##_f32, name##_f64, NULL, NULL \
    }

static const struct unary_op ops[] = {
    {"Abs", {abs_f32, abs_f64, abs_i64, same_u64}, .kernel = KERNEL(abs)},
    {"Acos", FLOAT_LANES(acos)},
    {"Acosh", FLOAT_LANES(acosh)},
    {"Affine", FLOAT_LANES(affine), .kernel = KERNEL(affine), .params = {{"alpha", 1.0f}, {"beta", 0.0f}}},
    {"Asin", FLOAT_LANES(asin)},
    {"Asinh", FLOAT_LANES(asinh)},
    {"Atan", FLOAT_LANES(atan)},
    {"Atanh", FLOAT_LANES(atanh)},
    {"BitwiseNot", {NULL, NULL, bit_not_i64, bit_not_i64}},
    {"Ceil", FLOAT_LANES(ceil), .kernel = KERNEL(ceil)},
    {"Celu", FLOAT_LANES(celu), .kernel = KERNEL(celu), .params = {{"alpha", 1.0f}}},
    {"Cos", FLOAT_LANES(cos)},
    {"Cosh", FLOAT_LANES(cosh)},
    {"Elu", FLOAT_LANES(elu), .kernel = KERNEL(elu), .params = {{"alpha", 1.0f}}},
    {"Erf", FLOAT_LANES(erf), .kernel = KERNEL(erf)},
    {"Exp", FLOAT_LANES(exp), .kernel = KERNEL(exp)},
    {"Floor", FLOAT_LANES(floor), .kernel = KERNEL(floor)},
    {"Gelu", FLOAT_LANES(gelu), .kernel = KERNEL(gelu)},
    {"HardSigmoid", FLOAT_LANES(hard_sigmoid), .kernel = KERNEL(hard_sigmoid),
     .params = {{"alpha", 0.2f}, {"beta", 0.5f}}},
    {"HardSwish", FLOAT_LANES(hard_swish), .kernel = KERNEL(hard_swish)},
    {"IsInf", {is_inf_f32, is_inf_f64, NULL, NULL}, .asks = true},
    {"IsNaN", {is_nan_f32, is_nan_f64, NULL, NULL}, .asks = true},
    {"LeakyRelu", FLOAT_LANES(leaky_relu), .kernel = KERNEL(leaky_relu), .params = {{"alpha", 0.01f}}},
    {"Log", FLOAT_LANES(log), .kernel = KERNEL(log)},
    {"Mish", FLOAT_LANES(mish), .kernel = KERNEL(mish)},
    {"Neg", {neg_f32, neg_f64, neg_i64, neg_i64}, .kernel = KERNEL(neg)},
    {"Not", {NULL, NULL, not_i64, NULL}, .asks = true},
    {"Reciprocal", FLOAT_LANES(reciprocal), .kernel = KERNEL(reciprocal)},
    {"Relu", {relu_f32, relu_f64, relu_i64, same_u64}, .kernel = KERNEL(relu)},
    {"Round", FLOAT_LANES(round), .kernel = KERNEL(round)},
    {"ScaledTanh", FLOAT_LANES(scaled_tanh), .params = {{"alpha", 1.0f}, {"beta", 1.0f}}},
    {"Selu", FLOAT_LANES(selu), .kernel = KERNEL(selu),
     .params = {{"alpha", 1.67326319217681884765625f}, {"gamma", 1.05070102214813232421875f}}},
    {"Shrink", FLOAT_LANES(shrink), .in_f64 = true, .params = {{"lambd", 0.5f}, {"bias", 0.0f}}},
    {"Sigmoid", FLOAT_LANES(sigmoid), .kernel = KERNEL(sigmoid)},
    {"Sign", {sign_f32, sign_f64, sign_i64, sign_u64}, .kernel = KERNEL(sign)},
    {"Sin", FLOAT_LANES(sin)},
    {"Sinh", FLOAT_LANES(sinh)},
    {"Softplus", FLOAT_LANES(softplus), .kernel = KERNEL(softplus)},
    {"Softsign", FLOAT_LANES(softsign), .kernel = KERNEL(softsign)},
    {"Sqrt", FLOAT_LANES(sqrt), .kernel = KERNEL(sqrt)},
    {"Swish", FLOAT_LANES(swish), .params = {{"alpha", 1.0f}}},
    {"Tan", FLOAT_LANES(tan)},
    {"Tanh", FLOAT_LANES(tanh), .kernel = KERNEL(tanh)},
    {"ThresholdedRelu", FLOAT_LANES(thresholded), .kernel = KERNEL(thresholded_relu),
     .params = {{"alpha", 1.0f}}},
};
static const struct unary_op gelu_by_tanh = {"Gelu", FLOAT_LANES(gelu_tanh), .kernel = KERNEL(gelu_tanh)};

const struct unary_op *unary_find(const char *name, bool approximate_tanh)
{
    if (approximate_tanh && strcmp(name, "Gelu") == 0) return &gelu_by_tanh;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(name, ops[i].name) == 0) return &ops[i];
    return NULL;
}

struct unary_call unary_call_of(const struct unary_op *op, enum lane lane)
{
    struct unary_call call = {.lane = lane, .fn = op->fn[lane]};
    if (lane == LANE_F32 && op->kernel > 0) call.kernel = kernels_get()->f32_unary[op->kernel - 1];
    for (uint32_t i = 0; i < UNARY_PARAMS && op->params[i].name != NULL; i++)
        unary_set_param(&call, i, (double)op->params[i].otherwise);
    return call;
}

void unary_set_param(struct unary_call *call, uint32_t i, double value)
{
    if (call->lane == LANE_F32)
        call->params.f32[i] = (float)value;
    else
        call->params.f64[i] = value;
}
