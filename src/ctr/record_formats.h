/* ctr/record_formats.h - what the formats of records do for a record_reader. */
#ifndef CTR_RECORD_FORMATS_H
#define CTR_RECORD_FORMATS_H

#include "ctr/record_reader.h"

struct record_format {
    const char *ending[3]; /* of file names, NULL behind the last */
    bool quotes;           /* a record goes on in the next line while a quoted field is open */
    bool scans;            /* prepare reads all files even where a feature set is given */
    /* Once, before the first file: what only a look at all files can tell. May be NULL. */
    onnxd_status (*prepare)(struct record_reader *reader, onnxd_error *err);
    void (*done)(struct record_reader *reader); /* may be NULL */
    /* The first line of each file: sets the names at the first. *ret_taken: the line is no record. */
    onnxd_status (*head)(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err);
    /* Fills reader->fields. *ret_taken false: the line holds no record. */
    onnxd_status (*read)(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err);
};

extern const struct record_format record_csv, record_libsvm, record_libffm, record_ipinyou;

/* For the formats: adds a field's name, copied. ONNXD_ERR_FORMAT for one given twice or empty;
 * ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status record_add_name(struct record_reader *reader, const char *name, size_t n,
                                            onnxd_error *err);

/* Calls `take` for each line of all files, as prepare does; faults are given their place. */
ONNXD_MUST_USE onnxd_status record_each_line(struct record_reader *reader,
                                             onnxd_status (*take)(struct record_reader *reader,
                                                                  const char *line, size_t n,
                                                                  onnxd_error *err),
                                             onnxd_error *err);

#endif
