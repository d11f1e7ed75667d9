#include <math.h>

#include "base/error.h"
#include "evolve/task.h"
#include "sim/pole.h"

enum { LONG_RUN_STEPS = 100000, SHORT_RUN_STEPS = 1000, STARTS_NEEDED = 240 };

/* How a kind of pole task runs its episodes. */
struct episodes {
    void (*step)(struct pole_lanes *, const double *);
    bool (*failed)(const struct pole_lanes *, uint32_t);
    uint32_t n_inputs;
    const struct pole_input {
        enum pole_value value;
        double scale;
    } * inputs;
    uint32_t max_steps;
    double start_angle;
    bool gruau;     /* fitness rewards stillness */
    bool bang_bang; /* full force to either side */
};

static const struct pole_input SINGLE_INPUTS[] = {
    {POLE_X, 1 / 4.8}, {POLE_V, 1 / 2.0}, {POLE_ANGLE, 1 / 0.52}, {POLE_RATE, 1 / 2.0}};
static const struct pole_input DOUBLE_INPUTS[] = {{POLE_X, 1 / 4.8},       {POLE_V, 1 / 2.0},
                                                  {POLE_ANGLE, 1 / 0.52},  {POLE_RATE, 1 / 2.0},
                                                  {POLE_ANGLE2, 1 / 0.52}, {POLE_RATE2, 1 / 2.0}};
static const struct pole_input BLIND_INPUTS[] = {
    {POLE_X, 1 / 4.8}, {POLE_ANGLE, 1 / 0.52}, {POLE_ANGLE2, 1 / 0.52}};

static const struct episodes SINGLE = {pole1_step,     pole1_failed, 4,     SINGLE_INPUTS,
                                       LONG_RUN_STEPS, 0.0,          false, true};
static const struct episodes DOUBLE = {pole2_step,     pole2_failed,    6,     DOUBLE_INPUTS,
                                       LONG_RUN_STEPS, 4 * POLE_DEGREE, false, false};
static const struct episodes BLIND = {pole2_step,      pole2_failed,    3,    BLIND_INPUTS,
                                      SHORT_RUN_STEPS, 4 * POLE_DEGREE, true, false};

static const struct episodes *episodes_of(const struct task *task)
{
    return task == &TASK_POLE ? &SINGLE : task == &TASK_POLE2 ? &DOUBLE : &BLIND;
}

/* One lane: an episode of one genome. */
struct lane {
    const struct network *network;
    f32x4 *slots;
    uint32_t index; /* whose episode */
    uint32_t n_steps;
    struct gruau gruau;
};

/* Reads the state, activates the lane's network once and returns the force. */
static double drive(const struct episodes *e, const struct lane *lane, const struct pole_lanes *poles,
                    uint32_t at)
{
    for (uint32_t i = 0; i < e->n_inputs; i++) {
        double input = poles->value[e->inputs[i].value][at] * e->inputs[i].scale;
        lane->slots[i] = f32x4_all((float)input);
    }
    network_activate(lane->network, lane->slots);
    double answer = (double)lane->slots[lane->network->outputs[0]][0];
    if (e->bang_bang) return answer > 0.5 ? POLE_FORCE : -POLE_FORCE;
    double force = (answer - 0.5) * 2 * POLE_FORCE;
    return force >= -POLE_FORCE && force <= POLE_FORCE ? force : force > 0 ? POLE_FORCE : -POLE_FORCE;
}

/* A set of episodes that share out the lanes. Episode i is begun and ended by the callbacks. */
struct schedule {
    const struct episodes *episodes;
    uint32_t n_episodes;
    uint32_t max_steps;
    void *context;
    void (*begin)(void *context, uint32_t episode, struct lane *lane, struct pole_lanes *poles, uint32_t at);
    void (*end)(void *context, struct lane *lane, bool held);
};

