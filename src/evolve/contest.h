/* evolve/contest.h - head-to-head fitness: each genome of a generation plays others in the arena.
 *
 * A genome plays n_matches against opponents of its own generation, drawn without repetition and never
 * itself, then n_hall against members of the hall of fame (champions of earlier generations), then
 * n_chaser against the hand-written chaser. Fitness is a weighted sum of what arena_match_score tells,
 * averaged over its own matches. Wins, draws, losses and Elo are kept beside it; Elo (1000 at birth,
 * K = 24, expectation by the logistic curve) counts every match for both sides, in a fixed order.
 *
 * The draw depends on the run's seed and the generation alone, so any number of threads, processes or
 * machines gives the same fitness.
 *
 * Ownership: contest_free frees. Threads: one caller. */
#ifndef EVOLVE_CONTEST_H
#define EVOLVE_CONTEST_H

#include "base/bytes.h"
#include "base/threads.h"
#include "evolve/local_inference.h"
#include "evolve/match_set.h"
#include "evolve/ranks.h"
#include "neat/population.h"

#define CONTEST_MAX_HALL 256

struct contest_weights { /* of the parts of arena_score */
    float result, damage, health, kills, speed, explored;
};

struct contest_options {
    struct arena_options arena;
    struct contest_weights weights;
    uint32_t n_matches, n_hall, n_chaser;
    uint32_t hall_size; /* when it is full a new champion takes a random place */
};

/* Weights of that name: "fight" (all of it, the result most), "survive", "explore"; false for any other. */
bool contest_weights_find(const char *name, struct contest_weights *ret_weights);
void contest_options_default(struct contest_options *ret_options);

/* A genome's matches in one generation. */
struct contest_record {
    uint32_t n_won, n_drawn, n_lost;
    double elo;
    double fitness;
};

struct contest_hall_member {
    struct arena arena;
    struct genome genome;
    double elo;
    uint32_t generation;
};

/* Where and by how many hands matches are played. */
struct contest_backend {
    void *context;
    uint32_t n_genomes_a_set; /* how many genomes' matches run in lockstep */
    uint32_t n_workers;       /* 0: as many as the contest's threads */
    /* Prepares inference for the players of a set. Called by worker `worker`. */
    onnxd_status (*begin)(void *context, uint32_t worker, const struct match_set *set,
                          const struct genome *const *genomes, const struct genome_shape *shape,
                          struct inference *ret_inference, onnxd_error *err);
};

struct contest {
    struct contest_options options;
    struct rng rng;                 /* root of all draws; does not move */
    struct contest_record *records; /* [n_genomes] of the latest generation */
    uint64_t *ids;                  /* [n_genomes] whose records they are */
    uint32_t n_genomes;
    struct contest_hall_member hall[CONTEST_MAX_HALL];
    uint32_t n_hall;
    struct match_stats *stats; /* [n_workers] of the latest generation; the first holds the sum after it */
    uint32_t n_workers;
    struct local_inference *local; /* [n_workers] */
};

/* ONNXD_ERR_RANGE (more opponents than the population has), ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status contest_create(const struct contest_options *options, uint64_t seed,
                                           uint32_t n_genomes, uint32_t n_workers,
                                           struct contest **ret_contest, onnxd_error *err);
void contest_free(struct contest *contest); /* takes NULL */

/* The matches of genome i in a generation, ret_plans: [contest_n_matches]. Player numbers below n_genomes are
 * places in the population, from n_genomes on places in the hall. */
uint32_t contest_n_matches(const struct contest *contest);
void contest_draw(const struct contest *contest, uint32_t generation, uint32_t i,
                  struct match_plan *ret_plans);

/* Plays a generation's matches and writes each genome's fitness. backend NULL: in this process; ranks NULL:
 * all of them. Times are those of this rank. */
ONNXD_MUST_USE onnxd_status contest_judge(struct contest *contest, const struct contest_backend *backend,
                                          struct ranks *ranks, struct population *population,
                                          struct threads *threads, onnxd_error *err);

/* Takes the generation's champion into the hall. */
ONNXD_MUST_USE onnxd_status contest_remember(struct contest *contest, const struct population *population,
                                             uint32_t champion, onnxd_error *err);

/* Finds the strongest member of the hall. Fitness within a generation is noisy and relative, so all members
 * play the chaser (if the options have one) and each other in pairs, and the best few of them again, longer.
 * *ret_place is UINT32_MAX for an empty hall. */
ONNXD_MUST_USE onnxd_status contest_play_off(struct contest *contest, const struct genome_shape *shape,
                                             struct threads *threads, uint32_t *ret_place, onnxd_error *err);

/* Wins, draws and losses of one genome against another (or MATCH_CHASER: opponent NULL) over n matches of two
 * teams; the second half is played with the sides changed. */
ONNXD_MUST_USE onnxd_status contest_duel(const struct arena_options *options, const struct genome *genome,
                                         const struct genome_shape *shape, const struct genome *opponent,
                                         uint32_t n, uint64_t seed, struct contest_record *ret_record,
                                         onnxd_error *err);

/* What a finished champion is worth: n matches against the chaser, and n against n / 4 first genomes of other
 * seeds, four each. Two teams, whatever the options say. */
ONNXD_MUST_USE onnxd_status contest_examine(const struct arena_options *options, const struct genome *genome,
                                            const struct neat_params *params,
                                            const struct genome_shape *shape, uint32_t n, uint64_t seed,
                                            struct contest_record *ret_chaser,
                                            struct contest_record *ret_random, onnxd_error *err);

/* Both ratings after a match; result: 1 when a won, 0.5 drawn, 0 lost. */
void elo_update(double *a, double *b, double result);

/* Hall and ratings, for checkpoints. */
void contest_save(const struct contest *contest, struct buf *out);
ONNXD_MUST_USE onnxd_status contest_load(struct contest *contest, const struct genome_shape *shape,
                                         struct byte_reader *in, onnxd_error *err);

#endif
