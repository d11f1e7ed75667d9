/* protocol/row_csv.h - one line of CSV as a row of a model's inputs.
 *
 * Numbers are written as in JSON, bools as true and false. Blanks around a field are passed over unless it
 * is quoted. See row_stream.h for the columns.
 *
 * Threads: one at a time. */
#ifndef PROTOCOL_ROW_CSV_H
#define PROTOCOL_ROW_CSV_H

#include "protocol/schema.h"

struct row_csv;

/* `schema` is borrowed. ONNXD_ERR_NOMEM; ONNXD_ERR_UNSUPPORTED for element types without a text form. */
ONNXD_MUST_USE onnxd_status row_csv_create(const struct protocol_schema *schema, struct row_csv **ret_csv,
                                           onnxd_error *err);
void row_csv_free(struct row_csv *csv); /* takes NULL */

/* Reads one line: a row, or the names in front of the rows, which leave rows->n as it is. Room must be
 * there (rows->n < rows->capacity); strings are copied to rows->arena. Messages name the column. */
ONNXD_MUST_USE onnxd_status row_csv_read(struct row_csv *csv, const char *line, size_t n,
                                         struct protocol_rows *rows, onnxd_error *err);

#endif
