/* Products of bf16. */
#include "kernels_test.h"

static float rounded_to_bf16(float x)
{
    uint16_t y;
    float back;
    kernels_of("scalar")->f32_to_bf16(&y, &x, 1);
    kernels_of("scalar")->f32_from_bf16(&back, &y, 1);
    return back;
}

struct operands {
    struct guard a, b, packed, bias, c;
};

/* Against the sum of rounded operands in double: k + 3 roundings of partial sums, two of which vdpbf16ps may
 * take as one or two. Matrices of at most 8 columns may be left in 32 bits, which moves each product by
 * two roundings of 2^-8. */
static void bf16_case(const struct kernels *kernels, struct operands *o, struct rng *rng, size_t m, size_t n,
                      size_t k)
{
    struct f32_gemm g = {.m = m, .n = n, .k = k, .lda = k + rng_below(rng, 3), .ldc = n + rng_below(rng, 3)};
    int transposed = (int)rng_below(rng, 2);
    size_t ldb = transposed ? k : n, n_a = m ? (m - 1) * g.lda + k : 0,
           n_c = m && n ? (m - 1) * g.ldc + n : 0;
    float *a = guard_take(&o->a, n_a * sizeof *a), *b = guard_take(&o->b, k * n * sizeof *b);
    rng_fill(rng, a, n_a);
    rng_fill(rng, b, k * n);
    g.a = a;
    if (rng_below(rng, 2)) {
        float *bias = guard_take(&o->bias, n * sizeof *bias);
        rng_fill(rng, bias, n);
        g.bias = bias;
    }
    void *packed = guard_take(&o->packed, kernels->bf16_gemm_packed_size(n, k) * 4);
    kernels->bf16_gemm_pack(packed, b, ldb, transposed, n, k);
    g.b = packed;
    g.c = guard_take(&o->c, n_c * sizeof *g.c);
    g.act = rng_below(rng, 2) ? F32_ACT_RELU : F32_ACT_NONE;
    kernels->bf16_gemm(&g);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = g.bias ? g.bias[j] : 0.0, size = fabs(sum);
            for (size_t p = 0; p < k; p++) {
                double x = (double)rounded_to_bf16(a[i * g.lda + p]) *
                           rounded_to_bf16(transposed ? b[j * ldb + p] : b[p * ldb + j]);
                sum += x;
                size += fabs(x);
            }
            double want = g.act == F32_ACT_RELU && sum < 0 ? 0 : sum, got = g.c[i * g.ldc + j];
            double bound = (((double)k + 3) * 0x1p-24 + (n <= 8 ? 2.1 * 0x1p-8 : 0)) * size;
            if (!(fabs(got - want) <= bound))
                fail_msg("%s bf16 m=%zu n=%zu k=%zu at [%zu,%zu]: got %.9g, want %.9g, bound %.3g",
                         kernels->isa, m, n, k, i, j, got, want, bound);
        }
        for (size_t j = n; n && i + 1 < m && j < g.ldc; j++)
            if (memcmp(&g.c[i * g.ldc + j], "\xa5\xa5\xa5\xa5", 4) != 0)
                fail_msg("%s bf16 m=%zu n=%zu k=%zu: wrote past row %zu", kernels->isa, m, n, k, i);
    }
    if (!guard_intact(&o->c) || !guard_intact(&o->packed))
        fail_msg("%s bf16 m=%zu n=%zu k=%zu: wrote before its output", kernels->isa, m, n, k);
}

static void bf16_products_agree_with_double(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{8, 256, 85}, {1, 128, 256}, {3, 64, 513},  {9, 33, 1025},
                                       {1, 40, 512}, {17, 70, 600}, {2, 100, 511}, {0, 20, 5}};
    struct operands o = {guard_create(1 << 20), guard_create(1 << 20), guard_create(1 << 20),
                         guard_create(1 << 16), guard_create(1 << 20)};
    struct rng rng = rng_seed(test_seed());
    for_each_kernels(kernels)
    {
        print_message("%s: has_bf16 %d\n", kernels->isa, kernels->has_bf16);
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            bf16_case(kernels, &o, &rng, shapes[i][0], shapes[i][1], shapes[i][2]);
        for (int round = 0; round < 300; round++)
            bf16_case(kernels, &o, &rng, rng_below(&rng, 20), rng_below(&rng, 70), rng_below(&rng, 50));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_products_agree_with_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
