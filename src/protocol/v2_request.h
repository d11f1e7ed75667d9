/* protocol/v2_request.h - the request body of POST /v2/models/M/infer, both directions.
 *
 * JSON alone, JSON with binary tensors behind it (header Inference-Header-Content-Length: bytes of JSON),
 * or raw binary (header value 0) for a model with one input and at most one free dimension.
 *
 * Ownership: everything read points into the body or the arena. Threads: no state. */
#ifndef PROTOCOL_V2_REQUEST_H
#define PROTOCOL_V2_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "protocol/schema.h"

#define V2_ALL_JSON SIZE_MAX /* header_bytes of a body without Inference-Header-Content-Length */

struct v2_output_wish {
    uint32_t output; /* number of the model's output */
    bool binary;
};

struct v2_request {
    onnxd_string id;                /* data NULL: none was given */
    onnxd_tensor *inputs;           /* [schema->n_inputs], in the model's order */
    struct v2_output_wish *outputs; /* [n_outputs] in the order asked for; all when none was named */
    uint32_t n_outputs;
    uint64_t priority;
    uint64_t timeout_us; /* 0: none */
};

/* `header_bytes`: the header's value, or V2_ALL_JSON. Shapes are checked against the model's, fixed
 * dimensions exactly. ONNXD_ERR_FORMAT, _SHAPE, _TYPE, _RANGE, _NOT_FOUND (an unknown input, output or
 * field), _LIMIT (the arena), _UNSUPPORTED. */
ONNXD_MUST_USE onnxd_status v2_request_read(const struct protocol_schema *schema, const char *body, size_t n,
                                            size_t header_bytes, struct arena *arena, struct v2_request *ret,
                                            onnxd_error *err);

/* ---- the client's side ---- */

struct v2_request_options { /* {0}: no id, JSON both ways */
    const char *id;
    bool binary_inputs, binary_outputs;
};

/* Appends a body with inputs[n_inputs] and tells its header_bytes (V2_ALL_JSON when nothing is binary).
 * ONNXD_ERR_LIMIT; ONNXD_ERR_RANGE for NaN in JSON; ONNXD_ERR_TYPE for a type the protocol lacks. */
ONNXD_MUST_USE onnxd_status v2_request_write(const struct protocol_schema *schema, const onnxd_tensor *inputs,
                                             const struct v2_request_options *options, struct buf *buf,
                                             size_t *ret_header_bytes, onnxd_error *err);

#endif
