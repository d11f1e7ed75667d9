/* kernels/elementwise/elementwise_kernels.h - functions of one and two arrays, element by element.
 *
 * Elements beyond those named are neither read nor written. An output may be exactly one of the inputs
 * (in place); otherwise it overlaps none. NaN and infinity follow the functions' limits, min, max and relu
 * give NaN when an operand is NaN (as ONNX has it). Errors in units in the last place stand in
 * tests/kernels/test_elementwise.c.
 *
 * Threads: functions of their arguments alone. */
#ifndef KERNELS_ELEMENTWISE_KERNELS_H
#define KERNELS_ELEMENTWISE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* y[i] = f(x[i]) for i < n. alpha and beta are ONNX's attributes where the function has them. */
typedef void f32_unary_fn(float *y, const float *x, size_t n, float alpha, float beta);

/* X(name, arg): each is kernels->f32_unary[F32_UNARY_name] and function f32_name__isa. */
#define F32_UNARY_LIST(X, arg)                                                       \
    X(abs, arg)                                                                      \
    X(neg, arg)                                                                      \
    X(sqrt, arg)                                                                     \
    X(square, arg)                                                                   \
    X(reciprocal, arg)                                                               \
    X(floor, arg)                                                                    \
    X(ceil, arg)                                                                     \
    X(round, arg) /* half to even */                                                 \
    X(sign, arg)                                                                     \
    X(exp, arg)                                                                      \
    X(log, arg)                                                                      \
    X(erf, arg)                                                                      \
    X(tanh, arg)                                                                     \
    X(sigmoid, arg)                                                                  \
    X(relu, arg)                                                                     \
    X(leaky_relu, arg)       /* x < 0 ? alpha x : x */                               \
    X(thresholded_relu, arg) /* x > alpha ? x : 0 */                                 \
    X(elu, arg)              /* x < 0 ? alpha (e^x - 1) : x */                       \
    X(celu, arg)             /* x < 0 ? alpha (e^(x / alpha) - 1) : x; alpha > 0 */  \
    X(selu, arg)             /* beta (x < 0 ? alpha (e^x - 1) : x) */                \
    X(softplus, arg)         /* log(1 + e^x) */                                      \
    X(softsign, arg)         /* x / (1 + |x|) */                                     \
    X(silu, arg)             /* x sigmoid(x) */                                      \
    X(mish, arg)             /* x tanh(softplus(x)) */                               \
    X(gelu, arg)             /* x (1 + erf(x / sqrt 2)) / 2 */                       \
    X(gelu_tanh, arg)        /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */ \
    X(hard_sigmoid, arg)     /* min(max(alpha x + beta, 0), 1) */                    \
    X(hard_swish, arg)       /* x min(max(x / 6 + 1 / 2, 0), 1) */                   \
    X(clip, arg)             /* min(max(x, alpha), beta), beta when alpha > beta */  \
    X(affine, arg)           /* alpha x + beta, rounded once or twice as the CPU does it */

/* Operations of two operands on [rows, cols]; a stride counts elements between rows, and a stride of 0
 * repeats one row:
 *   vv: y[i,j] = a[i,j] op b[i,j]
 *   vs: y[i,j] = a[i,j] op b[i]        sv: y[i,j] = a[i] op b[i,j]
 * where the scalar operand's stride is that between its elements, 0 for one scalar in all.
 * A contiguous run is rows = 1. [rows, cols] op [cols] is vv with ldb = 0. */
typedef void f32_binary_fn(float *y, size_t ldy, const float *a, size_t lda, const float *b, size_t ldb,
                           size_t rows, size_t cols);

/* X(name, arg): kernels->f32_binary[F32_BINARY_name].vv is f32_name_vv__isa. */
#define F32_BINARY_LIST(X, arg)                          \
    X(add, arg)                                          \
    X(sub, arg)                                          \
    X(mul, arg)                                          \
    X(div, arg)                                          \
    X(min, arg)                                          \
    X(max, arg)                                          \
    X(pow, arg)   /* the C library's powf, one by one */ \
    X(prelu, arg) /* a < 0 ? a * b : a */

#define ENUMERATOR(name, family) family##_##name,
enum f32_unary { F32_UNARY_LIST(ENUMERATOR, F32_UNARY) F32_UNARY_COUNT };
enum f32_binary { F32_BINARY_LIST(ENUMERATOR, F32_BINARY) F32_BINARY_COUNT };
#undef ENUMERATOR

struct f32_binary_kernels {
    f32_binary_fn *vv, *vs, *sv;
};

#define UNARY(name, isa) f32_unary_fn f32_##name##__##isa;
#define BINARY(name, isa) \
    f32_binary_fn f32_##name##_vv__##isa, f32_##name##_vs__##isa, f32_##name##_sv__##isa;
#define DECLARE(isa)           \
    F32_UNARY_LIST(UNARY, isa) \
    F32_BINARY_LIST(BINARY, isa)
DECLARE(scalar)
DECLARE(avx2)
DECLARE(avx512)
DECLARE(neon)
#undef DECLARE
#undef UNARY
#undef BINARY

#endif
