/* base/line_reader.h - a file read from front to back, by lines or by blocks, in bounded memory.
 *
 *     struct line_reader reader;
 *     const char *line;
 *     size_t n;
 *     status = line_reader_open(&reader, "rows.csv", 1 << 20, err);        // "-": standard input
 *     while ((status = line_reader_next(&reader, &line, &n, err)) == ONNXD_OK && line != NULL) ...
 *     line_reader_close(&reader);
 *
 * Lines end with "\n" or "\r\n", which are not part of them; the last one need not. A byte order mark in
 * front of the first line is left out.
 *
 * Ownership: lines and blocks are borrowed until the next call.
 * Threads:   one at a time. */
#ifndef BASE_LINE_READER_H
#define BASE_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

/* Where bytes come from when not from a file itself, such as an unpacker: up to `room` of them, *ret_n 0 at
 * the end. Failures name the culprit. */
struct line_source {
    onnxd_status (*pull)(void *context, void *out, size_t room, size_t *ret_n, onnxd_error *err);
    void *context; /* borrowed */
};

struct line_reader {
    const char *name; /* borrowed: the path, or "standard input" */
    int fd;           /* -1: not open, or a source */
    struct line_source source;
    char *bytes;
    size_t start, end, capacity, max_bytes;
    bool at_end;          /* the file's end was met */
    uint64_t line;        /* number of the line last returned, from 1 */
    uint64_t n_taken;     /* bytes returned so far, line ends included */
    uint64_t total_bytes; /* of a regular file; 0: not known */
};

/* ONNXD_ERR_NOT_FOUND, ONNXD_ERR_IO, ONNXD_ERR_NOMEM. `max_bytes` bounds a line or block. */
ONNXD_MUST_USE onnxd_status line_reader_open(struct line_reader *reader, const char *path, size_t max_bytes,
                                             onnxd_error *err);
/* The same from a source; `name` stands in messages. */
void line_reader_open_source(struct line_reader *reader, const char *name, struct line_source source,
                             size_t max_bytes);
void line_reader_close(struct line_reader *reader);

/* *ret_line becomes NULL at the file's end. ONNXD_ERR_LIMIT for a longer line, ONNXD_ERR_IO; both name the
 * file. */
ONNXD_MUST_USE onnxd_status line_reader_next(struct line_reader *reader, const char **ret_line, size_t *ret_n,
                                             onnxd_error *err);

/* The next n bytes, or what is left of them at the file's end (*ret_n 0: nothing). 0 < n <= max_bytes. */
ONNXD_MUST_USE onnxd_status line_reader_block(struct line_reader *reader, size_t n, const char **ret_bytes,
                                              size_t *ret_n, onnxd_error *err);

#endif
