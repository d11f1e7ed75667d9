#include "evolve/task.h"
#include "sim/arena_match.h"

static const char *const DEFAULTS[][2] = {
    {"population_size", "150"},
    {"weight_mutation_rate", "0.9"},
    {"weight_power", "0.5"},
    {"weight_replace_range", "3"},
    {"weight_limit", "8"},
    {"add_node_rate", "0.05"},
    {"add_link_rate", "0.2"},
    {"toggle_rate", "0.05"},
    {"initial_link_rate", "0.5"},
    {"crossover_rate", "0.5"},
    {"mate_only_rate", "0.1"},
    {"survival_share", "0.3"},
    {"elitism_min_offspring", "2"},
    {"population_stagnation", "100"},
    {"threshold_step", "0.2"},
    {"hidden_activations", "sigmoid tanh gauss"},
    {NULL, NULL},
};

const struct task TASK_ARENA = {
    .name = "arena",
    .title = "ships that fight on a torus",
    .shape = {.n_inputs = ARENA_N_INPUTS, .n_outputs = ARENA_N_OUTPUTS},
    .chunk = 1,
    .default_generations = 100,
    .defaults = DEFAULTS,
    .is_contest = true,
};
