#include "support/test.h"

#include <stdlib.h>

#include "net/timer_wheel.h"

#define TICK TIMER_WHEEL_TICK_NS

static void deadlines_fire_within_a_tick_and_never_early(void **state)
{
    (void)state;
    enum { N = 2000 };
    static struct timer timers[N];
    static uint64_t deadlines[N];
    struct timer_wheel wheel;
    struct rng rng = rng_seed(test_seed());
    uint64_t now = 12345678900;
    timer_wheel_init(&wheel, now);
    memset(timers, 0, sizeof timers);
    for (int i = 0; i < N; i++) { /* from now to several turns of the wheel away; some never */
        deadlines[i] = rng_below(&rng, 20) == 0 ? TIMER_NEVER : now + rng_below(&rng, 2000 * (uint64_t)TICK);
        timer_set(&wheel, &timers[i], deadlines[i]);
    }
    while (wheel.n > 0) {
        uint64_t next = timer_wheel_next_ns(&wheel);
        assert_true(next != TIMER_NEVER);
        uint64_t step = rng_below(&rng, 3 * (uint64_t)TICK);
        now = next > now ? next : now + step;
        struct timer *timer;
        while ((timer = timer_wheel_pop(&wheel, now)) != NULL) {
            int i = (int)(timer - timers);
            if (deadlines[i] > now)
                fail_msg("timer %d fired %llu ns early", i, (unsigned long long)(deadlines[i] - now));
            if (now - deadlines[i] > 4 * (uint64_t)TICK)
                fail_msg("timer %d fired %llu ns late", i, (unsigned long long)(now - deadlines[i]));
            deadlines[i] = TIMER_NEVER;
        }
        for (int k = 0; k < 20; k++) { /* moved later, earlier, or taken out */
            int i = (int)rng_below(&rng, N);
            if (deadlines[i] == TIMER_NEVER) continue;
            deadlines[i] = rng_below(&rng, 4) == 0 ? TIMER_NEVER
                                                   : now + rng_below(&rng, 700 * (uint64_t)TICK);
            timer_set(&wheel, &timers[i], deadlines[i]);
        }
    }
    for (int i = 0; i < N; i++) assert_true(deadlines[i] == TIMER_NEVER);
    assert_true(timer_wheel_next_ns(&wheel) == TIMER_NEVER);
}

static void a_cancelled_timer_is_silent(void **state)
{
    (void)state;
    struct timer_wheel wheel;
    struct timer a = {0}, b = {0};
    timer_wheel_init(&wheel, 0);
    timer_set(&wheel, &a, 5 * (uint64_t)TICK);
    timer_set(&wheel, &b, 5 * (uint64_t)TICK);
    timer_cancel(&wheel, &a);
    timer_cancel(&wheel, &a);
    assert_ptr_equal(timer_wheel_pop(&wheel, 100 * (uint64_t)TICK), &b);
    assert_null(timer_wheel_pop(&wheel, 100 * (uint64_t)TICK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_fire_within_a_tick_and_never_early),
        cmocka_unit_test(a_cancelled_timer_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
