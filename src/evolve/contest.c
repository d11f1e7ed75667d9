#include "evolve/contest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "neat/neat_checkpoint.h"

enum {
    MAX_DRAWN = 1000,
    STREAM_HALL = 0x48414c4c
}; /* the stream keeps draws for the hall apart from those of matches */

static const double ELO_START = 1000, ELO_K = 24;

static const struct {
    const char *name;
    struct contest_weights weights;
} WEIGHTS[] = {
    {"fight", {.result = 4, .damage = 3, .health = 1, .kills = 1, .speed = 1, .explored = 0.2f}},
    {"survive", {.result = 1, .health = 4}},
    {"explore", {.result = 1, .health = 1, .explored = 4}},
};

bool contest_weights_find(const char *name, struct contest_weights *ret_weights)
{
    for (size_t i = 0; i < sizeof WEIGHTS / sizeof WEIGHTS[0]; i++) {
        if (strcmp(WEIGHTS[i].name, name) != 0) continue;
        *ret_weights = WEIGHTS[i].weights;
        return true;
    }
    return false;
}

void contest_options_default(struct contest_options *ret_options)
{
    *ret_options = (struct contest_options){
        .arena = {.n_teams = 2, .ships_a_team = 1, .max_ticks = 600},
        .weights = WEIGHTS[0].weights,
        .n_matches = 4,
        .n_hall = 2,
        .n_chaser = 3,
        .hall_size = 100,
    };
}

onnxd_status contest_create(const struct contest_options *options, uint64_t seed, uint32_t n_genomes,
                            uint32_t n_workers, struct contest **ret_contest, onnxd_error *err)
{
    struct contest_options checked = *options;
    onnxd_status status = arena_options_check(&checked.arena, err);
    if (status != ONNXD_OK) return status;
    uint64_t n_drawn = (uint64_t)checked.n_matches * (checked.arena.n_teams - 1);
    if (n_drawn > n_genomes - 1 || n_drawn > MAX_DRAWN || checked.n_hall > 1000 || checked.n_chaser > 1000 ||
        checked.n_matches + checked.n_hall + checked.n_chaser == 0 || checked.hall_size > CONTEST_MAX_HALL)
        return error_set(
            err, ONNXD_ERR_RANGE,
            "arena: %u matches against %u opponents each, %u of the hall of %u, %u chasers: too many "
            "for a population of %u, or none",
            checked.n_matches, checked.arena.n_teams - 1, checked.n_hall, checked.hall_size, checked.n_chaser,
            n_genomes);
    struct contest *c = calloc(1, sizeof *c);
    if (c == NULL) return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory");
    c->options = checked;
    c->rng = rng_seed(seed ^ 0x6172656e61u);
    c->n_genomes = n_genomes;
    c->records = calloc(n_genomes, sizeof *c->records);
    c->ids = calloc(n_genomes, sizeof *c->ids);
    c->stats = calloc(n_workers, sizeof *c->stats);
    c->local = calloc(n_workers, sizeof *c->local);
    if (c->records == NULL || c->ids == NULL || c->stats == NULL || c->local == NULL) {
        contest_free(c);
        return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for %u genomes", n_genomes);
    }
    c->n_workers = n_workers;
    for (uint32_t i = 0; i < n_workers; i++) local_inference_init(&c->local[i]);
    for (uint32_t i = 0; i < n_genomes; i++) c->ids[i] = UINT64_MAX;
    *ret_contest = c;
    return ONNXD_OK;
}

void contest_free(struct contest *c)
{
    if (c == NULL) return;
    for (uint32_t i = 0; i < c->n_workers; i++) local_inference_done(&c->local[i]);
    for (uint32_t i = 0; i < c->n_hall; i++) arena_done(&c->hall[i].arena);
    free(c->records);
    free(c->ids);
    free(c->stats);
    free(c->local);
    free(c);
}

void elo_update(double *a, double *b, double result)
{
    const float scale = 2.302585093f / 400;
    float expected = 1 / (1 + f32x4_exp(f32x4_all((float)(*b - *a) * scale))[0]);
    double change = ELO_K * (result - (double)expected);
    *a += change;
    *b -= change;
}

/* n different numbers below `below`, none of them `self` (UINT32_MAX: any). n is small, so a search through
 * those drawn before is cheap. */
