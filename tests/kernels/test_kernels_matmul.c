#include "kernels_test.h"

struct operands {
    struct guard a, b, c0, c, c_scalar, scratch;
};

static float *random_matrix(struct guard *guard, struct rng *rng, size_t rows, size_t cols, size_t ld)
{
    size_t n = rows && cols ? (rows - 1) * ld + cols : 0;
    float *x = guard_take(guard, n * sizeof *x);
    rng_fill(rng, x, n);
    return x;
}

/* Bound: each of k + 2 additions rounds a partial sum no larger than the sum of magnitudes. */
static void check(const char *isa, const struct f32_matmul *g, size_t i, size_t j, float scalar)
{
    double sum = g->c0 != NULL ? g->c0[i * g->ldc0 + j] : 0.0, size = fabs(sum);
    for (size_t p = 0; p < g->k; p++) {
        double x = (double)g->a[g->a_transposed ? p * g->lda + i : i * g->lda + p] *
                   g->b[g->b_transposed ? j * g->ldb + p : p * g->ldb + j];
        sum += x;
        size += fabs(x);
    }
    double got = g->c[i * g->ldc + j], bound = ((double)g->k + 2) * 0x1p-24 * size;
    if (!(fabs(got - sum) <= bound) || !(fabs(got - (double)scalar) <= 2 * bound))
        fail_msg("%s m=%zu n=%zu k=%zu transposed %d %d at [%zu,%zu]: got %.9g, double %.9g, scalar %.9g, "
                 "bound %.3g",
                 isa, g->m, g->n, g->k, g->a_transposed, g->b_transposed, i, j, got, sum, (double)scalar,
                 bound);
}

static void matmul_case(const struct kernels *kernels, struct operands *o, struct rng *rng, size_t m,
                        size_t n, size_t k)
{
    struct f32_matmul g = {.m = m, .n = n, .k = k, .a_transposed = (int)rng_below(rng, 2)};
    g.b_transposed = (int)rng_below(rng, 2);
    g.lda = (g.a_transposed ? m : k) + rng_below(rng, 3);
    g.ldb = (g.b_transposed ? k : n) + rng_below(rng, 3);
    g.ldc = n + rng_below(rng, 3);
    g.ldc0 = n + rng_below(rng, 3);
    g.a = random_matrix(&o->a, rng, g.a_transposed ? k : m, g.a_transposed ? m : k, g.lda);
    g.b = random_matrix(&o->b, rng, g.b_transposed ? n : k, g.b_transposed ? k : n, g.ldb);
    if (rng_below(rng, 3) == 0) g.c0 = random_matrix(&o->c0, rng, m, n, g.ldc0);
    struct f32_matmul s = g;
    size_t n_c = m && n ? (m - 1) * g.ldc + n : 0;
    float *scratch = guard_take(&o->scratch, F32_MATMUL_SCRATCH * sizeof *scratch);
    g.c = guard_take(&o->c, n_c * sizeof *g.c);
    s.c = guard_take(&o->c_scalar, n_c * sizeof *s.c);
    kernels->f32_matmul(&g, scratch);
    kernels_of("scalar")->f32_matmul(&s, scratch);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) check(kernels->isa, &g, i, j, s.c[i * s.ldc + j]);
        for (size_t j = n; n > 0 && i + 1 < m && j < g.ldc; j++)
            if (memcmp(&g.c[i * g.ldc + j], "\xa5\xa5\xa5\xa5", 4) != 0)
                fail_msg("%s m=%zu n=%zu k=%zu: wrote past row %zu", kernels->isa, m, n, k, i);
    }
    if (!guard_intact(&o->c) || !guard_intact(&o->scratch))
        fail_msg("%s m=%zu n=%zu k=%zu: wrote before its output", kernels->isa, m, n, k);
}

static void matmul_agrees_with_double(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{15, 15, 16}, {15, 16, 15}, {1, 1, 1},     {30, 70, 385},
                                       {9, 33, 700}, {64, 64, 64}, {40, 31, 513}, {129, 17, 384}};
    struct operands o = {guard_create(1 << 20), guard_create(1 << 20), guard_create(1 << 20),
                         guard_create(1 << 20), guard_create(1 << 20), guard_create(1 << 20)};
    struct rng rng = rng_seed(test_seed());
    for_each_kernels(kernels)
    {
        for (size_t i = 0; i < 8 * sizeof shapes / sizeof shapes[0]; i++)
            matmul_case(kernels, &o, &rng, shapes[i / 8][0], shapes[i / 8][1], shapes[i / 8][2]);
        for (int round = 0; round < 1500; round++)
            matmul_case(kernels, &o, &rng, rng_below(&rng, 40), rng_below(&rng, 50), rng_below(&rng, 40));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matmul_agrees_with_double)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
