/* onnxd/tensor.h - element types and tensor views.
 *
 * An onnxd_tensor is a view: it says what lies at `data` and owns nothing. Data are contiguous,
 * row-major and little-endian, aligned at least to their element size. A tensor of rank 0 is a
 * scalar with one element. Type numbers are those of ONNX's TensorProto.DataType.
 *
 * Sequences, optionals and maps travel through the same struct, as rank-0 views whose `data` points
 * to the matching struct below; graphs pass them between operators like any tensor.
 *
 * Threads: plain values; no shared state. */
#ifndef ONNXD_TENSOR_H
#define ONNXD_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ONNXD_MAX_RANK 8

typedef enum onnxd_type {
    ONNXD_UNDEFINED = 0,
    ONNXD_FLOAT32 = 1,
    ONNXD_UINT8 = 2,
    ONNXD_INT8 = 3,
    ONNXD_UINT16 = 4,
    ONNXD_INT16 = 5,
    ONNXD_INT32 = 6,
    ONNXD_INT64 = 7,
    ONNXD_STRING = 8, /* elements are onnxd_string */
    ONNXD_BOOL = 9,   /* one byte, 0 or 1 */
    ONNXD_FLOAT16 = 10,
    ONNXD_FLOAT64 = 11,
    ONNXD_UINT32 = 12,
    ONNXD_UINT64 = 13,
    ONNXD_COMPLEX64 = 14,
    ONNXD_COMPLEX128 = 15,
    ONNXD_BFLOAT16 = 16,
    ONNXD_UINT4 = 21, /* one element a byte in memory; packed in files only */
    ONNXD_INT4 = 22,
    ONNXD_SEQUENCE = 64, /* data: onnxd_sequence */
    ONNXD_OPTIONAL = 65, /* data: onnxd_optional */
    ONNXD_MAP = 66       /* data: onnxd_map */
} onnxd_type;

typedef struct onnxd_string {
    const char *data; /* not NUL-terminated; may hold any bytes */
    size_t len;
} onnxd_string;

typedef struct onnxd_tensor {
    onnxd_type type;
    uint32_t rank; /* 0..ONNXD_MAX_RANK */
    int64_t dims[ONNXD_MAX_RANK];
    void *data;
} onnxd_tensor;

typedef struct onnxd_sequence {
    size_t n;
    onnxd_tensor *items;  /* [n] */
    onnxd_type item_type; /* element type of the items, known even when n is 0 */
} onnxd_sequence;

typedef struct onnxd_optional {
    const onnxd_tensor *value; /* NULL: empty */
    onnxd_type item_type;
} onnxd_optional;

typedef struct onnxd_map {
    onnxd_tensor keys;   /* [n] int64 or string */
    onnxd_tensor values; /* [n] */
} onnxd_map;

/* Bytes of one element in memory; 0 for undefined and for container types. */
ONNXD_API size_t onnxd_type_size(onnxd_type type);

/* "float32", "int64", "string", ...; "undefined" for anything else. Never NULL. */
ONNXD_API const char *onnxd_type_name(onnxd_type type);

/* Product of the dimensions, 1 for a scalar. The tensor must come from onnxd or have passed its checks. */
ONNXD_API int64_t onnxd_tensor_n_elements(const onnxd_tensor *tensor);

/* Elements times element size. */
ONNXD_API size_t onnxd_tensor_n_bytes(const onnxd_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