static void draw_apart(struct rng *rng, uint32_t below, uint32_t self, uint32_t n, uint32_t *ret)
{
    for (uint32_t i = 0; i < n;) {
        uint32_t draw = (uint32_t)rng_below(rng, below);
        bool taken = draw == self;
        for (uint32_t j = 0; j < i && !taken; j++) taken = ret[j] == draw;
        if (!taken) ret[i++] = draw;
    }
}

static uint32_t hall_matches(const struct contest *c)
{
    return c->n_hall == 0 ? 0 : c->options.n_hall;
}

uint32_t contest_n_matches(const struct contest *c)
{
    return c->options.n_matches + hall_matches(c) + c->options.n_chaser;
}

void contest_draw(const struct contest *c, uint32_t generation, uint32_t i, struct match_plan *ret_plans)
{
    uint32_t n_others = c->options.arena.n_teams - 1, n = c->options.n_matches, n_hall = hall_matches(c),
             m = 0;
    uint32_t drawn[MAX_DRAWN];
    struct rng rng = rng_fork(&c->rng, (uint64_t)generation << 32 | i);
    draw_apart(&rng, c->n_genomes, i, n * n_others, drawn);
    for (; m < n; m++)
        for (uint32_t t = 0; t < n_others; t++) ret_plans[m].players[t + 1] = drawn[m * n_others + t];
    uint32_t n_apart = n_hall < c->n_hall ? n_hall : c->n_hall;
    draw_apart(&rng, c->n_hall, UINT32_MAX, n_apart, drawn);
    for (; m < n + n_hall; m++)
        for (uint32_t t = 0; t < n_others; t++)
            ret_plans[m].players[t + 1] = c->n_genomes + drawn[(m - n + t) % n_apart];
    for (; m < n + n_hall + c->options.n_chaser; m++)
        for (uint32_t t = 0; t < n_others; t++) ret_plans[m].players[t + 1] = MATCH_CHASER;
    for (m = 0; m < contest_n_matches(c); m++) {
        ret_plans[m].players[0] = i;
        ret_plans[m].seed = rng_u64(&rng);
    }
}

/* One generation's judgement, shared by all workers. */
struct judgement {
    struct contest *contest;
    const struct contest_backend *backend; /* NULL: local */
    struct population *population;
    uint32_t n_matches; /* a genome */
    uint32_t n_genomes_a_set;
    uint32_t first, n;        /* genomes: this rank's share */
    struct match_plan *plans; /* [n_genomes, n_matches] */
    float *results;           /* [n_genomes, n_matches] */
    onnxd_status *status;     /* [n_workers] */
    onnxd_error *errors;      /* [n_workers] */
};

static const struct genome *player_genome(const struct judgement *j, uint32_t player)
{
    uint32_t n = j->contest->n_genomes;
    return player < n ? &j->population->genomes[player] : &j->contest->hall[player - n].genome;
}

/* Numbers the players of some plans from 0 and lists their genomes. Returns how many. */
static uint32_t number_players(const struct judgement *j, const struct match_plan *plans, uint32_t n,
                               struct match_plan *ret_plans, uint32_t *number,
                               const struct genome **ret_genomes)
{
    uint32_t n_players = 0, n_teams = j->contest->options.arena.n_teams;
    memset(number, 0xff, (j->contest->n_genomes + CONTEST_MAX_HALL) * sizeof *number);
    for (uint32_t m = 0; m < n; m++) {
        ret_plans[m] = plans[m];
        for (uint32_t t = 0; t < n_teams; t++) {
            uint32_t player = plans[m].players[t];
            if (player == MATCH_CHASER) continue;
            if (number[player] == UINT32_MAX) {
                ret_genomes[n_players] = player_genome(j, player);
                number[player] = n_players++;
            }
            ret_plans[m].players[t] = number[player];
        }
    }
    return n_players;
}

static double weigh(const struct contest_weights *w, const struct arena_score *s)
{
    return (double)(w->result * s->result + w->damage * s->damage + w->health * s->health +
                    w->kills * s->kills + w->speed * s->speed + w->explored * s->explored);
}

/* Reads the scores of genomes first to first + n from the set's finished matches. */
static void collect(const struct judgement *j, const struct match_set *set, uint32_t first, uint32_t n)
{
    for (uint32_t g = 0; g < n; g++) {
        struct contest_record *record = &j->contest->records[first + g];
        double sum = 0;
        for (uint32_t m = 0; m < j->n_matches; m++) {
            struct arena_score score;
            arena_match_score(&set->matches[g * j->n_matches + m], 0, &score);
            sum += weigh(&j->contest->options.weights, &score);
            j->results[(size_t)(first + g) * j->n_matches + m] = score.result;
            record->n_won += score.result == 1.0f;
            record->n_drawn += score.result == 0.5f;
            record->n_lost += score.result == 0.0f;
        }
        record->fitness = sum / j->n_matches;
    }
}

