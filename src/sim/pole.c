#include "sim/pole.h"

#include <math.h>

#include "sim/pole_lanes.h"

void pole2_step_plain(struct pole_lanes *lanes, const double force[POLE_LANES])
{
    pole2_step_lanes(lanes, force);
}

void pole2_step(struct pole_lanes *lanes, const double force[POLE_LANES])
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        pole2_step_avx2(lanes, force);
        return;
    }
#endif
    pole2_step_plain(lanes, force);
}

void pole1_step(struct pole_lanes *lanes, const double force[POLE_LANES])
{
    const double total_kg = CART_KG + POLE1_KG, pole_kg_m = POLE1_KG * POLE1_HALF_M, gravity = -GRAVITY;
    for (uint32_t i = 0; i < POLE_LANES; i++) {
        f64x4 sin4, cos4;
        sine_cosine(all(lanes->value[POLE_ANGLE][i]), &sin4, &cos4);
        double rate = lanes->value[POLE_RATE][i], sine = sin4[0], cosine = cos4[0];
        double push = (force[i] + pole_kg_m * rate * rate * sine) / total_kg;
        double swing = (gravity * sine - cosine * push) /
                       (POLE1_HALF_M * (4.0 / 3 - POLE1_KG * cosine * cosine / total_kg));
        double acceleration = push - pole_kg_m * swing * cosine / total_kg;
        lanes->value[POLE_X][i] += POLE2_STEP_S * lanes->value[POLE_V][i];
        lanes->value[POLE_V][i] += POLE2_STEP_S * acceleration;
        lanes->value[POLE_ANGLE][i] += POLE2_STEP_S * rate;
        lanes->value[POLE_RATE][i] += POLE2_STEP_S * swing;
    }
}

/* Written so that values that are not numbers count as failed. */
bool pole2_failed(const struct pole_lanes *lanes, uint32_t lane)
{
    return !(fabs(lanes->value[POLE_X][lane]) <= POLE_TRACK &&
             fabs(lanes->value[POLE_ANGLE][lane]) <= POLE2_FAIL &&
             fabs(lanes->value[POLE_ANGLE2][lane]) <= POLE2_FAIL);
}

bool pole1_failed(const struct pole_lanes *lanes, uint32_t lane)
{
    return !(fabs(lanes->value[POLE_X][lane]) <= POLE_TRACK &&
             fabs(lanes->value[POLE_ANGLE][lane]) <= POLE_FAIL);
}

void pole_start(struct pole_lanes *lanes, uint32_t lane, double angle)
{
    for (int i = 0; i < N_POLE_VALUES; i++) lanes->value[i][lane] = 0;
    lanes->value[POLE_ANGLE][lane] = angle;
}

void pole2_start_grid(struct pole_lanes *lanes, uint32_t lane, uint32_t i)
{
    static const double SHARE[5] = {0.05, 0.25, 0.5, 0.75, 0.95};
    pole_start(lanes, lane, (SHARE[i / 5 % 5] * 2 - 1) * 3.6 * POLE_DEGREE);
    lanes->value[POLE_X][lane] = (SHARE[i / 125 % 5] * 2 - 1) * 2.16;
    lanes->value[POLE_V][lane] = (SHARE[i / 25 % 5] * 2 - 1) * 1.35;
    lanes->value[POLE_RATE][lane] = (SHARE[i % 5] * 2 - 1) * 8.6 * POLE_DEGREE;
}

void gruau_start(struct gruau *g)
{
    g->n_steps = 0;
}

void gruau_step(struct gruau *g, const struct pole_lanes *lanes, uint32_t lane)
{
    g->last[g->n_steps++ % 100] = fabs(lanes->value[POLE_X][lane]) + fabs(lanes->value[POLE_V][lane]) +
                                  fabs(lanes->value[POLE_ANGLE][lane]) + fabs(lanes->value[POLE_RATE][lane]);
}

double gruau_fitness(const struct gruau *g)
{
    double sum = 0;
    if (g->n_steps >= 100)
        for (int i = 0; i < 100; i++) sum += g->last[i];
    double stillness = g->n_steps >= 100 && sum > 0 ? 0.75 / sum : 0;
    return 0.1 * g->n_steps / 1000 + 0.9 * stillness;
}
