/* sim/pole_lanes.h - the double pole's control step, to be compiled once for each instruction set.
 *
 * A variant is a .c file that defines POLE2_STEP and includes this header. */
#ifndef SIM_POLE_LANES_H
#define SIM_POLE_LANES_H

#include "sim/pole.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* all functions here are inlined: no call passes a vector */

typedef double f64x4 __attribute__((vector_size(32)));
typedef int64_t i64x4 __attribute__((vector_size(32)));

#define POLE_INLINE static inline __attribute__((always_inline))

struct pole_rates { /* what changes: the time derivatives of position, angles and their rates */
    f64x4 v[N_POLE_VALUES];
};

POLE_INLINE f64x4 all(double x)
{
    return (f64x4){x, x, x, x};
}

/* Taylor series to x^15 and x^16, summed as a tree to keep the chain of dependent operations short. */
POLE_INLINE void sine_cosine(f64x4 x, f64x4 *ret_sin, f64x4 *ret_cos)
{
    f64x4 x2 = x * x, x4 = x2 * x2, x8 = x4 * x4;
    f64x4 s = ((all(-1.0 / 6) + x2 * all(1.0 / 120)) + x4 * (all(-1.0 / 5040) + x2 * all(1.0 / 362880))) +
              x8 * ((all(-1.0 / 39916800) + x2 * all(1.0 / 6227020800.0)) - x4 * all(1.0 / 1307674368000.0));
    f64x4 c = ((all(-1.0 / 2) + x2 * all(1.0 / 24)) + x4 * (all(-1.0 / 720) + x2 * all(1.0 / 40320))) +
              x8 * ((all(-1.0 / 3628800) + x2 * all(1.0 / 479001600.0)) +
                    x4 * (all(-1.0 / 87178291200.0) + x2 * all(1.0 / 20922789888000.0)));
    *ret_sin = x + (x * x2) * s;
    *ret_cos = all(1.0) + x2 * c;
}

/* The sign of x: -1, 0 or 1. */
POLE_INLINE f64x4 sign_of(f64x4 x)
{
    i64x4 positive = x > all(0.0), negative = x < all(0.0);
    return (f64x4)((positive & (i64x4)all(1.0)) | (negative & (i64x4)all(-1.0)));
}

#define GRAVITY        (-9.8)
#define CART_KG        1.0
#define POLE1_KG       0.1
#define POLE2_KG       0.01
#define POLE1_HALF_M   0.5
#define POLE2_HALF_M   0.05
#define HINGE_FRICTION 0.000002
#define TRACK_FRICTION 0.0005

POLE_INLINE struct pole_rates rates_of(const f64x4 s[N_POLE_VALUES], f64x4 force)
{
    f64x4 sin1, cos1, sin2, cos2;
    sine_cosine(s[POLE_ANGLE], &sin1, &cos1);
    sine_cosine(s[POLE_ANGLE2], &sin2, &cos2);
    f64x4 w1 = s[POLE_RATE], w2 = s[POLE_RATE2];
    f64x4 pull1 = w1 * all(HINGE_FRICTION / (POLE1_KG * POLE1_HALF_M)) + all(GRAVITY) * sin1;
    f64x4 pull2 = w2 * all(HINGE_FRICTION / (POLE2_KG * POLE2_HALF_M)) + all(GRAVITY) * sin2;
    f64x4 force1 = all(POLE1_KG * POLE1_HALF_M) * (w1 * w1) * sin1 + all(0.75 * POLE1_KG) * cos1 * pull1;
    f64x4 force2 = all(POLE2_KG * POLE2_HALF_M) * (w2 * w2) * sin2 + all(0.75 * POLE2_KG) * cos2 * pull2;
    f64x4 mass = all(CART_KG + POLE1_KG + POLE2_KG) -
                 (all(0.75 * POLE1_KG) * (cos1 * cos1) + all(0.75 * POLE2_KG) * (cos2 * cos2));
    f64x4 push = force - all(TRACK_FRICTION) * sign_of(s[POLE_V]);
    f64x4 acceleration = (push + (force1 + force2)) / mass;
    struct pole_rates rates;
    rates.v[POLE_X] = s[POLE_V];
    rates.v[POLE_V] = acceleration;
    rates.v[POLE_ANGLE] = w1;
    rates.v[POLE_RATE] = all(-0.75 / POLE1_HALF_M) * (acceleration * cos1 + pull1);
    rates.v[POLE_ANGLE2] = w2;
    rates.v[POLE_RATE2] = all(-0.75 / POLE2_HALF_M) * (acceleration * cos2 + pull2);
    return rates;
}

/* One step of Runge-Kutta 4 of h seconds. */
POLE_INLINE void runge_kutta(f64x4 s[N_POLE_VALUES], f64x4 force, double h)
{
    f64x4 t[N_POLE_VALUES];
    struct pole_rates k1 = rates_of(s, force);
    for (int i = 0; i < N_POLE_VALUES; i++) t[i] = s[i] + all(h / 2) * k1.v[i];
    struct pole_rates k2 = rates_of(t, force);
    for (int i = 0; i < N_POLE_VALUES; i++) t[i] = s[i] + all(h / 2) * k2.v[i];
    struct pole_rates k3 = rates_of(t, force);
    for (int i = 0; i < N_POLE_VALUES; i++) t[i] = s[i] + all(h) * k3.v[i];
    struct pole_rates k4 = rates_of(t, force);
    for (int i = 0; i < N_POLE_VALUES; i++)
        s[i] += all(h / 6) * ((k1.v[i] + k4.v[i]) + all(2.0) * (k2.v[i] + k3.v[i]));
}

POLE_INLINE void pole2_step_lanes(struct pole_lanes *lanes, const double force[POLE_LANES])
{
    f64x4 s[N_POLE_VALUES];
    f64x4 push = {force[0], force[1], force[2], force[3]};
    for (int i = 0; i < N_POLE_VALUES; i++) s[i] = *(const f64x4 *)lanes->value[i];
    runge_kutta(s, push, POLE2_STEP_S / 2);
    runge_kutta(s, push, POLE2_STEP_S / 2);
    for (int i = 0; i < N_POLE_VALUES; i++) *(f64x4 *)lanes->value[i] = s[i];
}

#endif
