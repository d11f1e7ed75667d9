/* neat/network.h - a genome compiled to a flat program, evaluated on four inputs at once.
 *
 * Compiling orders the nodes that the outputs need so that each comes after the sources of its forward
 * genes, and lists their enabled genes as (slot, weight) pairs. One activation walks the list once; each
 * slot holds four values, one for each of four independent inputs (patterns, matches, episodes), so a lane
 * never influences another. Slots: inputs, bias, computed nodes, and for recurrent networks what the
 * computed nodes held after the activation before.
 *
 *     f32x4 *slots = ...;                    // [network.n_slots]
 *     network_reset(&network, slots);        // bias set, memory of earlier activations cleared
 *     slots[0] = ...; slots[1] = ...;        // the inputs
 *     network_activate(&network, slots);
 *     f32x4 first = slots[network.outputs[0]];
 *
 * Sums are taken from left to right by rising innovation: the same bits everywhere.
 *
 * Ownership: a struct network borrows the arena it was compiled into.
 * Threads:   a network may be shared; slots and compiler belong to one thread. */
#ifndef NEAT_NETWORK_H
#define NEAT_NETWORK_H

#include "neat/activation.h"
#include "neat/genome.h"

struct network_link {
    uint32_t source; /* slot */
    float weight;
};

struct network_node {
    uint32_t end_link; /* links up to here, from the end of the node before */
    uint32_t activation;
    uint32_t id; /* number in the genome */
};

struct network {
    struct network_link *links; /* [n_links] */
    struct network_node *nodes; /* [n_nodes] in order of evaluation */
    uint32_t *outputs;          /* [n_outputs] slots */
    uint32_t n_inputs, n_outputs;
    uint32_t n_links, n_nodes;
    uint32_t n_slots;
    bool recurrent; /* holds recurrent links */
};

/* Scratch of the compiler. Start from {0}. */
struct network_compiler {
    uint32_t *node_words; /* arrays by node number */
    uint32_t *gene_words; /* arrays by gene */
    uint32_t n_nodes, n_genes;
};

void network_compiler_done(struct network_compiler *compiler);

/* ONNXD_ERR_NOMEM or _LIMIT (arena); ONNXD_ERR_FORMAT when forward genes form a cycle. */
ONNXD_MUST_USE onnxd_status network_compile(struct network_compiler *compiler, const struct genome *genome,
                                            const struct genome_shape *shape, struct arena *arena,
                                            struct network *ret_network, onnxd_error *err);

/* Sets the bias and clears the rest. slots: [n_slots]. */
void network_reset(const struct network *network, f32x4 *slots);

/* One activation. Forward networks may be activated again without a reset. */
void network_activate(const struct network *network, f32x4 *slots);

/* A forward network on any number of rows. in: [n_rows, n_inputs]; ret_out: [n_rows, n_outputs];
 * slots: [n_slots] scratch. */
void network_run_rows(const struct network *network, const float *in, uint32_t n_rows, float *ret_out,
                      f32x4 *slots);

#endif
