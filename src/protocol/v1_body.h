/* protocol/v1_body.h - TensorFlow Serving's REST form: POST /v1/models/M:predict.
 *
 * {"instances":[row,...]} -> {"predictions":[row,...]}; {"inputs":columns} -> {"outputs":columns}, where
 * columns is the single tensor, nested, or an object of tensors by name. "signature_name" is taken and
 * must be a string. Outputs keep their dimensions: a [rows, 1] output answers [[0.1],[0.2]].
 *
 * Threads: no state. */
#ifndef PROTOCOL_V1_BODY_H
#define PROTOCOL_V1_BODY_H

#include "base/buf.h"
#include "protocol/schema.h"

/* As predict_request_read; *ret_columns: it was the "inputs" form, which the answer must match. */
ONNXD_MUST_USE onnxd_status v1_request_read(const struct protocol_schema *schema, const char *body, size_t n,
                                            struct protocol_rows *rows, bool *ret_columns, onnxd_error *err);

/* As predict_answer_write. */
ONNXD_MUST_USE onnxd_status v1_answer_write(const struct protocol_schema *schema, const onnxd_tensor *outputs,
                                            uint32_t n_rows_run, uint32_t first_row, uint32_t n_rows,
                                            bool columns, struct buf *buf, onnxd_error *err);

/* GET /v1/models/M: one entry for each version. states[i] is "AVAILABLE", "LOADING", "UNLOADING", "END". */
void v1_status_write(const char *const *versions, const char *const *states, uint32_t n_versions,
                     struct buf *buf);

/* GET /v1/models/M/metadata. */
void v1_metadata_write(const struct protocol_schema *schema, const char *model_name, const char *version,
                       struct buf *buf);

#endif
