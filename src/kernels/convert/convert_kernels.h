/* kernels/convert/convert_kernels.h - between 32-bit floats and smaller or integral types.
 *
 * To f16 (IEEE 754 binary16) and bf16 (the upper half of a float) values are rounded to nearest, ties to
 * even; what is too large becomes infinity, NaN stays NaN; back is exact. y overlaps x nowhere.
 *
 * Threads: functions of their arguments alone. */
#ifndef KERNELS_CONVERT_KERNELS_H
#define KERNELS_CONVERT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef void f32_to_16_fn(uint16_t *y, const float *x, size_t n);
typedef void f32_from_16_fn(float *y, const uint16_t *x, size_t n);

/* y[i] = x[i * stride] truncated towards 0, as for a column of indices; NaN and what a 64-bit integer cannot
 * hold become INT64_MIN, which no index is. */
typedef void f32_to_i64_fn(int64_t *y, const float *x, size_t stride, size_t n);

#define CONVERT_KERNELS(X, arg)           \
    X(f32_to_f16, f32_to_16_fn, arg)      \
    X(f32_from_f16, f32_from_16_fn, arg)  \
    X(f32_to_bf16, f32_to_16_fn, arg)     \
    X(f32_from_bf16, f32_from_16_fn, arg) \
    X(f32_to_i64, f32_to_i64_fn, arg)

#define DECLARE(name, type, isa) type name##__##isa;
CONVERT_KERNELS(DECLARE, scalar)
CONVERT_KERNELS(DECLARE, avx2)
CONVERT_KERNELS(DECLARE, avx512)
CONVERT_KERNELS(DECLARE, neon)
#undef DECLARE

#endif
