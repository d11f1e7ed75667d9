/* onnxd/model.h - load an ONNX model.
 *
 * A model is read once, checked, optimised and then immutable. Everything known at load is done at
 * load: constants folded, shapes followed symbolically, operators fused, weights packed.
 *
 * Ownership: reference counted; onnxd_model_load gives the caller one reference, sessions hold their own.
 * Threads:   a model may be shared by any threads. */
#ifndef ONNXD_MODEL_H
#define ONNXD_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"
#include "onnxd/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct onnxd_model onnxd_model;

typedef enum onnxd_engine {
    ONNXD_ENGINE_AUTO = 0, /* native when it knows every operator, else onnxruntime when present */
    ONNXD_ENGINE_NATIVE,
    ONNXD_ENGINE_ONNXRUNTIME
} onnxd_engine;

typedef enum onnxd_precision {
    ONNXD_PRECISION_FP32 = 0,
    ONNXD_PRECISION_BF16 /* packed weights in bfloat16 where the CPU multiplies them; others stay fp32 */
} onnxd_precision;

typedef struct onnxd_model_options { /* {0} selects every default */
    onnxd_engine engine;
    onnxd_precision precision;
    uint64_t max_model_bytes; /* file, external data and unpacked tensors together; 0 means 2 GiB */
    bool no_optimize;         /* keep the graph as exported: for comparison and for finding faults */
} onnxd_model_options;

typedef struct onnxd_io_info {
    const char *name; /* owned by the model */
    onnxd_type type;
    int32_t rank;                          /* -1: unknown */
    int64_t dims[ONNXD_MAX_RANK];          /* -1: any size */
    const char *dim_names[ONNXD_MAX_RANK]; /* the exporter's name of a variable dimension, or NULL */
} onnxd_io_info;

/* Reads `path` and, for external data, files in its folder. The caller owns *ret_model.
 * ONNXD_ERR_IO, ONNXD_ERR_FORMAT, ONNXD_ERR_MODEL, ONNXD_ERR_UNSUPPORTED (all missing operators are
 * named at once), ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. `options` may be NULL. */
ONNXD_API ONNXD_MUST_USE onnxd_status onnxd_model_load(const char *path, const onnxd_model_options *options,
                                                       onnxd_model **ret_model, onnxd_error *err);

/* The same from memory; external data is looked for in `folder`, which may be NULL (none allowed).
 * `bytes` is borrowed for the call. */
ONNXD_API ONNXD_MUST_USE onnxd_status onnxd_model_load_bytes(const void *bytes, size_t n_bytes,
                                                             const char *folder,
                                                             const onnxd_model_options *options,
                                                             onnxd_model **ret_model, onnxd_error *err);

ONNXD_API onnxd_model *onnxd_model_ref(onnxd_model *model);
ONNXD_API void onnxd_model_unref(onnxd_model *model); /* takes NULL */

ONNXD_API uint32_t onnxd_model_n_inputs(const onnxd_model *model);
ONNXD_API uint32_t onnxd_model_n_outputs(const onnxd_model *model);
ONNXD_API const onnxd_io_info *onnxd_model_input(const onnxd_model *model, uint32_t i);
ONNXD_API const onnxd_io_info *onnxd_model_output(const onnxd_model *model, uint32_t i);

/* True when dimension 0 of every input and output is one common batch dimension and each output row
 * depends on its own input row alone, so that rows of several requests may share a run. */
ONNXD_API bool onnxd_model_is_batchable(const onnxd_model *model);

/* The engine that runs the model: "native" or "onnxruntime". */
ONNXD_API const char *onnxd_model_engine_name(const onnxd_model *model);

#ifdef __cplusplus
}
#endif
#endif
