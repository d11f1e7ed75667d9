/* engine/program_internal.h - what program.c runs and program_build.c makes. */
#ifndef ENGINE_PROGRAM_INTERNAL_H
#define ENGINE_PROGRAM_INTERNAL_H

#include "ops/op.h"

struct step {
    op_run_fn fn; /* NULL: a dynamic step, run by the evaluator */
    struct op_run run;
    size_t workspace_bytes;
};

struct place { /* *slot = scratch + offset */
    void **slot;
    size_t offset;
};

struct binding { /* all data pointers that follow one input or output */
    void ***slots;
    uint32_t n;
};

struct program_output {
    const onnxd_tensor *tensor;
    bool planned;
    struct binding binding;
};

struct program {
    struct arena arena;
    struct step *steps;
    uint32_t n_steps, n_dynamic;
    onnxd_tensor *signature; /* [n_inputs] */
    uint32_t n_inputs, n_outputs;
    struct binding *inputs;         /* [n_inputs] */
    struct program_output *outputs; /* [n_outputs] */
    struct place *places;
    uint32_t n_places;
    size_t scratch_bytes;
};

#endif
