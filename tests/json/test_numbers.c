#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "json/decimal.h"
#include "json/pow10.h"
#include "json/shortest.h"

static uint32_t bits_of_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static uint64_t bits_of_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static float f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static double f64_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The C library rounds correctly, which makes it the reference for every text. */
static void check_text(const char *text)
{
    struct decimal d;
    size_t n = strlen(text);
    if (decimal_scan(text, text + n, &d) != text + n) fail_msg("'%s' was not read to its end", text);
    float got32 = decimal_to_f32(&d), want32 = strtof(text, NULL);
    if (bits_of_f32(got32) != bits_of_f32(want32)) fail_msg("'%s': got %a, want %a", text, got32, want32);
    double got64 = decimal_to_f64(&d), want64 = strtod(text, NULL);
    if (bits_of_f64(got64) != bits_of_f64(want64)) fail_msg("'%s': got %a, want %a", text, got64, want64);
}

static void powers_of_ten_are_exact_where_they_claim(void **state)
{
    (void)state;
    for (int q = POW10_MIN; q <= POW10_MAX; q++) {
        struct pow10 p = pow10_floor(q);
        assert_true(p.hi >> 63 == 1);
        long double value = ldexpl((long double)p.hi + (long double)p.lo * 0x1p-64L, pow10_log2(q) - 63);
        long double want = powl(10.0L, q);
        assert_true(fabsl(value / want - 1) < 1e-17L);
        if (q >= 0 && q <= 27) assert_true(value == want);
    }
    assert_true(pow10_floor(1).hi == 5ull << 61);
    assert_true(pow10_floor(-1).hi == 0xcccccccccccccccc && pow10_floor(-1).lo == 0xcccccccccccccccc);
}

static void well_known_hard_texts_are_read_right(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.0e5",
        "1",
        "16777217",
        "16777216.5",
        "16777217.0",
        "8388608.5",
        "8388609.5",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.0",
        "1e22",
        "1e23",
        "8.5e22",
        "5e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "4.9406564584124654e-324",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e400",
        "1e-400",
        "1e999999999999",
        "1e-999999999999",
        "0e999999999999",
        "3.4028235e38",
        "3.40282356e38",
        "3.4028236e38",
        "1.4e-45",
        "7.0064923216240853e-46",
        "7.0064923216240854e-46",
        "7.0064923216240862e-46",
        "1.17549435e-38",
        "0.1",
        "0.3",
        "0.30000000000000004",
        "16777215e-10",
        "16777216e-10",
        "16777215e-11",
        "0.0000000001",
        "-1.6777215",
        "123456789012345678901234567890",
        "0.00000000000000000000000000000000000000000000000000000000000000000001234567890123456789",
        "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000e-80",
        "1.00000017881393432617187499",
        "1.00000017881393432617187500",
        "1.00000017881393432617187501",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587"
        "2070963302864166928879109465555478519404026306574886715058206819089020007083836762738548458177115"
        "3176447573027006985557136695962284291481986083493647529271907416844436551070434271155969950809304"
        "288e-100",
        "6929495644600919.5",
        "3.2378839133029012895883524125015321748630094e-319",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) check_text(texts[i]);
    /* The midpoint above the smallest double, 2^-1075 written out in full, and one digit more or less. */
    char text[1600];
    snprintf(text, sizeof text, "%.1075f", ldexp(1, -1074) * 1);
    check_text(text);
    for (int e = -1074; e < 1023; e += 7) {
        snprintf(text, sizeof text, "%.1074f", ldexp(1, e));
        check_text(text);
        size_t n = strlen(text);
        memcpy(text + n, "0000000000000000000000000001", 29);
        check_text(text);
    }
}

