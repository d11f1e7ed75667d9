/* ctr/ctr_kernels.h - the loops of training that are not matrix products, one file per instruction set.
 *
 * Matrix products and activations come from kernels/; these stand beside them, chosen by the same name.
 * Arrays need no alignment; nothing past the named elements is touched. Variants differ in the last bits
 * where sums are formed in another order; each gives the same result for the same arguments.
 *
 * Threads: functions of their arguments alone. */
#ifndef CTR_CTR_KERNELS_H
#define CTR_CTR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* What one step of an optimiser does to every parameter: g += l2 p, then
 *   adam     a += (1 - b1)(g - a);  b += (1 - b2)(g g - b);  p -= rate a / (sqrt(b) scale + epsilon)
 *   adagrad  b += g g;  p -= rate g / (sqrt(b) + epsilon)
 *   sgd      p -= rate g */
struct ctr_step {
    float rate; /* of adam: divided by 1 - b1^t */
    float l2;
    float keep1, keep2; /* b1, b2 */
    float scale;        /* 1 / sqrt(1 - b2^t) */
    float epsilon;
};

/* p, a, b: [n] parameters and their state; g: [n] gradients. */
typedef void ctr_update_fn(float *p, float *a, float *b, const float *g, size_t n, const struct ctr_step *s);

/* d[i,j] = y[i,j] > 0 ? d[i,j] * scale : 0, on [rows, cols] with row strides: back through ReLU and dropout.
 */
typedef void ctr_relu_back_fn(float *d, size_t ldd, const float *y, size_t ldy, size_t rows, size_t cols,
                              float scale);

/* x[i] = bits[i] < keep ? x[i] * scale : 0. */
typedef void ctr_drop_fn(float *x, const uint16_t *bits, size_t n, uint32_t keep, float scale);

/* out[j] = sum over i of s[i] x[i,j]; s NULL: of x[i,j]. */
typedef void ctr_column_sums_fn(float *out, const float *x, size_t ldx, const float *s, size_t rows,
                                size_t cols);

/* d[i,j] = s[i] w[j], the gradient that a last layer of one output hands back. */
typedef void ctr_outer_fn(float *d, size_t ldd, const float *s, const float *w, size_t rows, size_t cols);

typedef float ctr_dot_fn(const float *a, const float *b, size_t n);

/* sum[j] += scale x[j]. */
typedef void ctr_add_fn(float *sum, const float *x, size_t n, float scale);

/* (sum^2 - sum of squares) / 2 of n_fields embeddings x[n_fields, n], with their sum in sum[n]. */
typedef float ctr_fm_fn(float *sum, const float *x, size_t n_fields, size_t n);

/* d[f,j] += s (sum[j] - x[f,j]): the factorisation machine's gradient on top of the deep part's. */
typedef void ctr_fm_back_fn(float *d, const float *x, const float *sum, size_t n_fields, size_t n, float s);

/* The sum over j of the product of the factors' values j, x[n_factors, n]: a cross (ctr/ctr_network.h). */
typedef float ctr_cross_fn(const float *x, size_t n_factors, size_t n);

/* d[f,j] = s times the product of the other factors' values j. */
typedef void ctr_cross_back_fn(float *d, const float *x, size_t n_factors, size_t n, float s);

/* X(name, type, arg) */
#define CTR_KERNELS(X, arg)                 \
    X(adam, ctr_update_fn, arg)             \
    X(adagrad, ctr_update_fn, arg)          \
    X(sgd, ctr_update_fn, arg)              \
    X(relu_back, ctr_relu_back_fn, arg)     \
    X(drop, ctr_drop_fn, arg)               \
    X(column_sums, ctr_column_sums_fn, arg) \
    X(outer, ctr_outer_fn, arg)             \
    X(dot, ctr_dot_fn, arg)                 \
    X(add, ctr_add_fn, arg)                 \
    X(fm, ctr_fm_fn, arg)                   \
    X(fm_back, ctr_fm_back_fn, arg)         \
    X(cross, ctr_cross_fn, arg)             \
    X(cross_back, ctr_cross_back_fn, arg)

struct ctr_kernels {
    const char *isa;
#define FIELD(name, type, arg) type *name;
    CTR_KERNELS(FIELD, 0)
#undef FIELD
};

#define DECLARE(name, type, isa) type ctr_##name##__##isa;
CTR_KERNELS(DECLARE, scalar)
CTR_KERNELS(DECLARE, avx2)
CTR_KERNELS(DECLARE, avx512)
CTR_KERNELS(DECLARE, neon)
#undef DECLARE

/* The table that goes with kernels_get(). */
const struct ctr_kernels *ctr_kernels_get(void);

/* The table called `isa` of struct kernels, or NULL where this build lacks it. */
const struct ctr_kernels *ctr_kernels_of(const char *isa);

#endif
