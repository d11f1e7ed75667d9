/* evolve/tournament.h - ranks policies by playing each against each.
 *
 * Every pair plays the same number of matches, half of them with the sides changed. Points: 1 for a win, half
 * for a draw. Elo starts at 1000 and is updated match by match in a fixed order. The ranking is by points,
 * then Elo, then the order given. Depends on the policies and the seed alone.
 *
 * Threads: one caller; pairs may run on several. */
#ifndef EVOLVE_TOURNAMENT_H
#define EVOLVE_TOURNAMENT_H

#include "base/threads.h"
#include "evolve/contest.h"
#include "evolve/policy.h"

struct tournament_row {
    uint32_t policy; /* place in the list given */
    uint32_t n_won, n_drawn, n_lost;
    double points, elo;
};

/* ret_rows: [n], best first. n is 2..1000; all policies fit the arena (ONNXD_ERR_ARGUMENT names the place of
 * one that does not). threads may be NULL. */
ONNXD_MUST_USE onnxd_status tournament_play(const struct policy *policies, uint32_t n,
                                            const struct arena_options *options, uint32_t matches_a_pair,
                                            uint64_t seed, struct threads *threads,
                                            struct tournament_row *ret_rows, onnxd_error *err);

#endif
