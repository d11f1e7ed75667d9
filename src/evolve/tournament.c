#include "evolve/tournament.h"

#include <stdlib.h>

#include "base/error.h"

struct pairing {
    const struct policy *policies;
    const struct arena_options *options;
    uint32_t n, matches;
    struct rng rng;
    struct contest_record *records; /* [n * (n - 1) / 2] of the first of each pair */
    onnxd_status *status;
    onnxd_error *errors;
};

/* Pair k in the order (0,1) (0,2) (1,2) (0,3) ... */
static void pair_of(uint32_t k, uint32_t *ret_a, uint32_t *ret_b)
{
    uint32_t b = 1;
    while (k >= b) k -= b++;
    *ret_a = k;
    *ret_b = b;
}

static void play_pair(void *context, uint32_t k, uint32_t worker)
{
    const struct pairing *p = context;
    uint32_t a, b;
    (void)worker;
    pair_of(k, &a, &b);
    struct rng rng = rng_fork(&p->rng, k);
    p->status[k] = contest_duel(p->options, &p->policies[a].genome, &p->policies[a].shape,
                                &p->policies[b].genome, p->matches, rng_u64(&rng), &p->records[k],
                                &p->errors[k]);
}

static void count_pair(const struct pairing *p, uint32_t k, struct tournament_row *rows)
{
    uint32_t a, b;
    pair_of(k, &a, &b);
    const struct contest_record *r = &p->records[k];
    rows[a].n_won += r->n_won;
    rows[a].n_drawn += r->n_drawn;
    rows[a].n_lost += r->n_lost;
    rows[b].n_won += r->n_lost;
    rows[b].n_drawn += r->n_drawn;
    rows[b].n_lost += r->n_won;
    for (uint32_t i = 0; i < r->n_won; i++) elo_update(&rows[a].elo, &rows[b].elo, 1);
    for (uint32_t i = 0; i < r->n_drawn; i++) elo_update(&rows[a].elo, &rows[b].elo, 0.5);
    for (uint32_t i = 0; i < r->n_lost; i++) elo_update(&rows[a].elo, &rows[b].elo, 0);
}

static int compare_rows(const void *x, const void *y)
{
    const struct tournament_row *a = x, *b = y;
    if (a->points != b->points) return a->points < b->points ? 1 : -1;
    if (a->elo != b->elo) return a->elo < b->elo ? 1 : -1;
    return a->policy < b->policy ? -1 : 1;
}

static onnxd_status check(const struct policy *policies, uint32_t n, uint32_t matches, onnxd_error *err)
{
    if (n < 2 || n > 1000 || matches < 1 || matches > 10000)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "tournament: expected 2..1000 policies and 1..10000 matches a pair, got %u and %u",
                         n, matches);
    for (uint32_t i = 0; i < n; i++)
        if (policies[i].shape.n_inputs != ARENA_N_INPUTS || policies[i].shape.n_outputs != ARENA_N_OUTPUTS)
            return error_set(
                err, ONNXD_ERR_ARGUMENT, "tournament: policy %u has %u inputs and %u outputs, not %d and %d",
                i, policies[i].shape.n_inputs, policies[i].shape.n_outputs, ARENA_N_INPUTS, ARENA_N_OUTPUTS);
    return ONNXD_OK;
}

onnxd_status tournament_play(const struct policy *policies, uint32_t n, const struct arena_options *options,
                             uint32_t matches_a_pair, uint64_t seed, struct threads *threads,
                             struct tournament_row *ret_rows, onnxd_error *err)
{
    onnxd_status status = check(policies, n, matches_a_pair, err);
    if (status != ONNXD_OK) return status;
    uint32_t n_pairs = n * (n - 1) / 2;
    struct pairing p = {
        .policies = policies, .options = options, .n = n, .matches = matches_a_pair, .rng = rng_seed(seed)};
    p.records = calloc(n_pairs, sizeof *p.records);
    p.status = calloc(n_pairs, sizeof *p.status);
    p.errors = calloc(n_pairs, sizeof *p.errors);
    struct tournament_row *rows = calloc(n, sizeof *rows);
    if (p.records == NULL || p.status == NULL || p.errors == NULL || rows == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "tournament: no memory for %u pairs", n_pairs);
        goto out;
    }
    if (threads != NULL)
        threads_run(threads, play_pair, &p, n_pairs);
    else
        for (uint32_t k = 0; k < n_pairs; k++) play_pair(&p, k, 0);
    for (uint32_t i = 0; i < n; i++) rows[i] = (struct tournament_row){.policy = i, .elo = 1000};
    for (uint32_t k = 0; k < n_pairs; k++) {
        if (p.status[k] != ONNXD_OK) {
            status = p.status[k];
            if (err != NULL) *err = p.errors[k];
            goto out;
        }
        count_pair(&p, k, rows);
    }
    for (uint32_t i = 0; i < n; i++) rows[i].points = rows[i].n_won + 0.5 * rows[i].n_drawn;
    qsort(rows, n, sizeof *rows, compare_rows);
    for (uint32_t i = 0; i < n; i++) ret_rows[i] = rows[i];
out:
    free(p.records);
    free(p.status);
    free(p.errors);
    free(rows);
    return status;
}
