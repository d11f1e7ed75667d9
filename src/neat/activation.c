#include "neat/activation.h"

#include <string.h>

static const char *const NAMES[N_ACTIVATIONS] = {
    [ACTIVATION_SIGMOID] = "sigmoid",   [ACTIVATION_TANH] = "tanh",   [ACTIVATION_RELU] = "relu",
    [ACTIVATION_IDENTITY] = "identity", [ACTIVATION_GAUSS] = "gauss", [ACTIVATION_SIN] = "sin",
    [ACTIVATION_ABS] = "abs",           [ACTIVATION_STEP] = "step",
};

const char *activation_name(enum activation activation)
{
    return NAMES[activation];
}

enum activation activation_parse(const char *name)
{
    for (uint32_t i = 0; i < N_ACTIVATIONS; i++)
        if (strcmp(name, NAMES[i]) == 0) return (enum activation)i;
    return N_ACTIVATIONS;
}

static f32x4 absolute(f32x4 x)
{
    return (f32x4)((i32x4)x & 0x7fffffff);
}

/* 1 - 2 / (exp(2|x|) + 1) with the sign of x; x itself near 0, where the difference would lose its bits. */
static f32x4 hyperbolic_tangent(f32x4 x)
{
    f32x4 size = absolute(x);
    f32x4 far = f32x4_all(1.0f) - f32x4_all(2.0f) / (f32x4_exp(size + size) + f32x4_all(1.0f));
    f32x4 x2 = x * x;
    f32x4 near = size * (f32x4_all(1.0f) - x2 * (f32x4_all(1.0f / 3) - x2 * f32x4_all(2.0f / 15)));
    f32x4 result = f32x4_select(size < f32x4_all(0.1f), near, far);
    return (f32x4)((i32x4)result | ((i32x4)x & (int32_t)0x80000000));
}

/* x = k pi + r with pi in three parts; the sign follows k's parity. */
static f32x4 sine(f32x4 x)
{
    const f32x4 round = f32x4_all(12582912.0f);
    x = f32x4_select(x < f32x4_all(1000.0f), x, f32x4_all(1000.0f));
    x = f32x4_select(x > f32x4_all(-1000.0f), x, f32x4_all(-1000.0f));
    f32x4 shifted = x * f32x4_all(0.318309886f) + round;
    f32x4 k = shifted - round;
    f32x4 r = x - k * f32x4_all(3.140625f);
    r = r - k * f32x4_all(9.67502593994140625e-4f);
    r = r - k * f32x4_all(1.509957990978376432e-7f);
    f32x4 r2 = r * r;
    f32x4 tail = f32x4_all(-1.0f / 6) +
                 r2 * (f32x4_all(1.0f / 120) +
                       r2 * (f32x4_all(-1.0f / 5040) +
                             r2 * (f32x4_all(1.0f / 362880) + r2 * f32x4_all(-1.0f / 39916800))));
    f32x4 result = r + r * r2 * tail;
    return (f32x4)((i32x4)result ^ ((i32x4)shifted << 31));
}

f32x4 activation_apply(enum activation activation, f32x4 x)
{
    const f32x4 zero = f32x4_all(0.0f), one = f32x4_all(1.0f);
    switch (activation) {
    case ACTIVATION_SIGMOID: return f32x4_sigmoid(x);
    case ACTIVATION_TANH: return hyperbolic_tangent(x);
    case ACTIVATION_RELU: return f32x4_select(x > zero, x, zero);
    case ACTIVATION_GAUSS: return f32x4_exp(zero - x * x);
    case ACTIVATION_SIN: return sine(x);
    case ACTIVATION_ABS: return absolute(x);
    case ACTIVATION_STEP: return f32x4_select(x > zero, one, zero);
    case ACTIVATION_IDENTITY:
    case N_ACTIVATIONS: break;
    }
    return x;
}
