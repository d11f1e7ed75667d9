#include "kernels_test.h"

#include <stdlib.h>

#define MAX_BYTES (4u << 20)

struct operands {
    struct guard a, b, packed, bias, c0, c, c_scalar, packed_scalar, scratch;
};

static struct operands operands_create(void)
{
    return (struct operands){guard_create(MAX_BYTES), guard_create(MAX_BYTES), guard_create(MAX_BYTES),
                             guard_create(MAX_BYTES), guard_create(MAX_BYTES), guard_create(MAX_BYTES),
                             guard_create(MAX_BYTES), guard_create(MAX_BYTES), guard_create(MAX_BYTES)};
}

/* Elements from the first to the end of the last row, which is not padded to its stride. */
static size_t extent(size_t rows, size_t stride, size_t cols)
{
    return rows == 0 ? 0 : (rows - 1) * stride + cols;
}

static double activated(const struct f32_gemm *g, double x)
{
    switch (g->act) {
    case F32_ACT_RELU: return x < 0 ? 0 : x;
    case F32_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case F32_ACT_TANH: return tanh(x);
    case F32_ACT_LEAKY_RELU: return x < 0 ? g->alpha * x : x;
    default: return x;
    }
}

/* Error bound: a sum of k + 2 products in any order, each addition off by 2^-24 of the running sum, which
 * is at most the sum of magnitudes; the activations contract (|alpha| <= 1) and add 4 units of their own. */
static void check_element(const char *isa, const struct f32_gemm *g, const float *b_plain, size_t ldb,
                          int transposed, size_t i, size_t j, float scalar)
{
    double sum = g->bias ? g->bias[j] : 0.0, size = fabs(sum);
    if (g->c0 != NULL) {
        sum += g->c0[i * g->ldc0 + j];
        size += fabs((double)g->c0[i * g->ldc0 + j]);
    }
    for (size_t p = 0; p < g->k; p++) {
        double x = (double)g->a[i * g->lda + p] * (transposed ? b_plain[j * ldb + p] : b_plain[p * ldb + j]);
        sum += x;
        size += fabs(x);
    }
    double want = activated(g, sum), got = g->c[i * g->ldc + j];
    double bound = ((double)g->k + 3) * 0x1p-24 * size + 4 * 0x1p-24 * fabs(want);
    if (!(fabs(got - want) <= bound) || !(fabs(got - (double)scalar) <= 2 * bound))
        fail_msg("%s m=%zu n=%zu k=%zu act=%d at [%zu,%zu]: got %.9g, double %.9g, scalar %.9g, bound %.3g",
                 isa, g->m, g->n, g->k, (int)g->act, i, j, got, want, (double)scalar, bound);
}

static void gemm_case(const struct kernels *kernels, struct operands *o, struct rng *rng, size_t m, size_t n,
                      size_t k)
{
    const struct kernels *reference = kernels_of("scalar");
    int transposed = (int)rng_below(rng, 2);
    size_t gap = rng_below(rng, 3), ldb = (transposed ? k : n) + rng_below(rng, 3);
    struct f32_gemm g = {.m = m, .n = n, .k = k, .lda = k + rng_below(rng, 4), .ldc = n + gap};
    g.act = (enum f32_activation)rng_below(rng, F32_ACT_COUNT);
    g.alpha = 0.01f;
    float *a = guard_take(&o->a, extent(m, g.lda, k) * sizeof *a);
    rng_fill(rng, a, extent(m, g.lda, k));
    g.a = a;
    size_t n_b = transposed ? extent(n, ldb, k) : extent(k, ldb, n);
    float *b = guard_take(&o->b, n_b * sizeof *b);
    rng_fill(rng, b, n_b);
    if (rng_below(rng, 4) > 0) {
        float *bias = guard_take(&o->bias, n * sizeof *bias);
        rng_fill(rng, bias, n);
        g.bias = bias;
    }
    g.ldc0 = n + rng_below(rng, 3);
    if (rng_below(rng, 3) == 0) {
        float *c0 = guard_take(&o->c0, extent(m, g.ldc0, n) * sizeof *c0);
        rng_fill(rng, c0, extent(m, g.ldc0, n));
        g.c0 = c0;
    }
    struct f32_gemm s = g;
    float *packed = guard_take(&o->packed, kernels->f32_gemm_packed_size(n, k) * sizeof *packed);
    kernels->f32_gemm_pack(packed, b, ldb, transposed, n, k);
    g.b = packed;
    float *plain = guard_take(&o->packed_scalar, reference->f32_gemm_packed_size(n, k) * sizeof *plain);
    reference->f32_gemm_pack(plain, b, ldb, transposed, n, k);
    s.b = plain;
    g.c = guard_take(&o->c, extent(m, g.ldc, n) * sizeof *g.c);
    s.c = guard_take(&o->c_scalar, extent(m, s.ldc, n) * sizeof *s.c);
    void *scratch = guard_take(&o->scratch, f32_gemv_sparse_scratch(k));
    bool sparse = m == 1 && rng_below(rng, 2) == 0;
    for (size_t p = 0; sparse && p < k; p++)
        if (rng_below(rng, 2) == 0) a[p] = 0;
    if (sparse)
        kernels->f32_gemv_sparse(&g, scratch);
    else
        kernels->f32_gemm(&g);
    reference->f32_gemm(&s);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++)
            check_element(kernels->isa, &g, b, ldb, transposed, i, j, s.c[i * s.ldc + j]);
        for (size_t j = n; i + 1 < m && j < g.ldc; j++)
            if (memcmp(&g.c[i * g.ldc + j], "\xa5\xa5\xa5\xa5", 4) != 0)
                fail_msg("%s m=%zu n=%zu k=%zu: wrote past row %zu", kernels->isa, m, n, k, i);
    }
    if (!guard_intact(&o->c) || !guard_intact(&o->packed) || !guard_intact(&o->scratch))
        fail_msg("%s m=%zu n=%zu k=%zu: wrote before its output", kernels->isa, m, n, k);
}

