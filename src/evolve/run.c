#include "evolve/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

onnxd_status run_create(const struct run_options *options, struct run **ret_run, onnxd_error *err)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) return error_set(err, ONNXD_ERR_NOMEM, "run: no memory");
    run->options = *options;
    run->n_workers = options->threads == NULL ? 1 : threads_count(options->threads);
    run->result.fitness = -INFINITY;
    arena_init(&run->champion_arena, 0);
    const struct genome_shape shape = task_shape(options->task, &options->params);
    onnxd_status status = population_create(&run->options.params, &shape, options->seed,
                                            options->memory_limit_bytes, &run->population, err);
    if (status == ONNXD_OK) {
        run->trials = calloc(run->population->n_genomes, sizeof *run->trials);
        run->workers = calloc(run->n_workers, sizeof *run->workers);
        if (run->trials == NULL || run->workers == NULL)
            status = error_set(err, ONNXD_ERR_NOMEM, "run: no memory for %u workers", run->n_workers);
        else
            for (uint32_t i = 0; i < run->n_workers; i++) task_worker_init(&run->workers[i]);
    }
    if (status == ONNXD_OK && options->task->is_contest)
        status = contest_create(&options->contest, options->seed, run->population->n_genomes, run->n_workers,
                                &run->contest, err);
    if (status != ONNXD_OK)
        run_free(run);
    else
        *ret_run = run;
    return status;
}

void run_free(struct run *run)
{
    if (run == NULL) return;
    for (uint32_t i = 0; run->workers != NULL && i < run->n_workers; i++) task_worker_done(&run->workers[i]);
    free(run->workers);
    free(run->trials);
    contest_free(run->contest);
    population_free(run->population);
    arena_done(&run->champion_arena);
    free(run);
}

/* One evaluation of a whole generation. Chunks report failure into their own place. */
struct evaluation {
    struct run *run;
    uint32_t first, n;    /* genomes: this rank's share */
    onnxd_status *status; /* [n_chunks] */
    onnxd_error *err;     /* [n_workers] */
};

static void evaluate_chunk(void *context, uint32_t chunk, uint32_t worker)
{
    const struct evaluation *evaluation = context;
    struct run *run = evaluation->run;
    const struct task *task = run->options.task;
    uint32_t done = chunk * task->chunk, first = evaluation->first + done, n = evaluation->n - done;
    if (n > task->chunk) n = task->chunk;
    onnxd_status status = task->evaluate(task, &run->options.task_options, &run->workers[worker],
                                         run->population->genomes + first, n, run->trials + first,
                                         &evaluation->err[worker]);
    if (status != ONNXD_OK) evaluation->status[worker] = status;
}

/* A contest writes fitness itself; the trials repeat it for what follows. */
static onnxd_status judge_contest(struct run *run, onnxd_error *err)
{
    struct population *p = run->population;
    onnxd_status status = contest_judge(run->contest, run->options.backend, run->options.ranks, p,
                                        run->options.threads, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < p->n_genomes; i++)
        run->trials[i] = (struct trial){.fitness = p->genomes[i].fitness};
    const struct match_stats *stats = &run->contest->stats[0];
    run->result.n_steps += stats->n_rows;
    run->result.n_matches += stats->match.n;
    run->result.inference_ns += stats->inference.sum;
    run->result.tick_ns += stats->tick.sum;
    run->result.n_ticks += stats->tick.n;
    return ONNXD_OK;
}

static onnxd_status evaluate(struct run *run, onnxd_error *err)
{
    if (run->contest != NULL) return judge_contest(run, err);
    uint32_t chunk = run->options.task->chunk, first, n, n_genomes = run->population->n_genomes;
    ranks_share(run->options.ranks, n_genomes, &first, &n);
    uint32_t n_chunks = (n + chunk - 1) / chunk;
    onnxd_status status = ONNXD_OK;
    onnxd_status *statuses = calloc(run->n_workers, sizeof *statuses);
    onnxd_error *errors = calloc(run->n_workers, sizeof *errors);
    if (statuses == NULL || errors == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "run: no memory");
        goto out;
    }
    struct evaluation evaluation = {.run = run, .first = first, .n = n, .status = statuses, .err = errors};
    if (run->options.threads != NULL)
        threads_run(run->options.threads, evaluate_chunk, &evaluation, n_chunks);
    else
        for (uint32_t i = 0; i < n_chunks; i++) evaluate_chunk(&evaluation, i, 0);
    for (uint32_t i = 0; i < run->n_workers; i++) {
        if (statuses[i] == ONNXD_OK) continue;
        status = statuses[i];
        if (err != NULL) *err = errors[i];
        goto out;
    }
    status = ranks_gather(run->options.ranks, run->trials, sizeof *run->trials, n_genomes, err);
out:
    free(statuses);
    free(errors);
    return status;
}

static onnxd_status keep_champion(struct run *run, const struct genome *genome, onnxd_error *err)
{
    arena_reset(&run->champion_arena);
    if (!genome_copy(&run->champion_arena, genome, &run->champion))
        return error_set(err, ONNXD_ERR_NOMEM, "run: no memory for the champion");
    run->result.fitness = genome->fitness;
    run->result.n_hidden = genome_n_hidden(genome, &run->population->shape);
    run->result.n_enabled = genome_n_enabled(genome);
    return ONNXD_OK;
}

