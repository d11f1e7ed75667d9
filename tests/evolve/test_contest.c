/* The arena, contests, tournaments, and checkpoints of whole runs. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "evolve/history.h"
#include "evolve/run_checkpoint.h"
#include "evolve/run_telemetry.h"
#include "evolve/tournament.h"
#include "json/json_reader.h"

static const struct arena_options DUEL = {.n_teams = 2, .ships_a_team = 1, .max_ticks = 600};

static void matches_repeat_and_sides_are_fair(void **state)
{
    (void)state;
    const struct arena_options options = {.n_teams = 4, .ships_a_team = 2, .max_ticks = 300};
    struct arena_match a, b;
    float actions[ARENA_MAX_SHIPS * ARENA_N_OUTPUTS];
    uint32_t n_won[4] = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        arena_match_start(&a, &options, seed);
        arena_match_start(&b, &options, seed);
        while (!a.finished) {
            for (uint32_t i = 0; i < 8; i++) { /* all ships are steered alike */
                float inputs[ARENA_N_INPUTS];
                arena_match_sense(&a, i, inputs);
                for (uint32_t k = 0; k < ARENA_N_INPUTS; k++) assert_true(inputs[k] >= -3 && inputs[k] <= 3);
                arena_chaser(inputs, actions + i * ARENA_N_OUTPUTS);
            }
            arena_match_step(&a, actions);
            arena_match_step(&b, actions);
        }
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.tick <= 300);
        if (a.winner >= 0) n_won[a.winner]++;
    }
    /* no team gains from its number: each within six standard errors of a quarter */
    double n = n_won[0] + n_won[1] + n_won[2] + n_won[3];
    assert_true(n > 200);
    for (int t = 0; t < 4; t++)
        if (fabs(n_won[t] - n / 4) > 6 * sqrt(n * 3 / 16)) fail_msg("team %d won %u of %g", t, n_won[t], n);
}

static void lasers_hurt_enemies_within_range_only(void **state)
{
    (void)state;
    const struct arena_options options = {.n_teams = 2, .ships_a_team = 2, .max_ticks = 100};
    struct arena_match m;
    float actions[4 * ARENA_N_OUTPUTS];
    for (int i = 0; i < 4; i++) {
        actions[i * 3] = 0.5f;
        actions[i * 3 + 1] = 0;
        actions[i * 3 + 2] = i == 0;
    }
    arena_match_start(&m, &options, 1);
    for (int i = 0; i < 4; i++) {
        m.ships[i].x = 790;
        m.ships[i].y = 100 + 200 * (float)i;
        m.ships[i].nose_x = 1;
        m.ships[i].nose_y = 0;
    }
    m.ships[2].x = 100; /* 110 ahead across the edge */
    m.ships[2].y = 105;
    struct arena_match far = m, blocked = m;
    arena_match_step(&m, actions);
    assert_true(m.ships[2].shield == ARENA_SHIELD - ARENA_LASER_DAMAGE && m.ships[2].health == ARENA_HEALTH);
    assert_true(m.ships[0].damage == ARENA_LASER_DAMAGE && m.ships[2].hit);
    arena_match_step(&m, actions); /* not ready again */
    assert_true(m.ships[2].shield == ARENA_SHIELD - ARENA_LASER_DAMAGE);
    far.ships[2].x = 790 + ARENA_LASER_RANGE + 1 - ARENA_SIZE;
    arena_match_step(&far, actions);
    assert_true(far.ships[2].shield == ARENA_SHIELD);
    blocked.ships[1].x = 20; /* a friend in the way takes the beam unhurt */
    blocked.ships[1].y = 100;
    arena_match_step(&blocked, actions);
    assert_true(blocked.ships[2].shield == ARENA_SHIELD && blocked.ships[1].shield == ARENA_SHIELD);
    assert_true(fabsf(blocked.ships[0].beam - 30) < 1e-3f);
}

