/* engine/native_model.h - a model as the native engine holds it: the optimised graph and its facts. */
#ifndef ENGINE_NATIVE_MODEL_H
#define ENGINE_NATIVE_MODEL_H

#include "engine/backend.h"
#include "graph/graph.h"
#include "graph/onnx_reader.h"

struct native_model {
    struct arena arena; /* graph, constants, packed weights */
    struct graph *graph;
    struct onnx_facts facts;
    uint32_t n_original_nodes;
    onnxd_io_info *inputs, *outputs;
    bool row_wise; /* each output row depends on its own input row alone: batches may be cut into tiles */
};

/* The native model behind a public handle, or NULL when another backend loaded it. */
const struct native_model *native_model_of(onnxd_model *model);

#endif
