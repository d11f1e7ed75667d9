/* bench/random_input.h - random inputs that a model accepts.
 *
 * Elements that index a table of the model are whole numbers below its height, as far as the graph shows
 * it (engine/index_ranges.h); others are drawn from [0, 1), whole types from
 * {0, 1}, and strings are "a". Where the graph hides a range, the model's own error says so at the first
 * run, and the caller asks for a file of rows.
 *
 * Ownership: input_ranges_done frees. Threads: one at a time. */
#ifndef BENCH_RANDOM_INPUT_H
#define BENCH_RANDOM_INPUT_H

#include "base/rng.h"
#include "engine/index_ranges.h"
#include "onnxd/onnxd.h"

struct input_ranges {
    struct input_range *inputs; /* [n_inputs] */
    uint32_t n_inputs;
};

/* `graph` is the optimised one, or NULL: nothing is known. in[n_inputs] give types and shapes.
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status input_ranges_init(struct input_ranges *ranges, const struct graph *graph,
                                              const onnxd_tensor *in, uint32_t n_inputs, onnxd_error *err);
void input_ranges_done(struct input_ranges *ranges);

/* Fills in[i].data, which has room for in[i]'s elements. */
void input_ranges_draw(const struct input_ranges *ranges, struct rng *rng, const onnxd_tensor *in);

/* ---- inputs of a batch --------------------------------------------------------------------------- */

struct input_set { /* tensors with memory of their own */
    onnxd_tensor *tensors;
    uint32_t n;
};

/* Inputs for `batch` rows: free leading dimensions become `batch`, other free ones 1. ONNXD_ERR_SHAPE when
 * the model leaves a rank open; ONNXD_ERR_TYPE for containers; ONNXD_ERR_LIMIT; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status input_set_init(struct input_set *set, const onnxd_model *model, int64_t batch,
                                           onnxd_error *err);

/* The same for inputs described otherwise: infos[n]. */
ONNXD_MUST_USE onnxd_status input_set_init_infos(struct input_set *set, const onnxd_io_info *const *infos,
                                                 uint32_t n, int64_t batch, onnxd_error *err);
void input_set_done(struct input_set *set);

#endif
