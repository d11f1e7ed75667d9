/* Elementwise functions of two operands. Source: ONNX operator specification, ai.onnx. */
#include "ops/binary.h"

#include <math.h>
#include <string.h>

#define LOOP(T, body)                         \
    do {                                      \
        LOOP_INDEPENDENT                      \
        for (int64_t i = 0; i < n; i++) body; \
    } while (0)

/* One function: operands of type T, result of type R. */
#define BINARY(name, T, R, expression)                                                            \
    static void name(const void *pa, int64_t sa, const void *pb, int64_t sb, void *po, int64_t n) \
    {                                                                                             \
        const T *va = pa, *vb = pb;                                                               \
        R *out = po;                                                                              \
        if (sa != 0 && sb != 0) {                                                                 \
            LOOP(T, {                                                                             \
                const T a = va[i];                                                                \
                const T b = vb[i];                                                                \
                out[i] = (R)(expression);                                                         \
            });                                                                                   \
        } else if (sa != 0) {                                                                     \
            const T b = vb[0];                                                                    \
            LOOP(T, {                                                                             \
                const T a = va[i];                                                                \
                out[i] = (R)(expression);                                                         \
            });                                                                                   \
        } else {                                                                                  \
            const T a = va[0];                                                                    \
            LOOP(T, {                                                                             \
                const T b = vb[i * sb];                                                           \
                out[i] = (R)(expression);                                                         \
            });                                                                                   \
        }                                                                                         \
    }

