/* engine/index_ranges.h - which input elements index a table of the model, and how high the table is.
 *
 * Known as far as the graph shows it: onnxd.Assemble, and Gather straight from an input or from a conversion
 * of one.
 *
 * Threads: pure functions. */
#ifndef ENGINE_INDEX_RANGES_H
#define ENGINE_INDEX_RANGES_H

#include "graph/graph.h"

struct input_range {
    size_t n;       /* elements of a row: product of dims[1..] */
    int64_t *below; /* [n] whole numbers below this; 0: not an index */
};

/* Lowers ranges[graph->n_inputs].below to what the graph, the optimised one, shows. */
void index_ranges_learn(const struct graph *graph, const struct input_range *ranges);

#endif