static void what_is_no_number_does_nothing(void **state)
{
    (void)state;
    struct arena_match m;
    float actions[2 * ARENA_N_OUTPUTS] = {NAN, NAN, NAN, INFINITY, -INFINITY, INFINITY};
    arena_match_start(&m, &DUEL, 3);
    while (!m.finished) {
        arena_match_step(&m, actions);
        for (int i = 0; i < 2; i++) {
            assert_true(m.ships[i].x >= 0 && m.ships[i].x < ARENA_SIZE && m.ships[i].y >= 0 &&
                        m.ships[i].y < ARENA_SIZE);
            float length = m.ships[i].nose_x * m.ships[i].nose_x + m.ships[i].nose_y * m.ships[i].nose_y;
            assert_true(fabsf(length - 1) < 1e-4f);
        }
    }
    struct arena_options bad = {.n_teams = 5};
    onnxd_error err;
    assert_fails(arena_options_check(&bad, &err), ONNXD_ERR_RANGE, err, "2..4 teams, got 5");
}

static struct run_options arena_options_for(uint64_t seed, uint32_t generations)
{
    struct run_options options = {.task = &TASK_ARENA, .seed = seed, .max_generations = generations};
    task_params(&TASK_ARENA, &options.params);
    options.params.population_size = 24;
    contest_options_default(&options.contest);
    options.contest.arena.max_ticks = 120;
    options.contest.hall_size = 4;
    return options;
}

static void opponents_are_drawn_without_repetition_and_never_oneself(void **state)
{
    (void)state;
    struct contest *contest = NULL;
    struct contest_options options;
    onnxd_error err;
    contest_options_default(&options);
    options.n_matches = 7;
    options.arena.n_teams = 3;
    assert_ok(contest_create(&options, test_seed(), 15, 1, &contest, &err), err);
    for (uint32_t generation = 0; generation < 20; generation++)
        for (uint32_t i = 0; i < 15; i++) {
            struct match_plan plans[16];
            uint32_t seen = 1u << i;
            contest_draw(contest, generation, i, plans);
            for (uint32_t m = 0; m < 7; m++) {
                assert_int_equal(plans[m].players[0], i);
                for (int t = 1; t < 3; t++) {
                    assert_true(plans[m].players[t] < 15);
                    assert_false(seen >> plans[m].players[t] & 1);
                    seen |= 1u << plans[m].players[t];
                }
            }
            assert_int_equal(seen, 0x7fff); /* seven matches of two opponents use all fourteen others */
            for (uint32_t m = 7; m < contest_n_matches(contest); m++)
                assert_int_equal(plans[m].players[1], MATCH_CHASER);
        }
    contest_free(contest);
    options.n_matches = 8;
    assert_fails(contest_create(&options, 1, 15, 1, &contest, &err), ONNXD_ERR_RANGE, err, "too many");
}

static uint64_t digest(const struct run *run)
{
    struct buf out;
    onnxd_error err;
    buf_init(&out, 64 << 20);
    assert_ok(run_save(run, &out, &err), err);
    uint64_t hash = 0;
    for (size_t i = out.n - 8; i < out.n; i++) hash = hash << 8 | (unsigned char)out.data[i];
    buf_done(&out);
    return hash;
}

static void threads_do_not_change_a_contest(void **state)
{
    (void)state;
    onnxd_error err;
    uint64_t want = 0;
    for (uint32_t n = 0; n <= 3; n++) {
        struct run_options options = arena_options_for(5, 6);
        struct run *run = NULL;
        if (n > 0) assert_ok(threads_create(n, &options.threads, &err), err);
        assert_ok(run_create(&options, &run, &err), err);
        while (!run->finished) assert_ok(run_generation(run, &err), err);
        /* times are in no checkpoint, so the whole state must be equal */
        if (n == 0) want = digest(run);
        assert_true(digest(run) == want);
        run_free(run);
        threads_free(options.threads);
    }
}

