/* serve/model_backend.h - how the server reaches an engine: a table of functions.
 *
 * The server never knows which engine runs; tests put a fake in its place. Every member but index_below is
 * required.
 * Contracts, ownership and errors are those of onnxd/model.h and onnxd/session.h.
 *
 * Threads: a model may be shared by any threads, a session is used by one at a time. */
#ifndef SERVE_MODEL_BACKEND_H
#define SERVE_MODEL_BACKEND_H

#include "engine/index_ranges.h"
#include "onnxd/model.h"
#include "onnxd/session.h"

struct model_backend {
    onnxd_status (*load)(const char *path, const onnxd_model_options *options, void **ret_model,
                         onnxd_error *err);
    onnxd_status (*load_bytes)(const void *bytes, size_t n_bytes, const onnxd_model_options *options,
                               void **ret_model, onnxd_error *err);
    void (*unload)(void *model);
    uint32_t (*n_inputs)(const void *model);
    uint32_t (*n_outputs)(const void *model);
    const onnxd_io_info *(*input)(const void *model, uint32_t i);
    const onnxd_io_info *(*output)(const void *model, uint32_t i);
    bool (*is_batchable)(const void *model);
    /* Which elements of the inputs' rows are indices (engine/index_ranges.h); leaves alone what it does not
     * know. */
    void (*index_below)(void *model, const struct input_range *ranges);
    const char *(*engine_name)(const void *model);
    onnxd_status (*session_create)(void *model, const onnxd_session_options *options, void **ret_session,
                                   onnxd_error *err);
    void (*session_free)(void *session);
    onnxd_status (*run)(void *session, const onnxd_tensor *in, uint32_t n_in, onnxd_tensor *ret_out,
                        uint32_t n_out, onnxd_error *err);
};

/* The engines of onnxd itself. */
extern const struct model_backend model_backend_onnxd;

#endif
