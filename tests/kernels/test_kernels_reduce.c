#include "kernels_test.h"

#include <float.h>
#include <stdlib.h>

#define EPS 0x1p-24 /* half a unit in the last place of 1: one rounding's relative error */

static const char *const reduce_names[] = {
#define NAME(name, arg) #name,
    F32_REDUCE_LIST(NAME, 0)
#undef NAME
};

/* The reduction of n elements `stride` apart in double, and how far float may be from it: each of n steps
 * rounds a partial result no larger than the sum (product) of magnitudes. */
static double reduced(enum f32_reduce op, const float *x, size_t stride, size_t n, double *ret_bound)
{
    double sum = 0, size = 0, squares = 0, most = -INFINITY, least = INFINITY, product = 1;
    bool nan = false;
    for (size_t i = 0; i < n; i++) {
        double v = x[i * stride];
        nan = nan || isnan(v);
        sum += v;
        size += fabs(v);
        squares += v * v;
        most = fmax(most, v);
        least = fmin(least, v);
        product *= v;
    }
    double steps = ((double)n + 1) * EPS;
    *ret_bound = steps * size;
    switch (op) {
    case F32_REDUCE_sum: return sum;
    case F32_REDUCE_mean: *ret_bound = n ? (steps + EPS) * size / (double)n : 0; return sum / (double)n;
    case F32_REDUCE_sum_abs: return size;
    case F32_REDUCE_sum_square: *ret_bound = (steps + EPS) * squares; return squares;
    case F32_REDUCE_prod: *ret_bound = steps * fabs(product) + 0x1p-149; return product;
    case F32_REDUCE_max: *ret_bound = 0; return nan ? NAN : most;
    case F32_REDUCE_min: *ret_bound = 0; return nan ? NAN : least;
    default: fail_msg("no reference for reduction %d", (int)op); return 0;
    }
}

static void check(const char *isa, const char *what, size_t rows, size_t cols, size_t at, double got,
                  double want, double bound)
{
    if ((isnan(want) && isnan(got)) || got == want || fabs(got - want) <= bound) return;
    fail_msg("%s %s of [%zu,%zu] at %zu: got %.9g, want %.9g, bound %.3g", isa, what, rows, cols, at, got,
             want, bound);
}

static void fill_hostile(struct rng *rng, float *x, size_t n)
{
    rng_fill(rng, x, n);
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0f};
    if (n > 0 && rng_below(rng, 4) == 0) x[rng_below(rng, n)] = odd[rng_below(rng, 5)];
}

static void inner_reductions_agree_with_double(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct guard gx = guard_create(1 << 20), gy = guard_create(4096);
    for_each_kernels(kernels) for (int op = 0; op < F32_REDUCE_COUNT; op++) for (size_t cols = 0; cols < 200;
                                                                                 cols += 1 + cols / 70)
    {
        size_t rows = rng_below(&rng, 5), ldx = cols + rng_below(&rng, 3);
        size_t n = rows && cols ? (rows - 1) * ldx + cols : 0;
        float *x = guard_take(&gx, n * sizeof *x), *y = guard_take(&gy, rows * sizeof *y);
        if (op == F32_REDUCE_prod) /* a float product may reach 0 before it meets an infinity */
            rng_fill(&rng, x, n);
        else
            fill_hostile(&rng, x, n);
        kernels->f32_reduce_inner[op](y, x, ldx, rows, cols);
        for (size_t r = 0; r < rows; r++) {
            double bound, want = reduced((enum f32_reduce)op, x + r * ldx, 1, cols, &bound);
            check(kernels->isa, reduce_names[op], rows, cols, r, y[r], want, bound);
        }
        if (!guard_intact(&gy)) fail_msg("%s %s: wrote before its output", kernels->isa, reduce_names[op]);
    }
}