static onnxd_status play_set(const struct judgement *j, uint32_t first, uint32_t n, uint32_t worker,
                             onnxd_error *err)
{
    struct contest *c = j->contest;
    uint32_t n_matches = n * j->n_matches;
    struct match_plan *plans = calloc(n_matches, sizeof *plans);
    uint32_t *number = calloc((size_t)c->n_genomes + CONTEST_MAX_HALL, sizeof *number);
    const struct genome **genomes = calloc((size_t)c->n_genomes + CONTEST_MAX_HALL, sizeof *genomes);
    struct match_set set = {0};
    struct inference inference;
    onnxd_status status = ONNXD_OK;
    if (plans == NULL || number == NULL || genomes == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for %u matches", n_matches);
        goto out;
    }
    uint32_t n_players = number_players(j, j->plans + (size_t)first * j->n_matches, n_matches, plans, number,
                                        genomes);
    status = match_set_init(&set, &c->options.arena, plans, n_matches, n_players, err);
    if (status != ONNXD_OK) goto out;
    if (j->backend != NULL) {
        status = j->backend->begin(j->backend->context, worker, &set, genomes, &j->population->shape,
                                   &inference, err);
    } else {
        status = local_inference_begin(&c->local[worker], &set, genomes, &j->population->shape, err);
        inference = local_inference_view(&c->local[worker]);
    }
    if (status == ONNXD_OK) status = match_set_run(&set, &inference, &c->stats[worker], err);
    if (status == ONNXD_OK) collect(j, &set, first, n);
out:
    match_set_done(&set);
    free(plans);
    free(number);
    free((void *)genomes);
    return status;
}

static void play_task(void *context, uint32_t task, uint32_t worker)
{
    const struct judgement *j = context;
    uint32_t done = task * j->n_genomes_a_set, n = j->n - done;
    if (j->status[worker] != ONNXD_OK) return;
    if (n > j->n_genomes_a_set) n = j->n_genomes_a_set;
    j->status[worker] = play_set(j, j->first + done, n, worker, &j->errors[worker]);
}

/* Ratings pass on with unchanged genomes; all matches of the generation then count in order. */
static void rate(const struct judgement *j, const double *inherited)
{
    struct contest *c = j->contest;
    uint32_t n_others = c->options.arena.n_teams - 1;
    for (uint32_t i = 0; i < c->n_genomes; i++) c->records[i].elo = inherited[i];
    for (uint32_t i = 0; i < c->n_genomes; i++)
        for (uint32_t m = 0; m < j->n_matches; m++) {
            const struct match_plan *plan = &j->plans[(size_t)i * j->n_matches + m];
            for (uint32_t t = 1; t <= n_others; t++) {
                uint32_t other = plan->players[t];
                if (other == MATCH_CHASER) continue;
                double *elo = other < c->n_genomes ? &c->records[other].elo
                                                   : &c->hall[other - c->n_genomes].elo;
                elo_update(&c->records[i].elo, elo, (double)j->results[(size_t)i * j->n_matches + m]);
            }
        }
}

/* What each genome of the new generation starts with: its own rating when it is an old one unchanged. */
static void inherit_ratings(const struct contest *c, const struct population *p, double *ret)
{
    for (uint32_t i = 0; i < c->n_genomes; i++) {
        ret[i] = ELO_START;
        if (!p->genomes[i].is_elite_copy) continue;
        for (uint32_t k = 0; k < c->n_genomes; k++)
            if (c->ids[k] == p->genomes[i].id) ret[i] = c->records[k].elo;
    }
}

