/* evolve/task.h - what genomes are judged by: a table of tasks over the simulations.
 *
 * A task evaluates a few genomes at a time inside one worker: XOR its four patterns in the four lanes of a
 * network, the poles four genomes' episodes in the four lanes of the simulation, taking the next genome
 * whenever an episode ends. A genome's result depends on the genome alone, never on its neighbours, the
 * worker or the lane.
 *
 * Ownership: task_worker_done frees a worker's scratch. Threads: one worker for each thread. */
#ifndef EVOLVE_TASK_H
#define EVOLVE_TASK_H

#include "neat/neat_params.h"
#include "neat/network.h"
#include "onnxd/status.h"

enum success_test { SUCCESS_CLS, SUCCESS_SSE }; /* XOR's; see sim/xor.h */

struct task_options {
    enum success_test success;
};

struct trial {
    double fitness;
    uint64_t n_steps; /* simulated, over all its episodes */
    bool solved;      /* for tasks with a confirmation: worth confirming */
};

struct task_worker {
    struct network_compiler compiler;
    struct arena arena; /* compiled networks */
    f32x4 *slots;       /* [n_slots] */
    size_t n_slots;
};

void task_worker_init(struct task_worker *worker);
void task_worker_done(struct task_worker *worker);

/* Room for n slots; false when memory runs out. */
bool task_worker_reserve(struct task_worker *worker, size_t n_slots);

struct confirmation {
    bool solved;
    uint64_t n_steps;
    uint32_t generalization; /* starts of 625 held, or 0 */
};

struct task {
    const char *name;
    const char *title;
    struct genome_shape shape;
    uint32_t chunk; /* genomes evaluated by one call, unless fewer are left */
    uint32_t default_generations;
    const char *const (*defaults)[2]; /* {key, value} pairs over neat_params_default, up to {NULL, NULL} */

    bool is_contest; /* judged by evolve/contest.h; evaluate is NULL */

    /* Judges n genomes. ONNXD_ERR_NOMEM. */
    onnxd_status (*evaluate)(const struct task *task, const struct task_options *options,
                             struct task_worker *worker, const struct genome *genomes, uint32_t n,
                             struct trial *ret_trials, onnxd_error *err);

    /* The harder test for the best genome of a generation, or NULL: then `solved` of a trial decides. */
    onnxd_status (*confirm)(const struct task *task, struct task_worker *worker, const struct genome *genome,
                            struct confirmation *ret_confirmation, onnxd_error *err);
};

/* The task of that name, or NULL. */
const struct task *task_find(const char *name);

/* All tasks, *ret_n of them. */
const struct task *const *task_list(uint32_t *ret_n);

/* What genomes of a run with these parameters look like: the task's shape; a contest leaves it to the
 * parameters whether policies may remember. */
struct genome_shape task_shape(const struct task *task, const struct neat_params *params);

/* The task's own parameters. */
void task_params(const struct task *task, struct neat_params *ret_params);

extern const struct task TASK_XOR, TASK_POLE, TASK_POLE2, TASK_POLE2_NOVEL, TASK_ARENA;

#endif
