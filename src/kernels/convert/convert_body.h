/* kernels/convert/convert_body.h - conversions that compilers vectorise by themselves, for one instruction
 * set. */
#include "kernels/convert/convert_kernels.h"

SIMD_INLINE uint32_t bits_of(float x)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

SIMD_INLINE float from_bits(uint32_t bits)
{
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

void ISA(f32_to_bf16)(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(x[i]), rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        uint32_t quiet = (bits >> 16) | 0x40; /* rounding could carry a NaN into infinity */
        y[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
    }
}

void ISA(f32_from_bf16)(float *y, const uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = from_bits((uint32_t)x[i] << 16);
}

void ISA(f32_to_i64)(int64_t *y, const float *x, size_t stride, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float v = x[i * stride];
        y[i] = v >= -0x1p63f && v < 0x1p63f ? (int64_t)v : INT64_MIN;
    }
}
