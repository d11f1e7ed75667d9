/* ctr/dataset.h - ad logs as training rows: files of records to encoded rows, in two streaming passes.
 *
 *     struct dataset_source source = {.paths = paths, .n_paths = 2, .format = DATASET_AUTO};
 *     dataset_learn(&source, plan, &set, &err);                 // first pass: the feature set
 *     dataset_encode(&source, set, plan, writer, &totals, &err);  // second pass: rows, label, weight
 *
 * Formats, plain or gzip (by content):
 *     csv      any separator, blanks behind it allowed, quoted fields with line breaks, header or none
 *     libsvm   label index:value ...; fields "features" (the indices, multi-valued) and, for indices that
 *              the plan calls numbers, one field each, named by its index
 *     libffm   label field:index:value ...; one field for each field number
 *     ipinyou  tab-separated logs of the iPinYou bidding contest (docs/deepfm.md names the columns)
 *
 * Memory does not grow with the files. Every fault names "FILE:LINE: ".
 *
 * Threads: one at a time. */
#ifndef CTR_DATASET_H
#define CTR_DATASET_H

#include "ctr/encoded_rows.h"
#include "features/feature_learner.h"
#include "features/feature_plan.h"
#include "features/feature_set.h"

enum dataset_format { DATASET_AUTO, DATASET_CSV, DATASET_LIBSVM, DATASET_LIBFFM, DATASET_IPINYOU };
enum dataset_header { DATASET_HEADER_AUTO, DATASET_HEADER_YES, DATASET_HEADER_NO };

typedef void (*dataset_progress_fn)(void *context, uint64_t n_rows, uint64_t at_bytes, uint64_t total_bytes);

struct dataset_source {
    const char *const *paths; /* read one after another; "-" is standard input, which as any pipe is
                                 read but once: to encode records, not to learn from them */
    uint32_t n_paths;
    enum dataset_format format;   /* AUTO: by the first path's ending (record_formats.h), else csv */
    enum dataset_header header;   /* csv. AUTO: a header unless the plan has columns */
    const char *separator;        /* csv; NULL: the first of tab, ";" and "," in the first line, else "," */
    uint64_t max_line_bytes;      /* 0: 16 MiB */
    uint64_t max_rows;            /* of all files; 0: all */
    bool needs_label;             /* records without a label or weight that the plan names are a fault; else
                                     their label is 0 and their weight 1 */
    dataset_progress_fn progress; /* called every few thousand rows; NULL: not at all */
    void *progress_context;
};

struct dataset_totals {
    uint64_t n_rows, n_positives;
    bool has_labels, has_weights;
    uint64_t n_unknowns; /* values that their vocabulary does not hold */
};

/* Names of columns in a file without header and without names in the plan are their numbers, from 0. The
 * format completes the plan with what it knows, such as the label's name. ONNXD_ERR_FORMAT, ONNXD_ERR_TYPE,
 * ONNXD_ERR_NOT_FOUND (a field that the plan names), ONNXD_ERR_LIMIT, ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status dataset_learn(const struct dataset_source *source, struct feature_plan *plan,
                                          struct feature_set **ret_set, onnxd_error *err);

/* Appends the rows to `writer`, whose columns are the set's. The plan says which fields are label and weight
 * and what a positive label is; fields that the set does not know are passed over. totals->n_positives counts
 * labels of 1. Errors as above; rows in front of a faulty one are in the writer. */
ONNXD_MUST_USE onnxd_status dataset_encode(const struct dataset_source *source, const struct feature_set *set,
                                           struct feature_plan *plan, struct encoded_writer *writer,
                                           struct dataset_totals *ret_totals, onnxd_error *err);

/* The plan for records without one, from what the set was learnt with: label, weight and columns. For
 * evaluating and predicting with a features file alone. The caller frees it, before the set goes.
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status dataset_plan_of(const struct feature_set *set, struct feature_plan **ret_plan,
                                            onnxd_error *err);

#endif
