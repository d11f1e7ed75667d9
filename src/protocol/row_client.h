/* protocol/row_client.h - the client's side of /predict, /infer and :predict: rows out, floats back.
 *
 * Requests carry any inputs; answers are read for models with one numeric output, whatever its type, as
 * floats. For anything richer a client uses v2 (v2_request.h, v2_response.h).
 *
 * Threads: no state. */
#ifndef PROTOCOL_ROW_CLIENT_H
#define PROTOCOL_ROW_CLIENT_H

#include "base/buf.h"
#include "protocol/schema.h"

enum row_form {
    ROW_FORM_PREDICT,      /* {"features":..} or {"inputs":{..}}: exactly one row */
    ROW_FORM_PREDICT_MANY, /* {"instances":[..]} to /predict */
    ROW_FORM_INFER,        /* {"inputs":[..]} to /infer: one input only */
    ROW_FORM_V1            /* {"instances":[..]} to /v1/models/M:predict */
};

/* Appends a request with rows first..first+n-1 of inputs[n_inputs], each [rows, ...] in the model's order.
 * ONNXD_ERR_ARGUMENT (rows and form do not fit), ONNXD_ERR_RANGE (NaN or infinite), ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status row_request_write(enum row_form form, const struct protocol_schema *schema,
                                              const onnxd_tensor *inputs, uint32_t first, uint32_t n,
                                              struct buf *buf, onnxd_error *err);

/* Reads the answer to n_rows rows into out[n_rows, row_elements]. ONNXD_ERR_SHAPE when it holds other numbers
 * of them, ONNXD_ERR_FORMAT; on failure `out` may be partly filled. A body {"error":"..."} is ONNXD_ERR_IO
 * with the server's words. */
ONNXD_MUST_USE onnxd_status row_answer_read(enum row_form form, const char *body, size_t n, uint32_t n_rows,
                                            size_t row_elements, float *out, onnxd_error *err);

#endif
