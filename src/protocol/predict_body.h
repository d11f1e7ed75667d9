/* protocol/predict_body.h - the bodies of POST /predict.
 *
 * Request: one row (see row_json.h for its forms), or {"instances":[row,...]}.
 * Answer:  {"ctr":x,"latency_ms":t} when the model has one output with one value a row,
 *          {"prediction":y,"latency_ms":t} otherwise; {"predictions":[..],"latency_ms":t} to instances.
 *
 * Threads: no state. */
#ifndef PROTOCOL_PREDICT_BODY_H
#define PROTOCOL_PREDICT_BODY_H

#include "base/buf.h"
#include "protocol/schema.h"

/* Appends the request's rows to *rows; *ret_many tells whether it was the instances form, which the
 * answer must match. On failure rows->n is as before and the message names the field:
 * ONNXD_ERR_FORMAT, _SHAPE, _RANGE, _NOT_FOUND (an unknown field), _LIMIT (rows, depth), _UNSUPPORTED. */
ONNXD_MUST_USE onnxd_status predict_request_read(const struct protocol_schema *schema, const char *body,
                                                 size_t n, struct protocol_rows *rows, bool *ret_many,
                                                 onnxd_error *err);

/* Appends the answer for rows first_row..first_row+n_rows-1 of a run: outputs[n_outputs], each
 * [n_rows_run, ...]. ONNXD_ERR_RANGE when an output is NaN or infinite; ONNXD_ERR_LIMIT; ONNXD_ERR_INTERNAL
 * when an output does not go by rows. On failure the buffer is as before. */
ONNXD_MUST_USE onnxd_status predict_answer_write(const struct protocol_schema *schema,
                                                 const onnxd_tensor *outputs, uint32_t n_rows_run,
                                                 uint32_t first_row, uint32_t n_rows, bool many,
                                                 double latency_ms, struct buf *buf, onnxd_error *err);

/* {"error":"..."} */
void error_body_write(struct buf *buf, const char *message);

#endif
