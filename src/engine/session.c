#include "onnxd/session.h"

#include <stdlib.h>

#include "base/error.h"
#include "engine/backend.h"
#include "engine/io_check.h"

struct onnxd_session {
    onnxd_model *model;
    const struct backend *backend;
    void *data;
};

onnxd_status onnxd_session_create(onnxd_model *model, const onnxd_session_options *options,
                                  onnxd_session **ret_session, onnxd_error *err)
{
    onnxd_session_options o = options != NULL ? *options : (onnxd_session_options){0};
    if (o.max_batch > 65536)
        return error_set(err, ONNXD_ERR_RANGE, "max_batch: expected 1..65536, got %u", o.max_batch);
    if (o.max_programs > 4096)
        return error_set(err, ONNXD_ERR_RANGE, "max_programs: expected 1..4096, got %u", o.max_programs);
    if (o.max_batch == 0) o.max_batch = 1;
    if (o.max_programs == 0) o.max_programs = 64;
    if (o.arena_limit_bytes == 0) o.arena_limit_bytes = (uint64_t)1 << 30;
    onnxd_session *session = calloc(1, sizeof *session);
    if (session == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a session");
    session->backend = model_backend(model);
    onnxd_status status = session->backend->session_create(model_backend_data(model), &o, &session->data,
                                                           err);
    if (status != ONNXD_OK) {
        free(session);
        return status;
    }
    session->model = onnxd_model_ref(model);
    *ret_session = session;
    return ONNXD_OK;
}

void onnxd_session_free(onnxd_session *session)
{
    if (session == NULL) return;
    session->backend->session_free(session->data);
    onnxd_model_unref(session->model);
    free(session);
}

onnxd_status onnxd_session_run(onnxd_session *session, const onnxd_tensor *in, uint32_t n_in,
                               onnxd_tensor *ret_out, uint32_t n_out, onnxd_error *err)
{
    if (__builtin_expect(n_in != onnxd_model_n_inputs(session->model) ||
                             n_out != onnxd_model_n_outputs(session->model),
                         0))
        return error_set(err, ONNXD_ERR_ARGUMENT, "the model has %u inputs and %u outputs, not %u and %u",
                         onnxd_model_n_inputs(session->model), onnxd_model_n_outputs(session->model), n_in,
                         n_out);
    return session->backend->session_run(session->data, in, ret_out, err);
}

uint64_t onnxd_session_memory_bytes(const onnxd_session *session)
{
    return session->backend->session_memory(session->data);
}