#define ARITHMETIC(name, float_expression, int_expression, unsigned_expression) \
    BINARY(name##_f32, float, float, float_expression)                          \
    BINARY(name##_f64, double, double, float_expression)                        \
    BINARY(name##_i64, int64_t, int64_t, int_expression)                        \
    BINARY(name##_u64, uint64_t, uint64_t, unsigned_expression)

#define ASKING(name, expression)                     \
    BINARY(name##_f32, float, uint8_t, expression)   \
    BINARY(name##_f64, double, uint8_t, expression)  \
    BINARY(name##_i64, int64_t, uint8_t, expression) \
    BINARY(name##_u64, uint64_t, uint8_t, expression)

#define WRAP(op) (int64_t)((uint64_t)a op(uint64_t) b)

ARITHMETIC(add, a + b, WRAP(+), a + b)
ARITHMETIC(sub, a - b, WRAP(-), a - b)
ARITHMETIC(mul, a *b, WRAP(*), a *b)
/* The operator refuses a divisor of 0 beforehand; -1 is apart because INT64_MIN / -1 overflows. */
ARITHMETIC(div, a / b, b == -1 ? (int64_t)(0 - (uint64_t)a) : b == 0 ? 0 : a / b, b == 0 ? 0 : a / b)
/* NaN wins. */
ARITHMETIC(min, (a < b || a != a) ? a : b, a < b ? a : b, a < b ? a : b)
ARITHMETIC(max, (a > b || a != a) ? a : b, a > b ? a : b, a > b ? a : b)
ARITHMETIC(prelu, a < 0 ? a * b : a, a < 0 ? WRAP(*) : a, a + 0 * b)

ASKING(equal, a == b)
ASKING(less, a < b)
ASKING(less_equal, a <= b)
ASKING(greater, a > b)
ASKING(greater_equal, a >= b)
BINARY(and_i64, int64_t, uint8_t, (a != 0) & (b != 0))
BINARY(or_i64, int64_t, uint8_t, (a != 0) | (b != 0))
BINARY(xor_i64, int64_t, uint8_t, (a != 0) ^ (b != 0))

BINARY(bit_and_i64, int64_t, int64_t, a &b)
BINARY(bit_or_i64, int64_t, int64_t, a | b)
BINARY(bit_xor_i64, int64_t, int64_t, a ^ b)
BINARY(shift_left_u64, uint64_t, uint64_t, b < 64 ? a << b : 0)
BINARY(shift_right_u64, uint64_t, uint64_t, b < 64 ? a >> b : 0)

/* ---- remainders: Python's, with the divisor's sign, or C's with fmod = 1 ---------------------------- */

static inline int64_t remainder_i64(int64_t a, int64_t b)
{
    if (b == 0 || b == -1) return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static inline int64_t c_remainder_i64(int64_t a, int64_t b)
{
    return b == 0 || b == -1 ? 0 : a % b;
}

static inline double remainder_f64(double a, double b)
{
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

ARITHMETIC(mod, remainder_f64((double)a, (double)b), remainder_i64(a, b), b == 0 ? 0 : a % b)
ARITHMETIC(fmod, fmod((double)a, (double)b), c_remainder_i64(a, b), b == 0 ? 0 : a % b)

/* ---- powers ----------------------------------------------------------------------------------------- */

static inline uint64_t power_u64(uint64_t base, uint64_t exponent)
{
    uint64_t result = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

static inline int64_t power_i64(int64_t base, int64_t exponent)
{
    if (exponent >= 0) return (int64_t)power_u64((uint64_t)base, (uint64_t)exponent);
    if (base == 1) return 1;
    if (base == -1) return exponent % 2 == 0 ? 1 : -1;
    return base == 0 ? INT64_MIN : 0; /* what casting an infinity gives */
}

BINARY(pow_each_f32, float, float, powf(a, b))
BINARY(pow_f64, double, double, pow(a, b))
BINARY(pow_i64, int64_t, int64_t, power_i64(a, b))
BINARY(pow_u64, uint64_t, uint64_t, power_u64(a, b))

/* Squares and square roots are what models have. */
static void pow_f32(const void *pa, int64_t sa, const void *pb, int64_t sb, void *po, int64_t n)
{
    const float *a = pa;
    const float exponent = *(const float *)pb;
    float *out = po;
    if (sb != 0 || sa == 0 || (exponent != 2.0f && exponent != 0.5f && exponent != 3.0f)) {
        pow_each_f32(pa, sa, pb, sb, po, n);
    } else if (exponent == 2.0f) {
        LOOP(float, out[i] = a[i] * a[i]);
    } else if (exponent == 3.0f) {
        LOOP(float, out[i] = (float)((double)a[i] * a[i] * a[i]));
    } else { /* pow(-0, 0.5) is +0, pow(-inf, 0.5) is inf */
        LOOP(float, out[i] = a[i] == -INFINITY ? INFINITY : sqrtf(a[i]) + 0.0f);
    }
}

/* ---- table ------------------------------------------------------------------------------------------ */

#define KERNEL(name) 1 + F32_BINARY_##name
#define LANES(name)                                    \
    {                                                  \
        name##_f32, name##_f64, name##_i64, name##_u64 \
    }

static const struct binary_op ops[] = {
    {"Add", LANES(add), false, KERNEL(add)},
    {"Sub", LANES(sub), false, KERNEL(sub)},
    {"Mul", LANES(mul), false, KERNEL(mul)},
    {"Div", LANES(div), false, KERNEL(div)},
    {"Pow", LANES(pow), false, 0},
    {"Mod", LANES(mod), false, 0},
    {"Min", LANES(min), false, KERNEL(min)},
    {"Max", LANES(max), false, KERNEL(max)},
    {"Sum", LANES(add), false, KERNEL(add)},
    {"Mean", LANES(add), false, KERNEL(add)},
    {"PRelu", LANES(prelu), false, KERNEL(prelu)},
    {"Equal", LANES(equal), true, 0},
    {"Less", LANES(less), true, 0},
    {"LessOrEqual", LANES(less_equal), true, 0},
    {"Greater", LANES(greater), true, 0},
    {"GreaterOrEqual", LANES(greater_equal), true, 0},
    {"And", {NULL, NULL, and_i64, NULL}, true, 0},
    {"Or", {NULL, NULL, or_i64, NULL}, true, 0},
    {"Xor", {NULL, NULL, xor_i64, NULL}, true, 0},
    {"BitwiseAnd", {NULL, NULL, bit_and_i64, bit_and_i64}, false, 0},
    {"BitwiseOr", {NULL, NULL, bit_or_i64, bit_or_i64}, false, 0},
    {"BitwiseXor", {NULL, NULL, bit_xor_i64, bit_xor_i64}, false, 0},
};
static const struct binary_op c_mod = {"Mod", LANES(fmod), false, 0};
static const struct binary_op shift_left = {
    "BitShift", {NULL, NULL, shift_left_u64, shift_left_u64}, false, 0};
static const struct binary_op shift_right = {
    "BitShift", {NULL, NULL, shift_right_u64, shift_right_u64}, false, 0};

const struct binary_op *binary_named(const char *name)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(name, ops[i].name) == 0) return &ops[i];
    return NULL;
}

const struct binary_op *binary_find(const struct node *node)
{
    if (strcmp(node->op_type, "BitShift") == 0)
        return node_attribute_is(node, "direction", "LEFT") ? &shift_left : &shift_right;
    if (strcmp(node->op_type, "Mod") == 0 && node_attribute_int(node, "fmod", 0) != 0) return &c_mod;
    return binary_named(node->op_type);
}
