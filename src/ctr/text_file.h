/* ctr/text_file.h - lines of a text file that may be packed with gzip.
 *
 * Packed or plain is told by the content; several gzip members are one text, and zeros may follow the last. A
 * packed file that ends early, is damaged or goes on with anything else is ONNXD_ERR_FORMAT, which names it.
 *
 * Ownership: lines are borrowed until the next call; the path must outlive the file.
 * Threads:   one at a time. */
#ifndef CTR_TEXT_FILE_H
#define CTR_TEXT_FILE_H

#include <stdbool.h>

#include "base/line_reader.h"

struct text_file {
    struct line_reader lines;
    struct text_source *source; /* NULL: not open */
    const char *name;
    uint64_t total_bytes; /* of the file as it lies there; 0: not known */
};

struct text_measure {
    uint64_t total_bytes; /* of the file as it lies there; 0: not known */
    bool once;            /* a pipe: what was read is gone */
};

/* Looks without opening, which would wake a pipe's writer. Errors as of text_file_open. */
ONNXD_MUST_USE onnxd_status text_file_measure(const char *path, struct text_measure *ret, onnxd_error *err);

/* "-" is standard input. ONNXD_ERR_NOT_FOUND, ONNXD_ERR_IO, ONNXD_ERR_NOMEM. The struct must not move while
 * it is open. */
ONNXD_MUST_USE onnxd_status text_file_open(struct text_file *file, const char *path, size_t max_line_bytes,
                                           onnxd_error *err);
void text_file_close(struct text_file *file); /* takes a zeroed one */

/* As line_reader_next. */
static inline onnxd_status text_file_next(struct text_file *file, const char **ret_line, size_t *ret_n,
                                          onnxd_error *err)
{
    return line_reader_next(&file->lines, ret_line, ret_n, err);
}

/* Bytes of the file taken so far, packed ones where it is packed. */
uint64_t text_file_at(const struct text_file *file);

#endif
