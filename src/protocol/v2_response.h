/* protocol/v2_response.h - the response body of POST /v2/models/M/infer, both directions.
 *
 * Threads: no state. */
#ifndef PROTOCOL_V2_RESPONSE_H
#define PROTOCOL_V2_RESPONSE_H

#include "protocol/v2_request.h"
#include "protocol/v2_tensor.h"

/* A view of rows first..first+n-1 of a tensor whose leading dimension counts rows. */
onnxd_tensor v2_slice_rows(const onnxd_tensor *tensor, uint32_t first, uint32_t n);

/* Appends the answer to `request`: outputs[n_outputs] of the model, of which those wished for are told.
 * *ret_header_bytes is the value of the response's Inference-Header-Content-Length, or V2_ALL_JSON for
 * none. ONNXD_ERR_RANGE when a number told in JSON is NaN or infinite; ONNXD_ERR_UNSUPPORTED for FP16 and
 * BF16 in JSON and for types the protocol lacks; ONNXD_ERR_LIMIT. On failure the buffer is as before. */
ONNXD_MUST_USE onnxd_status v2_response_write(const struct protocol_schema *schema,
                                              const struct v2_request *request, const char *model_name,
                                              const char *model_version, const onnxd_tensor *outputs,
                                              struct buf *buf, size_t *ret_header_bytes, onnxd_error *err);

struct v2_response {                            /* read by a client */
    onnxd_string model_name, model_version, id; /* data NULL: not told */
    struct v2_tensor *outputs;                  /* [n_outputs], data attached */
    uint32_t n_outputs;
};

/* As v2_request_read; knows no model, so shapes are taken as told. */
ONNXD_MUST_USE onnxd_status v2_response_read(const char *body, size_t n, size_t header_bytes,
                                             struct arena *arena, struct v2_response *ret, onnxd_error *err);

#endif