/* Writes fitness into the genomes and sums up the generation. Returns the place of the first solver, or of
 * the best genome when there is none. */
static uint32_t sum_up(struct run *run, bool *ret_solved)
{
    struct population *p = run->population;
    uint32_t solver = UINT32_MAX;
    double fitness = 0;
    uint64_t n_hidden = 0, n_enabled = 0;
    for (uint32_t i = 0; i < p->n_genomes; i++) {
        p->genomes[i].fitness = run->trials[i].fitness;
        fitness += run->trials[i].fitness;
        run->result.n_steps += run->trials[i].n_steps;
        n_hidden += genome_n_hidden(&p->genomes[i], &p->shape);
        n_enabled += genome_n_enabled(&p->genomes[i]);
        if (run->trials[i].solved && solver == UINT32_MAX) solver = i;
    }
    run->result.n_generations++;
    run->result.n_evaluations += p->n_genomes;
    uint32_t best = population_best(p);
    run->stats = (struct run_generation_stats){
        .generation = p->generation,
        .best_fitness = p->genomes[best].fitness,
        .mean_fitness = fitness / p->n_genomes,
        .n_species = p->n_species,
        .threshold = p->threshold,
        .mean_hidden = (double)n_hidden / p->n_genomes,
        .mean_enabled = (double)n_enabled / p->n_genomes,
        .n_matches = run->contest != NULL ? run->contest->stats[0].match.n : p->n_genomes,
        .champion_elo = run->contest != NULL ? run->contest->records[best].elo : 0,
    };
    *ret_solved = solver != UINT32_MAX && run->options.task->confirm == NULL;
    return *ret_solved ? solver : best;
}

static bool was_refused(const struct run *run, uint64_t id)
{
    uint32_t n = run->n_refused < RUN_REFUSED_KEPT ? run->n_refused : RUN_REFUSED_KEPT;
    for (uint32_t i = 0; i < n; i++)
        if (run->refused[i] == id) return true;
    return false;
}

/* The fittest species champion worth confirming, or UINT32_MAX. */
static uint32_t find_candidate(const struct run *run)
{
    const struct population *p = run->population;
    uint32_t candidate = UINT32_MAX;
    for (uint32_t s = 0; s < p->n_species; s++) {
        const uint32_t *members = p->by_species + p->species[s].first;
        uint32_t champion = members[0];
        for (uint32_t i = 1; i < p->species[s].n_members; i++)
            if (p->genomes[members[i]].fitness > p->genomes[champion].fitness) champion = members[i];
        if (!run->trials[champion].solved || was_refused(run, p->genomes[champion].id)) continue;
        if (candidate == UINT32_MAX || p->genomes[champion].fitness > p->genomes[candidate].fitness)
            candidate = champion;
    }
    return candidate;
}

static onnxd_status confirm(struct run *run, uint32_t *place, bool *ret_solved, onnxd_error *err)
{
    struct confirmation confirmation;
    *ret_solved = false;
    uint32_t candidate = find_candidate(run);
    if (candidate == UINT32_MAX) return ONNXD_OK;
    const struct genome *genome = &run->population->genomes[candidate];
    onnxd_status status = run->options.task->confirm(run->options.task, &run->workers[0], genome,
                                                     &confirmation, err);
    if (status != ONNXD_OK) return status;
    run->result.n_confirmations++;
    run->result.n_steps += confirmation.n_steps;
    if (!confirmation.solved) {
        run->refused[run->n_refused++ % RUN_REFUSED_KEPT] = genome->id;
        return ONNXD_OK;
    }
    run->result.generalization = confirmation.generalization;
    *place = candidate;
    *ret_solved = true;
    return ONNXD_OK;
}

/* The champion of a finished contest: not the latest of a noisy series but the strongest of them all. */
static onnxd_status crown(struct run *run, onnxd_error *err)
{
    uint32_t place;
    onnxd_status status = contest_play_off(run->contest, &run->population->shape, run->options.threads,
                                           &place, err);
    if (status != ONNXD_OK || place == UINT32_MAX) return status;
    return keep_champion(run, &run->contest->hall[place].genome, err);
}

onnxd_status run_generation(struct run *run, onnxd_error *err)
{
    uint64_t start_ns = monotonic_ns();
    onnxd_status status = evaluate(run, err);
    if (status != ONNXD_OK) return status;
    bool solved;
    uint32_t place = sum_up(run, &solved);
    if (run->options.task->confirm != NULL) {
        status = confirm(run, &place, &solved, err);
        if (status != ONNXD_OK) return status;
    }
    /* Fitness of a contest is relative to its generation: the latest champion stands for the run. */
    if (solved || run->contest != NULL || run->population->genomes[place].fitness > run->result.fitness) {
        status = keep_champion(run, &run->population->genomes[place], err);
        if (status != ONNXD_OK) return status;
    }
    if (run->contest != NULL) {
        status = contest_remember(run->contest, run->population, place, err);
        if (status != ONNXD_OK) return status;
    }
    run->result.solved = solved;
    run->stats.evaluate_ns = monotonic_ns() - start_ns;
    run->finished = solved || run->result.n_generations >= run->options.max_generations;
    if (run->finished) return run->contest != NULL ? crown(run, err) : ONNXD_OK;
    start_ns = monotonic_ns();
    status = population_advance(run->population, err);
    run->stats.breed_ns = monotonic_ns() - start_ns;
    return status;
}
