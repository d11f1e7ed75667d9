/* ctr/ctr_kernels_body.h - the kernels of ctr_kernels.h for one instruction set, whose vector header the
 * including file has included. */
#include "ctr/ctr_kernels.h"

#define CTR(name) ISA(ctr_##name)

/* Runs `step(i, tail)` over n elements: whole vectors first, then the rest through masks. */
#define FOR_VECTORS(n, WHOLE, TAIL)              \
    size_t i = 0;                                \
    for (; i + VF_LANES <= (n); i += VF_LANES) { \
        WHOLE;                                   \
    }                                            \
    if (i < (n)) {                               \
        vt tail = vt_first((n)-i);               \
        TAIL;                                    \
    }

/* ---- optimisers ---- */

SIMD_INLINE vf adam_one(vf p, vf *a, vf *b, vf g, const struct ctr_step *s)
{
    g = vf_fma(vf_set1(s->l2), p, g);
    *a = vf_fma(vf_set1(1 - s->keep1), vf_sub(g, *a), *a);
    *b = vf_fma(vf_set1(1 - s->keep2), vf_sub(vf_mul(g, g), *b), *b);
    vf below = vf_fma(vf_sqrt(*b), vf_set1(s->scale), vf_set1(s->epsilon));
    return vf_fnma(vf_set1(s->rate), vf_div(*a, below), p);
}

SIMD_INLINE vf adagrad_one(vf p, vf *a, vf *b, vf g, const struct ctr_step *s)
{
    (void)a;
    g = vf_fma(vf_set1(s->l2), p, g);
    *b = vf_fma(g, g, *b);
    return vf_fnma(vf_set1(s->rate), vf_div(g, vf_add(vf_sqrt(*b), vf_set1(s->epsilon))), p);
}

SIMD_INLINE vf sgd_one(vf p, vf *a, vf *b, vf g, const struct ctr_step *s)
{
    (void)a, (void)b;
    return vf_fnma(vf_set1(s->rate), vf_fma(vf_set1(s->l2), p, g), p);
}

