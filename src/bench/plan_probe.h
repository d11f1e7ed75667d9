/* bench/plan_probe.h - the native engine's plan for a batch, step by step, with what each costs.
 *
 * A probe builds the program that a session runs for these inputs, or, where sessions cut a batch into
 * tiles, the program of one tile.
 *
 * Ownership: the probe holds its own memory; texts belong to the model.
 * Threads:   one at a time. */
#ifndef BENCH_PLAN_PROBE_H
#define BENCH_PLAN_PROBE_H

#include "bench/random_input.h"
#include "engine/native_model.h"

struct plan_step {
    const char *domain, *op, *name;
    bool dynamic;            /* planned during the run: sizes are not known before */
    const onnxd_tensor *out; /* first output, or NULL */
    uint32_t n_out;
    uint64_t read_bytes; /* inputs and weights; of tables only the rows looked up */
    uint64_t written_bytes;
    uint64_t flops; /* 2 for each multiply-add of a product, 1 for each element of other arithmetic */
};

struct plan_probe;

/* Plans for the inputs of *set (shapes only). `set` and `model` must outlive the probe; the model's engine
 * must be native. What program_create says; ONNXD_ERR_UNSUPPORTED for another engine. */
ONNXD_MUST_USE onnxd_status plan_probe_create(onnxd_model *model, const struct input_set *set,
                                              struct plan_probe **ret_probe, onnxd_error *err);
void plan_probe_free(struct plan_probe *probe); /* takes NULL */

uint32_t plan_probe_n_steps(const struct plan_probe *probe);
struct plan_step plan_probe_step(const struct plan_probe *probe, uint32_t i);
uint64_t plan_probe_flops(const struct plan_probe *probe);

/* Bytes of the arena that holds all intermediate values, and of the program's own description. */
uint64_t plan_probe_arena_bytes(const struct plan_probe *probe);
uint64_t plan_probe_program_bytes(const struct plan_probe *probe);

/* Runs n_runs times with inputs drawn afresh and stores each step's median time in nanoseconds, the clock's
 * own cost taken off, in ret_step_ns[n_steps], and the median of whole runs in *ret_run_ns. */
ONNXD_MUST_USE onnxd_status plan_probe_profile(struct plan_probe *probe, const struct input_ranges *ranges,
                                               uint32_t n_runs, struct rng *rng, double *ret_step_ns,
                                               double *ret_run_ns, onnxd_error *err);

/* Rows of the tiles into which sessions of this model cut the batch of *set, whose data are valid; 0: they
 * run it whole. */
ONNXD_MUST_USE onnxd_status plan_tile_rows(onnxd_model *model, const struct input_set *set,
                                           uint32_t *ret_rows, onnxd_error *err);

#endif
