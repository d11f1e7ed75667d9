#include "ops/elements.h"

#include "tensor/dtype.h"

enum lane lane_of(onnxd_type type)
{
    switch (type) {
    case ONNXD_FLOAT32:
    case ONNXD_FLOAT16:
    case ONNXD_BFLOAT16: return LANE_F32;
    case ONNXD_FLOAT64: return LANE_F64;
    case ONNXD_UINT64: return LANE_U64;
    case ONNXD_BOOL: return LANE_I64;
    default: return type_is_integer(type) || type == ONNXD_UINT4 || type == ONNXD_INT4 ? LANE_I64 : LANE_NONE;
    }
}

bool lane_is_native(enum lane lane, onnxd_type type)
{
    static const onnxd_type native[] = {ONNXD_FLOAT32, ONNXD_FLOAT64, ONNXD_INT64, ONNXD_UINT64,
                                        ONNXD_UNDEFINED};
    return native[lane] == type;
}

/* ---- from a type to a lane ------------------------------------------------------------------------ */

static inline uint64_t u64_of_f64(double d)
{
    return d >= 0x1p63 && d < 0x1p64 ? (uint64_t)d : (uint64_t)i64_of_f64(d);
}

/* How a value of a given C type becomes each lane's. */
#define TO_F32(x)       ((float)(x))
#define TO_F64(x)       ((double)(x))
#define INT_TO_I64(x)   ((int64_t)(x))
#define INT_TO_U64(x)   ((uint64_t)(x))
#define FLOAT_TO_I64(x) i64_of_f64((double)(x))
#define FLOAT_TO_U64(x) u64_of_f64((double)(x))

#define LOAD_LOOP(ctype, out_type, convert)                                    \
    do {                                                                       \
        const ctype *from = (const ctype *)src + first;                        \
        out_type *to = dst;                                                    \
        if (stride == 1)                                                       \
            for (int64_t i = 0; i < n; i++) to[i] = convert(from[i]);          \
        else                                                                   \
            for (int64_t i = 0; i < n; i++) to[i] = convert(from[i * stride]); \
    } while (0)

#define LOAD_LANES(ctype, to_f32, to_f64, to_i64, to_u64)    \
    switch (lane) {                                          \
    case LANE_F32: LOAD_LOOP(ctype, float, to_f32); break;   \
    case LANE_F64: LOAD_LOOP(ctype, double, to_f64); break;  \
    case LANE_I64: LOAD_LOOP(ctype, int64_t, to_i64); break; \
    default: LOAD_LOOP(ctype, uint64_t, to_u64); break;      \
    }                                                        \
    break

#define LOAD_INT(ctype)   LOAD_LANES(ctype, TO_F32, TO_F64, INT_TO_I64, INT_TO_U64)
#define LOAD_FLOAT(ctype) LOAD_LANES(ctype, TO_F32, TO_F64, FLOAT_TO_I64, FLOAT_TO_U64)

#define F16_TO_F64(x)  ((double)f32_of_f16(x))
#define F16_TO_I64(x)  i64_of_f64((double)f32_of_f16(x))
#define F16_TO_U64(x)  u64_of_f64((double)f32_of_f16(x))
#define BF16_TO_F64(x) ((double)f32_of_bf16(x))
#define BF16_TO_I64(x) i64_of_f64((double)f32_of_bf16(x))
#define BF16_TO_U64(x) u64_of_f64((double)f32_of_bf16(x))

void elements_load(enum lane lane, onnxd_type type, const void *src, int64_t first, int64_t stride, int64_t n,
                   void *dst)
{
    switch (type) {
    case ONNXD_FLOAT32: LOAD_FLOAT(float);
    case ONNXD_FLOAT64: LOAD_FLOAT(double);
    case ONNXD_FLOAT16: LOAD_LANES(uint16_t, f32_of_f16, F16_TO_F64, F16_TO_I64, F16_TO_U64);
    case ONNXD_BFLOAT16: LOAD_LANES(uint16_t, f32_of_bf16, BF16_TO_F64, BF16_TO_I64, BF16_TO_U64);
    case ONNXD_BOOL:
    case ONNXD_UINT4:
    case ONNXD_UINT8: LOAD_INT(uint8_t);
    case ONNXD_INT4:
    case ONNXD_INT8: LOAD_INT(int8_t);
    case ONNXD_UINT16: LOAD_INT(uint16_t);
    case ONNXD_INT16: LOAD_INT(int16_t);
    case ONNXD_UINT32: LOAD_INT(uint32_t);
    case ONNXD_INT32: LOAD_INT(int32_t);
    case ONNXD_UINT64: LOAD_INT(uint64_t);
    case ONNXD_INT64: LOAD_INT(int64_t);
    default: break;
    }
}

