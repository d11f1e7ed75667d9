#include "tensor/dtype.h"

#include <math.h>

#include "tensor/shape.h"

size_t type_size(onnxd_type type)
{
    switch (type) {
    case ONNXD_UINT8:
    case ONNXD_INT8:
    case ONNXD_BOOL:
    case ONNXD_UINT4:
    case ONNXD_INT4: return 1;
    case ONNXD_UINT16:
    case ONNXD_INT16:
    case ONNXD_FLOAT16:
    case ONNXD_BFLOAT16: return 2;
    case ONNXD_FLOAT32:
    case ONNXD_INT32:
    case ONNXD_UINT32: return 4;
    case ONNXD_FLOAT64:
    case ONNXD_INT64:
    case ONNXD_UINT64:
    case ONNXD_COMPLEX64: return 8;
    case ONNXD_COMPLEX128: return 16;
    case ONNXD_STRING: return sizeof(onnxd_string);
    case ONNXD_UNDEFINED:
    case ONNXD_SEQUENCE:
    case ONNXD_OPTIONAL:
    case ONNXD_MAP: return 0;
    }
    return 0;
}

size_t onnxd_type_size(onnxd_type type)
{
    return type_size(type);
}

const char *onnxd_type_name(onnxd_type type)
{
    switch (type) {
    case ONNXD_FLOAT32: return "float32";
    case ONNXD_UINT8: return "uint8";
    case ONNXD_INT8: return "int8";
    case ONNXD_UINT16: return "uint16";
    case ONNXD_INT16: return "int16";
    case ONNXD_INT32: return "int32";
    case ONNXD_INT64: return "int64";
    case ONNXD_STRING: return "string";
    case ONNXD_BOOL: return "bool";
    case ONNXD_FLOAT16: return "float16";
    case ONNXD_FLOAT64: return "float64";
    case ONNXD_UINT32: return "uint32";
    case ONNXD_UINT64: return "uint64";
    case ONNXD_COMPLEX64: return "complex64";
    case ONNXD_COMPLEX128: return "complex128";
    case ONNXD_BFLOAT16: return "bfloat16";
    case ONNXD_UINT4: return "uint4";
    case ONNXD_INT4: return "int4";
    case ONNXD_SEQUENCE: return "sequence";
    case ONNXD_OPTIONAL: return "optional";
    case ONNXD_MAP: return "map";
    case ONNXD_UNDEFINED: break;
    }
    return "undefined";
}

int64_t onnxd_tensor_n_elements(const onnxd_tensor *tensor)
{
    return shape_n_elements(tensor->dims, tensor->rank);
}

size_t onnxd_tensor_n_bytes(const onnxd_tensor *tensor)
{
    return (size_t)onnxd_tensor_n_elements(tensor) * type_size(tensor->type);
}

bool type_is_float(onnxd_type type)
{
    return type == ONNXD_FLOAT32 || type == ONNXD_FLOAT64 || type == ONNXD_FLOAT16 || type == ONNXD_BFLOAT16;
}

bool type_is_integer(onnxd_type type)
{
    switch (type) {
    case ONNXD_UINT8:
    case ONNXD_INT8:
    case ONNXD_UINT16:
    case ONNXD_INT16:
    case ONNXD_INT32:
    case ONNXD_INT64:
    case ONNXD_UINT32:
    case ONNXD_UINT64:
    case ONNXD_UINT4:
    case ONNXD_INT4: return true;
    default: return false;
    }
}

float f32_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return f32_of_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0) return f32_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float subnormal = (float)mantissa * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

uint16_t f16_of_f64(double d)
{
    uint16_t sign = signbit(d) ? 0x8000 : 0;
    double a = fabs(d);
    if (isnan(d)) return sign | 0x7e00;
    if (a >= 65520.0) return sign | 0x7c00;                         /* rounds past the largest finite value */
    if (a < 0x1p-14) return sign | (uint16_t)nearbyint(a * 0x1p24); /* subnormal, or carries into normal */
    int exponent;
    double fraction = frexp(a, &exponent); /* a = fraction * 2^exponent, fraction in [0.5, 1) */
    uint32_t mantissa = (uint32_t)nearbyint(fraction * 2048.0); /* 1024..2048 */
    return sign | (uint16_t)(((uint32_t)(exponent + 13) << 10) + mantissa);
}

uint16_t f16_of_f32(float f)
{
    return f16_of_f64(f);
}

uint16_t bf16_of_f32(float f)
{
    uint32_t bits = bits_of_f32(f);
    if (isnan(f)) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
