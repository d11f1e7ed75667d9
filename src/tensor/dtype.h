/* tensor/dtype.h - element types: sizes, names and conversions of the narrow floats.
 *
 * Threads: pure functions. */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "onnxd/tensor.h"

/* Bytes of one element in memory, strings included; 0 for undefined and containers. */
size_t type_size(onnxd_type type);

static inline bool type_is_container(onnxd_type type)
{
    return type >= ONNXD_SEQUENCE;
}
bool type_is_float(onnxd_type type);   /* float16, bfloat16, float32, float64 */
bool type_is_integer(onnxd_type type); /* signed and unsigned, not bool */

static inline float f32_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline uint32_t bits_of_f32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE 754 binary16 and bfloat16, rounding half to even; NaN stays NaN. */
float f32_of_f16(uint16_t h);
uint16_t f16_of_f32(float f);
uint16_t f16_of_f64(double d); /* one rounding, not two */
static inline float f32_of_bf16(uint16_t h)
{
    return f32_of_bits((uint32_t)h << 16);
}
uint16_t bf16_of_f32(float f);

#endif
