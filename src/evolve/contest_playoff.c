#include <stdlib.h>

#include "base/error.h"
#include "evolve/contest.h"

enum { FIRST_MATCHES = 24, FINALISTS = 6, FINAL_MATCHES = 100, STREAM_PLAY_OFF = 0x504c4159 };

struct play_off {
    struct contest *contest;
    const struct genome_shape *shape;
    uint32_t *candidates; /* [n] places in the hall */
    double *score;        /* [n] */
    uint32_t n;
    uint32_t n_matches; /* against the chaser, and again against other candidates */
    uint64_t stream;
    onnxd_status *status; /* [n] */
    onnxd_error *errors;  /* [n] */
};

/* One candidate's matches: the share won against the chaser plus that against the others. A draw counts
 * nothing, or policies that hide would rank high. */
static onnxd_status play(const struct play_off *p, uint32_t i, double *ret_score, onnxd_error *err)
{
    struct contest *c = p->contest;
    const struct genome *self = &c->hall[p->candidates[i]].genome;
    struct rng rng = rng_fork(&c->rng, p->stream << 32 | p->candidates[i]);
    struct contest_record record;
    double score = 0;
    onnxd_status status = ONNXD_OK;
    if (c->options.n_chaser > 0) {
        status = contest_duel(&c->options.arena, self, p->shape, NULL, p->n_matches, rng_u64(&rng), &record,
                              err);
        if (status == ONNXD_OK) score += (double)record.n_won / p->n_matches;
    }
    uint32_t n_rounds = p->n > 1 ? p->n_matches / 4 : 0;
    for (uint32_t round = 0; round < n_rounds && status == ONNXD_OK; round++) {
        uint32_t other = (i + 1 + (uint32_t)rng_below(&rng, p->n - 1)) % p->n;
        status = contest_duel(&c->options.arena, self, p->shape, &c->hall[p->candidates[other]].genome, 4,
                              rng_u64(&rng), &record, err);
        if (status == ONNXD_OK) score += (double)record.n_won / (4.0 * n_rounds);
    }
    if (status == ONNXD_OK) *ret_score = score;
    return status;
}

static void play_candidate(void *context, uint32_t i, uint32_t worker)
{
    const struct play_off *p = context;
    (void)worker;
    p->status[i] = play(p, i, &p->score[i], &p->errors[i]);
}

static onnxd_status play_round(struct play_off *p, struct threads *threads, onnxd_error *err)
{
    if (threads != NULL)
        threads_run(threads, play_candidate, p, p->n);
    else
        for (uint32_t i = 0; i < p->n; i++) play_candidate(p, i, 0);
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->status[i] == ONNXD_OK) continue;
        if (err != NULL) *err = p->errors[i];
        return p->status[i];
    }
    return ONNXD_OK;
}

/* Brings the best `n_kept` candidates to the front, best first. */
static void keep_best(struct play_off *p, uint32_t n_kept)
{
    for (uint32_t k = 0; k < n_kept; k++) {
        uint32_t best = k;
        for (uint32_t i = k + 1; i < p->n; i++)
            if (p->score[i] > p->score[best]) best = i;
        uint32_t candidate = p->candidates[k];
        double score = p->score[k];
        p->candidates[k] = p->candidates[best];
        p->score[k] = p->score[best];
        p->candidates[best] = candidate;
        p->score[best] = score;
    }
    p->n = n_kept;
}

onnxd_status contest_play_off(struct contest *c, const struct genome_shape *shape, struct threads *threads,
                              uint32_t *ret_place, onnxd_error *err)
{
    struct play_off p = {.contest = c, .shape = shape, .n = c->n_hall, .n_matches = FIRST_MATCHES};
    p.stream = STREAM_PLAY_OFF;
    onnxd_status status = ONNXD_OK;
    uint32_t n = c->n_hall == 0 ? 1 : c->n_hall;
    p.candidates = calloc(n, sizeof *p.candidates);
    p.score = calloc(n, sizeof *p.score);
    p.status = calloc(n, sizeof *p.status);
    p.errors = calloc(n, sizeof *p.errors);
    if (p.candidates == NULL || p.score == NULL || p.status == NULL || p.errors == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for a play-off of %u", n);
    for (uint32_t i = 0; status == ONNXD_OK && i < p.n; i++) p.candidates[i] = i;
    if (status == ONNXD_OK && p.n > 1) {
        status = play_round(&p, threads, err);
        if (status == ONNXD_OK) keep_best(&p, p.n < FINALISTS ? p.n : FINALISTS);
        p.n_matches = FINAL_MATCHES;
        p.stream++;
        if (status == ONNXD_OK) status = play_round(&p, threads, err);
        if (status == ONNXD_OK) keep_best(&p, 1);
    }
    if (status == ONNXD_OK) *ret_place = c->n_hall == 0 ? UINT32_MAX : p.candidates[0];
    free(p.candidates);
    free(p.score);
    free(p.status);
    free(p.errors);
    return status;
}

onnxd_status contest_examine(const struct arena_options *options, const struct genome *genome,
                             const struct neat_params *params, const struct genome_shape *shape, uint32_t n,
                             uint64_t seed, struct contest_record *ret_chaser,
                             struct contest_record *ret_random, onnxd_error *err)
{
    struct neat_params first = *params;
    struct population *strangers = NULL;
    struct contest_record chaser, random = {0}, one;
    struct rng rng = rng_seed(seed);
    onnxd_status status = contest_duel(options, genome, shape, NULL, n, rng_u64(&rng), &chaser, err);
    first.population_size = n / 4 < 2 ? 2 : n / 4;
    if (status == ONNXD_OK) status = population_create(&first, shape, rng_u64(&rng), 0, &strangers, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < strangers->n_genomes; i++) {
        status = contest_duel(options, genome, shape, &strangers->genomes[i], 4, rng_u64(&rng), &one, err);
        if (status != ONNXD_OK) break;
        random.n_won += one.n_won;
        random.n_drawn += one.n_drawn;
        random.n_lost += one.n_lost;
    }
    population_free(strangers);
    if (status != ONNXD_OK) return status;
    *ret_chaser = chaser;
    *ret_random = random;
    return ONNXD_OK;
}
