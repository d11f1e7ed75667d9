/* Every variant of the training kernels against the scalar one. Bound: a few rounding errors of what is
 * summed, as sums are formed in another order. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "ctr/ctr_kernels.h"
#include "kernels/kernels.h"

enum { N_MAX = 70, ROWS = 9 };

static const char *const isas[] = {"avx2", "avx512", "neon"};

static float *random_floats(struct rng *rng, size_t n)
{
    float *x = guarded_alloc(n * sizeof *x); /* a page behind it that must not be touched */
    for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(rng);
    return x;
}

static float *copy(const float *x, size_t n)
{
    float *y = guarded_alloc(n * sizeof *y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static void expect(const char *what, const char *isa, const float *got, const float *want, size_t n,
                   double scale)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-6 * (scale + fabs((double)want[i]))))
            fail_msg("%s, %s, element %zu of %zu: %.9g, expected %.9g", what, isa, i, n, (double)got[i],
                     (double)want[i]);
}

static void check_updates(const struct ctr_kernels *k, const struct ctr_kernels *s, struct rng *rng, size_t n)
{
    ctr_update_fn *const fast[] = {k->adam, k->adagrad, k->sgd}, *const plain[] = {s->adam, s->adagrad,
                                                                                   s->sgd};
    static const char *const names[] = {"adam", "adagrad", "sgd"};
    struct ctr_step step = {
        .rate = 0.01f, .l2 = 0.1f, .keep1 = 0.9f, .keep2 = 0.99f, .scale = 1.3f, .epsilon = 1e-3f};
    for (int i = 0; i < 3; i++) {
        float *p = random_floats(rng, n), *a = random_floats(rng, n), *b = random_floats(rng, n);
        float *g = random_floats(rng, n);
        for (size_t j = 0; j < n; j++) b[j] = fabsf(b[j]) + 0.1f;
        float *p2 = copy(p, n), *a2 = copy(a, n), *b2 = copy(b, n);
        fast[i](p, a, b, g, n, &step);
        plain[i](p2, a2, b2, g, n, &step);
        expect(names[i], k->isa, p, p2, n, 1);
        expect(names[i], k->isa, a, a2, n, 1);
        expect(names[i], k->isa, b, b2, n, 1);
    }
}

static void check_layers(const struct ctr_kernels *k, const struct ctr_kernels *s, struct rng *rng, size_t n)
{
    size_t ld = n + 3, size = (ROWS - 1) * ld + n;
    float *d = random_floats(rng, size), *d2 = copy(d, size), *y = random_floats(rng, size);
    float *row = random_floats(rng, ROWS), *out = random_floats(rng, n), *out2 = copy(out, n);
    uint16_t bits[N_MAX];
    k->relu_back(d, ld, y, ld, ROWS, n, 1.25f);
    s->relu_back(d2, ld, y, ld, ROWS, n, 1.25f);
    expect("relu_back", k->isa, d, d2, size, 0);
    k->outer(d, ld, row, out, ROWS, n);
    s->outer(d2, ld, row, out, ROWS, n);
    expect("outer", k->isa, d, d2, size, 0);
    k->column_sums(out, y, ld, NULL, ROWS, n);
    s->column_sums(out2, y, ld, NULL, ROWS, n);
    expect("column_sums", k->isa, out, out2, n, 10);
    k->column_sums(out, y, ld, row, ROWS, n);
    s->column_sums(out2, y, ld, row, ROWS, n);
    expect("column_sums", k->isa, out, out2, n, 20);
    for (size_t i = 0; i < n; i++) bits[i] = (uint16_t)rng_below(rng, 65536);
    k->drop(out, bits, n, 40000, 1.6f);
    s->drop(out2, bits, n, 40000, 1.6f);
    expect("drop", k->isa, out, out2, n, 20);
}

