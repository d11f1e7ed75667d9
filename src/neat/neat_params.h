/* neat/neat_params.h - the parameters of a run, and their file.
 *
 * The file has one `key = value` a line; `#` starts a comment. Every key must stand in it exactly once:
 * a missing, doubled or unknown key is refused by its name, and so is a value outside its range.
 * neat_params_print writes such a file with a comment for each key, and neat_params_parse reads back
 * exactly the same values.
 *
 * Threads: plain data. */
#ifndef NEAT_NEAT_PARAMS_H
#define NEAT_NEAT_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "neat/activation.h"
#include "onnxd/status.h"

enum weight_noise { NOISE_UNIFORM, NOISE_NORMAL, NOISE_CAUCHY, N_NOISES };

struct neat_params {
    uint32_t population_size;
    /* genomes and networks */
    bool recurrent;
    uint32_t output_activation;  /* enum activation */
    uint32_t hidden_activations; /* bit set of enum activation */
    double activation_mutation_rate;
    double initial_link_rate;
    double initial_weight_range;
    uint32_t max_hidden_nodes;
    uint32_t max_genes;
    /* mutation */
    double weight_mutation_rate;
    double weight_perturb_rate;
    uint32_t weight_noise; /* enum weight_noise */
    double weight_power;
    double weight_replace_range;
    double weight_limit;
    double add_node_rate;
    double add_link_rate;
    double recurrent_link_rate;
    double toggle_rate;
    double reenable_rate;
    /* crossover */
    double crossover_rate;
    double mate_only_rate;
    double interspecies_rate;
    double average_weights_rate;
    double disable_inherited_rate;
    /* species */
    double excess_weight;
    double disjoint_weight;
    double weight_difference_weight;
    uint32_t small_genome_genes;
    uint32_t target_species;
    double initial_threshold;
    double threshold_step;
    double smallest_threshold;
    /* reproduction */
    double survival_share;
    uint32_t elitism_min_offspring;
    uint32_t species_stagnation;
    uint32_t population_stagnation;
    uint32_t restart_generations;
};

/* The values of the 2002 paper where it names them. */
void neat_params_default(struct neat_params *ret_params);

/* Sets one key from its text, as a file line would. ONNXD_ERR_NOT_FOUND: no such key; ONNXD_ERR_RANGE. */
ONNXD_MUST_USE onnxd_status neat_params_set(struct neat_params *params, const char *key, const char *value,
                                            onnxd_error *err);

/* Reads a whole file's text. ONNXD_ERR_FORMAT (line without "=", missing or doubled key),
 * ONNXD_ERR_NOT_FOUND (unknown key), ONNXD_ERR_RANGE; the message names line and key. */
ONNXD_MUST_USE onnxd_status neat_params_parse(const char *text, size_t n, struct neat_params *ret_params,
                                              onnxd_error *err);

/* Writes the commented file. `title` becomes its first comment. */
void neat_params_print(const struct neat_params *params, const char *title, struct buf *out);

/* True when all values are equal. */
bool neat_params_equal(const struct neat_params *a, const struct neat_params *b);

#endif