static void run_schedule(const struct schedule *s, struct lane lanes[POLE_LANES])
{
    const struct episodes *e = s->episodes;
    struct pole_lanes poles = {{{0}}};
    double force[POLE_LANES] = {0};
    bool busy[POLE_LANES] = {false};
    uint32_t n_begun = 0, n_busy = 0;
    for (;;) {
        for (uint32_t at = 0; at < POLE_LANES; at++) {
            if (busy[at] || n_begun == s->n_episodes) continue;
            lanes[at].index = n_begun;
            lanes[at].n_steps = 0;
            gruau_start(&lanes[at].gruau);
            s->begin(s->context, n_begun++, &lanes[at], &poles, at);
            network_reset(lanes[at].network, lanes[at].slots);
            busy[at] = true;
            n_busy++;
        }
        if (n_busy == 0) return;
        uint32_t n_ended = 0;
        while (n_ended == 0) {
            for (uint32_t at = 0; at < POLE_LANES; at++)
                if (busy[at]) force[at] = drive(e, &lanes[at], &poles, at);
            e->step(&poles, force);
            for (uint32_t at = 0; at < POLE_LANES; at++) {
                if (!busy[at]) continue;
                bool failed = e->failed(&poles, at);
                lanes[at].n_steps++;
                if (e->gruau) gruau_step(&lanes[at].gruau, &poles, at);
                if (!failed && lanes[at].n_steps < s->max_steps) continue;
                s->end(s->context, &lanes[at], !failed);
                pole_start(&poles, at, 0); /* an idle lane stays small numbers */
                force[at] = 0;
                busy[at] = false;
                n_busy--;
                n_ended++;
            }
        }
    }
}