static onnxd_status play_all(struct judgement *j, struct threads *threads, onnxd_error *err)
{
    struct contest *c = j->contest;
    uint32_t n_sets = (j->n + j->n_genomes_a_set - 1) / j->n_genomes_a_set;
    for (uint32_t i = 0; i < c->n_workers; i++) memset(&c->stats[i], 0, sizeof c->stats[i]);
    if (threads != NULL && (j->backend == NULL || j->backend->n_workers == 0))
        threads_run(threads, play_task, j, n_sets);
    else
        for (uint32_t i = 0; i < n_sets; i++) play_task(j, i, 0);
    for (uint32_t i = 0; i < c->n_workers; i++) {
        if (j->status[i] != ONNXD_OK) {
            if (err != NULL) *err = j->errors[i];
            return j->status[i];
        }
        if (i == 0) continue;
        histogram_merge(&c->stats[0].match, &c->stats[i].match);
        histogram_merge(&c->stats[0].inference, &c->stats[i].inference);
        histogram_merge(&c->stats[0].tick, &c->stats[i].tick);
        c->stats[0].n_rows += c->stats[i].n_rows;
    }
    return ONNXD_OK;
}

onnxd_status contest_judge(struct contest *c, const struct contest_backend *backend, struct ranks *ranks,
                           struct population *population, struct threads *threads, onnxd_error *err)
{
    struct judgement j = {.contest = c, .backend = backend, .population = population};
    j.n_matches = contest_n_matches(c);
    j.n_genomes_a_set = backend == NULL ? 1 : backend->n_genomes_a_set;
    size_t n = (size_t)c->n_genomes * j.n_matches;
    j.plans = calloc(n, sizeof *j.plans);
    j.results = calloc(n, sizeof *j.results);
    j.status = calloc(c->n_workers, sizeof *j.status);
    j.errors = calloc(c->n_workers, sizeof *j.errors);
    double *inherited = calloc(c->n_genomes, sizeof *inherited);
    onnxd_status status = ONNXD_OK;
    if (j.plans == NULL || j.results == NULL || j.status == NULL || j.errors == NULL || inherited == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for %zu matches", n);
        goto out;
    }
    inherit_ratings(c, population, inherited);
    memset(c->records, 0, c->n_genomes * sizeof *c->records);
    for (uint32_t i = 0; i < c->n_genomes; i++)
        contest_draw(c, population->generation, i, j.plans + (size_t)i * j.n_matches);
    ranks_share(ranks, c->n_genomes, &j.first, &j.n);
    status = play_all(&j, threads, err);
    if (status == ONNXD_OK) status = ranks_gather(ranks, c->records, sizeof *c->records, c->n_genomes, err);
    if (status == ONNXD_OK)
        status = ranks_gather(ranks, j.results, j.n_matches * sizeof *j.results, c->n_genomes, err);
    if (status != ONNXD_OK) goto out;
    rate(&j, inherited);
    for (uint32_t i = 0; i < c->n_genomes; i++) {
        c->ids[i] = population->genomes[i].id;
        population->genomes[i].fitness = c->records[i].fitness;
    }
out:
    free(j.plans);
    free(j.results);
    free(j.status);
    free(j.errors);
    free(inherited);
    return status;
}

onnxd_status contest_remember(struct contest *c, const struct population *population, uint32_t champion,
                              onnxd_error *err)
{
    if (c->options.hall_size == 0) return ONNXD_OK;
    uint32_t place = c->n_hall;
    if (c->n_hall == c->options.hall_size) {
        struct rng rng = rng_fork(&c->rng, (uint64_t)STREAM_HALL << 32 | population->generation);
        place = (uint32_t)rng_below(&rng, c->n_hall);
    }
    struct contest_hall_member member = {.elo = c->records[champion].elo,
                                         .generation = population->generation};
    arena_init(&member.arena, 0);
    if (!genome_copy(&member.arena, &population->genomes[champion], &member.genome)) {
        arena_done(&member.arena);
        return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for the hall of fame");
    }
    if (place < c->n_hall)
        arena_done(&c->hall[place].arena);
    else
        c->n_hall++;
    c->hall[place] = member;
    return ONNXD_OK;
}

static onnxd_status play_duel(const struct arena_options *options, const struct genome *const genomes[2],
                              const struct genome_shape *shape, const struct match_plan *plans, uint32_t n,
                              struct contest_record *record, onnxd_error *err)
{
    struct local_inference local;
    struct match_set set;
    local_inference_init(&local);
    onnxd_status status = match_set_init(&set, options, plans, n, genomes[1] == NULL ? 1 : 2, err);
    if (status != ONNXD_OK) return status;
    status = local_inference_begin(&local, &set, genomes, shape, err);
    struct inference inference = local_inference_view(&local);
    if (status == ONNXD_OK) status = match_set_run(&set, &inference, NULL, err);
    for (uint32_t m = 0; status == ONNXD_OK && m < n; m++) {
        uint32_t side = plans[m].players[0] == 0 ? 0 : 1;
        struct arena_score score;
        arena_match_score(&set.matches[m], side, &score);
        record->n_won += score.result == 1.0f;
        record->n_drawn += score.result == 0.5f;
        record->n_lost += score.result == 0.0f;
        record->fitness += (double)score.result / n;
    }
    match_set_done(&set);
    local_inference_done(&local);
    return status;
}

