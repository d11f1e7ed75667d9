#include "ops/matrix.h"

#include <string.h>

#include "kernels/kernels.h"

/* C += A * B row by row; integers wrap. */
#define MULTIPLY(name, T, A)                                                                   \
    static void name(const struct matrix_product *p)                                           \
    {                                                                                          \
        const T *a = p->a, *b = p->b;                                                          \
        for (int64_t i = 0; i < p->m; i++) {                                                   \
            A *c = (A *)p->c + i * p->ldc;                                                     \
            if (!p->add) memset(c, 0, (size_t)p->n * sizeof *c);                               \
            const T *row = p->a_transposed ? a + i : a + i * p->lda;                           \
            int64_t step = p->a_transposed ? p->lda : 1;                                       \
            if (p->b_transposed) {                                                             \
                for (int64_t j = 0; j < p->n; j++) {                                           \
                    A sum = 0;                                                                 \
                    const T *column = b + j * p->ldb;                                          \
                    for (int64_t k = 0; k < p->k; k++) sum += (A)row[k * step] * (A)column[k]; \
                    c[j] += sum;                                                               \
                }                                                                              \
                continue;                                                                      \
            }                                                                                  \
            for (int64_t k = 0; k < p->k; k++) {                                               \
                const A x = (A)row[k * step];                                                  \
                const T *other = b + k * p->ldb;                                               \
                LOOP_INDEPENDENT                                                               \
                for (int64_t j = 0; j < p->n; j++) c[j] += x * (A)other[j];                    \
            }                                                                                  \
        }                                                                                      \
    }

MULTIPLY(multiply_f64, double, double)
MULTIPLY(multiply_i64, uint64_t, uint64_t)

static void multiply_f32(const struct matrix_product *p, float *scratch)
{
    struct f32_matmul g = {.m = (size_t)p->m,
                           .n = (size_t)p->n,
                           .k = (size_t)p->k,
                           .a = p->a,
                           .lda = (size_t)p->lda,
                           .a_transposed = p->a_transposed,
                           .b = p->b,
                           .ldb = (size_t)p->ldb,
                           .b_transposed = p->b_transposed,
                           .c0 = p->add ? p->c : NULL,
                           .ldc0 = (size_t)p->ldc,
                           .c = p->c,
                           .ldc = (size_t)p->ldc};
    kernels_get()->f32_matmul(&g, scratch);
}

void matrix_multiply(const struct matrix_product *p, void *scratch)
{
    if (p->lane == LANE_F32)
        multiply_f32(p, scratch);
    else if (p->lane == LANE_F64)
        multiply_f64(p);
    else
        multiply_i64(p);
}

size_t matrix_scratch_bytes(void)
{
    return F32_MATMUL_SCRATCH * sizeof(float);
}

const void *matrix_operand(enum lane lane, const onnxd_tensor *tensor, void *room)
{
    if (lane_is_native(lane, tensor->type)) return tensor->data;
    elements_load(lane, tensor->type, tensor->data, 0, 1, onnxd_tensor_n_elements(tensor), room);
    return room;
}
