/* The poles against the published equations written out once more with the C library's functions. */
#include "support/test.h"

#include <math.h>

#include "sim/pole.h"
#include "sim/xor.h"

#define assert_near(got, want, bound)                                                                       \
    do {                                                                                                    \
        if (!(fabs((got) - (want)) <= (bound))) fail_msg("%s: expected %.17g, got %.17g", #got, want, got); \
    } while (0)

/* Wieland's equations as Gomez and Miikkulainen (1999) print them. */
static void derivatives(const double *s, double force, double *d)
{
    const double mass[2] = {0.1, 0.01}, length[2] = {0.5, 0.05}, g = -9.8, mu_c = 0.0005, mu_p = 0.000002;
    double sum_force = 0, sum_mass = 0;
    for (int i = 0; i < 2; i++) {
        double a = s[2 + 2 * i], w = s[3 + 2 * i];
        sum_force += mass[i] * length[i] * w * w * sin(a) +
                     0.75 * mass[i] * cos(a) * (mu_p * w / (mass[i] * length[i]) + g * sin(a));
        sum_mass += mass[i] * (1 - 0.75 * cos(a) * cos(a));
    }
    double sign = s[1] > 0 ? 1 : s[1] < 0 ? -1 : 0;
    double acceleration = (force - mu_c * sign + sum_force) / (1.0 + sum_mass);
    d[0] = s[1];
    d[1] = acceleration;
    for (int i = 0; i < 2; i++) {
        double a = s[2 + 2 * i], w = s[3 + 2 * i];
        d[2 + 2 * i] = w;
        d[3 + 2 * i] = -0.75 / length[i] *
                       (acceleration * cos(a) + g * sin(a) + mu_p * w / (mass[i] * length[i]));
    }
}

static void reference_step(double *s, double force)
{
    for (int half = 0; half < 2; half++) {
        double k[4][6], t[6];
        const double h = 0.01, at[3] = {h / 2, h / 2, h};
        derivatives(s, force, k[0]);
        for (int stage = 1; stage < 4; stage++) {
            for (int i = 0; i < 6; i++) t[i] = s[i] + at[stage - 1] * k[stage - 1][i];
            derivatives(t, force, k[stage]);
        }
        for (int i = 0; i < 6; i++) s[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
    }
}

static void random_state(struct rng *rng, struct pole_lanes *lanes)
{
    const double range[N_POLE_VALUES] = {2.4, 2, 0.6, 2, 0.6, 4};
    for (int i = 0; i < N_POLE_VALUES; i++)
        for (int lane = 0; lane < POLE_LANES; lane++)
            lanes->value[i][lane] = (2 * rng_f64(rng) - 1) * range[i];
}

static void double_pole_follows_the_equations(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    double worst = 0;
    for (int trial = 0; trial < 2000; trial++) {
        struct pole_lanes lanes;
        double force[POLE_LANES], expected[POLE_LANES][6];
        random_state(&rng, &lanes);
        for (int lane = 0; lane < POLE_LANES; lane++) {
            force[lane] = (2 * rng_f64(&rng) - 1) * 10;
            for (int i = 0; i < 6; i++) expected[lane][i] = lanes.value[i][lane];
            reference_step(expected[lane], force[lane]);
        }
        pole2_step(&lanes, force);
        for (int lane = 0; lane < POLE_LANES; lane++)
            for (int i = 0; i < 6; i++)
                worst = fmax(worst,
                             fabs(lanes.value[i][lane] - expected[lane][i]) / (1 + fabs(expected[lane][i])));
    }
    if (worst > 1e-11) fail_msg("largest difference %g", worst);
}

static void every_instruction_set_gives_the_same_bits(void **state)
{
    (void)state;
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2")) skip();
    struct rng rng = rng_seed(test_seed());
    for (int trial = 0; trial < 2000; trial++) {
        struct pole_lanes a, b;
        double force[POLE_LANES];
        random_state(&rng, &a);
        for (int lane = 0; lane < POLE_LANES; lane++) force[lane] = (2 * rng_f64(&rng) - 1) * 10;
        b = a;
        pole2_step_plain(&a, force);
        pole2_step_avx2(&b, force);
        assert_memory_equal(&a, &b, sizeof a);
    }
#endif
}

static void lanes_do_not_influence_each_other(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    struct pole_lanes a, b;
    random_state(&rng, &a);
    random_state(&rng, &b);
    for (int i = 0; i < N_POLE_VALUES; i++) b.value[i][3] = a.value[i][0];
    double force_a[POLE_LANES] = {1, 2, 3, 4}, force_b[POLE_LANES] = {-7, NAN, 5, 1};
    pole2_step(&a, force_a);
    pole2_step(&b, force_b);
    for (int i = 0; i < N_POLE_VALUES; i++) assert_true(a.value[i][0] == b.value[i][3]);
}

static void single_pole_follows_barto(void **state)
{
    (void)state;
    struct pole_lanes lanes = {{{0}}};
    double s[4] = {0.1, -0.2, 0.05, 0.3}, force[POLE_LANES] = {10, 10, -10, 0};
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < POLE_LANES; lane++) lanes.value[i][lane] = s[i];
    double push = (10 + 0.05 * s[3] * s[3] * sin(s[2])) / 1.1;
    double swing = (9.8 * sin(s[2]) - cos(s[2]) * push) /
                   (0.5 * (4.0 / 3 - 0.1 * cos(s[2]) * cos(s[2]) / 1.1));
    pole1_step(&lanes, force);
    assert_near(lanes.value[POLE_X][0], s[0] + 0.02 * s[1], 1e-12);
    assert_near(lanes.value[POLE_V][1], s[1] + 0.02 * (push - 0.05 * swing * cos(s[2]) / 1.1), 1e-12);
    assert_near(lanes.value[POLE_ANGLE][0], s[2] + 0.02 * s[3], 1e-12);
    assert_near(lanes.value[POLE_RATE][1], s[3] + 0.02 * swing, 1e-12);
    assert_true(lanes.value[POLE_V][2] < lanes.value[POLE_V][3]);
}

static void failure_lies_at_the_published_bounds(void **state)
{
    (void)state;
    struct pole_lanes lanes;
    pole_start(&lanes, 1, 35.9 * POLE_DEGREE);
    assert_false(pole2_failed(&lanes, 1));
    assert_true(pole1_failed(&lanes, 1));
    pole_start(&lanes, 1, -36.1 * POLE_DEGREE);
    assert_true(pole2_failed(&lanes, 1));
    pole_start(&lanes, 1, 0);
    lanes.value[POLE_ANGLE2][1] = 36.1 * POLE_DEGREE;
    assert_true(pole2_failed(&lanes, 1));
    pole_start(&lanes, 1, 0);
    lanes.value[POLE_X][1] = 2.41;
    assert_true(pole2_failed(&lanes, 1) && pole1_failed(&lanes, 1));
    lanes.value[POLE_X][1] = NAN;
    assert_true(pole2_failed(&lanes, 1) && pole1_failed(&lanes, 1));
}

static void the_grid_has_625_different_starts(void **state)
{
    (void)state;
    struct pole_lanes lanes;
    double sum[4] = {0}, last = 0;
    for (uint32_t i = 0; i < POLE2_N_STARTS; i++) {
        pole2_start_grid(&lanes, 2, i);
        double key = 0;
        for (int k = 0; k < 4; k++) {
            sum[k] += fabs(lanes.value[k][2]);
            key = key * 100 + lanes.value[k][2];
        }
        assert_true(i == 0 || key != last);
        assert_true(lanes.value[POLE_ANGLE2][2] == 0 && lanes.value[POLE_RATE2][2] == 0);
        last = key;
    }
    /* mean distance from the middle: (0.9 + 0.5 + 0 + 0.5 + 0.9) / 5 of each range */
    const double range[4] = {2.16, 1.35, 3.6 * M_PI / 180, 8.6 * M_PI / 180};
    for (int k = 0; k < 4; k++) assert_near(sum[k] / 625, 0.56 * range[k], 1e-12);
}

static void gruau_rewards_stillness_after_100_steps(void **state)
{
    (void)state;
    struct gruau g;
    struct pole_lanes lanes;
    pole_start(&lanes, 0, 0.25);
    lanes.value[POLE_V][0] = -0.25;
    gruau_start(&g);
    for (int i = 0; i < 99; i++) gruau_step(&g, &lanes, 0);
    assert_near(gruau_fitness(&g), 0.1 * 0.099, 1e-12);
    gruau_step(&g, &lanes, 0);
    assert_near(gruau_fitness(&g), 0.1 * 0.1 + 0.9 * 0.75 / (100 * 0.5), 1e-12);
    lanes.value[POLE_V][0] = 0;
    for (int i = 0; i < 100; i++) gruau_step(&g, &lanes, 0); /* only the last hundred count */
    assert_near(gruau_fitness(&g), 0.1 * 0.2 + 0.9 * 0.75 / (100 * 0.25), 1e-12);
}

static void xor_is_judged_by_both_tests(void **state)
{
    (void)state;
    const float right[4] = {0.4f, 0.6f, 0.6f, 0.4f}, good[4] = {0.1f, 0.9f, 0.9f, 0.1f},
                wrong[4] = {0.4f, 0.6f, 0.5f, 0};
    assert_true(xor_solved_cls(right) && !xor_solved_sse(right));
    assert_true(xor_solved_cls(good) && xor_solved_sse(good));
    assert_false(xor_solved_cls(wrong));
    assert_near(xor_fitness(right), (4 - 1.6) * (4 - 1.6), 1e-6);
    for (int i = 0; i < 4; i++) {
        bool want = (XOR_INPUTS[0][i] > 0.5f) != (XOR_INPUTS[1][i] > 0.5f);
        assert_true(XOR_TARGETS[i] == (want ? 1.0f : 0.0f));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_pole_follows_the_equations),
        cmocka_unit_test(every_instruction_set_gives_the_same_bits),
        cmocka_unit_test(lanes_do_not_influence_each_other),
        cmocka_unit_test(single_pole_follows_barto),
        cmocka_unit_test(failure_lies_at_the_published_bounds),
        cmocka_unit_test(the_grid_has_625_different_starts),
        cmocka_unit_test(gruau_rewards_stillness_after_100_steps),
        cmocka_unit_test(xor_is_judged_by_both_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