onnxd_status contest_duel(const struct arena_options *options, const struct genome *genome,
                          const struct genome_shape *shape, const struct genome *opponent, uint32_t n,
                          uint64_t seed, struct contest_record *ret_record, onnxd_error *err)
{
    struct arena_options checked = *options;
    struct contest_record record = {0};
    struct rng rng = rng_seed(seed);
    const struct genome *genomes[2] = {genome, opponent};
    checked.n_teams = 2;
    onnxd_status status = arena_options_check(&checked, err);
    if (status != ONNXD_OK) return status;
    struct match_plan *plans = calloc(n, sizeof *plans);
    if (plans == NULL) return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for %u matches", n);
    for (uint32_t m = 0; m < n; m++) {
        uint32_t other = opponent == NULL ? MATCH_CHASER : 1;
        bool swapped = m >= n / 2;
        plans[m].seed = rng_u64(&rng);
        plans[m].players[0] = swapped ? other : 0;
        plans[m].players[1] = swapped ? 0 : other;
    }
    status = play_duel(&checked, genomes, shape, plans, n, &record, err);
    free(plans);
    if (status == ONNXD_OK) *ret_record = record;
    return status;
}

void contest_save(const struct contest *c, struct buf *out)
{
    bytes_put_u32(out, c->n_genomes);
    for (uint32_t i = 0; i < c->n_genomes; i++) {
        bytes_put_u64(out, c->ids[i]);
        bytes_put_f64(out, c->records[i].elo);
    }
    bytes_put_u32(out, c->n_hall);
    for (uint32_t i = 0; i < c->n_hall; i++) {
        bytes_put_f64(out, c->hall[i].elo);
        bytes_put_f64(out, c->hall[i].genome.fitness);
        bytes_put_u32(out, c->hall[i].generation);
        genome_save(&c->hall[i].genome, out);
    }
}

static onnxd_status load_member(struct contest *c, const struct genome_shape *shape,
                                struct genome_marks *marks, struct byte_reader *in, onnxd_error *err)
{
    struct contest_hall_member member = {0};
    arena_init(&member.arena, 0);
    member.elo = bytes_get_f64(in);
    double fitness = bytes_get_f64(in);
    member.generation = bytes_get_u32(in);
    onnxd_status status = genome_load(in, &member.arena, &member.genome, err);
    if (status == ONNXD_OK && (!isfinite(member.elo) || !isfinite(fitness)))
        status = error_set(err, ONNXD_ERR_FORMAT, "its rating or fitness is not finite");
    member.genome.fitness = fitness;
    if (status == ONNXD_OK) status = genome_check(marks, &member.genome, shape, err);
    if (status == ONNXD_OK)
        c->hall[c->n_hall++] = member;
    else
        arena_done(&member.arena);
    return status;
}

onnxd_status contest_load(struct contest *c, const struct genome_shape *shape, struct byte_reader *in,
                          onnxd_error *err)
{
    uint32_t n = bytes_get_u32(in);
    if (in->failed || n != c->n_genomes)
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: ratings of %u genomes in a population of %u", n,
                         c->n_genomes);
    for (uint32_t i = 0; i < n; i++) {
        c->ids[i] = bytes_get_u64(in);
        c->records[i].elo = bytes_get_f64(in);
        if (!isfinite(c->records[i].elo))
            return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: rating %u is not finite", i);
    }
    uint32_t n_hall = bytes_get_count(in, 1);
    if (in->failed || n_hall > c->options.hall_size)
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: %u in a hall of fame of %u", n_hall,
                         c->options.hall_size);
    struct genome_marks marks = {0};
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < n_hall && status == ONNXD_OK; i++) {
        status = load_member(c, shape, &marks, in, err);
        if (status != ONNXD_OK) error_prefix(err, "checkpoint, hall of fame, member %u: ", i);
    }
    genome_marks_done(&marks);
    return status;
}
