/* net/timer_wheel.h - many deadlines, each set at the cost of a store.
 *
 * A deadline that moves later (the usual case: a connection was active) only changes a number; the
 * entry is put in its new place when its old one comes up. Deadlines fire up to one tick late, never
 * early. After the scheme of hashed wheels (Varghese and Lauck 1987).
 *
 *     timer_set(&wheel, &conn->timer, now_ns + idle_ns);
 *     for (struct timer *t; (t = timer_wheel_pop(&wheel, now_ns)) != NULL;) expire(conn_of(t));
 *
 * Ownership: entries are embedded in their owners, who call timer_cancel before they vanish.
 * Threads:   one at a time. */
#ifndef NET_TIMER_WHEEL_H
#define NET_TIMER_WHEEL_H

#include <stdint.h>

#define TIMER_NEVER         UINT64_MAX
#define TIMER_WHEEL_SLOTS   512u
#define TIMER_WHEEL_TICK_NS 8388608u /* 2^23: about 8 ms */

struct timer { /* all zero: not set */
    struct timer *next, *prev;
    uint64_t deadline_ns;
    uint64_t tick; /* of the slot that holds it */
};

struct timer_wheel {
    struct timer slots[TIMER_WHEEL_SLOTS]; /* heads of rings */
    uint64_t occupied[TIMER_WHEEL_SLOTS / 64];
    uint64_t tick; /* everything before it has been looked at */
    uint32_t n;
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);

/* TIMER_NEVER takes the entry out. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/* The next entry whose deadline has passed, taken out; NULL when there is none. */
struct timer *timer_wheel_pop(struct timer_wheel *wheel, uint64_t now_ns);

/* When timer_wheel_pop should be called next at the latest; TIMER_NEVER when nothing is set. */
uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel);

#endif
