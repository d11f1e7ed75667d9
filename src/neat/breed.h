/* neat/breed.h - making one child: crossover and mutation.
 *
 * A child is built in the breeder's scratch and copied to an arena when it is whole, so that no memory is
 * allocated for each genome. Every random choice comes from the rng passed in.
 *
 * Ownership: breed_done frees the scratch; the child in it stays valid until the next breed_begin.
 * Threads:   one at a time. */
#ifndef NEAT_BREED_H
#define NEAT_BREED_H

#include "base/rng.h"
#include "neat/genome.h"
#include "neat/innovations.h"
#include "neat/neat_params.h"

struct breeder {
    const struct neat_params *params;
    struct genome_shape shape;
    struct innovations *innovations; /* borrowed */
    struct genome_marks marks;
    struct genome child; /* arrays owned by the breeder */
    uint32_t genes_capacity, nodes_capacity;
    uint32_t activations[N_ACTIVATIONS]; /* what hidden nodes may draw */
    uint32_t n_activations;
    uint64_t perturb_below; /* weight_perturb_rate in units of 2^-16 */
};

void breed_init(struct breeder *breeder, const struct neat_params *params, const struct genome_shape *shape,
                struct innovations *innovations);
void breed_done(struct breeder *breeder);

/* All functions below return false when memory runs out or innovations are exhausted. */

/* child := a first genome without hidden nodes. */
bool breed_initial(struct breeder *breeder, struct rng *rng);

/* child := a copy. */
bool breed_clone(struct breeder *breeder, const struct genome *parent);

/* child := crossover. Matching genes come from either parent or are averaged, others from the fitter one;
 * of equally fit parents from both, unless that closes a cycle (then from the smaller one). A gene that is
 * disabled in either parent is disabled in the child with disable_inherited_rate. */
bool breed_cross(struct breeder *breeder, const struct genome *a, const struct genome *b, struct rng *rng);

/* Mutates the child: structure and weights, each by its rate. */
bool breed_mutate(struct breeder *breeder, struct rng *rng);

/* The single mutations, for tests. Those that find nothing to change leave the child as it is. */
bool breed_add_node(struct breeder *breeder, struct rng *rng);
bool breed_add_link(struct breeder *breeder, struct rng *rng);
void breed_mutate_weights(struct breeder *breeder, struct rng *rng);

#endif
