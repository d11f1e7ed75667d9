#include "base/clock.h"

#include <stddef.h>
#include <time.h>

uint64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now_ns(const struct clock *clock)
{
    return clock->fake_ns != NULL ? *clock->fake_ns : monotonic_ns();
}