/* Every task: interrupted after each generation and loaded again, the run ends like the whole one. */
static void a_resumed_run_ends_like_the_whole_one(void **state)
{
    (void)state;
    const struct task *tasks[] = {&TASK_XOR, &TASK_POLE2_NOVEL, &TASK_ARENA};
    onnxd_error err;
    for (int t = 0; t < 3; t++) {
        struct run_options options = arena_options_for(11, 8);
        options.task = tasks[t];
        if (t < 2) task_params(tasks[t], &options.params);
        struct run *whole = NULL, *resumed = NULL;
        assert_ok(run_create(&options, &whole, &err), err);
        assert_ok(run_create(&options, &resumed, &err), err);
        while (!whole->finished) {
            assert_ok(run_generation(whole, &err), err);
            assert_ok(run_generation(resumed, &err), err);
            assert_true(digest(whole) == digest(resumed));
            struct buf bytes;
            struct run *copy = NULL;
            buf_init(&bytes, 64 << 20);
            assert_ok(run_save(resumed, &bytes, &err), err);
            assert_ok(run_load(bytes.data, bytes.n, &options, &copy, &err), err);
            buf_done(&bytes);
            copy->finished = resumed->finished;
            run_free(resumed);
            resumed = copy;
            assert_true(digest(whole) == digest(resumed));
        }
        assert_true(whole->result.fitness == resumed->result.fitness);
        run_free(whole);
        run_free(resumed);
    }
}

static void checkpoints_of_other_runs_and_damaged_ones_are_refused(void **state)
{
    (void)state;
    struct run_options options = arena_options_for(1, 4);
    struct run *run = NULL, *loaded = NULL;
    struct buf bytes;
    onnxd_error err;
    buf_init(&bytes, 64 << 20);
    assert_ok(run_create(&options, &run, &err), err);
    for (int i = 0; i < 3; i++) assert_ok(run_generation(run, &err), err);
    assert_ok(run_save(run, &bytes, &err), err);
    struct run_options other = options;
    other.seed = 2;
    assert_fails(run_load(bytes.data, bytes.n, &other, &loaded, &err), ONNXD_ERR_ARGUMENT, err, "seed 2");
    other = options;
    other.contest.n_hall++;
    assert_fails(run_load(bytes.data, bytes.n, &other, &loaded, &err), ONNXD_ERR_ARGUMENT, err, "contest");
    other = options;
    other.params.population_size = 25;
    assert_fails(run_load(bytes.data, bytes.n, &other, &loaded, &err), ONNXD_ERR_ARGUMENT, err, "of 25");
    for (size_t i = 0; i < bytes.n; i += 1 + bytes.n / 500) {
        bytes.data[i] ^= 0x10;
        assert_true(run_load(bytes.data, bytes.n, &options, &loaded, &err) == ONNXD_ERR_FORMAT);
        bytes.data[i] ^= 0x10;
        assert_true(run_load(bytes.data, i, &options, &loaded, &err) == ONNXD_ERR_FORMAT);
    }
    assert_null(loaded);
    buf_done(&bytes);
    run_free(run);
}

static void elo_conserves_points_and_knows_the_favourite(void **state)
{
    (void)state;
    double a = 1000, b = 1000;
    elo_update(&a, &b, 1);
    assert_true(fabs(a - 1012) < 1e-6 && fabs(b - 988) < 1e-6);
    a = 1400;
    b = 1000;
    elo_update(&a, &b, 1);
    assert_true(fabs(a - 1400 - 24.0 / 11) < 1e-4 && fabs(a + b - 2400) < 1e-9);
}

/* A policy with one gene for each output: turning by the enemy's sine, thrust and fire by the bias. */
static struct policy steer(float turn, float thrust, float fire)
{
    struct gene genes[3] = {
        {.innovation = 0, .from = ARENA_IN_ENEMY1_SIN, .to = ARENA_N_INPUTS + 1, .weight = turn},
        {.innovation = 1, .from = ARENA_N_INPUTS, .to = ARENA_N_INPUTS + 2, .weight = thrust},
        {.innovation = 2, .from = ARENA_N_INPUTS, .to = ARENA_N_INPUTS + 3, .weight = fire}};
    struct node_gene nodes[3] = {
        {.id = ARENA_N_INPUTS + 1}, {.id = ARENA_N_INPUTS + 2}, {.id = ARENA_N_INPUTS + 3}};
    for (int i = 0; i < 3; i++) genes[i].enabled = 1;
    struct genome genome = {.genes = genes, .n_genes = 3, .nodes = nodes, .n_nodes = 3};
    struct policy policy;
    onnxd_error err;
    assert_ok(policy_from_genome(&genome, &TASK_ARENA.shape, "arena", 1, 0, &policy, &err), err);
    return policy;
}

