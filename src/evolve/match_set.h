/* evolve/match_set.h - arena matches played side by side, one inference call a tick for all of them.
 *
 * Players are numbered; a match names the player of each team, or MATCH_CHASER for the hand-written one. In
 * each tick every living ship of every running match becomes a row; rows lie grouped by player, so that one
 * policy's rows make one batch, wherever it is computed.
 *
 * Ownership: match_set_done frees. Threads: one at a time for each set. */
#ifndef EVOLVE_MATCH_SET_H
#define EVOLVE_MATCH_SET_H

#include "onnxd/status.h"
#include "sim/arena_match.h"
#include "stats/histogram.h"

#define MATCH_CHASER UINT32_MAX

struct match_plan {
    uint64_t seed;
    uint32_t players[ARENA_MAX_TEAMS];
};

/* Rows of one tick. Player p has rows first_row[p] to first_row[p + 1]. */
struct row_batch {
    uint32_t n_players;
    const uint32_t *first_row; /* [n_players + 1] */
    const bool *live;          /* [n_rows] those that are false need no answer */
    const float *in;           /* [n_rows, ARENA_N_INPUTS] */
    float *out;                /* [n_rows, ARENA_N_OUTPUTS] */
};

/* Where policies are computed. */
struct inference {
    void *context;
    onnxd_status (*run)(void *context, const struct row_batch *batch, onnxd_error *err);
};

struct match_stats {            /* times in nanoseconds */
    struct histogram match;     /* of whole matches: its set's time shared out evenly */
    struct histogram inference; /* of inference calls, one for each tick of a set */
    struct histogram tick;      /* of a set's ticks, inference included */
    uint64_t n_rows;
};

struct match_set {
    struct arena_options options;
    uint32_t n_matches, n_rows, n_players;
    struct arena_match *matches; /* [n_matches] */
    struct match_row {
        uint32_t match, ship;
    } * rows;            /* [n_rows] by player; the chaser's behind them */
    uint32_t n_own_rows; /* without the chaser's */
    uint32_t *first_row; /* [n_players + 1] */
    bool *live;
    float *in, *out;
    float *actions; /* [n_matches, ARENA_MAX_SHIPS, ARENA_N_OUTPUTS] */
};

/* Lays out the matches. Players are 0..n_players-1. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status match_set_init(struct match_set *set, const struct arena_options *options,
                                           const struct match_plan *plans, uint32_t n_matches,
                                           uint32_t n_players, onnxd_error *err);
void match_set_done(struct match_set *set);

/* One tick of all matches; *ret_running becomes false when all are finished. stats may be NULL. */
ONNXD_MUST_USE onnxd_status match_set_tick(struct match_set *set, const struct inference *inference,
                                           struct match_stats *stats, bool *ret_running, onnxd_error *err);

/* All ticks. */
ONNXD_MUST_USE onnxd_status match_set_run(struct match_set *set, const struct inference *inference,
                                          struct match_stats *stats, onnxd_error *err);

#endif
