#include "support/test.h"

#include "base/casemap.h"

static void assert_folds(enum casemap map, const char *in, const char *want)
{
    char out[256];
    size_t n = casemap_utf8(map, in, strlen(in), out);
    assert_true(n <= CASEMAP_ROOM(strlen(in)));
    out[n] = 0;
    assert_string_equal(out, want);
}

static void letters_of_many_scripts_change_case(void **state)
{
    (void)state;
    assert_folds(CASEMAP_UPPER, "monday 7:30", "MONDAY 7:30");
    assert_folds(CASEMAP_UPPER, "ärger ÿ ž ǆ", "ÄRGER Ÿ Ž Ǆ");
    assert_folds(CASEMAP_LOWER, "ÄRGER Ÿ Ž Ǆ", "ärger ÿ ž ǆ");
    assert_folds(CASEMAP_LOWER, "ΣΕΛΙΔΑ ПРИВЕТ ԲԱՐԵՎ 𐐀", "σελιδα привет բարեվ 𐐨");
    assert_folds(CASEMAP_UPPER, "ɐ", "Ɐ"); /* two bytes become three */
    assert_folds(CASEMAP_UPPER, "straße 東京", "STRAßE 東京");
}

static void bytes_that_are_not_utf8_stay(void **state)
{
    (void)state;
    assert_folds(CASEMAP_UPPER,
                 "a\xff"
                 "b\xc3",
                 "A\xff"
                 "B\xc3");
    assert_folds(CASEMAP_UPPER, "\xc0\xe1 \xed", "\xc0\xe1 \xed"); /* overlong, cut short */
}

/* A mapping table out of order would make some pairs one-way. */
static void lower_of_upper_comes_back_for_most_letters(void **state)
{
    (void)state;
    int n_pairs = 0, n_back = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t upper = casemap_char(CASEMAP_UPPER, c);
        n_pairs += upper != c;
        n_back += upper != c && casemap_char(CASEMAP_LOWER, upper) == c;
    }
    assert_int_equal(n_pairs, 1423); /* as Python 3.11 counts them */
    assert_int_equal(n_back, 1396);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_many_scripts_change_case),
        cmocka_unit_test(bytes_that_are_not_utf8_stay),
        cmocka_unit_test(lower_of_upper_comes_back_for_most_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
