/* onnxd_inspect_print.h - what `onnxd inspect` found, as text for people or as JSON. */
#ifndef ONNXD_INSPECT_PRINT_H
#define ONNXD_INSPECT_PRINT_H

#include "bench/plan_probe.h"
#include "graph/onnx_reader.h"
#include "onnxd/onnxd.h"
#include "serve/raw_fields.h"

enum { INSPECT_MAX_OPERATORS = 256 };

struct operator_count {
    const char *domain, *name;
    uint32_t n;
};

struct operator_counts {
    struct operator_count items[INSPECT_MAX_OPERATORS];
    uint32_t n, n_nodes;
};

struct inspection {
    const char *path;
    size_t file_bytes;
    onnxd_model *model;
    struct graph *exported; /* as in the file */
    struct onnx_facts facts;
    struct operator_counts before, after; /* after: empty unless the engine is native */
    uint64_t weight_bytes;                /* constants in the file */
    uint64_t model_bytes;                 /* what the native engine holds for the model */
    uint64_t session_bytes;
    uint32_t batch, tile_rows; /* tile_rows 0: the batch runs whole */
    struct input_set set;
    struct input_ranges ranges;
    struct plan_probe *probe; /* NULL unless the engine is native */
    double *step_ns, run_ns;  /* of a profile, else NULL */
    const char *no_plan;      /* why there is no plan, or NULL */
    struct raw_fields fields; /* of the description beside the model */
};

void inspection_print(const struct inspection *ins, bool with_steps);

/* ONNXD_ERR_LIMIT, ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status inspection_print_json(const struct inspection *ins, bool with_steps,
                                                  onnxd_error *err);

#endif
