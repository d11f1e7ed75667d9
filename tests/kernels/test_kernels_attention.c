#include "kernels_test.h"

#include <stdlib.h>

#define EPS 0x1p-24

struct operands {
    struct guard q, k, v, mask, o, o_scalar, scratch;
};

/* A score is a sum of d products, off by (d + 1) EPS of the sum of magnitudes; a difference e of two scores
 * scales a weight by 1 + e; the weights' own error is that of softmax and the sum over V adds tk roundings.
 */
static void check_row(const char *isa, const struct f32_attention *g, size_t i, const float *scalar)
{
    double *weight = calloc(g->tk + 1, sizeof *weight), most = -INFINITY, sum = 0, worst = 0;
    for (size_t j = 0; j < g->tk; j++) {
        double x = 0, size = 0;
        for (size_t p = 0; p < g->d; p++) {
            double y = (double)g->q[i * g->ldq + p] * g->k[j * g->ldk + p];
            x += y;
            size += fabs(y);
        }
        double off = ((double)g->d + 1) * size;
        x *= g->scale;
        off = off * fabs(g->scale) + 2 * fabs(x);
        if (g->mask != NULL) x += g->mask[i * g->ld_mask + j];
        if (isfinite(x)) worst = fmax(worst, off + 2 * fabs(x));
        weight[j] = x;
        most = fmax(most, x);
    }
    for (size_t j = 0; j < g->tk; j++) sum += weight[j] = exp(weight[j] - most);
    for (size_t c = 0; c < g->dv; c++) {
        double want = 0, size = 0;
        for (size_t j = 0; j < g->tk; j++) {
            want += weight[j] / sum * g->v[j * g->ldv + c];
            size += fabs(weight[j] / sum * g->v[j * g->ldv + c]);
        }
        double bound = (2 * worst + 2 * (double)g->tk + 12) * EPS * size;
        double got = g->o[i * g->ldo + c];
        if (!(fabs(got - want) <= bound) || !(fabs(got - (double)scalar[c]) <= 2 * bound))
            fail_msg(
                "%s tq=%zu tk=%zu d=%zu dv=%zu at [%zu,%zu]: got %.9g, double %.9g, scalar %.9g, bound %.3g",
                isa, g->tq, g->tk, g->d, g->dv, i, c, got, want, (double)scalar[c], bound);
    }
    free(weight);
}

static const float *random_matrix(struct guard *guard, struct rng *rng, size_t rows, size_t cols,
                                  size_t *ret_ld)
{
    *ret_ld = cols + rng_below(rng, 3);
    size_t n = (rows - 1) * *ret_ld + cols;
    float *x = guard_take(guard, n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = rng_uniform(rng, -2, 2);
    return x;
}

static void attention_case(const struct kernels *kernels, struct operands *o, struct rng *rng, size_t tq,
                           size_t tk, size_t d, size_t dv)
{
    struct f32_attention g = {.tq = tq, .tk = tk, .d = d, .dv = dv, .scale = 1 / sqrtf((float)d)};
    g.q = random_matrix(&o->q, rng, tq, d, &g.ldq);
    g.k = random_matrix(&o->k, rng, tk, d, &g.ldk);
    g.v = random_matrix(&o->v, rng, tk, dv, &g.ldv);
    g.ldo = dv + rng_below(rng, 3);
    uint64_t masked = rng_below(rng, 3);
    if (masked > 0) {
        size_t ld;
        float *mask = (float *)(uintptr_t)random_matrix(&o->mask, rng, masked == 1 ? 1 : tq, tk, &ld);
        g.ld_mask = masked == 1 ? 0 : ld;
        for (size_t i = 0; i < (masked == 1 ? 1 : tq); i++) /* the first key stays visible */
            for (size_t j = 1; j < tk; j++)
                if (rng_below(rng, 3) == 0) mask[i * ld + j] = -INFINITY;
        g.mask = mask;
    }
    size_t n_o = (tq - 1) * g.ldo + dv;
    struct f32_attention s = g;
    float *scratch = guard_take(&o->scratch, f32_attention_scratch(tk, d) * sizeof *scratch);
    s.o = guard_take(&o->o_scalar, n_o * sizeof *s.o);
    kernels_of("scalar")->f32_attention(&s, scratch);
    g.o = guard_take(&o->o, n_o * sizeof *g.o);
    memset(scratch, 0xff,
           f32_attention_scratch(tk, d) * sizeof *scratch); /* NaN shows a read before a write */
    kernels->f32_attention(&g, scratch);
    for (size_t i = 0; i < tq; i++) {
        check_row(kernels->isa, &g, i, s.o + i * s.ldo);
        for (size_t c = dv; i + 1 < tq && c < g.ldo; c++)
            if (memcmp(&g.o[i * g.ldo + c], "\xa5\xa5\xa5\xa5", 4) != 0)
                fail_msg("%s tq=%zu tk=%zu d=%zu dv=%zu: wrote past row %zu", kernels->isa, tq, tk, d, dv, i);
    }
    if (!guard_intact(&o->o) || !guard_intact(&o->scratch))
        fail_msg("%s tq=%zu tk=%zu d=%zu dv=%zu: wrote before its output", kernels->isa, tq, tk, d, dv);
}

static void attention_agrees_with_double(void **state)
{
    (void)state;
    struct operands o = {guard_create(1 << 20), guard_create(1 << 20), guard_create(1 << 20),
                         guard_create(1 << 20), guard_create(1 << 20), guard_create(1 << 20),
                         guard_create(1 << 20)};
    static const size_t shapes[][4] = {{15, 15, 16, 16}, {1, 1, 1, 1},     {8, 16, 8, 8},    {64, 64, 32, 32},
                                       {25, 33, 17, 5},  {50, 97, 40, 64}, {3, 200, 20, 70}, {49, 31, 8, 33}};
    struct rng rng = rng_seed(test_seed());
    for_each_kernels(kernels)
    {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            attention_case(kernels, &o, &rng, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        for (int round = 0; round < 400; round++)
            attention_case(kernels, &o, &rng, 1 + rng_below(&rng, 30), 1 + rng_below(&rng, 40),
                           1 + rng_below(&rng, 24), 1 + rng_below(&rng, 40));
    }
}

static void a_row_without_visible_keys_is_nan(void **state)
{
    (void)state;
    for_each_kernels(kernels)
    {
        float q[2] = {1, 1}, k[3] = {1, 2, 3}, v[3] = {1, 2, 3}, o[2],
              mask[6] = {-INFINITY, -INFINITY, -INFINITY};
        float scratch[(1 + 24) * 32];
        struct f32_attention g = {
            .tq = 2, .tk = 3, .d = 1, .dv = 1, .q = q, .ldq = 1, .k = k, .ldk = 1, .v = v};
        g.ldv = 1;
        g.mask = mask;
        g.ld_mask = 3;
        g.o = o;
        g.ldo = 1;
        assert_true(f32_attention_scratch(3, 1) <= sizeof scratch / sizeof scratch[0]);
        kernels->f32_attention(&g, scratch); /* scale 0: the second row is the mean of v */
        assert_true(isnan(o[0]));
        assert_true(fabsf(o[1] - 2) < 1e-6f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_agrees_with_double),
        cmocka_unit_test(a_row_without_visible_keys_is_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
