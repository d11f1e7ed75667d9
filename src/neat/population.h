/* neat/population.h - the generations of a run: evaluate, share, breed, repeat.
 *
 *     struct population *population = NULL;
 *     population_create(&params, &shape, seed, 0, &population, &err);
 *     for (;;) {
 *         for (uint32_t i = 0; i < population->n_genomes; i++)
 *             population->genomes[i].fitness = ...;      // any finite number, higher is better
 *         if (solved) break;
 *         population_advance(population, &err);          // the next generation, its size exactly the same
 *     }
 *     population_free(population);
 *
 * A generation: fitness is shared within species (Stanley and Miikkulainen 2002, section 3.3), each species
 * gets children in proportion to its mean fitness (largest remainder, so that the total is exact), the best
 * of it breed, and children join the first species whose representative, a random member of the generation
 * before, lies within the threshold. The threshold moves to hold the target number of species. With
 * restart_generations the population begins anew when so many generations brought no success; innovations
 * keep their numbers.
 *
 * Evaluation is the caller's and may run on any threads; breeding is serial and depends on the seed and the
 * fitness values alone.
 *
 * Ownership: genomes are valid until the next advance. Threads: one at a time, apart from fitness. */
#ifndef NEAT_POPULATION_H
#define NEAT_POPULATION_H

#include "neat/breed.h"

struct species {
    uint32_t id;          /* unique in a run, rising with age */
    uint32_t born;        /* generation */
    uint32_t improved;    /* generation of its best fitness so far */
    double best_fitness;  /* so far */
    uint32_t first;       /* place of its first member in by_species */
    uint32_t n_members;   /* of the current generation */
    double shared;        /* sum of the members' shared fitness: their mean */
    uint32_t n_offspring; /* in the next generation */
    struct genome representative;
};

struct population {
    struct neat_params params;
    struct genome_shape shape;
    struct genome *genomes;  /* [n_genomes] */
    uint32_t n_genomes;      /* params.population_size */
    uint32_t generation;     /* from 0 */
    uint32_t began;          /* generation of the first genomes, or of those that began anew */
    struct species *species; /* [n_species] */
    uint32_t n_species;
    double threshold;
    double best_fitness; /* of the run, over the generations advanced from */
    uint32_t improved;   /* generation that reached it */
    uint64_t next_genome_id;
    uint32_t next_species_id;
    struct rng rng;
    struct innovations innovations;
    /* inner */
    struct breeder breeder;
    struct arena arenas[2];
    uint32_t current; /* arena of this generation */
    struct genome *next_genomes;
    uint32_t *by_species; /* [n_genomes] places in genomes, grouped by species, best first */
    uint32_t species_capacity;
};

/* memory_limit_bytes bounds the genomes of two generations; 0 means 4 GiB. The parameters are copied.
 * ONNXD_ERR_ARGUMENT (a shape without inputs or outputs, or a recurrent one that differs from the
 * parameters), ONNXD_ERR_NOMEM, ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status population_create(const struct neat_params *params,
                                              const struct genome_shape *shape, uint64_t seed,
                                              uint64_t memory_limit_bytes, struct population **ret_population,
                                              onnxd_error *err);
void population_free(struct population *population); /* takes NULL */

/* Replaces the generation by its offspring. ONNXD_ERR_ARGUMENT when a fitness is not finite; ONNXD_ERR_LIMIT
 * or _NOMEM, after which the population may only be freed. */
ONNXD_MUST_USE onnxd_status population_advance(struct population *population, onnxd_error *err);

/* Place of the fittest genome, the first of equals. */
uint32_t population_best(const struct population *population);

/* Bytes held by genomes of both generations. */
uint64_t population_memory_bytes(const struct population *population);

/* For restoring: a population whose genomes, innovations and species are still to be filled in; the sorting
 * of its genomes into species that exist already; and the place in species[] of the one with number `id`, or
 * of its neighbour when there is none. */
ONNXD_MUST_USE onnxd_status population_alloc(const struct neat_params *params,
                                             const struct genome_shape *shape, uint64_t seed,
                                             uint64_t memory_limit_bytes, struct population **ret_population,
                                             onnxd_error *err);
void population_index_species(struct population *population);
uint32_t population_species_place(const struct population *population, uint32_t id);

#endif