static void random_texts_are_read_like_the_c_library(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    char text[96];
    for (int i = 0; i < 2000000; i++) {
        int n_int = (int)rng_below(&rng, 3) == 0 ? (int)rng_below(&rng, 22) : 1;
        int n_frac = (int)rng_below(&rng, 25), at = 0;
        if (rng_below(&rng, 2)) text[at++] = '-';
        text[at++] = n_int < 2 ? (char)('0' + rng_below(&rng, 10)) : (char)('1' + rng_below(&rng, 9));
        for (int j = 1; j < n_int; j++) text[at++] = (char)('0' + rng_below(&rng, 10));
        if (n_frac > 0) text[at++] = '.';
        for (int j = 0; j < n_frac; j++) text[at++] = (char)('0' + rng_below(&rng, 10));
        if (rng_below(&rng, 2)) at += sprintf(text + at, "e%d", (int)rng_below(&rng, 700) - 350);
        text[at] = 0;
        check_text(text);
    }
}

/* Midpoints between neighbouring floats, exactly, and a last digit up or down: the worst there is. */
static void midpoints_round_to_even(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed() + 1);
    char text[1600];
    for (int i = 0; i < 20000; i++) {
        uint32_t bits = (uint32_t)rng_below(&rng, 0x7f7fffff);
        double middle = ((double)f32_of_bits(bits) + (double)f32_of_bits(bits + 1)) / 2;
        snprintf(text, sizeof text, "%.160e", middle);
        check_text(text);
        char *last = strchr(text, 'e') - 1;
        *last = '1';
        check_text(text);
        snprintf(text, sizeof text, "%.*g", (int)rng_below(&rng, 25) + 5, middle);
        check_text(text);
    }
    for (int i = 0; i < 2000; i++) {
        double x = f64_of_bits(rng_below(&rng, 0x7fe0000000000000));
        snprintf(text, sizeof text, "%.*e", (int)rng_below(&rng, 40) + 1, x);
        check_text(text);
    }
}

static void not_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "-",   "+1",  ".5",   "5.", "01", "-01", "1e",  "1e+", "1e-",
                                        "NaN", "inf", "0x1", "1.e5", "1 ", "1,", "--1", "1_0", "1d5", "00"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        float x;
        if (decimal_parse_f32(texts[i], strlen(texts[i]), &x)) fail_msg("'%s' was read as %g", texts[i], x);
    }
    float x = 7;
    assert_false(decimal_parse_f32("3.5e38", 6, &x)); /* infinite */
    assert_true(x == 7);
    assert_true(decimal_parse_f32("1.5e2", 5, &x));
    assert_true(x == 150);
}

static void whole_numbers_are_read_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"4.0", true, 4},
        {"4e2", true, 400},
        {"0.5", false, 0},
        {"500e-2", true, 5},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"1e30", false, 0},
        {"12345678901234567890123", false, 0},
        {"1e-30", false, 0},
        {"-17", true, -17},
        {"0e99", true, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decimal d;
        int64_t value = 99;
        assert_non_null(decimal_scan(cases[i].text, cases[i].text + strlen(cases[i].text), &d));
        bool ok = decimal_to_i64(&d, &value);
        if (ok != cases[i].ok || (ok && value != cases[i].value))
            fail_msg("'%s': %d, %lld", cases[i].text, ok, (long long)value);
    }
    struct decimal d;
    uint64_t value;
    const char *text = "18446744073709551615";
    assert_non_null(decimal_scan(text, text + 20, &d));
    assert_true(decimal_to_u64(&d, &value) && value == UINT64_MAX);
    text = "18446744073709551616";
    assert_non_null(decimal_scan(text, text + 20, &d));
    assert_false(decimal_to_u64(&d, &value));
}