static void outer_reductions_agree_with_double(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct guard gx = guard_create(1 << 20), gy = guard_create(1 << 16);
    for_each_kernels(kernels) for (int op = 0; op < F32_REDUCE_COUNT; op++) for (size_t cols = 1; cols < 70;
                                                                                 cols++)
    {
        size_t batch = 1 + rng_below(&rng, 3), rows = rng_below(&rng, 12);
        size_t ldx = cols + rng_below(&rng, 3), ldb = rows * ldx + rng_below(&rng, 3), ldy = cols + 1;
        size_t n = rows ? (batch - 1) * ldb + (rows - 1) * ldx + cols : 0;
        size_t n_y = (batch - 1) * ldy + cols;
        float *x = guard_take(&gx, n * sizeof *x), *y = guard_take(&gy, n_y * sizeof *y);
        if (op == F32_REDUCE_prod)
            rng_fill(&rng, x, n);
        else
            fill_hostile(&rng, x, n);
        for (size_t i = 0; i < n_y; i++) y[i] = 77;
        kernels->f32_reduce_outer[op](y, ldy, x, ldb, ldx, batch, rows, cols);
        for (size_t b = 0; b < batch; b++) {
            for (size_t c = 0; c < cols; c++) {
                double bound, want = reduced((enum f32_reduce)op, x + b * ldb + c, ldx, rows, &bound);
                check(kernels->isa, reduce_names[op], rows, cols, c, y[b * ldy + c], want, bound);
            }
            if (b + 1 < batch) assert_float_equal(y[b * ldy + cols], 77, 0);
        }
        if (!guard_intact(&gy)) fail_msg("%s %s: wrote before its output", kernels->isa, reduce_names[op]);
    }
}

/* The exponential is good to 2 units and its argument, x - max, was rounded once, which scales the result
 * by 1 + |x - max| EPS; the sum rounds cols times. */
static void softmax_case(const struct kernels *kernels, bool logarithm, float *y, size_t ldy, const float *x,
                         size_t ldx, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * ldx;
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < cols; j++) most = isnan(row[j]) ? NAN : row[j] > most ? row[j] : most;
        for (size_t j = 0; j < cols; j++) sum += exp(row[j] - most);
        for (size_t j = 0; j < cols; j++) {
            double shifted = row[j] - most, want = exp(shifted) / sum;
            double relative = (8 + (double)cols + fabs(shifted)) * EPS;
            if (logarithm)
                check(kernels->isa, "log_softmax", rows, cols, j, y[r * ldy + j], shifted - log(sum),
                      relative + 2 * EPS * fabs(shifted - log(sum)));
            else
                check(kernels->isa, "softmax", rows, cols, j, y[r * ldy + j], want,
                      relative * want + 0x1p-148);
        }
    }
}

static void softmax_agrees_with_double(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct guard gx = guard_create(1 << 16), gy = guard_create(1 << 16);
    for_each_kernels(kernels) for (size_t cols = 0; cols < 150; cols++) for (int logarithm = 0; logarithm < 2;
                                                                             logarithm++)
    {
        size_t rows = 1 + rng_below(&rng, 4), ldx = cols + rng_below(&rng, 3), ldy = ldx;
        size_t n = cols ? (rows - 1) * ldx + cols : 0;
        float *x = guard_take(&gx, n * sizeof *x), *y = guard_take(&gy, n * sizeof *y);
        float spread = (float)exp2((double)rng_below(&rng, 9)); /* up to 256: most weights underflow */
        for (size_t i = 0; i < n; i++) x[i] = rng_uniform(&rng, -spread, spread);
        if (cols > 2) x[rng_below(&rng, cols)] = -INFINITY;
        if (cols > 2 && rows > 1 && rng_below(&rng, 4) == 0) x[ldx + cols - 1] = NAN;
        f32_softmax_fn *fn = logarithm ? kernels->f32_log_softmax : kernels->f32_softmax;
        fn(y, ldy, x, ldx, rows, cols);
        softmax_case(kernels, logarithm, y, ldy, x, ldx, rows, cols);
        if (!guard_intact(&gy)) fail_msg("%s softmax: wrote before its output", kernels->isa);
        fn(x, ldx, x, ldx, rows, cols);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < cols; j++)
                if (memcmp(&x[r * ldx + j], &y[r * ldy + j], 4) != 0 && !isnan(x[r * ldx + j]))
                    fail_msg("%s softmax [%zu,%zu]: in place gives another result", kernels->isa, rows, cols);
    }
}

