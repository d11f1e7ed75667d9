#include "evolve/match_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

void match_set_done(struct match_set *set)
{
    free(set->matches);
    free(set->rows);
    free(set->first_row);
    free(set->live);
    free(set->in);
    free(set->out);
    free(set->actions);
    *set = (struct match_set){0};
}

/* Rows by player, counted, then placed; the chaser counts as player n_players. */
static void place_rows(struct match_set *set, const struct match_plan *plans)
{
    uint32_t ships = set->options.ships_a_team, n_teams = set->options.n_teams;
    uint32_t *first = set->first_row;
    for (uint32_t m = 0; m < set->n_matches; m++)
        for (uint32_t t = 0; t < n_teams; t++) {
            uint32_t player = plans[m].players[t];
            if (player != MATCH_CHASER) first[player + 1] += ships;
        }
    for (uint32_t p = 0; p < set->n_players; p++) first[p + 1] += first[p];
    set->n_own_rows = first[set->n_players];
    uint32_t chaser = set->n_own_rows;
    for (uint32_t m = 0; m < set->n_matches; m++)
        for (uint32_t t = 0; t < n_teams; t++) {
            uint32_t player = plans[m].players[t];
            for (uint32_t s = 0; s < ships; s++) {
                uint32_t row = player == MATCH_CHASER ? chaser++ : first[player]++;
                set->rows[row] = (struct match_row){.match = m, .ship = t * ships + s};
            }
        }
    for (uint32_t p = set->n_players; p > 0; p--) first[p] = first[p - 1]; /* placing moved each to its end */
    first[0] = 0;
}

onnxd_status match_set_init(struct match_set *set, const struct arena_options *options,
                            const struct match_plan *plans, uint32_t n_matches, uint32_t n_players,
                            onnxd_error *err)
{
    struct match_set s = {.options = *options, .n_matches = n_matches, .n_players = n_players};
    s.n_rows = n_matches * options->n_teams * options->ships_a_team;
    s.matches = calloc(n_matches, sizeof *s.matches);
    s.rows = calloc(s.n_rows, sizeof *s.rows);
    s.first_row = calloc((size_t)n_players + 1, sizeof *s.first_row);
    s.live = calloc(s.n_rows, sizeof *s.live);
    s.in = calloc((size_t)s.n_rows * ARENA_N_INPUTS, sizeof *s.in);
    s.out = calloc((size_t)s.n_rows * ARENA_N_OUTPUTS, sizeof *s.out);
    s.actions = calloc((size_t)n_matches * ARENA_MAX_SHIPS * ARENA_N_OUTPUTS, sizeof *s.actions);
    if (s.matches == NULL || s.rows == NULL || s.first_row == NULL || s.live == NULL || s.in == NULL ||
        s.out == NULL || s.actions == NULL) {
        match_set_done(&s);
        return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for %u matches", n_matches);
    }
    for (uint32_t m = 0; m < n_matches; m++) arena_match_start(&s.matches[m], options, plans[m].seed);
    place_rows(&s, plans);
    *set = s;
    return ONNXD_OK;
}

static void sense_all(struct match_set *set)
{
    for (uint32_t r = 0; r < set->n_rows; r++) {
        const struct match_row *row = &set->rows[r];
        const struct arena_match *match = &set->matches[row->match];
        set->live[r] = !match->finished && match->ships[row->ship].health > 0;
        if (set->live[r]) arena_match_sense(match, row->ship, set->in + (size_t)r * ARENA_N_INPUTS);
    }
}

static void act_all(struct match_set *set)
{
    for (uint32_t r = 0; r < set->n_rows; r++) {
        if (!set->live[r]) continue;
        const struct match_row *row = &set->rows[r];
        float *out = set->out + (size_t)r * ARENA_N_OUTPUTS;
        if (r >= set->n_own_rows) arena_chaser(set->in + (size_t)r * ARENA_N_INPUTS, out);
        memcpy(set->actions + ((size_t)row->match * ARENA_MAX_SHIPS + row->ship) * ARENA_N_OUTPUTS, out,
               ARENA_N_OUTPUTS * sizeof *out);
    }
}

onnxd_status match_set_tick(struct match_set *set, const struct inference *inference,
                            struct match_stats *stats, bool *ret_running, onnxd_error *err)
{
    uint64_t start_ns = stats == NULL ? 0 : monotonic_ns();
    sense_all(set);
    struct row_batch batch = {.n_players = set->n_players,
                              .first_row = set->first_row,
                              .live = set->live,
                              .in = set->in,
                              .out = set->out};
    uint64_t before_ns = stats == NULL ? 0 : monotonic_ns();
    onnxd_status status = inference->run(inference->context, &batch, err);
    if (status != ONNXD_OK) return status;
    uint64_t after_ns = stats == NULL ? 0 : monotonic_ns();
    act_all(set);
    bool running = false;
    for (uint32_t m = 0; m < set->n_matches; m++) {
        arena_match_step(&set->matches[m], set->actions + (size_t)m * ARENA_MAX_SHIPS * ARENA_N_OUTPUTS);
        running |= !set->matches[m].finished;
    }
    if (stats != NULL) {
        histogram_record(&stats->inference, after_ns - before_ns);
        histogram_record(&stats->tick, monotonic_ns() - start_ns);
        for (uint32_t r = 0; r < set->n_own_rows; r++) stats->n_rows += set->live[r];
    }
    *ret_running = running;
    return ONNXD_OK;
}

onnxd_status match_set_run(struct match_set *set, const struct inference *inference,
                           struct match_stats *stats, onnxd_error *err)
{
    uint64_t start_ns = monotonic_ns();
    for (bool running = set->n_matches > 0; running;) {
        onnxd_status status = match_set_tick(set, inference, stats, &running, err);
        if (status != ONNXD_OK) return status;
    }
    if (stats != NULL && set->n_matches > 0)
        histogram_record_n(&stats->match, (monotonic_ns() - start_ns) / set->n_matches, set->n_matches);
    return ONNXD_OK;
}