static void gemm_agrees_with_double_at_every_small_shape(void **state)
{
    (void)state;
    struct operands o = operands_create();
    struct rng rng = rng_seed(test_seed());
    for_each_kernels(kernels)
    {
        for (size_t m = 0; m <= 18; m++)
            for (size_t n = 0; n <= 40; n++) gemm_case(kernels, &o, &rng, m, n, rng_below(&rng, 40));
        for (size_t k = 0; k <= 100; k++) gemm_case(kernels, &o, &rng, 1, rng_below(&rng, 100), k);
        for (size_t k = 0; k <= 70; k++) gemm_case(kernels, &o, &rng, 1 + k % 9, 1 + k % 7, k);
    }
}

static void gemm_agrees_with_double_at_larger_shapes(void **state)
{
    (void)state;
    /* Around the edges of row chunks (128) and blocks of k (256, 384). */
    static const size_t shapes[][3] = {
        {8, 256, 85}, {1, 256, 85},  {3, 128, 256},  {129, 33, 64}, {130, 64, 1},  {9, 48, 384},
        {9, 48, 385}, {17, 70, 513}, {260, 17, 20},  {1, 1, 1000},  {37, 1, 64},   {19, 8, 700},
        {33, 5, 31},  {8, 31, 640},  {140, 65, 400}, {20, 40, 897}, {1, 100, 500}, {11, 200, 641}};
    struct operands o = operands_create();
    struct rng rng = rng_seed(test_seed());
    for_each_kernels(kernels) for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        gemm_case(kernels, &o, &rng, shapes[i][0], shapes[i][1], shapes[i][2]);
}

static void sparse_gemv_keeps_nan(void **state)
{
    (void)state;
    for_each_kernels(kernels)
    {
        float a[3] = {0, NAN, 0}, b[3 * 40], c[40], packed_memory[3 * 64 + 16];
        void *scratch = malloc(f32_gemv_sparse_scratch(3));
        float *packed = (float *)(((uintptr_t)packed_memory + 63) & ~(uintptr_t)63);
        for (size_t i = 0; i < 3 * 40; i++) b[i] = 1;
        kernels->f32_gemm_pack(packed, b, 40, 0, 40, 3);
        struct f32_gemm g = {.m = 1, .n = 40, .k = 3, .a = a, .lda = 3, .b = packed, .c = c, .ldc = 40};
        kernels->f32_gemv_sparse(&g, scratch);
        for (size_t i = 0; i < 40; i++) assert_true(isnan(c[i]));
        free(scratch);
    }
}

static void gemm_adds_into_its_own_output(void **state)
{
    (void)state;
    for_each_kernels(kernels)
    {
        float a[2] = {2, 3}, b[2 * 20], c[20], packed_memory[1024 + 16];
        float *packed = (float *)(((uintptr_t)packed_memory + 63) & ~(uintptr_t)63);
        assert_true(kernels->f32_gemm_packed_size(20, 2) <= 1024);
        for (size_t i = 0; i < 20; i++) {
            b[i] = (float)i;
            b[20 + i] = 1;
            c[i] = -10;
        }
        kernels->f32_gemm_pack(packed, b, 20, 0, 20, 2);
        struct f32_gemm g = {.m = 1, .n = 20, .k = 2, .a = a, .lda = 2, .b = packed, .c = c, .ldc = 20};
        g.c0 = c;
        g.ldc0 = 20;
        g.act = F32_ACT_RELU;
        kernels->f32_gemm(&g);
        for (size_t i = 0; i < 20; i++) {
            float want = (float)i * 2 + 3 - 10;
            assert_float_equal(c[i], want < 0 ? 0 : want, 0);
        }
    }
}

static void relu_passes_nan_on(void **state)
{
    (void)state;
    for_each_kernels(kernels) for (size_t n = 1; n <= 33; n += 16)
    {
        float a[1] = {NAN}, b[33] = {0}, c[33] = {0}, packed_memory[128 + 1100];
        float *packed = (float *)(((uintptr_t)packed_memory + 63) & ~(uintptr_t)63);
        kernels->f32_gemm_pack(packed, b, n, 0, n, 1);
        struct f32_gemm g = {.m = 1, .n = n, .k = 1, .a = a, .lda = 1, .b = packed, .c = c, .ldc = n};
        g.act = F32_ACT_RELU;
        kernels->f32_gemm(&g);
        for (size_t i = 0; i < n; i++)
            if (!isnan(c[i])) fail_msg("%s n=%zu: relu(NaN) is %g at %zu", kernels->isa, n, (double)c[i], i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_agrees_with_double_at_every_small_shape),
        cmocka_unit_test(gemm_agrees_with_double_at_larger_shapes),
        cmocka_unit_test(sparse_gemv_keeps_nan),
        cmocka_unit_test(gemm_adds_into_its_own_output),
        cmocka_unit_test(relu_passes_nan_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