static void tournaments_rank_the_stronger_first(void **state)
{
    (void)state;
    /* one flies straight, one turns but never fires, one turns and fires */
    struct policy policies[3] = {steer(0, 0, -1), steer(1, 0.2f, -1), steer(1, 0.2f, 1)};
    struct tournament_row rows[3], again[3];
    struct threads *threads = NULL;
    onnxd_error err;
    assert_ok(tournament_play(policies, 3, &DUEL, 20, 7, NULL, rows, &err), err);
    assert_int_equal(rows[0].policy, 2);
    assert_true(rows[0].points > 30 && rows[0].elo > 1100);
    uint32_t n = 0;
    for (int i = 0; i < 3; i++) n += rows[i].n_won + rows[i].n_drawn + rows[i].n_lost;
    assert_int_equal(n, 2 * 3 * 20);
    assert_ok(threads_create(2, &threads, &err), err);
    assert_ok(tournament_play(policies, 3, &DUEL, 20, 7, threads, again, &err), err);
    for (int i = 0; i < 3; i++) assert_true(rows[i].policy == again[i].policy && rows[i].elo == again[i].elo);
    threads_free(threads);
    policies[1].shape.n_inputs = 3;
    assert_fails(tournament_play(policies, 3, &DUEL, 2, 7, NULL, rows, &err), ONNXD_ERR_ARGUMENT, err,
                 "policy 1");
    for (int i = 0; i < 3; i++) policy_done(&policies[i]);
}

static void telemetry_is_valid_json_and_the_report_is_whole(void **state)
{
    (void)state;
    struct run_options options = arena_options_for(1, 5);
    struct run *run = NULL;
    struct history history;
    struct buf line, page;
    onnxd_error err;
    history_init(&history);
    buf_init(&line, 1 << 20);
    buf_init(&page, 1 << 24);
    assert_ok(run_create(&options, &run, &err), err);
    while (!run->finished) {
        assert_ok(run_generation(run, &err), err);
        assert_ok(history_add(&history, run, &err), err);
        buf_reset(&line);
        run_telemetry_json(run, &line);
        struct json_reader reader;
        json_reader_init(&reader, line.data, line.n, &err);
        assert_true(json_skip(&reader));
        assert_ok(json_finish(&reader), err);
    }
    assert_ok(history_report(&history, run, "<svg></svg>", &page, &err), err);
    buf_append_char(&page, 0);
    assert_non_null(strstr(page.data, "Fitness over generations"));
    assert_non_null(strstr(page.data, "population_size = 24"));
    assert_non_null(strstr(page.data, "</html>"));
    assert_null(strstr(page.data, "nan"));
    assert_null(strstr(page.data, "src="));
    buf_done(&line);
    buf_done(&page);
    history_done(&history);
    run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_repeat_and_sides_are_fair),
        cmocka_unit_test(lasers_hurt_enemies_within_range_only),
        cmocka_unit_test(what_is_no_number_does_nothing),
        cmocka_unit_test(opponents_are_drawn_without_repetition_and_never_oneself),
        cmocka_unit_test(threads_do_not_change_a_contest),
        cmocka_unit_test(a_resumed_run_ends_like_the_whole_one),
        cmocka_unit_test(checkpoints_of_other_runs_and_damaged_ones_are_refused),
        cmocka_unit_test(elo_conserves_points_and_knows_the_favourite),
        cmocka_unit_test(tournaments_rank_the_stronger_first),
        cmocka_unit_test(telemetry_is_valid_json_and_the_report_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
