#include "net/timer_wheel.h"

#include <stddef.h>

static uint64_t tick_of(uint64_t ns)
{
    return ns / TIMER_WHEEL_TICK_NS;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
    *wheel = (struct timer_wheel){.tick = tick_of(now_ns)};
    for (uint32_t i = 0; i < TIMER_WHEEL_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].prev = &wheel->slots[i];
}

/* Far deadlines wait in the last slot of the present turn and are looked at again there. */
static void insert(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t tick = tick_of(timer->deadline_ns) + 1;
    if (tick < wheel->tick) tick = wheel->tick;
    if (tick > wheel->tick + TIMER_WHEEL_SLOTS - 2) tick = wheel->tick + TIMER_WHEEL_SLOTS - 2;
    uint32_t slot = tick % TIMER_WHEEL_SLOTS;
    struct timer *head = &wheel->slots[slot];
    timer->tick = tick;
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
    wheel->occupied[slot / 64] |= UINT64_C(1) << slot % 64;
    wheel->n++;
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
    if (timer->next == NULL) return;
    uint32_t slot = timer->tick % TIMER_WHEEL_SLOTS;
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL;
    if (wheel->slots[slot].next == &wheel->slots[slot])
        wheel->occupied[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    wheel->n--;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    if (timer->next != NULL) {
        if (deadline_ns != TIMER_NEVER && tick_of(deadline_ns) + 1 >= timer->tick) return;
        timer_cancel(wheel, timer);
    }
    if (deadline_ns != TIMER_NEVER) insert(wheel, timer);
}

struct timer *timer_wheel_pop(struct timer_wheel *wheel, uint64_t now_ns)
{
    uint64_t now = tick_of(now_ns);
    if (wheel->n == 0 && now > wheel->tick) wheel->tick = now;
    for (; wheel->tick <= now; wheel->tick++) {
        struct timer *head = &wheel->slots[wheel->tick % TIMER_WHEEL_SLOTS];
        while (head->next != head) {
            struct timer *timer = head->next;
            timer_cancel(wheel, timer);
            if (timer->deadline_ns <= now_ns) return timer;
            /* It moved later, or this slot was only a stop on its way: the slot after this one at least. */
            wheel->tick++;
            insert(wheel, timer);
            wheel->tick--;
        }
        if (wheel->tick == now) break;
    }
    return NULL;
}

uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel)
{
    if (wheel->n == 0) return TIMER_NEVER;
    for (uint32_t i = 0; i < TIMER_WHEEL_SLOTS; i++) {
        uint64_t tick = wheel->tick + i;
        uint32_t slot = tick % TIMER_WHEEL_SLOTS;
        uint64_t word = wheel->occupied[slot / 64] >> slot % 64;
        if (word != 0) return (tick + (unsigned)__builtin_ctzll(word)) * TIMER_WHEEL_TICK_NS;
        i += 63 - slot % 64;
    }
    return TIMER_NEVER;
}
