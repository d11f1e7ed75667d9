#include "serve/model_backend.h"

#include "engine/native_model.h"

static onnxd_status load(const char *path, const onnxd_model_options *options, void **ret_model,
                         onnxd_error *err)
{
    onnxd_model *model = NULL;
    onnxd_status status = onnxd_model_load(path, options, &model, err);
    if (status == ONNXD_OK) *ret_model = model;
    return status;
}

static onnxd_status load_bytes(const void *bytes, size_t n_bytes, const onnxd_model_options *options,
                               void **ret_model, onnxd_error *err)
{
    onnxd_model *model = NULL;
    onnxd_status status = onnxd_model_load_bytes(bytes, n_bytes, NULL, options, &model, err);
    if (status == ONNXD_OK) *ret_model = model;
    return status;
}

static void unload(void *model)
{
    onnxd_model_unref(model);
}

static uint32_t n_inputs(const void *model)
{
    return onnxd_model_n_inputs(model);
}

static uint32_t n_outputs(const void *model)
{
    return onnxd_model_n_outputs(model);
}

static const onnxd_io_info *input(const void *model, uint32_t i)
{
    return onnxd_model_input(model, i);
}

static const onnxd_io_info *output(const void *model, uint32_t i)
{
    return onnxd_model_output(model, i);
}

static bool is_batchable(const void *model)
{
    return onnxd_model_is_batchable(model);
}

static void index_below(void *model, const struct input_range *ranges)
{
    const struct native_model *native = native_model_of(model);
    if (native != NULL) index_ranges_learn(native->graph, ranges);
}

static const char *engine_name(const void *model)
{
    return onnxd_model_engine_name(model);
}

static onnxd_status session_create(void *model, const onnxd_session_options *options, void **ret_session,
                                   onnxd_error *err)
{
    onnxd_session *session = NULL;
    onnxd_status status = onnxd_session_create(model, options, &session, err);
    if (status == ONNXD_OK) *ret_session = session;
    return status;
}

static void session_free(void *session)
{
    onnxd_session_free(session);
}

static onnxd_status run(void *session, const onnxd_tensor *in, uint32_t n_in, onnxd_tensor *ret_out,
                        uint32_t n_out, onnxd_error *err)
{
    return onnxd_session_run(session, in, n_in, ret_out, n_out, err);
}

const struct model_backend model_backend_onnxd = {
    .load = load,
    .load_bytes = load_bytes,
    .unload = unload,
    .n_inputs = n_inputs,
    .n_outputs = n_outputs,
    .input = input,
    .output = output,
    .is_batchable = is_batchable,
    .index_below = index_below,
    .engine_name = engine_name,
    .session_create = session_create,
    .session_free = session_free,
    .run = run,
};