/* ---- from a lane to a type ------------------------------------------------------------------------ */

#define STORE_LOOP(in_type, ctype, convert)                                \
    do {                                                                   \
        const in_type *from = src;                                         \
        ctype *to = (ctype *)dst + first;                                  \
        for (int64_t i = 0; i < n; i++) to[i] = (ctype)(convert(from[i])); \
    } while (0)

#define STORE_LANES(ctype, of_f32, of_f64, of_i64, of_u64)    \
    switch (lane) {                                           \
    case LANE_F32: STORE_LOOP(float, ctype, of_f32); break;   \
    case LANE_F64: STORE_LOOP(double, ctype, of_f64); break;  \
    case LANE_I64: STORE_LOOP(int64_t, ctype, of_i64); break; \
    default: STORE_LOOP(uint64_t, ctype, of_u64); break;      \
    }                                                         \
    break

#define SAME(x)             (x)
#define NONZERO(x)          ((x) != 0)
#define FLOAT_TO_I32(x)     i32_of_f64((double)(x))
#define STORE_NARROW(ctype) STORE_LANES(ctype, FLOAT_TO_I32, FLOAT_TO_I32, SAME, SAME)
#define STORE_WIDE(ctype)   STORE_LANES(ctype, FLOAT_TO_I64, FLOAT_TO_I64, SAME, SAME)
#define INT_TO_F16(x)       f16_of_f64((double)(x))
#define INT_TO_BF16(x)      bf16_of_f32((float)(x))
/* Four bits, kept one element a byte. */
#define INT_TO_INT4(x)    ((int8_t)((uint8_t)((uint64_t)(x) << 4)) / 16)
#define INT_TO_UINT4(x)   ((uint8_t)((uint64_t)(x)&15u))
#define FLOAT_TO_INT4(x)  INT_TO_INT4(i64_of_f64((double)(x)))
#define FLOAT_TO_UINT4(x) INT_TO_UINT4(i64_of_f64((double)(x)))

void elements_store(enum lane lane, onnxd_type type, void *dst, int64_t first, int64_t n, const void *src)
{
    switch (type) {
    case ONNXD_FLOAT32: STORE_LANES(float, SAME, SAME, SAME, SAME);
    case ONNXD_FLOAT64: STORE_LANES(double, SAME, SAME, SAME, SAME);
    case ONNXD_FLOAT16: STORE_LANES(uint16_t, f16_of_f32, f16_of_f64, INT_TO_F16, INT_TO_F16);
    case ONNXD_BFLOAT16: STORE_LANES(uint16_t, bf16_of_f32, INT_TO_BF16, INT_TO_BF16, INT_TO_BF16);
    case ONNXD_BOOL: STORE_LANES(uint8_t, NONZERO, NONZERO, NONZERO, NONZERO);
    case ONNXD_UINT8: STORE_NARROW(uint8_t);
    case ONNXD_INT8: STORE_NARROW(int8_t);
    case ONNXD_UINT16: STORE_NARROW(uint16_t);
    case ONNXD_INT16: STORE_NARROW(int16_t);
    case ONNXD_INT32: STORE_NARROW(int32_t);
    case ONNXD_UINT32: STORE_WIDE(uint32_t);
    case ONNXD_INT64: STORE_WIDE(int64_t);
    case ONNXD_UINT64: STORE_LANES(uint64_t, FLOAT_TO_U64, FLOAT_TO_U64, SAME, SAME);
    case ONNXD_INT4: STORE_LANES(int8_t, FLOAT_TO_INT4, FLOAT_TO_INT4, INT_TO_INT4, INT_TO_INT4);
    case ONNXD_UINT4: STORE_LANES(uint8_t, FLOAT_TO_UINT4, FLOAT_TO_UINT4, INT_TO_UINT4, INT_TO_UINT4);
    default: break;
    }
}

double element_f64(const onnxd_tensor *tensor, int64_t i)
{
    double d = 0;
    elements_load(LANE_F64, tensor->type, tensor->data, i, 1, 1, &d);
    return d;
}

int64_t element_i64(const onnxd_tensor *tensor, int64_t i)
{
    int64_t v = 0;
    elements_load(LANE_I64, tensor->type, tensor->data, i, 1, 1, &v);
    return v;
}
