#include "support/test.h"

#include "base/csv_line.h"
#include "base/rng.h"

/* Whether a record is open is told the same line by line as of all its lines at once. */
static void records_of_many_lines_are_open_as_long_as_their_quote(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    int n_open = 0, n_closed = 0;
    for (int i = 0; i < 200000; i++) {
        char text[16];
        size_t n = 1 + rng_below(&rng, sizeof text - 1);
        for (size_t k = 0; k < n; k++) text[k] = "a,\"\" \n"[rng_below(&rng, 6)];
        const char *end = memchr(text, '\n', n);
        size_t first = end != NULL ? (size_t)(end - text) : n;
        bool open = csv_is_open(text, first, ',');
        for (size_t at = first + 1; open && at <= n;) { /* the lines behind */
            const char *stop = memchr(text + at, '\n', n - at);
            size_t line = stop != NULL ? (size_t)(stop - text) - at : n - at;
            open = csv_stays_open(text + at, line, ',');
            bool want = csv_is_open(text, at + line, ',');
            if (open != want) fail_msg("'%.*s': %d, expected %d", (int)(at + line), text, open, want);
            n_open += open;
            n_closed += !open;
            at += line + 1;
        }
    }
    assert_true(n_open > 1000 && n_closed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_many_lines_are_open_as_long_as_their_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