#define UPDATE(name)                                                                                     \
    void CTR(name)(float *p, float *a, float *b, const float *g, size_t n, const struct ctr_step *s)     \
    {                                                                                                    \
        FOR_VECTORS(n, vf va = vf_load(a + i); vf vb = vf_load(b + i);                                   \
                    vf_store(p + i, name##_one(vf_load(p + i), &va, &vb, vf_load(g + i), s));            \
                    vf_store(a + i, va); vf_store(b + i, vb), vf va = vf_load_t(a + i, tail);            \
                    vf vb = vf_load_t(b + i, tail);                                                      \
                    vf_store_t(p + i, tail,                                                              \
                               name##_one(vf_load_t(p + i, tail), &va, &vb, vf_load_t(g + i, tail), s)); \
                    vf_store_t(a + i, tail, va); vf_store_t(b + i, tail, vb))                            \
    }
UPDATE(adam)
UPDATE(adagrad)
UPDATE(sgd)
#undef UPDATE

/* ---- between layers ---- */

SIMD_INLINE vf where_positive(vf y, vf yes)
{
    return vf_select(vf_lt(vf_zero(), y), yes, vf_zero());
}

void CTR(relu_back)(float *d, size_t ldd, const float *y, size_t ldy, size_t rows, size_t cols, float scale)
{
    vf factor = vf_set1(scale);
    for (; rows > 0; rows--, d += ldd, y += ldy) {
        FOR_VECTORS(
            cols, vf_store(d + i, where_positive(vf_load(y + i), vf_mul(vf_load(d + i), factor))),
            vf_store_t(d + i, tail,
                       where_positive(vf_load_t(y + i, tail), vf_mul(vf_load_t(d + i, tail), factor))))
    }
}

void CTR(drop)(float *x, const uint16_t *bits, size_t n, uint32_t keep, float scale)
{
    for (size_t i = 0; i < n; i++) x[i] = bits[i] < keep ? x[i] * scale : 0.0f;
}

void CTR(column_sums)(float *out, const float *x, size_t ldx, const float *s, size_t rows, size_t cols)
{
    for (size_t j = 0; j < cols; j += VF_LANES) {
        vt tail = vt_first(cols - j);
        vf even = vf_zero(), odd = vf_zero();
        size_t r = 0;
        for (; r + 2 <= rows; r += 2) {
            const float *at = x + r * ldx + j;
            even = vf_fma(vf_load_t(at, tail), vf_set1(s == NULL ? 1.0f : s[r]), even);
            odd = vf_fma(vf_load_t(at + ldx, tail), vf_set1(s == NULL ? 1.0f : s[r + 1]), odd);
        }
        if (r < rows) even = vf_fma(vf_load_t(x + r * ldx + j, tail), vf_set1(s == NULL ? 1.0f : s[r]), even);
        vf_store_t(out + j, tail, vf_add(even, odd));
    }
}

void CTR(outer)(float *d, size_t ldd, const float *s, const float *w, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++, d += ldd) {
        vf factor = vf_set1(s[r]);
        FOR_VECTORS(cols, vf_store(d + i, vf_mul(vf_load(w + i), factor)),
                    vf_store_t(d + i, tail, vf_mul(vf_load_t(w + i, tail), factor)))
    }
}

float CTR(dot)(const float *a, const float *b, size_t n)
{
    vf sum = vf_zero();
    FOR_VECTORS(n, sum = vf_fma(vf_load(a + i), vf_load(b + i), sum),
                sum = vf_fma(vf_load_t(a + i, tail), vf_load_t(b + i, tail), sum))
    return vf_hsum(sum);
}

/* ---- embeddings ---- */

void CTR(add)(float *sum, const float *x, size_t n, float scale)
{
    vf factor = vf_set1(scale);
    FOR_VECTORS(n, vf_store(sum + i, vf_fma(vf_load(x + i), factor, vf_load(sum + i))),
                vf_store_t(sum + i, tail, vf_fma(vf_load_t(x + i, tail), factor, vf_load_t(sum + i, tail))))
}

float CTR(fm)(float *sum, const float *x, size_t n_fields, size_t n)
{
    vf result = vf_zero();
    for (size_t j = 0; j < n; j += VF_LANES) {
        vt tail = vt_first(n - j);
        vf total = vf_zero(), squares = vf_zero();
        for (size_t f = 0; f < n_fields; f++) {
            vf v = vf_load_t(x + f * n + j, tail);
            total = vf_add(total, v);
            squares = vf_fma(v, v, squares);
        }
        vf_store_t(sum + j, tail, total);
        result = vf_add(result, vf_sub(vf_mul(total, total), squares));
    }
    return 0.5f * vf_hsum(result);
}

void CTR(fm_back)(float *d, const float *x, const float *sum, size_t n_fields, size_t n, float s)
{
    vf factor = vf_set1(s);
    for (size_t j = 0; j < n; j += VF_LANES) {
        vt tail = vt_first(n - j);
        vf total = vf_load_t(sum + j, tail);
        for (size_t f = 0; f < n_fields; f++) {
            size_t at = f * n + j;
            vf difference = vf_sub(total, vf_load_t(x + at, tail));
            vf_store_t(d + at, tail, vf_fma(difference, factor, vf_load_t(d + at, tail)));
        }
    }
}

float CTR(cross)(const float *x, size_t n_factors, size_t n)
{
    vf result = vf_zero();
    for (size_t j = 0; j < n; j += VF_LANES) {
        vt tail = vt_first(n - j);
        vf product = vf_load_t(x + j, tail);
        for (size_t f = 1; f < n_factors; f++) product = vf_mul(product, vf_load_t(x + f * n + j, tail));
        result = vf_add(result, product);
    }
    return vf_hsum(result);
}

void CTR(cross_back)(float *d, const float *x, size_t n_factors, size_t n, float s)
{
    for (size_t j = 0; j < n; j += VF_LANES) {
        vt tail = vt_first(n - j);
        for (size_t f = 0; f < n_factors; f++) {
            vf product = vf_set1(s);
            for (size_t g = 0; g < n_factors; g++)
                if (g != f) product = vf_mul(product, vf_load_t(x + g * n + j, tail));
            vf_store_t(d + f * n + j, tail, product);
        }
    }
}
