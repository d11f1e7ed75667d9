/* tests/kernels/kernels_test.h - what the kernel tests share: every available table, operands that end at an
 * unreadable page, and errors in units in the last place. */
#ifndef TESTS_KERNELS_TEST_H
#define TESTS_KERNELS_TEST_H

#include <math.h>

#include "kernels/kernels.h"
#include "support/test.h"

static const char *const isa_names[] = {"scalar", "avx2", "avx512", "neon"};
#define N_ISAS (sizeof isa_names / sizeof isa_names[0])

/* for_each_kernels(k) { ... } visits the tables this CPU has. */
#define for_each_kernels(k)                      \
    for (size_t isa_ = 0; isa_ < N_ISAS; isa_++) \
        for (const struct kernels *k = kernels_of(isa_names[isa_]); k != NULL; k = NULL)

/* Memory whose end touches an unreadable page; each take() gives the last n_bytes of it, filled with a
 * pattern, so that one mapping serves many sizes. The element before it is checked by guard_intact(). */
struct guard {
    unsigned char *start;
    size_t size, taken;
};

static inline struct guard guard_create(size_t size)
{
    return (struct guard){.start = guarded_alloc(size), .size = size};
}

static inline void *guard_take(struct guard *g, size_t n_bytes)
{
    if (n_bytes > g->size) fail_msg("guard of %zu bytes asked for %zu", g->size, n_bytes);
    g->taken = n_bytes;
    size_t from = g->size - n_bytes < 64 ? 0 : g->size - n_bytes - 64;
    memset(g->start + from, 0xa5, g->size - from);
    return g->start + g->size - n_bytes;
}

/* The 64 bytes before what was taken are as they were. */
static inline bool guard_intact(const struct guard *g)
{
    size_t at = g->size - g->taken, from = at < 64 ? 0 : at - 64;
    for (size_t i = from; i < at; i++)
        if (g->start[i] != 0xa5) return false;
    return true;
}

static inline float float_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |got - want| in units in the last place of the float nearest to want; 0 for two NaNs, infinity where
 * only one is NaN. An overflow to infinity counts as 2^128. */
static inline double ulps_between(float got, double want)
{
    if (isnan(got) || isnan(want)) return isnan(got) && isnan(want) ? 0 : (double)INFINITY;
    double a = isinf(got) ? copysign(0x1p128, got) : (double)got;
    double b = fabs(want) > 0x1p128 ? copysign(0x1p128, want) : want;
    int exponent = b == 0 ? -126 : ilogb(b);
    if (exponent < -126) exponent = -126;
    if (exponent > 127) exponent = 127;
    return fabs(a - b) / ldexp(1, exponent - 23);
}

static inline float rng_uniform(struct rng *rng, float lo, float hi)
{
    return lo + (hi - lo) * rng_f32(rng);
}

static inline void rng_fill(struct rng *rng, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = rng_uniform(rng, -1, 1);
}

#endif
