#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "ops/fft.h"

/* The sum as the definition has it, in long double. */
static void transform_plainly(const struct complex64 *in, size_t n, bool inverse, struct complex64 *out)
{
    for (size_t k = 0; k < n; k++) {
        long double re = 0, im = 0;
        for (size_t j = 0; j < n; j++) {
            long double angle = 6.283185307179586476925286766559L * (long double)(j * k % n) / (long double)n;
            long double c = cosl(angle), s = inverse ? sinl(angle) : -sinl(angle);
            re += in[j].re * c - in[j].im * s;
            im += in[j].re * s + in[j].im * c;
        }
        out[k] = (struct complex64){(double)(inverse ? re / n : re), (double)(inverse ? im / n : im)};
    }
}

static void check_length(size_t n, bool inverse, struct rng *rng)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct fft *fft = fft_create(&arena, n, inverse);
    struct complex64 *x = arena_alloc_array(&arena, n, sizeof *x),
                     *want = arena_alloc_array(&arena, n, sizeof *x);
    assert_non_null(fft);
    void *scratch = arena_alloc(&arena, fft_scratch_bytes(fft));
    for (size_t i = 0; i < n; i++) x[i] = (struct complex64){rng_normal(rng), rng_normal(rng)};
    transform_plainly(x, n, inverse, want);
    for (int again = 0; again < 2; again++) {
        struct complex64 *data = arena_memdup(&arena, x, n * sizeof *x);
        fft_run(fft, data, scratch);
        for (size_t i = 0; i < n; i++)
            if (hypot(data[i].re - want[i].re, data[i].im - want[i].im) > 1e-13 * (double)(n + 10))
                fail_msg("length %zu, bin %zu: %.17g %.17g, expected %.17g %.17g", n, i, data[i].re,
                         data[i].im, want[i].re, want[i].im);
    }
    arena_done(&arena);
}

static void every_length_agrees_with_the_definition(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    for (size_t n = 1; n <= 70; n++) {
        check_length(n, false, &rng);
        check_length(n, true, &rng);
    }
    check_length(256, false, &rng);
    check_length(331, true, &rng); /* prime */
    check_length(600, false, &rng);
}

static void wild_lengths_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_null(fft_create(&arena, 0, false));
    assert_null(fft_create(&arena, SIZE_MAX, false));
    assert_null(fft_create(&arena, (size_t)1 << 39, false)); /* beyond the arena's limit */
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_agrees_with_the_definition),
        cmocka_unit_test(wild_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