/* Compiled networks and slots for the lanes. */
static onnxd_status prepare(const struct task *task, struct task_worker *worker, const struct genome *genomes,
                            uint32_t n, struct network **ret_networks, struct lane lanes[POLE_LANES],
                            onnxd_error *err)
{
    arena_reset(&worker->arena);
    struct network *networks = arena_alloc_array(&worker->arena, n, sizeof *networks);
    if (networks == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for %u networks", task->name, n);
    uint32_t n_slots = 0;
    for (uint32_t i = 0; i < n; i++) {
        onnxd_status status = network_compile(&worker->compiler, &genomes[i], &task->shape, &worker->arena,
                                              &networks[i], err);
        if (status != ONNXD_OK) return status;
        if (networks[i].n_slots > n_slots) n_slots = networks[i].n_slots;
    }
    if (!task_worker_reserve(worker, (size_t)n_slots * POLE_LANES))
        return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for %u slots", task->name, n_slots);
    for (uint32_t at = 0; at < POLE_LANES; at++) lanes[at].slots = worker->slots + (size_t)at * n_slots;
    *ret_networks = networks;
    return ONNXD_OK;
}

struct contest {
    const struct episodes *episodes;
    const struct network *networks; /* [n], or one for a whole grid */
    struct trial *trials;
    uint32_t n_held;
    uint64_t n_steps;
};

static void begin_trial(void *context, uint32_t episode, struct lane *lane, struct pole_lanes *poles,
                        uint32_t at)
{
    const struct contest *contest = context;
    lane->network = &contest->networks[episode];
    pole_start(poles, at, contest->episodes->start_angle);
}

static void end_trial(void *context, struct lane *lane, bool held)
{
    const struct contest *contest = context;
    struct trial *trial = &contest->trials[lane->index];
    trial->n_steps = lane->n_steps;
    trial->solved = held;
    trial->fitness = contest->episodes->gruau ? gruau_fitness(&lane->gruau) : lane->n_steps;
}

static onnxd_status evaluate_pole(const struct task *task, const struct task_options *options,
                                  struct task_worker *worker, const struct genome *genomes, uint32_t n,
                                  struct trial *ret_trials, onnxd_error *err)
{
    (void)options;
    const struct episodes *e = episodes_of(task);
    struct lane lanes[POLE_LANES];
    struct network *networks;
    onnxd_status status = prepare(task, worker, genomes, n, &networks, lanes, err);
    if (status != ONNXD_OK) return status;
    struct contest contest = {.episodes = e, .networks = networks, .trials = ret_trials};
    struct schedule schedule = {e, n, e->max_steps, &contest, begin_trial, end_trial};
    run_schedule(&schedule, lanes);
    return ONNXD_OK;
}

static void begin_long(void *context, uint32_t episode, struct lane *lane, struct pole_lanes *poles,
                       uint32_t at)
{
    const struct contest *contest = context;
    (void)episode;
    lane->network = contest->networks;
    pole_start(poles, at, contest->episodes->start_angle);
}

static void begin_grid(void *context, uint32_t episode, struct lane *lane, struct pole_lanes *poles,
                       uint32_t at)
{
    const struct contest *contest = context;
    lane->network = contest->networks;
    pole2_start_grid(poles, at, episode);
}

static void end_counted(void *context, struct lane *lane, bool held)
{
    struct contest *contest = context;
    contest->n_held += held;
    contest->n_steps += lane->n_steps;
}

/* 100,000 steps from the usual start, then 1,000 steps from each of the 625 starts. The published test asks
 * for 200 of them; asking for 240 costs a few evaluations more and gives champions that generalize as the
 * published ones do. */
static onnxd_status confirm_blind(const struct task *task, struct task_worker *worker,
                                  const struct genome *genome, struct confirmation *ret_confirmation,
                                  onnxd_error *err)
{
    struct lane lanes[POLE_LANES];
    struct network *network;
    onnxd_status status = prepare(task, worker, genome, 1, &network, lanes, err);
    if (status != ONNXD_OK) return status;
    struct confirmation result = {0};
    struct contest contest = {.episodes = &BLIND, .networks = network};
    struct schedule long_run = {&BLIND, 1, LONG_RUN_STEPS, &contest, begin_long, end_counted};
    run_schedule(&long_run, lanes);
    if (contest.n_held == 1) {
        contest.n_held = 0;
        struct schedule grid = {&BLIND, POLE2_N_STARTS, SHORT_RUN_STEPS, &contest, begin_grid, end_counted};
        run_schedule(&grid, lanes);
        result.generalization = contest.n_held;
        result.solved = contest.n_held >= STARTS_NEEDED;
    }
    result.n_steps = contest.n_steps;
    *ret_confirmation = result;
    return ONNXD_OK;
}

/* Velocities are given: a network without hidden nodes solves the task, so weights are what is searched. */
static const char *const DEFAULTS[][2] = {
    {"population_size", "100"},    {"weight_mutation_rate", "1"},  {"weight_power", "0.5"},
    {"weight_replace_range", "5"}, {"add_node_rate", "0.01"},      {"add_link_rate", "0.1"},
    {"toggle_rate", "0.1"},        {"reenable_rate", "0.1"},       {"crossover_rate", "0.5"},
    {"mate_only_rate", "0.1"},     {"average_weights_rate", "0"},  {"weight_difference_weight", "0.2"},
    {"initial_threshold", "4"},    {"threshold_step", "0.1"},      {"survival_share", "0.1"},
    {"species_stagnation", "5"},   {"elitism_min_offspring", "2"}, {NULL, NULL},
};
/* Without velocities some runs settle on a controller that stands very still from the one start and
 * generalizes no further: hence the restarts. */
static const char *const BLIND_DEFAULTS[][2] = {
    {"population_size", "75"},
    {"recurrent", "yes"},
    {"weight_mutation_rate", "0.6"},
    {"weight_perturb_rate", "1"},
    {"weight_noise", "cauchy"},
    {"weight_power", "0.3"},
    {"weight_replace_range", "2"},
    {"weight_limit", "8"},
    {"add_node_rate", "0.05"},
    {"add_link_rate", "0.2"},
    {"toggle_rate", "0"},
    {"reenable_rate", "0.05"},
    {"crossover_rate", "0.9"},
    {"mate_only_rate", "0"},
    {"average_weights_rate", "1"},
    {"weight_difference_weight", "2"},
    {"target_species", "20"},
    {"threshold_step", "0.5"},
    {"survival_share", "0.5"},
    {"species_stagnation", "3"},
    {"population_stagnation", "1000"},
    {"initial_weight_range", "2"},
    {"elitism_min_offspring", "2"},
    {"recurrent_link_rate", "0.2"},
    {"restart_generations", "100"},
    {NULL, NULL},
};

const struct task TASK_POLE = {
    .name = "pole",
    .title = "single pole",
    .shape = {.n_inputs = 4, .n_outputs = 1},
    .chunk = 16,
    .default_generations = 300,
    .defaults = DEFAULTS,
    .evaluate = evaluate_pole,
};

const struct task TASK_POLE2 = {
    .name = "pole2",
    .title = "double pole with velocities",
    .shape = {.n_inputs = 6, .n_outputs = 1},
    .chunk = 16,
    .default_generations = 1000,
    .defaults = DEFAULTS,
    .evaluate = evaluate_pole,
};

const struct task TASK_POLE2_NOVEL = {
    .name = "pole2-novel",
    .title = "double pole without velocities",
    .shape = {.n_inputs = 3, .n_outputs = 1, .recurrent = true},
    .chunk = 16,
    .default_generations = 2000,
    .defaults = BLIND_DEFAULTS,
    .evaluate = evaluate_pole,
    .confirm = confirm_blind,
};
