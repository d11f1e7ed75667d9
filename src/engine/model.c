#include "onnxd/model.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/backend_onnxruntime.h"

#define DEFAULT_MAX_MODEL_BYTES ((uint64_t)2 << 30)

struct onnxd_model {
    _Atomic uint32_t n_refs;
    const struct backend *backend;
    void *data;
    struct model_description description;
};

const struct backend *model_backend(const onnxd_model *model)
{
    return model->backend;
}

void *model_backend_data(onnxd_model *model)
{
    return model->data;
}

static onnxd_status load_with(const struct backend *backend, const struct model_source *source,
                              const onnxd_model_options *options, onnxd_model **ret_model, onnxd_error *err)
{
    onnxd_model *model = calloc(1, sizeof *model);
    if (model == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a model");
    atomic_init(&model->n_refs, 1);
    model->backend = backend;
    onnxd_status status = backend->load(source, options, &model->data, &model->description, err);
    if (status == ONNXD_OK)
        *ret_model = model;
    else
        free(model);
    return status;
}

/* What the native engine does not know, ONNX Runtime may. When it does not help either, the message stays
 * the native one, which names the missing operators, and says why the other engine did not step in. */
static onnxd_status load_otherwise(const struct model_source *source, const onnxd_model_options *options,
                                   onnxd_model **ret_model, onnxd_error *err)
{
    onnxd_error other;
    if (load_with(&backend_onnxruntime, source, options, ret_model, &other) == ONNXD_OK) return ONNXD_OK;
    if (err == NULL) return ONNXD_ERR_UNSUPPORTED;
    onnxd_error native = *err;
    return error_set(err, ONNXD_ERR_UNSUPPORTED, "%.300s; %.180s", native.message, other.message);
}

onnxd_status onnxd_model_load_bytes(const void *bytes, size_t n_bytes, const char *folder,
                                    const onnxd_model_options *options, onnxd_model **ret_model,
                                    onnxd_error *err)
{
    static const onnxd_model_options defaults = {0};
    struct model_source source = {.bytes = bytes, .n_bytes = n_bytes, .folder = folder};
    if (options == NULL) options = &defaults;
    if (bytes == NULL || ret_model == NULL)
        return error_set(err, ONNXD_ERR_ARGUMENT, "model: bytes and result are needed");
    if (options->engine == ONNXD_ENGINE_ONNXRUNTIME)
        return load_with(&backend_onnxruntime, &source, options, ret_model, err);
    onnxd_status status = load_with(&backend_native, &source, options, ret_model, err);
    if (status == ONNXD_ERR_UNSUPPORTED && options->engine == ONNXD_ENGINE_AUTO)
        return load_otherwise(&source, options, ret_model, err);
    return status;
}

onnxd_status onnxd_model_load(const char *path, const onnxd_model_options *options, onnxd_model **ret_model,
                              onnxd_error *err)
{
    uint64_t limit = options != NULL && options->max_model_bytes > 0 ? options->max_model_bytes
                                                                     : DEFAULT_MAX_MODEL_BYTES;
    char *bytes = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, limit, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    status = folder != NULL ? onnxd_model_load_bytes(bytes, n, folder, options, ret_model, err)
                            : error_set(err, ONNXD_ERR_NOMEM, "no memory for a path");
    if (status != ONNXD_OK) error_prefix(err, "%.200s: ", path);
    free(folder);
    free(bytes);
    return status;
}

onnxd_model *onnxd_model_ref(onnxd_model *model)
{
    atomic_fetch_add_explicit(&model->n_refs, 1, memory_order_relaxed);
    return model;
}

void onnxd_model_unref(onnxd_model *model)
{
    if (model == NULL || atomic_fetch_sub_explicit(&model->n_refs, 1, memory_order_acq_rel) > 1) return;
    model->backend->unload(model->data);
    free(model);
}

uint32_t onnxd_model_n_inputs(const onnxd_model *model)
{
    return model->description.n_inputs;
}

uint32_t onnxd_model_n_outputs(const onnxd_model *model)
{
    return model->description.n_outputs;
}

const onnxd_io_info *onnxd_model_input(const onnxd_model *model, uint32_t i)
{
    return i < model->description.n_inputs ? &model->description.inputs[i] : NULL;
}

const onnxd_io_info *onnxd_model_output(const onnxd_model *model, uint32_t i)
{
    return i < model->description.n_outputs ? &model->description.outputs[i] : NULL;
}

bool onnxd_model_is_batchable(const onnxd_model *model)
{
    return model->description.batchable;
}

const char *onnxd_model_engine_name(const onnxd_model *model)
{
    return model->backend->name;
}