static void softmax_of_infinities_is_nan_in_its_row_alone(void **state)
{
    (void)state;
    for_each_kernels(kernels) for (size_t cols = 3; cols < 40; cols += 18)
    {
        float x[2 * 40], y[2 * 40];
        for (size_t j = 0; j < cols; j++) {
            x[j] = -INFINITY;
            x[cols + j] = 1;
        }
        kernels->f32_softmax(y, cols, x, cols, 2, cols);
        for (size_t j = 0; j < cols; j++) {
            assert_true(isnan(y[j]));
            check(kernels->isa, "softmax", 2, cols, j, y[cols + j], 1.0 / (double)cols, 4 * EPS);
        }
    }
}

/* The mean of values up to `size` is off by (cols + 2) EPS size, which the division by the standard deviation
 * magnifies; normalising itself adds a few roundings. */
static void layer_norm_agrees_with_double(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct guard gx = guard_create(1 << 16), gy = guard_create(1 << 16), gs = guard_create(4096),
                 gb = guard_create(4096);
    for_each_kernels(kernels) for (size_t cols = 1; cols < 140; cols++)
    {
        size_t rows = 1 + rng_below(&rng, 3), ldx = cols + rng_below(&rng, 3), n = (rows - 1) * ldx + cols;
        float *x = guard_take(&gx, n * sizeof *x), *y = guard_take(&gy, n * sizeof *y);
        float *scale = guard_take(&gs, cols * sizeof *scale), *bias = guard_take(&gb, cols * sizeof *bias);
        rng_fill(&rng, scale, cols);
        rng_fill(&rng, bias, cols);
        bool has_scale = rng_below(&rng, 4) > 0, has_bias = rng_below(&rng, 4) > 0;
        float offset = rng_below(&rng, 3) == 0 ? 5 : 0, epsilon = 1e-5f;
        for (size_t i = 0; i < n; i++) x[i] = offset + rng_uniform(&rng, -2, 2);
        kernels->f32_layer_norm(y, ldx, x, ldx, has_scale ? scale : NULL, has_bias ? bias : NULL, epsilon,
                                rows, cols);
        for (size_t r = 0; r < rows; r++) {
            double mean = 0, variance = 0, size = 0;
            for (size_t j = 0; j < cols; j++) mean += x[r * ldx + j] / (double)cols;
            for (size_t j = 0; j < cols; j++) {
                variance += pow(x[r * ldx + j] - mean, 2) / (double)cols;
                size = fmax(size, fabs((double)x[r * ldx + j]));
            }
            double deviation = sqrt(variance + (double)epsilon);
            for (size_t j = 0; j < cols; j++) {
                double normal = (x[r * ldx + j] - mean) / deviation, s = has_scale ? scale[j] : 1;
                double b = has_bias ? bias[j] : 0, want = normal * s + b;
                double off = ((double)cols + 8) * EPS * (size / deviation + fabs(normal));
                check(kernels->isa, "layer_norm", rows, cols, j, y[r * ldx + j], want,
                      off * fabs(s) + EPS * fabs(want));
            }
        }
        if (!guard_intact(&gy)) fail_msg("%s layer_norm: wrote before its output", kernels->isa);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inner_reductions_agree_with_double),
        cmocka_unit_test(outer_reductions_agree_with_double),
        cmocka_unit_test(softmax_agrees_with_double),
        cmocka_unit_test(softmax_of_infinities_is_nan_in_its_row_alone),
        cmocka_unit_test(layer_norm_agrees_with_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
