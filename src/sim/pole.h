/* sim/pole.h - balancing poles on a cart.
 *
 * Double pole: the equations of Wieland (1991) for two poles of 1 m and 0.1 m (0.1 kg and 0.01 kg) on a cart
 * of 1 kg, with friction at the hinges and the track, as Gomez and Miikkulainen (1999) state them. A control
 * step is 0.02 s: two steps of Runge-Kutta 4 under one force. An episode fails when the cart leaves +-2.4 m
 * or a pole leaves +-36 degrees.
 *
 * Single pole: Barto, Sutton and Anderson (1983), 0.02 s Euler steps, pole of 1 m, failure beyond +-2.4 m
 * or +-12 degrees.
 *
 * Four episodes advance at once, one in each lane; a lane never influences another, and the result has the
 * same bits for any lane and any instruction set (plain IEEE arithmetic; sine and cosine are polynomials,
 * exact to 1e-12 within +-1.2 rad, further than a failing pole swings in one step).
 *
 * Units: m, m/s, rad, rad/s, N. Threads: pure functions. */
#ifndef SIM_POLE_H
#define SIM_POLE_H

#include <stdbool.h>
#include <stdint.h>

#define POLE_LANES   4
#define POLE_FORCE   10.0               /* largest force */
#define POLE_TRACK   2.4                /* half the track */
#define POLE2_FAIL   0.6283185307179586 /* 36 degrees */
#define POLE_FAIL    0.20943951023931953
#define POLE_DEGREE  0.017453292519943295
#define POLE2_STEP_S 0.02

enum pole_value { POLE_X, POLE_V, POLE_ANGLE, POLE_RATE, POLE_ANGLE2, POLE_RATE2, N_POLE_VALUES };

struct pole_lanes {
    double value[N_POLE_VALUES][POLE_LANES] __attribute__((aligned(32)));
};

/* One control step of the double pole in all lanes. */
void pole2_step(struct pole_lanes *lanes, const double force[POLE_LANES]);

/* One control step of the single pole in all lanes; its second pole's values are not used. */
void pole1_step(struct pole_lanes *lanes, const double force[POLE_LANES]);

bool pole2_failed(const struct pole_lanes *lanes, uint32_t lane);
bool pole1_failed(const struct pole_lanes *lanes, uint32_t lane);

/* Starts a lane at rest with the first pole at `angle`. */
void pole_start(struct pole_lanes *lanes, uint32_t lane, double angle);

/* Start i of 625 of the generalization test (Dominic and others 1991): position, velocity, angle and angular
 * velocity of the long pole each at 0.05, 0.25, 0.5, 0.75 and 0.95 of +-2.16 m, +-1.35 m/s, +-3.6 degrees
 * and +-8.6 degrees/s. */
#define POLE2_N_STARTS 625
void pole2_start_grid(struct pole_lanes *lanes, uint32_t lane, uint32_t i);

/* Gruau's fitness without velocities: 0.1 * steps / 1000 + 0.9 * f, f = 0 below 100 steps, else 0.75 divided
 * by the sum over the last 100 steps of |x| + |x'| + |angle| + |angle'| of cart and long pole. */
struct gruau {
    double last[100]; /* ring of the sums' terms */
    uint32_t n_steps;
};
void gruau_start(struct gruau *g);
void gruau_step(struct gruau *g, const struct pole_lanes *lanes, uint32_t lane);
double gruau_fitness(const struct gruau *g);

/* The variants behind pole2_step, for tests. */
void pole2_step_plain(struct pole_lanes *lanes, const double force[POLE_LANES]);
#if defined(__x86_64__)
void pole2_step_avx2(struct pole_lanes *lanes, const double force[POLE_LANES]);
#endif

#endif
