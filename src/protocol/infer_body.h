/* protocol/infer_body.h - the bodies of POST /infer.
 *
 * Request: {"inputs":[[...],...]}, rows of the model's single input.
 * Answer:  {"outputs":[[...],...],"duration_ms":t}, one array for each row (nested along the output's
 *          dimensions); for a model with several outputs, {"outputs":{"name":[[...],...],...},...}.
 *
 * Threads: no state. */
#ifndef PROTOCOL_INFER_BODY_H
#define PROTOCOL_INFER_BODY_H

#include "base/buf.h"
#include "protocol/schema.h"

/* As predict_request_read. */
ONNXD_MUST_USE onnxd_status infer_request_read(const struct protocol_schema *schema, const char *body,
                                               size_t n, struct protocol_rows *rows, onnxd_error *err);

/* As predict_answer_write. */
ONNXD_MUST_USE onnxd_status infer_answer_write(const struct protocol_schema *schema,
                                               const onnxd_tensor *outputs, uint32_t n_rows_run,
                                               uint32_t first_row, uint32_t n_rows, double duration_ms,
                                               struct buf *buf, onnxd_error *err);

#endif
