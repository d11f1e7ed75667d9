/* Any bytes as a model: read, optimised, and run once on zeros where the inputs are simple. */
#include <stdint.h>
#include <stdlib.h>

#include "onnxd/onnxd.h"

enum { MAX_INPUTS = 8, MAX_ELEMENTS = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unknown dimensions become 2. False when the input is not a small tensor of plain numbers. */
static int zero_input(const onnxd_io_info *info, void *zeros, onnxd_tensor *ret)
{
    int64_t n = 1;
    if (info->rank < 0 || onnxd_type_size(info->type) == 0 || info->type == ONNXD_STRING) return 0;
    *ret = (onnxd_tensor){.type = info->type, .rank = (uint32_t)info->rank, .data = zeros};
    for (int32_t i = 0; i < info->rank; i++) {
        ret->dims[i] = info->dims[i] < 0 ? 2 : info->dims[i];
        if (ret->dims[i] > MAX_ELEMENTS) return 0;
        n *= ret->dims[i];
        if (n > MAX_ELEMENTS) return 0;
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const onnxd_model_options options = {.max_model_bytes = 32 << 20};
    static const onnxd_session_options session_options = {.arena_limit_bytes = 16 << 20};
    static double zeros[MAX_ELEMENTS * 2];
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_error err;
    onnxd_tensor in[MAX_INPUTS], out[MAX_INPUTS];
    if (onnxd_model_load_bytes(data, size, NULL, &options, &model, &err) != ONNXD_OK) return 0;
    uint32_t n_in = onnxd_model_n_inputs(model), n_out = onnxd_model_n_outputs(model);
    if (onnxd_session_create(model, &session_options, &session, &err) == ONNXD_OK && n_in <= MAX_INPUTS &&
        n_out <= MAX_INPUTS) {
        int simple = 1;
        for (uint32_t i = 0; i < n_in; i++)
            simple = simple && zero_input(onnxd_model_input(model, i), zeros, &in[i]);
        if (simple && onnxd_session_run(session, in, n_in, out, n_out, &err) != ONNXD_OK &&
            err.message[0] == 0)
            abort();
    }
    onnxd_session_free(session);
    onnxd_model_unref(model);
    return 0;
}
