#include "ops/quantized.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/elements.h"
#include "ops/matrix.h"

static int64_t block_of(int64_t k, int64_t at)
{
    return k - at < QUANTIZED_BLOCK ? k - at : QUANTIZED_BLOCK;
}

static void multiply_block(const struct quantized_product *p, int64_t at, const float *packed, float *room,
                           void *scratch)
{
    int64_t k = block_of(p->k, at);
    if (p->b_packed) {
        struct f32_gemm g = {.m = (size_t)p->m,
                             .n = (size_t)p->n,
                             .k = (size_t)k,
                             .a = p->a + at,
                             .lda = (size_t)p->lda,
                             .b = packed,
                             .c = room,
                             .ldc = (size_t)p->n};
        kernels_get()->f32_gemm(&g);
        return;
    }
    struct matrix_product m = {.lane = LANE_F32,
                               .m = p->m,
                               .n = p->n,
                               .k = k,
                               .a = p->a + at,
                               .lda = p->lda,
                               .b = p->b + at * p->ldb,
                               .ldb = p->ldb,
                               .c = room,
                               .ldc = p->n};
    matrix_multiply(&m, scratch);
}

void quantized_multiply(const struct quantized_product *p, float *room, void *scratch)
{
    const float *packed = p->b;
    for (int64_t i = 0; i < p->m; i++) memset(p->c + i * p->ldc, 0, (size_t)p->n * sizeof *p->c);
    for (int64_t at = 0; at < p->k; at += QUANTIZED_BLOCK) {
        multiply_block(p, at, packed, room, scratch);
        packed += kernels_get()->f32_gemm_packed_size((size_t)p->n, (size_t)block_of(p->k, at));
        for (int64_t i = 0; i < p->m; i++) {
            int32_t *c = p->c + i * p->ldc;
            const float *from = room + i * p->n;
            for (int64_t j = 0; j < p->n; j++) c[j] = (int32_t)((uint32_t)c[j] + (uint32_t)(int32_t)from[j]);
        }
    }
}

size_t quantized_packed_floats(int64_t n, int64_t k)
{
    size_t floats = 0;
    for (int64_t at = 0; at < k; at += QUANTIZED_BLOCK)
        floats += kernels_get()->f32_gemm_packed_size((size_t)n, (size_t)block_of(k, at));
    return floats;
}

void quantized_pack(const float *b, int64_t n, int64_t k, float *packed)
{
    const struct kernels *kernels = kernels_get();
    for (int64_t at = 0; at < k; at += QUANTIZED_BLOCK) {
        size_t block = (size_t)block_of(k, at);
        kernels->f32_gemm_pack(packed, b + at * n, (size_t)n, 0, (size_t)n, block);
        packed += kernels->f32_gemm_packed_size((size_t)n, block);
    }
}

void quantized_center(const onnxd_tensor *tensor, int64_t first, int64_t n, double zero, float *to)
{
    elements_load(LANE_F32, tensor->type, tensor->data, first, 1, n, to);
    const float z = (float)zero;
    for (int64_t i = 0; i < n && z != 0; i++) to[i] -= z;
}

double parameter_at(const onnxd_tensor *tensor, int64_t i, double otherwise)
{
    if (tensor == NULL) return otherwise;
    return element_f64(tensor, onnxd_tensor_n_elements(tensor) == 1 ? 0 : i);
}

double type_least(onnxd_type type)
{
    switch (type) {
    case ONNXD_INT8: return INT8_MIN;
    case ONNXD_INT16: return INT16_MIN;
    case ONNXD_INT32: return INT32_MIN;
    case ONNXD_INT4: return -8;
    default: return 0;
    }
}

double type_greatest(onnxd_type type)
{
    switch (type) {
    case ONNXD_INT8: return INT8_MAX;
    case ONNXD_UINT8: return UINT8_MAX;
    case ONNXD_INT16: return INT16_MAX;
    case ONNXD_UINT16: return UINT16_MAX;
    case ONNXD_INT4: return 7;
    case ONNXD_UINT4: return 15;
    default: return INT32_MAX;
    }
}

double quantized_round(double value, double zero, onnxd_type type)
{
    double v = rint(value) + zero, least = type_least(type), greatest = type_greatest(type);
    return !(v >= least) ? least : v > greatest ? greatest : v;
}
