/* protocol/row_stream.h - rows of a model's inputs out of a file, a batch at a time.
 *
 *     jsonl  a row a line, in any form of row_json.h: [1,2,3], {"features":[1,2,3]}, {"inputs":{..}}
 *     csv    a row a line (RFC 4180, without line breaks in quotes): the elements of all inputs, in the
 *            model's order. A first line of names says another order: the inputs' names where each has one
 *            element a row, or the fields of a feature description. For a model with a single input of
 *            several elements, names are passed over.
 *     f32    the elements of all inputs of each row as little-endian float32, without any head; every
 *            input must be float32
 *
 * Blank lines are passed over. Messages start with "FILE:LINE: " (f32: "FILE: row N: "). Memory does not
 * grow with the file: one line, and what one batch needs.
 *
 * Ownership: borrows the schema and the path.
 * Threads:   one at a time. */
#ifndef PROTOCOL_ROW_STREAM_H
#define PROTOCOL_ROW_STREAM_H

#include "base/line_reader.h"
#include "protocol/schema.h"

#define ROW_STREAM_MAX_LINE ((size_t)16 << 20)

enum row_format { ROW_FORMAT_JSONL, ROW_FORMAT_CSV, ROW_FORMAT_F32 };

struct row_csv; /* row_csv.h */

struct row_stream {
    struct line_reader reader;
    const struct protocol_schema *schema;
    enum row_format format;
    struct row_csv *csv; /* NULL unless CSV */
    bool keeps_text;     /* rows hold strings, which must outlive their line */
    size_t row_bytes;    /* F32 */
    uint64_t n_rows;     /* read so far */
    onnxd_status fault;  /* met behind the rows last returned */
    onnxd_error fault_error;
};

/* ".csv" and ".f32" at the path's end say their format; anything else is JSONL. */
enum row_format row_format_of_path(const char *path);

/* ONNXD_ERR_UNSUPPORTED when the model does not go by rows, or not as float32; what line_reader_open says. */
ONNXD_MUST_USE onnxd_status row_stream_open(struct row_stream *stream, const char *path,
                                            enum row_format format, const struct protocol_schema *schema,
                                            onnxd_error *err);
void row_stream_close(struct row_stream *stream);

/* Appends rows until rows->n == rows->capacity or the file ends. Rows in front of a faulty one are still
 * returned with ONNXD_OK; the fault comes from the next call, in which rows->n stays as it was. Strings lie
 * in rows->arena, which the caller resets when the rows are done with. */
ONNXD_MUST_USE onnxd_status row_stream_read(struct row_stream *stream, struct protocol_rows *rows,
                                            onnxd_error *err);

/* ---- memory for a batch of rows ------------------------------------------------------------------ */

struct row_batch {
    struct protocol_rows rows;
    struct arena arena;
    void *memory, *scratch;
};

/* Room for `capacity` rows, 64-byte aligned for every input. ONNXD_ERR_NOMEM, ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status row_batch_init(struct row_batch *batch, const struct protocol_schema *schema,
                                           uint32_t capacity, onnxd_error *err);
void row_batch_done(struct row_batch *batch);
void row_batch_reset(struct row_batch *batch); /* no rows */

/* Rows first..first+n as the model's inputs: in[n_inputs]. */
void row_batch_tensors(const struct row_batch *batch, const struct protocol_schema *schema, uint32_t first,
                       uint32_t n, onnxd_tensor *in);

#endif
