#include <string.h>

#include "base/error.h"
#include "evolve/task.h"
#include "sim/xor.h"

static onnxd_status evaluate_xor(const struct task *task, const struct task_options *options,
                                 struct task_worker *worker, const struct genome *genomes, uint32_t n,
                                 struct trial *ret_trials, onnxd_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct network network;
        arena_reset(&worker->arena);
        onnxd_status status = network_compile(&worker->compiler, &genomes[i], &task->shape, &worker->arena,
                                              &network, err);
        if (status != ONNXD_OK) return status;
        if (!task_worker_reserve(worker, network.n_slots))
            return error_set(err, ONNXD_ERR_NOMEM, "xor: no memory for %u slots", network.n_slots);
        f32x4 *slots = worker->slots;
        slots[2] = f32x4_all(1.0f); /* a forward network needs no other reset */
        memcpy(&slots[0], XOR_INPUTS[0], sizeof slots[0]);
        memcpy(&slots[1], XOR_INPUTS[1], sizeof slots[1]);
        network_activate(&network, slots);
        float answers[XOR_PATTERNS];
        memcpy(answers, &slots[network.outputs[0]], sizeof answers);
        ret_trials[i] = (struct trial){.fitness = xor_fitness(answers), .n_steps = XOR_PATTERNS};
        ret_trials[i].solved = options->success == SUCCESS_CLS ? xor_solved_cls(answers)
                                                               : xor_solved_sse(answers);
    }
    return ONNXD_OK;
}

static const char *const DEFAULTS[][2] = {
    {"population_size", "150"},        {"weight_mutation_rate", "1"},  {"weight_perturb_rate", "0.8"},
    {"weight_power", "0.3"},           {"weight_replace_range", "5"},  {"weight_limit", "15"},
    {"add_node_rate", "0.02"},         {"add_link_rate", "0.3"},       {"reenable_rate", "0.1"},
    {"crossover_rate", "0.5"},         {"mate_only_rate", "0"},        {"average_weights_rate", "1"},
    {"target_species", "8"},           {"threshold_step", "0.5"},      {"survival_share", "0.1"},
    {"population_stagnation", "1000"}, {"elitism_min_offspring", "2"}, {NULL, NULL},
};

const struct task TASK_XOR = {
    .name = "xor",
    .title = "exclusive or",
    .shape = {.n_inputs = 2, .n_outputs = 1},
    .chunk = 50,
    .default_generations = 300,
    .defaults = DEFAULTS,
    .evaluate = evaluate_xor,
};
