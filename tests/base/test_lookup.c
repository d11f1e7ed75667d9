#include "support/test.h"

#include <stdio.h>

#include "base/lookup.h"

enum { N_KEYS = 20000 };

static void strings_are_found_at_their_positions(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    onnxd_string *keys = arena_alloc_array(&arena, N_KEYS, sizeof *keys);
    for (int i = 0; i < N_KEYS; i++) {
        const char *text = arena_printf(&arena, "%d", i * 3);
        keys[i] = (onnxd_string){text, strlen(text)};
    }
    for (size_t n = 0; n <= N_KEYS; n = n * 3 + 1) { /* tables of every fill */
        const struct lookup *lookup = lookup_of_strings(&arena, keys, n);
        assert_non_null(lookup);
        assert_int_equal(lookup->repeat, LOOKUP_NONE);
        for (int i = 0; i < 3 * N_KEYS; i++) {
            char text[16];
            size_t length = (size_t)snprintf(text, sizeof text, "%d", i);
            uint32_t want = i % 3 == 0 && (size_t)i / 3 < n ? (uint32_t)i / 3 : LOOKUP_NONE;
            uint32_t got = lookup_string(lookup, (onnxd_string){text, length});
            if (got != want) fail_msg("'%s' among %zu: %u, expected %u", text, n, got, want);
        }
        assert_int_equal(lookup_string(lookup, (onnxd_string){"", 0}), LOOKUP_NONE);
    }
    arena_done(&arena);
}

static void of_equal_keys_the_first_counts(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const onnxd_string keys[] = {{"a", 1}, {"", 0}, {"b", 1}, {"", 0}, {"a", 1}};
    const int64_t ints[] = {7, INT64_MIN, 7, 7, -1};
    const struct lookup *strings = lookup_of_strings(&arena, keys, 5),
                        *numbers = lookup_of_ints(&arena, ints, 5);
    assert_int_equal(strings->repeat, 3);
    assert_int_equal(lookup_string(strings, keys[3]), 1);
    assert_int_equal(lookup_string(strings, keys[4]), 0);
    assert_int_equal(lookup_string(strings, keys[2]), 2);
    assert_int_equal(numbers->repeat, 2);
    assert_int_equal(lookup_int(numbers, 7), 0);
    assert_int_equal(lookup_int(numbers, INT64_MIN), 1);
    assert_int_equal(lookup_int(numbers, -1), 4);
    assert_int_equal(lookup_int(numbers, 0), LOOKUP_NONE);
    arena_done(&arena);
}

static void a_full_arena_makes_no_table(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    const int64_t keys[64] = {0};
    assert_null(lookup_of_ints(&arena, keys, 64));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_found_at_their_positions),
        cmocka_unit_test(of_equal_keys_the_first_counts),
        cmocka_unit_test(a_full_arena_makes_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
