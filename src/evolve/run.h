/* evolve/run.h - one evolution on one task, from the first generation to success or the last generation.
 *
 *     struct run *run = NULL;
 *     run_create(&options, &run, &err);
 *     while (!run->finished) run_generation(run, &err);
 *     ... run->result, run->champion ...
 *     run_free(run);
 *
 * What counts as an evaluation: one genome judged once in a generation; a generation always counts whole,
 * elite copies included. The confirmation of a champion (the long run and the generalization test of the
 * double pole without velocities) is counted apart, in n_confirmations: once a generation the fittest species
 * champion that did not fail it before takes it, as Stanley's program goes through the species.
 *
 * The result depends on the task, the parameters and the seed alone, not on the number of threads.
 *
 * Ownership: run_free frees; the champion is the run's. Threads: one caller at a time. */
#ifndef EVOLVE_RUN_H
#define EVOLVE_RUN_H

#include "base/threads.h"
#include "evolve/contest.h"
#include "evolve/ranks.h"
#include "evolve/task.h"
#include "neat/population.h"

#define RUN_REFUSED_KEPT 256

struct run_options {
    const struct task *task;
    struct task_options task_options;
    struct neat_params params;
    uint64_t seed;
    uint32_t max_generations;
    struct threads *threads; /* borrowed; NULL: the caller's thread alone */
    uint64_t memory_limit_bytes;
    struct contest_options contest;        /* of tasks that are contests */
    struct ranks *ranks;                   /* borrowed; NULL: this process judges everything */
    const struct contest_backend *backend; /* borrowed; NULL: matches are played in this process */
};

struct run_result {
    bool solved;
    uint32_t n_generations; /* evaluated */
    uint64_t n_evaluations;
    uint64_t n_steps; /* simulated, confirmations included */
    uint32_t n_confirmations;
    uint32_t generalization; /* of the champion, where the task has such a test */
    double fitness;          /* the champion's */
    uint32_t n_hidden;       /* of the champion */
    uint32_t n_enabled;      /* its enabled genes */
    uint64_t n_matches;      /* of contests */
    uint64_t inference_ns;   /* of contests: time in inference calls, summed over workers */
    uint64_t tick_ns;        /* and in ticks as a whole */
    uint64_t n_ticks;
};

/* What one generation showed. */
struct run_generation_stats {
    uint32_t generation;
    double best_fitness, mean_fitness;
    uint32_t n_species;
    double threshold;
    double mean_hidden, mean_enabled;
    uint64_t n_matches; /* contests: played; else episodes */
    double champion_elo;
    uint64_t evaluate_ns, breed_ns;
};

struct run {
    struct run_options options;
    struct population *population;
    struct contest *contest; /* NULL: the task is none */
    struct trial *trials;    /* [n_genomes] */
    struct task_worker *workers;
    uint32_t n_workers;
    bool finished;
    struct run_result result;
    struct run_generation_stats stats; /* of the latest generation */
    struct arena champion_arena;
    struct genome champion; /* the solver, or the best so far */
    uint64_t
        refused[RUN_REFUSED_KEPT]; /* ids of the genomes that failed a confirmation, oldest overwritten */
    uint32_t n_refused;
};

ONNXD_MUST_USE onnxd_status run_create(const struct run_options *options, struct run **ret_run,
                                       onnxd_error *err);
void run_free(struct run *run); /* takes NULL */

/* Judges the generation, then ends the run or breeds the next. */
ONNXD_MUST_USE onnxd_status run_generation(struct run *run, onnxd_error *err);

#endif
