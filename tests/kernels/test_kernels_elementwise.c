#include "kernels_test.h"

#include <float.h>

/* ---- unary: each function against double arithmetic over the whole line of floats ---- */

static double ref_sigmoid(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}
static double ref_expm1_scaled(double x, double alpha, double scale)
{
    return x < 0 ? alpha * expm1(x / scale) : x;
}
static double ref_clamp(double x, double lo, double hi)
{
    return isnan(x) ? x : fmin(fmax(x, lo), hi);
}
static double ref_times(double x, double gate) /* a function's limit where x is infinite and its gate 0 */
{
    return gate == 0 ? 0 : x * gate;
}

static double unary_reference(enum f32_unary f, double x, double alpha, double beta)
{
    switch (f) {
    case F32_UNARY_abs: return fabs(x);
    case F32_UNARY_neg: return -x;
    case F32_UNARY_sqrt: return sqrt(x);
    case F32_UNARY_square: return x * x;
    case F32_UNARY_reciprocal: return 1 / x;
    case F32_UNARY_floor: return floor(x);
    case F32_UNARY_ceil: return ceil(x);
    case F32_UNARY_round: return nearbyint(x);
    case F32_UNARY_sign: return isnan(x) ? x : (x > 0) - (x < 0);
    case F32_UNARY_exp: return exp(x);
    case F32_UNARY_log: return log(x);
    case F32_UNARY_erf: return erf(x);
    case F32_UNARY_tanh: return tanh(x);
    case F32_UNARY_sigmoid: return ref_sigmoid(x);
    case F32_UNARY_relu: return x < 0 ? 0 : x;
    case F32_UNARY_leaky_relu: return x < 0 ? alpha * x : x;
    case F32_UNARY_thresholded_relu: return isnan(x) || x > alpha ? x : 0;
    case F32_UNARY_elu: return ref_expm1_scaled(x, alpha, 1);
    case F32_UNARY_celu: return ref_expm1_scaled(x, alpha, alpha);
    case F32_UNARY_selu: return beta * ref_expm1_scaled(x, alpha, 1);
    case F32_UNARY_softplus: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case F32_UNARY_softsign: return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
    case F32_UNARY_silu: return ref_times(x, ref_sigmoid(x));
    case F32_UNARY_mish: return ref_times(x, tanh(x > 30 ? x : log1p(exp(x))));
    case F32_UNARY_gelu: return ref_times(x, erfc(-x * sqrt(0.5)) / 2);
    case F32_UNARY_gelu_tanh:
        return ref_times(x, ref_sigmoid(2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case F32_UNARY_hard_sigmoid: return ref_clamp(alpha * x + beta, 0, 1);
    case F32_UNARY_hard_swish: return ref_times(x, ref_clamp(x / 6 + 0.5, 0, 1));
    case F32_UNARY_clip: return ref_clamp(x, alpha, beta);
    case F32_UNARY_affine: return alpha * x + beta;
    default: fail_msg("no reference for function %d", (int)f); return 0;
    }
}

/* An element passes within `ulps` of double arithmetic, or within `absolute` of it: the functions that
 * cancel near a zero (affine, the gated ones left of 0) are only as good as their terms, and x times a
 * denormal gate (silu, mish) only as good as the gate. */
static const struct {
    const char *name;
    float alpha, beta;
    double ulps, absolute;
} unary_cases[F32_UNARY_COUNT] = {
    [F32_UNARY_abs] = {"abs", 0, 0, 0, 0},
    [F32_UNARY_neg] = {"neg", 0, 0, 0, 0},
    [F32_UNARY_sqrt] = {"sqrt", 0, 0, 0.51, 0},
    [F32_UNARY_square] = {"square", 0, 0, 0.51, 0},
    [F32_UNARY_reciprocal] = {"reciprocal", 0, 0, 0.51, 0},
    [F32_UNARY_floor] = {"floor", 0, 0, 0, 0},
    [F32_UNARY_ceil] = {"ceil", 0, 0, 0, 0},
    [F32_UNARY_round] = {"round", 0, 0, 0, 0},
    [F32_UNARY_sign] = {"sign", 0, 0, 0, 0},
    [F32_UNARY_exp] = {"exp", 0, 0, 2, 0},
    [F32_UNARY_log] = {"log", 0, 0, 2, 0},
    [F32_UNARY_erf] = {"erf", 0, 0, 2, 0},
    [F32_UNARY_tanh] = {"tanh", 0, 0, 3, 0},
    [F32_UNARY_sigmoid] = {"sigmoid", 0, 0, 3, 0},
    [F32_UNARY_relu] = {"relu", 0, 0, 0, 0},
    [F32_UNARY_leaky_relu] = {"leaky_relu", 0.01f, 0, 0.51, 0},
    [F32_UNARY_thresholded_relu] = {"thresholded_relu", 0.7f, 0, 0, 0},
    [F32_UNARY_elu] = {"elu", 0.7f, 0, 3, 0},
    [F32_UNARY_celu] = {"celu", 1.7f, 0, 4, 0},
    [F32_UNARY_selu] = {"selu", 1.67326319f, 1.05070102f, 3, 0},
    [F32_UNARY_softplus] = {"softplus", 0, 0, 3, 0},
    [F32_UNARY_softsign] = {"softsign", 0, 0, 2, 0},
    [F32_UNARY_silu] = {"silu", 0, 0, 4, 1e-43},
    [F32_UNARY_mish] = {"mish", 0, 0, 5, 1e-43},
    [F32_UNARY_gelu] = {"gelu", 0, 0, 3, 2e-7},
    [F32_UNARY_gelu_tanh] = {"gelu_tanh", 0, 0, 4, 2e-7},
    [F32_UNARY_hard_sigmoid] = {"hard_sigmoid", 0.2f, 0.5f, 1, 6e-8},
    [F32_UNARY_hard_swish] = {"hard_swish", 0, 0, 2, 4e-7},
    [F32_UNARY_clip] = {"clip", -0.5f, 2, 0, 0},
    [F32_UNARY_affine] = {"affine", 1.5f, -0.25f, 1, 6e-8},
};

static void unary_agrees_with_double_on_floats_of_every_size(void **state)
{
    (void)state;
    enum { N = 1 << 16, STEP = 4099 }; /* about a million floats, every exponent and both signs */
    static float x[N], y[N];
    for_each_kernels(kernels) for (int f = 0; f < F32_UNARY_COUNT; f++)
    {
        float alpha = unary_cases[f].alpha, beta = unary_cases[f].beta;
        double worst = 0;
        for (uint64_t bits = test_seed() % STEP; bits < 1ull << 32;) {
            size_t n = 0;
            for (; n < N && bits < 1ull << 32; n++, bits += STEP) x[n] = float_from_bits((uint32_t)bits);
            kernels->f32_unary[f](y, x, n, alpha, beta);
            for (size_t i = 0; i < n; i++) {
                double want = unary_reference((enum f32_unary)f, x[i], alpha, beta);
                double ulps = ulps_between(y[i], want);
                if (fabs(y[i] - want) <= unary_cases[f].absolute) continue;
                if (ulps > worst) worst = ulps;
                if (ulps > unary_cases[f].ulps)
                    fail_msg("%s %s(%a): got %a, want %a, off by %.3g ulps", kernels->isa,
                             unary_cases[f].name, (double)x[i], (double)y[i], want, ulps);
            }
        }
        print_message("%-8s %-16s at most %.2f ulps\n", kernels->isa, unary_cases[f].name, worst);
    }
}

static void unary_is_right_at_the_edges(void **state)
{
    (void)state;
    static const float edges[] = {0.0f,       -0.0f,    INFINITY, -INFINITY, NAN,    FLT_MAX, -FLT_MAX,
                                  FLT_MIN,    -FLT_MIN, 1e-45f,   -1e-45f,   1.0f,   -1.0f,   88.72284f,
                                  -87.33655f, -103.97f, 0.5f,     1.5f,      2.5f,   -0.5f,   -2.5f,
                                  1e30f,      -1e30f,   8388609,  16777215,  -3.92f, 3.92f,   0x1.fffffep-2f};
    enum { N = sizeof edges / sizeof edges[0] };
    for_each_kernels(kernels) for (int f = 0; f < F32_UNARY_COUNT; f++)
    {
        float y[N], alpha = unary_cases[f].alpha, beta = unary_cases[f].beta;
        kernels->f32_unary[f](y, edges, N, alpha, beta);
        for (size_t i = 0; i < N; i++) {
            double want = unary_reference((enum f32_unary)f, edges[i], alpha, beta);
            if (ulps_between(y[i], want) > unary_cases[f].ulps &&
                !(fabs(y[i] - want) <= unary_cases[f].absolute))
                fail_msg("%s %s(%a): got %a, want %a", kernels->isa, unary_cases[f].name, (double)edges[i],
                         (double)y[i], want);
        }
    }
}

/* Every length and so every tail and alignment; the scalar variant with the same bounds. Results of the
 * variants differ by at most the sum of both bounds. */
static void unary_touches_its_elements_alone(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct guard gx = guard_create(4096), gy = guard_create(4096);
    const struct kernels *scalar = kernels_of("scalar");
    for_each_kernels(kernels) for (int f = 0; f < F32_UNARY_COUNT; f++) for (size_t n = 0; n <= 67; n++)
    {
        float want[67], alpha = unary_cases[f].alpha, beta = unary_cases[f].beta;
        float *x = guard_take(&gx, n * sizeof *x), *y = guard_take(&gy, n * sizeof *y);
        for (size_t i = 0; i < n; i++) x[i] = rng_uniform(&rng, -6, 6);
        scalar->f32_unary[f](want, x, n, alpha, beta);
        kernels->f32_unary[f](y, x, n, alpha, beta);
        kernels->f32_unary[f](x, x, n, alpha, beta); /* in place */
        for (size_t i = 0; i < n; i++) {
            double off = fabs((double)y[i] - (double)want[i]);
            if (memcmp(&x[i], &y[i], sizeof x[i]) != 0 && !(isnan(x[i]) && isnan(y[i])))
                fail_msg("%s %s n=%zu: in place gives another result at %zu", kernels->isa,
                         unary_cases[f].name, n, i);
            if (ulps_between(y[i], want[i]) > 2 * unary_cases[f].ulps &&
                !(off <= 2 * unary_cases[f].absolute))
                fail_msg("%s %s n=%zu at %zu: %a, scalar %a", kernels->isa, unary_cases[f].name, n, i,
                         (double)y[i], (double)want[i]);
        }
        if (!guard_intact(&gy))
            fail_msg("%s %s n=%zu: wrote before its output", kernels->isa, unary_cases[f].name, n);
    }
}

/* ---- binary ---- */

static double binary_reference(enum f32_binary op, double a, double b)
{
    switch (op) {
    case F32_BINARY_add: return a + b;
    case F32_BINARY_sub: return a - b;
    case F32_BINARY_mul: return a * b;
    case F32_BINARY_div: return a / b;
    case F32_BINARY_min: return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case F32_BINARY_max: return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case F32_BINARY_pow: return pow(a, b);
    case F32_BINARY_prelu: return a < 0 ? a * b : a;
    default: fail_msg("no reference for operation %d", (int)op); return 0;
    }
}

static float random_operand(struct rng *rng)
{
    static const float odd[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-45f, FLT_MAX, 1.0f, -1.0f};
    if (rng_below(rng, 8) == 0) return odd[rng_below(rng, sizeof odd / sizeof odd[0])];
    return rng_uniform(rng, -4, 4);
}

enum mode { VV, VS, SV };

static void binary_case(const struct kernels *kernels, struct guard *g, struct rng *rng, int op,
                        enum mode mode)
{
    size_t rows = rng_below(rng, 5), cols = rng_below(rng, 40);
    size_t ldy = cols + rng_below(rng, 3), lda, ldb;
    size_t a_cols = mode == SV ? 1 : cols, b_cols = mode == VS ? 1 : cols;
    lda = rng_below(rng, 3) == 0 ? 0 : a_cols + rng_below(rng, 3);
    ldb = rng_below(rng, 3) == 0 ? 0 : b_cols + rng_below(rng, 3);
    size_t n_a = rows ? (rows - 1) * lda + a_cols : 0, n_b = rows ? (rows - 1) * ldb + b_cols : 0;
    size_t n_y = rows ? (rows - 1) * ldy + cols : 0;
    if (cols == 0) n_a = n_b = n_y = 0;
    float *a = guard_take(&g[0], n_a * 4), *b = guard_take(&g[1], n_b * 4), *y = guard_take(&g[2], n_y * 4);
    for (size_t i = 0; i < n_a; i++) a[i] = random_operand(rng);
    for (size_t i = 0; i < n_b; i++) b[i] = random_operand(rng);
    const struct f32_binary_kernels *k = &kernels->f32_binary[op];
    f32_binary_fn *fn = mode == VV ? k->vv : mode == VS ? k->vs : k->sv;
    fn(y, ldy, a, lda, b, ldb, rows, cols);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            float x = a[i * lda + (mode == SV ? 0 : j)], z = b[i * ldb + (mode == VS ? 0 : j)];
            double want = binary_reference((enum f32_binary)op, x, z);
            /* One rounding, and 1 unit for the library's powf. */
            double bound = op == F32_BINARY_pow ? 1 : 0.51;
            if (ulps_between(y[i * ldy + j], want) > bound)
                fail_msg("%s op %d mode %d [%zu,%zu] of [%zu,%zu]: %a op %a gave %a, want %a", kernels->isa,
                         op, (int)mode, i, j, rows, cols, (double)x, (double)z, (double)y[i * ldy + j], want);
        }
        for (size_t j = cols; cols > 0 && i + 1 < rows && j < ldy; j++)
            if (memcmp(&y[i * ldy + j], "\xa5\xa5\xa5\xa5", 4) != 0)
                fail_msg("%s op %d mode %d: wrote past row %zu", kernels->isa, op, (int)mode, i);
    }
    if (!guard_intact(&g[2]))
        fail_msg("%s op %d mode %d: wrote before its output", kernels->isa, op, (int)mode);
}

static void binary_agrees_with_double_in_every_broadcast(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct guard g[3] = {guard_create(8192), guard_create(8192), guard_create(8192)};
    for_each_kernels(kernels) for (int op = 0; op < F32_BINARY_COUNT; op++) for (int round = 0; round < 900;
                                                                                 round++)
        binary_case(kernels, g, &rng, op, (enum mode)(round % 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_agrees_with_double_on_floats_of_every_size),
        cmocka_unit_test(unary_is_right_at_the_edges),
        cmocka_unit_test(unary_touches_its_elements_alone),
        cmocka_unit_test(binary_agrees_with_double_in_every_broadcast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
