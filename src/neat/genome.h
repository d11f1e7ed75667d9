/* neat/genome.h - genomes of NEAT (Stanley and Miikkulainen 2002): nodes, genes, and what is asked of them.
 *
 * Node numbers are global to a run. With I inputs and O outputs, 0..I-1 are the inputs, I is the bias
 * (always 1), I+1..I+O are the outputs, and hidden nodes come above. A genome lists its outputs and hidden
 * nodes by rising number and its genes by rising innovation, so that two genomes are compared by one merge.
 *
 * A forward gene carries a value within one activation, a recurrent gene carries the value its source had
 * in the activation before. The forward genes of a genome, disabled ones included, never form a cycle, and
 * none leaves an output.
 *
 * Ownership: a struct genome borrows its arrays from the arena or builder that made it.
 * Threads:   plain data. */
#ifndef NEAT_GENOME_H
#define NEAT_GENOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "onnxd/status.h"

#define GENOME_MAX_NODE  ((1u << 24) - 1) /* highest node number */
#define GENOME_MAX_GENES (1u << 24)       /* genes in one genome, innovations in one run */

struct gene {
    uint32_t innovation;
    uint32_t from : 31;
    uint32_t enabled : 1;
    uint32_t to : 31;
    uint32_t recurrent : 1;
    float weight;
};

struct node_gene {
    uint32_t id;
    uint32_t activation; /* enum activation */
};

struct genome {
    struct gene *genes;      /* [n_genes] */
    struct node_gene *nodes; /* [n_nodes], outputs first */
    uint32_t n_genes;
    uint32_t n_nodes;
    uint32_t species;   /* number of its species, unique in a run */
    uint64_t id;        /* unique in a run */
    double fitness;     /* set by the caller's evaluation */
    bool is_elite_copy; /* an unchanged copy of the species' champion */
};

struct genome_shape {
    uint32_t n_inputs; /* without the bias */
    uint32_t n_outputs;
    bool recurrent; /* recurrent genes allowed */
};

static inline uint32_t shape_bias(const struct genome_shape *shape)
{
    return shape->n_inputs;
}
static inline uint32_t shape_first_output(const struct genome_shape *shape)
{
    return shape->n_inputs + 1;
}
static inline uint32_t shape_first_hidden(const struct genome_shape *shape)
{
    return shape->n_inputs + 1 + shape->n_outputs;
}
static inline uint32_t genome_n_hidden(const struct genome *genome, const struct genome_shape *shape)
{
    return genome->n_nodes - shape->n_outputs;
}
uint32_t genome_n_enabled(const struct genome *genome);

/* Weights of the compatibility distance: excess, disjoint, mean weight difference of matching genes. The
 * first two are divided by the larger gene count unless it is below small_genes. */
struct distance_weights {
    float excess, disjoint, weight;
    uint32_t small_genes;
};

float genome_distance(const struct genome *a, const struct genome *b, const struct distance_weights *w);

/* The gene's place in genome->genes, or where it would be inserted; *ret_found says which. */
uint32_t genome_find_gene(const struct genome *genome, uint32_t innovation, bool *ret_found);
bool genome_has_node(const struct genome *genome, uint32_t id);

/* Copies arrays into the arena. False when the arena is full. */
bool genome_copy(struct arena *arena, const struct genome *from, struct genome *ret_copy);

/* Scratch for walks over one genome. */
struct genome_marks {
    uint32_t *mark; /* [n_nodes] by node number, as are the next two */
    uint32_t *head; /* first gene out of the node */
    uint32_t *queue;
    uint32_t *next; /* [n_genes] next gene out of the same node */
    uint32_t n_nodes, n_genes;
    uint32_t stamp;
};

void genome_marks_done(struct genome_marks *marks);

/* Room for node numbers below n_nodes and for n_genes genes; false when memory runs out. */
bool genome_marks_reserve(struct genome_marks *marks, uint32_t n_nodes, uint32_t n_genes);

/* True when a forward path leads from node `start` to node `goal` (enabled or not). */
bool genome_reaches(struct genome_marks *marks, const struct genome *genome, uint32_t start, uint32_t goal);

/* True when the forward genes, enabled or not, form a cycle. Linear in nodes and genes. */
bool genome_has_cycle(struct genome_marks *marks, const struct genome *genome,
                      const struct genome_shape *shape);

/* Checks everything this header promises, for genomes that come from files: orders, known nodes and
 * activations, finite weights, no cycle, limits. ONNXD_ERR_FORMAT names what is wrong; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status genome_check(struct genome_marks *marks, const struct genome *genome,
                                         const struct genome_shape *shape, onnxd_error *err);

#endif
