/* kernels/reduce/reduce_kernels.h - reductions, softmax and layer normalisation of 32-bit floats.
 *
 * Strides count elements. Only the elements named are touched. Max and min give NaN when an element is NaN.
 * Of no elements the sum and the sum of squares are 0, the product 1, the mean NaN, the maximum -infinity
 * and the minimum infinity.
 *
 * Threads: functions of their arguments alone. */
#ifndef KERNELS_REDUCE_KERNELS_H
#define KERNELS_REDUCE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* X(name, arg): kernels->f32_reduce_inner[F32_REDUCE_name] and f32_reduce_outer[F32_REDUCE_name]. */
#define F32_REDUCE_LIST(X, arg) \
    X(sum, arg)                 \
    X(mean, arg)                \
    X(max, arg)                 \
    X(min, arg)                 \
    X(prod, arg)                \
    X(sum_abs, arg)             \
    X(sum_square, arg)

/* y[r] = over c of x[r, c]; x is [rows, cols] with row stride ldx. */
typedef void f32_reduce_inner_fn(float *y, const float *x, size_t ldx, size_t rows, size_t cols);

/* y[b, c] = over r of x[b, r, c]; x is [batch, rows, cols] with strides ld_batch and ldx, y has row stride
 * ldy. y overlaps x nowhere. */
typedef void f32_reduce_outer_fn(float *y, size_t ldy, const float *x, size_t ld_batch, size_t ldx,
                                 size_t batch, size_t rows, size_t cols);

/* Each row's exp(x - max) / sum, or its logarithm. y may be x with the same stride. */
typedef void f32_softmax_fn(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols);

/* y = (x - mean) / sqrt(variance + epsilon) * scale + bias over each row, variance being that of the
 * population; scale and bias are [cols] or NULL. y may be x with the same stride. */
typedef void f32_layer_norm_fn(float *y, size_t ldy, const float *x, size_t ldx, const float *scale,
                               const float *bias, float epsilon, size_t rows, size_t cols);

#define REDUCE_KERNELS(X, arg)              \
    X(f32_softmax, f32_softmax_fn, arg)     \
    X(f32_log_softmax, f32_softmax_fn, arg) \
    X(f32_layer_norm, f32_layer_norm_fn, arg)

#define ENUMERATOR(name, arg) F32_REDUCE_##name,
enum f32_reduce { F32_REDUCE_LIST(ENUMERATOR, 0) F32_REDUCE_COUNT };
#undef ENUMERATOR

#define DECLARE_(name, type, isa) type name##__##isa;
#define REDUCE(name, isa)                                 \
    f32_reduce_inner_fn f32_reduce_inner_##name##__##isa; \
    f32_reduce_outer_fn f32_reduce_outer_##name##__##isa;
#define DECLARE(isa)              \
    REDUCE_KERNELS(DECLARE_, isa) \
    F32_REDUCE_LIST(REDUCE, isa)
DECLARE(scalar)
DECLARE(avx2)
DECLARE(avx512)
DECLARE(neon)
#undef DECLARE
#undef DECLARE_
#undef REDUCE

#endif
