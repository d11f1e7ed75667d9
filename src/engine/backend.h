/* engine/backend.h - what runs a model: one table of functions per engine.
 *
 * `native` is ours; `onnxruntime` opens libonnxruntime at run time. The public functions of model.h and
 * session.h check arguments and call through this table.
 *
 * Threads: load and session_create from any thread; a session by one at a time. */
#ifndef ENGINE_BACKEND_H
#define ENGINE_BACKEND_H

#include "onnxd/onnxd.h"

struct model_source { /* the file, already read */
    const void *bytes;
    size_t n_bytes;
    const char *folder; /* for external data, or NULL */
    const char *path;   /* for messages, or NULL */
};

/* What a backend tells of a loaded model; arrays are owned by it. */
struct model_description {
    const onnxd_io_info *inputs, *outputs;
    uint32_t n_inputs, n_outputs;
    bool batchable;
};

struct backend {
    const char *name;
    onnxd_status (*load)(const struct model_source *source, const onnxd_model_options *options,
                         void **ret_model, struct model_description *ret_description, onnxd_error *err);
    void (*unload)(void *model);
    onnxd_status (*session_create)(void *model, const onnxd_session_options *options, void **ret_session,
                                   onnxd_error *err);
    void (*session_free)(void *session);
    onnxd_status (*session_run)(void *session, const onnxd_tensor *in, onnxd_tensor *ret_out,
                                onnxd_error *err);
    uint64_t (*session_memory)(const void *session);
};

extern const struct backend backend_native;

/* The loaded model behind a public handle, and which backend it belongs to. */
const struct backend *model_backend(const onnxd_model *model);
void *model_backend_data(onnxd_model *model);

#endif
