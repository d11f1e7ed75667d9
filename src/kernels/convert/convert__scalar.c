/* Conversions in plain C: the reference the vector variants are tested against. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/convert/convert_body.h"

static uint16_t to_f16(float x)
{
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x3ff));
    if (size >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* from 65520 on */
    /* Below 2^-14 halves step by 2^-24, as floats do from 1/2 on: adding 1/2 rounds to that step. */
    if (size < 0x38800000) return (uint16_t)(sign | (bits_of(from_bits(size) + 0.5f) - 0x3f000000));
    size += 0xfff + (size >> 13 & 1);
    return (uint16_t)(sign | ((size - 0x38000000) >> 13));
}

static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | (mantissa << 13));
    if (exponent > 0) return from_bits(sign | (((h & 0x7fffu) << 13) + 0x38000000));
    float size = (float)mantissa * 0x1p-24f;
    return sign ? -size : size;
}

void f32_to_f16__scalar(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = to_f16(x[i]);
}

void f32_from_f16__scalar(float *y, const uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = from_f16(x[i]);
}
