/* protocol/row_json.h - one row of a model's inputs in JSON, in any of its forms:
 *
 *     [1,2,3]  or 1             the single input
 *     {"features":[1,2,3]}      the single input
 *     {"inputs":{"a":[..],..}}  every input by name
 *     {"a":[..],"b":[..]}       every input by name (TensorFlow Serving's rows)
 *     {"weekday":4,...}         raw fields, where the schema has a feature description
 *
 * Every key must be known and stand once; every input must be given. */
#ifndef PROTOCOL_ROW_JSON_H
#define PROTOCOL_ROW_JSON_H

#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/schema.h"

struct protocol_note { /* zeroed: none yet */
    struct json_key_note key;
    uint32_t field;
};

/* Reads the value at the reader as row rows->n and counts it. false: the reader has failed. */
bool row_json_read(struct json_reader *r, const struct protocol_schema *schema, struct protocol_rows *rows);

/* The same for an object that was entered and whose first key was taken from json_next_key; NULL: it was
 * empty. */
bool row_json_read_members(struct json_reader *r, const struct protocol_schema *schema,
                           const struct json_text *first_key, struct protocol_rows *rows);

/* An array of rows. `bare`: only the single input's values, as in /infer. The request's share of rows->n
 * is limited to rows->max_rows. */
bool row_json_read_array(struct json_reader *r, const struct protocol_schema *schema, bool bare,
                         struct protocol_rows *rows);

/* Whole inputs, each an array of rows: the single input's bare, or an object of them by name. All must
 * have the same number of rows. */
bool row_json_read_columns(struct json_reader *r, const struct protocol_schema *schema,
                           struct protocol_rows *rows);

/* Fails with ONNXD_ERR_UNSUPPORTED when the model does not go by rows. */
bool row_json_check_schema(struct json_reader *r, const struct protocol_schema *schema);

/* ---- answers ---- */

/* ONNXD_ERR_INTERNAL unless every output has one entry per row of a run of n_rows rows. */
ONNXD_MUST_USE onnxd_status row_json_check_outputs(const struct protocol_schema *schema,
                                                   const onnxd_tensor *outputs, uint32_t n_rows_run,
                                                   onnxd_error *err);

/* Row `row` of the outputs: the value of a single output with one value a row, an array nested along the
 * dimensions of a single output with more, else an object by output name. */
void row_json_write(struct json_writer *w, const struct protocol_schema *schema, const onnxd_tensor *outputs,
                    uint32_t row);

/* Whether the answer to a row is one bare value. */
bool row_json_is_scalar(const struct protocol_schema *schema, const onnxd_tensor *outputs);

#endif
