#include "support/fake_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

struct fake {
    onnxd_io_info in, out;
    float scale;
};

struct fake_session {
    struct fake *model;
    float y[65536];
};

struct fake_model_state fake_model;
static _Atomic bool counting;

void fake_model_reset(void)
{
    memset(&fake_model, 0, sizeof fake_model);
    fake_model.is_batchable = true;
    fake_model.scale = 1;
    counting = false;
}

void fake_model_reset_runs(void)
{
    fake_model.n_runs = 0;
    counting = true;
}

static onnxd_status load_any(void **ret_model, onnxd_error *err)
{
    if (fake_model.load_status != ONNXD_OK) return error_set(err, fake_model.load_status, "the file is bad");
    struct fake *model = calloc(1, sizeof *model);
    if (model == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    int64_t batch = fake_model.fixed_batch ? 1 : -1;
    model->in = (onnxd_io_info){.name = "x", .type = ONNXD_FLOAT32, .rank = 2, .dims = {batch, 3}};
    model->out = (onnxd_io_info){.name = "y", .type = ONNXD_FLOAT32, .rank = 2, .dims = {batch, 1}};
    model->scale = fake_model.scale;
    fake_model.n_models++;
    *ret_model = model;
    return ONNXD_OK;
}

static onnxd_status load(const char *path, const onnxd_model_options *options, void **ret_model,
                         onnxd_error *err)
{
    (void)path, (void)options;
    return load_any(ret_model, err);
}

static onnxd_status load_bytes(const void *bytes, size_t n_bytes, const onnxd_model_options *options,
                               void **ret_model, onnxd_error *err)
{
    (void)bytes, (void)n_bytes, (void)options;
    return load_any(ret_model, err);
}

static void unload(void *model)
{
    fake_model.n_models--;
    free(model);
}

static uint32_t one(const void *model)
{
    (void)model;
    return 1;
}

static const onnxd_io_info *input(const void *model, uint32_t i)
{
    (void)i;
    return &((const struct fake *)model)->in;
}

static const onnxd_io_info *output(const void *model, uint32_t i)
{
    (void)i;
    return &((const struct fake *)model)->out;
}

static bool is_batchable(const void *model)
{
    (void)model;
    return fake_model.is_batchable;
}

static const char *engine_name(const void *model)
{
    (void)model;
    return "fake";
}

static onnxd_status session_create(void *model, const onnxd_session_options *options, void **ret_session,
                                   onnxd_error *err)
{
    (void)options;
    struct fake_session *session = calloc(1, sizeof *session);
    if (session == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    session->model = model;
    fake_model.n_sessions++;
    *ret_session = session;
    return ONNXD_OK;
}

static void session_free(void *session)
{
    fake_model.n_sessions--;
    free(session);
}

static onnxd_status run(void *session_, const onnxd_tensor *in, uint32_t n_in, onnxd_tensor *ret_out,
                        uint32_t n_out, onnxd_error *err)
{
    struct fake_session *session = session_;
    const float *x = in->data;
    int64_t n = in->dims[0];
    if (n_in != 1 || n_out != 1 || in->rank != 2 || in->dims[1] != 3 || n < 1 || n > 65536)
        return error_set(err, ONNXD_ERR_SHAPE, "input 'x': wrong shape");
    if (counting) {
        if (fake_model.n_runs < 256) fake_model.run_rows[fake_model.n_runs] = (uint32_t)n;
        fake_model.n_runs++;
    }
    for (uint64_t until_ns = monotonic_ns() + fake_model.run_takes_ns; monotonic_ns() < until_ns;) {
    }
    if (fake_model.run_status != ONNXD_OK) return error_set(err, fake_model.run_status, "the run failed");
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < 3; k++) {
            if (x[i * 3 + k] < 0)
                return error_set(err, ONNXD_ERR_RANGE, "input 'x': row %lld: index %g is outside its table",
                                 (long long)i, (double)x[i * 3 + k]);
            sum += x[i * 3 + k];
        }
        session->y[i] = sum * session->model->scale;
    }
    *ret_out = (onnxd_tensor){.type = ONNXD_FLOAT32, .rank = 2, .dims = {n, 1}, .data = session->y};
    return ONNXD_OK;
}

const struct model_backend model_backend_fake = {
    .load = load,
    .load_bytes = load_bytes,
    .unload = unload,
    .n_inputs = one,
    .n_outputs = one,
    .input = input,
    .output = output,
    .is_batchable = is_batchable,
    .engine_name = engine_name,
    .session_create = session_create,
    .session_free = session_free,
    .run = run,
};
