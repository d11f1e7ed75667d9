/* neat/activation.h - what a node does to the sum of its inputs, four values at a time.
 *
 * Only additions, multiplications, divisions, comparisons and moves of bits are used, in one order, so
 * every machine with IEEE 754 arithmetic gives the same bits; the C library's functions would not.
 *
 * sigmoid   1 / (1 + exp(-4.9 x)), the paper's steepened one      tanh      tanh(x)
 * relu      max(0, x)                                             identity  x
 * gauss     exp(-x * x)                                           sin       sin(x), x cut to +-1000
 * abs       |x|                                                   step      1 where x > 0, else 0
 *
 * Accuracy, tested against the C library in double: absolute error at most 2e-7 for sigmoid, gauss and
 * tanh; 1e-6 for sin.
 * Threads: pure functions. */
#ifndef NEAT_ACTIVATION_H
#define NEAT_ACTIVATION_H

#include <stdint.h>

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));

enum activation {
    ACTIVATION_SIGMOID,
    ACTIVATION_TANH,
    ACTIVATION_RELU,
    ACTIVATION_IDENTITY,
    ACTIVATION_GAUSS,
    ACTIVATION_SIN,
    ACTIVATION_ABS,
    ACTIVATION_STEP,
    N_ACTIVATIONS
};

#define SIGMOID_STEEPNESS 4.9f

/* "sigmoid", "tanh", ...; never NULL for a value below N_ACTIVATIONS. */
const char *activation_name(enum activation activation);

/* The activation of that name, or N_ACTIVATIONS. */
enum activation activation_parse(const char *name);

static inline f32x4 f32x4_all(float x)
{
    return (f32x4){x, x, x, x};
}

static inline f32x4 f32x4_select(i32x4 mask, f32x4 yes, f32x4 no)
{
    return (f32x4)((mask & (i32x4)yes) | (~mask & (i32x4)no));
}

/* exp(x), x cut to [-64, 64]: x = k ln 2 + r, a polynomial for exp(r) on |r| <= ln 2 / 2, and 2^k by its
 * exponent bits. Relative error below 2e-7. The cut keeps what saturated nodes send on far from the subnormal
 * numbers, which cost a hundred times more. */
static inline f32x4 f32x4_exp(f32x4 x)
{
    const f32x4 round = f32x4_all(12582912.0f); /* 1.5 * 2^23: adding it leaves an integer */
    x = f32x4_select(x < f32x4_all(64.0f), x, f32x4_all(64.0f));
    x = f32x4_select(x > f32x4_all(-64.0f), x, f32x4_all(-64.0f));
    f32x4 shifted = x * f32x4_all(1.44269504f) + round;
    f32x4 k = shifted - round;
    f32x4 r = x - k * f32x4_all(0.693359375f); /* ln 2 in two parts, the first exact in few bits */
    r = r + k * f32x4_all(2.12194440e-4f);
    f32x4 r2 = r * r;
    f32x4 low = f32x4_all(1.0f) + r;
    f32x4 high = (f32x4_all(0.5f) + r * f32x4_all(1.0f / 6)) +
                 r2 * ((f32x4_all(1.0f / 24) + r * f32x4_all(1.0f / 120)) +
                       r2 * (f32x4_all(1.0f / 720) + r * f32x4_all(1.0f / 5040)));
    i32x4 power = ((i32x4)shifted - (i32x4)round + 127) << 23;
    return (low + r2 * high) * (f32x4)power;
}

static inline f32x4 f32x4_sigmoid(f32x4 x)
{
    return f32x4_all(1.0f) / (f32x4_all(1.0f) + f32x4_exp(x * f32x4_all(-SIGMOID_STEEPNESS)));
}

/* Applies any of them. */
f32x4 activation_apply(enum activation activation, f32x4 x);

#endif
