/* base/clock.h - monotonic time in nanoseconds, real or fake.
 *
 * Whatever depends on time takes a struct clock, so that a test owns its passing.
 *
 *     struct clock clock = clock_real();
 *     uint64_t start_ns = clock_now_ns(&clock);
 *
 *     uint64_t now_ns = 0;
 *     struct clock fake = clock_fake(&now_ns);   // moves when the test writes now_ns */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

struct clock {
    const uint64_t *fake_ns; /* NULL: the system's CLOCK_MONOTONIC */
};

static inline struct clock clock_real(void)
{
    return (struct clock){0};
}
static inline struct clock clock_fake(const uint64_t *now_ns)
{
    return (struct clock){.fake_ns = now_ns};
}

uint64_t clock_now_ns(const struct clock *clock);

/* CLOCK_MONOTONIC without a struct clock, for measuring. */
uint64_t monotonic_ns(void);

#endif
