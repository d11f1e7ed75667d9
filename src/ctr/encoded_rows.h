/* ctr/encoded_rows.h - rows as the model will see them, in a file that is mapped.
 *
 * What features/ makes of raw data is written once and read many times, epoch after epoch, in any order.
 * The file is written row by row, so that data larger than memory can be encoded, and read through the
 * page cache.
 *
 *     struct encoded_writer *writer = NULL;
 *     encoded_writer_create("train.rows", n_columns, &writer, &err);
 *     encoded_writer_append(writer, columns, label, weight, &err);      // again and again
 *     encoded_writer_finish(writer, &err);                              // the file appears now
 *     encoded_writer_free(writer);
 *
 *     struct encoded_rows rows;
 *     encoded_rows_map("train.rows", &rows, &err);
 *     const float *row = encoded_row(&rows, i);      // [n_columns], then label and weight
 *     encoded_rows_done(&rows);
 *
 * File: a header of 64 bytes (magic "ONNXDROW", u32 version 1, u32 n_columns, u64 n_rows, u64 fingerprint,
 * zeros), then n_rows records of n_columns + 2 little-endian floats: columns (category numbers held as
 * floats, dense values), label, weight. */
#ifndef CTR_ENCODED_ROWS_H
#define CTR_ENCODED_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

enum { ENCODED_MAX_COLUMNS = 65536 };

struct encoded_writer;

/* Writes PATH.tmp until finish. ONNXD_ERR_IO; ONNXD_ERR_RANGE: n_columns not in 1..ENCODED_MAX_COLUMNS. */
ONNXD_MUST_USE onnxd_status encoded_writer_create(const char *path, uint32_t n_columns,
                                                  struct encoded_writer **ret_writer, onnxd_error *err);

/* columns: [n_columns]. ONNXD_ERR_RANGE when a value is not finite, the label is not in 0..1 or the weight
 * is below 0; nothing is written then. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status encoded_writer_append(struct encoded_writer *writer, const float *columns,
                                                  float label, float weight, onnxd_error *err);

/* Rows appended so far. */
uint64_t encoded_writer_count(const struct encoded_writer *writer);

/* Completes the file under its own name. Nothing may be appended afterwards. */
ONNXD_MUST_USE onnxd_status encoded_writer_finish(struct encoded_writer *writer, onnxd_error *err);

/* Drops an unfinished file. Takes NULL. */
void encoded_writer_free(struct encoded_writer *writer);

/* The same into a file without a name in `folder`, which is gone with its rows, however the program ends. */
ONNXD_MUST_USE onnxd_status encoded_writer_create_nameless(const char *folder, uint32_t n_columns,
                                                           struct encoded_writer **ret_writer,
                                                           onnxd_error *err);

/* Threads: any number may read. */
struct encoded_rows {
    const float *records;         /* [n_rows, stride] */
    uint64_t n_rows, fingerprint; /* hash of all rows in their order; 0: not of a whole file */
    uint32_t n_columns, stride;   /* stride = n_columns + 2 */
    void *mapping;                /* NULL: a view of the caller's memory */
    size_t mapping_bytes;
};

/* Every value is checked when it is used, not here. ONNXD_ERR_NOT_FOUND, ONNXD_ERR_IO; ONNXD_ERR_FORMAT: no
 * such file, another version, not whole. */
ONNXD_MUST_USE onnxd_status encoded_rows_map(const char *path, struct encoded_rows *ret_rows,
                                             onnxd_error *err);
void encoded_rows_done(struct encoded_rows *rows); /* takes a zeroed one */

/* Completes a nameless file and maps it. The rows outlive the writer. */
ONNXD_MUST_USE onnxd_status encoded_writer_finish_nameless(struct encoded_writer *writer,
                                                           struct encoded_rows *ret_rows, onnxd_error *err);

/* Rows first..first + n of others, borrowed. */
struct encoded_rows encoded_rows_part(const struct encoded_rows *rows, uint64_t first, uint64_t n);

/* Records in memory as rows, borrowed. */
struct encoded_rows encoded_rows_view(const float *records, uint64_t n_rows, uint32_t n_columns);

static inline const float *encoded_row(const struct encoded_rows *rows, uint64_t i)
{
    return rows->records + i * rows->stride;
}
static inline float encoded_label(const struct encoded_rows *rows, uint64_t i)
{
    return encoded_row(rows, i)[rows->n_columns];
}
static inline float encoded_weight(const struct encoded_rows *rows, uint64_t i)
{
    return encoded_row(rows, i)[rows->n_columns + 1];
}

#endif