/* Significant digits of printed text. */
static int n_significant(const char *text)
{
    int n = 0, zeros = 0;
    for (; *text != 0 && *text != 'e'; text++) {
        if (*text < '0' || *text > '9') continue;
        if (*text == '0' && n == 0) continue;
        n++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return n - zeros;
}

static void check_f32(uint32_t bits)
{
    float x = f32_of_bits(bits);
    char text[SHORTEST_MAX + 1], reference[64];
    size_t n = shortest_f32(x, text);
    assert_true(n <= SHORTEST_MAX);
    text[n] = 0;
    float back = strtof(text, NULL), own = 0;
    if (bits_of_f32(back) != bits) fail_msg("%a was written as %s", x, text);
    assert_true(decimal_parse_f32(text, n, &own));
    assert_true(bits_of_f32(own) == bits);
    int digits = 1;
    for (; digits < 9; digits++) {
        snprintf(reference, sizeof reference, "%.*e", digits - 1, x);
        if (bits_of_f32(strtof(reference, NULL)) == bits) break;
    }
    if (digits == 9) snprintf(reference, sizeof reference, "%.8e", x);
    if (x != 0 && n_significant(text) > n_significant(reference))
        fail_msg("%a was written as %s, but %s is shorter", x, text, reference);
}

static void every_exponent_of_f32_is_written_shortest(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed() + 2);
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        static const uint32_t edges[] = {0, 1, 2, 0x7fffff, 0x7ffffe, 0x400000, 0x3fffff};
        for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) check_f32(exponent << 23 | edges[i]);
        for (int i = 0; i < 1500; i++) check_f32(((uint32_t)rng_u64(&rng) & 0x807fffff) | exponent << 23);
    }
}

static void f64_is_written_shortest(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed() + 3);
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = rng_u64(&rng);
        if (i < 2046)
            bits = (uint64_t)i << 52; /* powers of two: the narrow intervals */
        else if (i % 2)
            bits = bits_of_f64((double)(int64_t)rng_below(&rng, 1000000) / 1000);
        if ((bits >> 52 & 0x7ff) == 0x7ff) continue;
        double x = f64_of_bits(bits), own;
        char text[SHORTEST_MAX + 1], reference[64];
        size_t n = shortest_f64(x, text);
        text[n] = 0;
        if (bits_of_f64(strtod(text, NULL)) != bits) fail_msg("%a was written as %s", x, text);
        assert_true(decimal_parse_f64(text, n, &own) && bits_of_f64(own) == bits);
        int digits = 1;
        for (; digits < 17; digits++) {
            snprintf(reference, sizeof reference, "%.*e", digits - 1, x);
            if (bits_of_f64(strtod(reference, NULL)) == bits) break;
        }
        snprintf(reference, sizeof reference, "%.*e", digits - 1, x);
        if (n_significant(text) > n_significant(reference))
            fail_msg("%a was written as %s, but %s is shorter", x, text, reference);
    }
}

static void text_has_the_documented_form(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-15, "-15"},
                 {0.00042, "0.00042"},
                 {1.5e6, "1500000"},
                 {1e-6, "0.000001"},
                 {1e-7, "1e-7"},
                 {1.25e-7, "1.25e-7"},
                 {1e20, "100000000000000000000"},
                 {1e21, "1e21"},
                 {1.5e300, "1.5e300"},
                 {123.456, "123.456"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e308"},
                 {9007199254740993.0, "9007199254740992"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[SHORTEST_MAX + 1];
        text[shortest_f64(cases[i].value, text)] = 0;
        assert_string_equal(text, cases[i].text);
    }
    char text[SHORTEST_MAX + 1];
    text[shortest_f32(0.1f, text)] = 0;
    assert_string_equal(text, "0.1");
    text[shortest_i64(INT64_MIN, text)] = 0;
    assert_string_equal(text, "-9223372036854775808");
    text[shortest_u64(UINT64_MAX, text)] = 0;
    assert_string_equal(text, "18446744073709551615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_ten_are_exact_where_they_claim),
        cmocka_unit_test(well_known_hard_texts_are_read_right),
        cmocka_unit_test(random_texts_are_read_like_the_c_library),
        cmocka_unit_test(midpoints_round_to_even),
        cmocka_unit_test(not_numbers_are_refused),
        cmocka_unit_test(whole_numbers_are_read_exactly),
        cmocka_unit_test(every_exponent_of_f32_is_written_shortest),
        cmocka_unit_test(f64_is_written_shortest),
        cmocka_unit_test(text_has_the_documented_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
