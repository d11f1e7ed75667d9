/* ctr/record_reader.h - records out of a dataset's files, one after another.
 *
 * The reader walks the files and lines; a format (record_formats.h) makes fields of a line. Faults name
 * "FILE:LINE: ".
 *
 * Ownership: borrows source, plan and set; a record is borrowed until the next call.
 * Threads:   one at a time. */
#ifndef CTR_RECORD_READER_H
#define CTR_RECORD_READER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "ctr/dataset.h"
#include "ctr/text_file.h"

enum { RECORD_MAX_FIELDS = 2 * FEATURE_MAX_FIELDS };

struct record_format;

struct record_reader {
    const struct dataset_source *source;
    struct feature_plan *plan;     /* learning: completed by what the format knows */
    const struct feature_set *set; /* NULL: learning */
    const struct record_format *format;
    void *state;                                        /* the format's */
    char separator;                                     /* of csv; 0 until the first line tells */
    struct text_file file;                              /* the one being read */
    uint32_t n_opened;                                  /* files */
    bool is_open, has_head;                             /* has_head: the file's first lines were looked at */
    uint64_t at_bytes, total_bytes, n_rows, first_line; /* first_line: of the record being read */
    struct buf joined;                                  /* a record of several lines */
    struct arena names_arena, arena;                    /* arena: of the record */
    const char **names;                                 /* [n_names] fields */
    uint32_t n_names;
    struct map by_name;
    struct field_value *fields; /* [n_names] */
};

ONNXD_MUST_USE onnxd_status record_reader_open(const struct dataset_source *source, struct feature_plan *plan,
                                               const struct feature_set *set,
                                               struct record_reader **ret_reader, onnxd_error *err);
void record_reader_close(struct record_reader *reader); /* takes NULL */

/* *ret_fields [n_names] becomes NULL behind the last record. ONNXD_ERR_FORMAT when the files hold none. */
ONNXD_MUST_USE onnxd_status record_reader_next(struct record_reader *reader,
                                               const struct field_value **ret_fields, onnxd_error *err);

/* Puts "FILE:LINE: " of the last record in front of the message. */
void record_reader_blame(const struct record_reader *reader, onnxd_error *err);

#endif