static void check_embeddings(const struct ctr_kernels *k, const struct ctr_kernels *s, struct rng *rng,
                             size_t n)
{
    float *x = random_floats(rng, ROWS * n), *sum = random_floats(rng, n), *sum2 = copy(sum, n);
    float *d = random_floats(rng, ROWS * n), *d2 = copy(d, ROWS * n);
    float got = k->dot(x, d, ROWS * n), want = s->dot(x, d, ROWS * n);
    expect("dot", k->isa, &got, &want, 1, (double)(ROWS * n));
    k->add(sum, x, n, 0.3f);
    s->add(sum2, x, n, 0.3f);
    expect("add", k->isa, sum, sum2, n, 1);
    got = k->fm(sum, x, ROWS, n);
    want = s->fm(sum2, x, ROWS, n);
    expect("fm", k->isa, &got, &want, 1, (double)(ROWS * ROWS * n));
    expect("fm", k->isa, sum, sum2, n, ROWS);
    k->fm_back(d, x, sum, ROWS, n, 0.7f);
    s->fm_back(d2, x, sum, ROWS, n, 0.7f);
    expect("fm_back", k->isa, d, d2, ROWS * n, ROWS);
    for (size_t factors = 2; factors <= 3; factors++) {
        got = k->cross(x, factors, n);
        want = s->cross(x, factors, n);
        expect("cross", k->isa, &got, &want, 1, (double)n);
        k->cross_back(d, x, factors, n, 0.7f);
        s->cross_back(d2, x, factors, n, 0.7f);
        expect("cross_back", k->isa, d, d2, factors * n, 1);
    }
}

static void variants_equal_the_scalar_kernels(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    const struct ctr_kernels *scalar = ctr_kernels_of("scalar");
    for (size_t v = 0; v < sizeof isas / sizeof isas[0]; v++) {
        const struct ctr_kernels *k = kernels_of(isas[v]) == NULL ? NULL : ctr_kernels_of(isas[v]);
        if (k == NULL) {
            print_message("%s: not on this CPU\n", isas[v]);
            continue;
        }
        for (size_t n = 1; n <= N_MAX; n++) {
            check_updates(k, scalar, &rng, n);
            check_layers(k, scalar, &rng, n);
            check_embeddings(k, scalar, &rng, n);
        }
    }
}

/* The scalar kernels against the formulas in double precision. */
static void scalar_kernels_do_what_they_say(void **state)
{
    (void)state;
    const struct ctr_kernels *s = ctr_kernels_of("scalar");
    struct ctr_step step = {
        .rate = 0.01f, .l2 = 0.1f, .keep1 = 0.9f, .keep2 = 0.99f, .scale = 1.3f, .epsilon = 1e-3f};
    float p = 0.5f, a = 0.2f, b = 0.04f, g = 0.3f, x[] = {1, 2, 3, 4, 5, 6}, sum[2];
    s->adam(&p, &a, &b, &g, 1, &step);
    assert_float_equal(a, 0.2 + 0.1 * (0.35 - 0.2), 1e-6);
    assert_float_equal(b, 0.04 + 0.01 * (0.35 * 0.35 - 0.04), 1e-6);
    assert_float_equal(p, 0.5 - 0.01 * 0.215 / (sqrt(0.040825) * 1.3 + 1e-3), 1e-6);
    p = 0.5f, b = 0.04f;
    s->adagrad(&p, &a, &b, &g, 1, &step);
    assert_float_equal(p, 0.5 - 0.01 * 0.35 / (sqrt(0.04 + 0.35 * 0.35) + 1e-3), 1e-6);
    p = 0.5f;
    s->sgd(&p, &a, &b, &g, 1, &step);
    assert_float_equal(p, 0.5 - 0.01 * 0.35, 1e-6);
    float fm = s->fm(sum, x, 3, 2); /* (1,2) (3,4) (5,6): 11 + 17 + 39 */
    assert_float_equal(fm, 67, 1e-4);
    assert_float_equal(sum[0], 9, 1e-6);
    assert_float_equal(sum[1], 12, 1e-6);
    assert_float_equal(s->cross(x, 3, 2), 1 * 3 * 5 + 2 * 4 * 6, 1e-6);
    static const float want[] = {3 * 5, 4 * 6, 1 * 5, 2 * 6, 1 * 3, 2 * 4};
    float d[6];
    s->cross_back(d, x, 3, 2, 0.5f);
    for (int i = 0; i < 6; i++) assert_float_equal(d[i], want[i] / 2, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_kernels_do_what_they_say),
        cmocka_unit_test(variants_equal_the_scalar_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
