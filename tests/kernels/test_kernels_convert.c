#include "kernels_test.h"

#include <float.h>

/* ---- independent references: search and arithmetic in double, no bit tricks ---- */

static double f16_value(uint16_t h)
{
    int exponent = h >> 10 & 31;
    double mantissa = h & 1023, sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31) return mantissa > 0 ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25));
}

/* The even one of the nearest halves; 65520, the middle of 65504 and 2^16, is where infinity begins. */
static uint16_t nearest_f16(float x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double size = fabs((double)x);
    if (size >= 65520) return sign | 0x7c00;
    int exponent = size < 0x1p-14 ? -14 : ilogb(size);
    double steps = nearbyint(ldexp(size, 10 - exponent)); /* exact, then ties to even */
    return (uint16_t)(sign + ((exponent + 14) << 10) + (int)steps);
}

static void f16_agrees_with_arithmetic(void **state)
{
    (void)state;
    enum { N = 65536 };
    static uint16_t all[N], back[N];
    static float x[N];
    for (int i = 0; i < N; i++) all[i] = (uint16_t)i;
    for_each_kernels(kernels)
    {
        kernels->f32_from_f16(x, all, N);
        kernels->f32_to_f16(back, x, N);
        for (int i = 0; i < N; i++) {
            double want = f16_value(all[i]);
            if (isnan(want) ? !isnan(x[i]) : (double)x[i] != want || !signbit(x[i]) != !signbit(want))
                fail_msg("%s f16 %04x: got %a, want %a", kernels->isa, i, (double)x[i], want);
            if (isnan(want) ? !isnan(f16_value(back[i])) : back[i] != all[i])
                fail_msg("%s f16 %04x came back as %04x", kernels->isa, i, back[i]);
        }
        for (uint64_t bits = test_seed() % 997; bits < 1ull << 32;) { /* each float between, sampled */
            size_t n = 0;
            for (; n < N && bits < 1ull << 32; n++, bits += 4099) x[n] = float_from_bits((uint32_t)bits);
            kernels->f32_to_f16(back, x, n);
            for (size_t i = 0; i < n; i++)
                if (isnan(x[i]) ? !isnan(f16_value(back[i])) : back[i] != nearest_f16(x[i]))
                    fail_msg("%s to f16 of %a: got %04x, want %04x", kernels->isa, (double)x[i], back[i],
                             nearest_f16(x[i]));
        }
    }
}

static void f16_ties_go_to_even(void **state)
{
    (void)state;
    static const struct {
        float x;
        uint16_t want;
    } cases[] = {{1 + 0x1p-11f, 0x3c00}, {1 + 3 * 0x1p-11f, 0x3c02}, {65519.996f, 0x7bff},
                 {65520, 0x7c00},        {0x1p-25f, 0x0000},         {0x1.000002p-25f, 0x0001},
                 {3 * 0x1p-25f, 2},      {-0x1p-24f, 0x8001},        {0x1.ffep-15f, 0x0400},
                 {0x1.ff8p-15f, 0x03ff}, {FLT_MAX, 0x7c00},          {-INFINITY, 0xfc00},
                 {0x1.ffcp-15f, 0x03ff}};
    for_each_kernels(kernels) for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        uint16_t got;
        kernels->f32_to_f16(&got, &cases[i].x, 1);
        if (got != nearest_f16(cases[i].x))
            fail_msg("%s to f16 of %a: got %04x, want %04x", kernels->isa, (double)cases[i].x, got,
                     nearest_f16(cases[i].x));
    }
    assert_int_equal(nearest_f16(cases[0].x), cases[0].want); /* the reference itself, by hand */
    assert_int_equal(nearest_f16(cases[1].x), cases[1].want);
    assert_int_equal(nearest_f16(cases[2].x), cases[2].want);
    assert_int_equal(nearest_f16(cases[4].x), cases[4].want);
    assert_int_equal(nearest_f16(cases[7].x), cases[7].want);
}

static void bf16_is_the_nearest_upper_half(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    for_each_kernels(kernels) for (int round = 0; round < 3000; round++)
    {
        float x[40], back[40];
        uint16_t y[40];
        size_t n = 1 + rng_below(&rng, 40);
        for (size_t i = 0; i < n; i++) {
            x[i] = float_from_bits((uint32_t)rng_u64(&rng));
            if (rng_below(&rng, 4) == 0) /* a tie */
                x[i] = float_from_bits(((uint32_t)rng_u64(&rng) & 0xffff0000) | 0x8000);
        }
        kernels->f32_to_bf16(y, x, n);
        kernels->f32_from_bf16(back, y, n);
        for (size_t i = 0; i < n; i++) {
            if (isnan(x[i])) {
                assert_true(isnan(back[i]));
                continue;
            }
            /* In units of bf16's step at x, rounded to nearest even; past the largest float is infinity. */
            int exponent = x[i] == 0 || fabsf(x[i]) < FLT_MIN ? -126 : ilogbf(x[i]);
            double want = isinf(x[i]) ? x[i] : ldexp(nearbyint(ldexp(x[i], 7 - exponent)), exponent - 7);
            if ((double)back[i] != (fabs(want) >= 0x1p128 ? copysign(INFINITY, want) : want))
                fail_msg("%s to bf16 of %a: got %a, want %a", kernels->isa, (double)x[i], (double)back[i],
                         want);
        }
    }
}

static void conversions_touch_their_elements_alone(void **state)
{
    (void)state;
    struct guard g32 = guard_create(4096), g16 = guard_create(4096);
    for_each_kernels(kernels) for (size_t n = 0; n <= 67; n++) for (int kind = 0; kind < 2; kind++)
    {
        float *x = guard_take(&g32, n * sizeof *x);
        uint16_t *y = guard_take(&g16, n * sizeof *y);
        for (size_t i = 0; i < n; i++) x[i] = (float)i;
        (kind ? kernels->f32_to_f16 : kernels->f32_to_bf16)(y, x, n);
        assert_true(guard_intact(&g16));
        x = guard_take(&g32, n * sizeof *x);
        (kind ? kernels->f32_from_f16 : kernels->f32_from_bf16)(x, y, n);
        assert_true(guard_intact(&g32));
        for (size_t i = 0; i < n; i++) assert_float_equal(x[i], i, 0);
    }
}

static void casts_truncate_and_mark_what_does_not_fit(void **state)
{
    (void)state;
    static const float x[] = {0,        -0.0f,           1.9f, -1.9f, 16777216, 0x1p62f, 0x1p63f,
                              -0x1p63f, -0x1.000002p63f, 1e30, NAN,   7};
    static const int64_t want[] = {0,         0,         1,         -1,        16777216,  INT64_C(1) << 62,
                                   INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, 7};
    enum { N = sizeof x / sizeof x[0] };
    for_each_kernels(kernels) for (size_t stride = 0; stride < 5; stride++)
    {
        float spread[N * 5] = {0};
        int64_t y[N];
        for (size_t i = 0; i < N; i++) spread[i * stride] = x[i];
        if (stride == 0) spread[0] = 3.5f;
        kernels->f32_to_i64(y, spread, stride, N);
        for (size_t i = 0; i < N; i++)
            if (y[i] != (stride == 0 ? 3 : want[i]))
                fail_msg("%s to i64 of %a: got %lld", kernels->isa, (double)x[i], (long long)y[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_agrees_with_arithmetic),
        cmocka_unit_test(f16_ties_go_to_even),
        cmocka_unit_test(bf16_is_the_nearest_upper_half),
        cmocka_unit_test(conversions_touch_their_elements_alone),
        cmocka_unit_test(casts_truncate_and_mark_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
