#include "ops/matrix.h"

#include <string.h>

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

MULTIPLY(multiply_f32, float, float)
MULTIPLY(multiply_f64, double, double)
MULTIPLY(multiply_i64, uint64_t, uint64_t)

void matrix_multiply(const struct matrix_product *p, void *scratch)
{
    (void)scratch;
    if (p->lane == LANE_F32)
        multiply_f32(p);
    else if (p->lane == LANE_F64)
        multiply_f64(p);
    else
        multiply_i64(p);
}

size_t matrix_scratch_bytes(void)
{
    return 64;
}

const void *matrix_operand(enum lane lane, const onnxd_tensor *tensor, void *room)
{
    if (lane_is_native(lane, tensor->type)) return tensor->data;
    elements_load(lane, tensor->type, tensor->data, 0, 1, onnxd_tensor_n_elements(tensor), room);
    return room;
}
