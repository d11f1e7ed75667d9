/* deepfm_train_data.h - the options that say what data is and how its fields become features, shared by fit,
 * eval and predict, and data made ready by them. */
#ifndef DEEPFM_TRAIN_DATA_H
#define DEEPFM_TRAIN_DATA_H

#include "cli_options.h"
#include "cli_progress.h"
#include "ctr/dataset.h"

struct data_options {
    struct cli_texts data;
    int format, header; /* enum dataset_format, dataset_header */
    const char *separator, *schema, *label, *weight, *positive, *columns, *missing, *drop, *numbers, *multi;
    int normal; /* enum plan_normal */
    uint32_t min_count, max_values, hash, buckets, slots;
    uint64_t max_rows, max_line_bytes;
};

#define DATA_AT(type, member) CLI_AT(type, data.member)

/* What reads the records. `type` has a member struct data_options data. */
#define DATA_SOURCE_OPTIONS(type)                                                                            \
    {"", CLI_HEADING, 0, NULL, "Data"},                                                                      \
        {"data", CLI_TEXTS, DATA_AT(type, data), "FILE", "records, plain or gzip; may be given many times"}, \
        {"format", CLI_CHOICE, DATA_AT(type, format), "auto|csv|libsvm|libffm|ipinyou",                      \
         "how records are written; auto goes by the file's name"},                                           \
        {"header", CLI_CHOICE, DATA_AT(type, header), "auto|yes|no",                                         \
         "whether csv begins with names; auto: unless --columns is given"},                                  \
        {"separator", CLI_TEXT, DATA_AT(type, separator), "TEXT",                                            \
         "between csv fields, one or two characters; by default the first line decides"},                    \
        {"columns", CLI_TEXT, DATA_AT(type, columns), "A,B,..",                                              \
         "names of the columns of csv without a header"},                                                    \
        {"label", CLI_TEXT, DATA_AT(type, label), "FIELD", "what is to be predicted"},                       \
        {"positive", CLI_TEXT, DATA_AT(type, positive), "TEXT",                                              \
         "the label of a positive row, where it is not 1"},                                                  \
        {"weight", CLI_TEXT, DATA_AT(type, weight), "FIELD", "how much a row counts"},                       \
        {"missing", CLI_TEXT, DATA_AT(type, missing), "A,B,..", "texts that stand for a missing value"},     \
        {"max-rows", CLI_U64, DATA_AT(type, max_rows), "N", "rows to read; 0 reads all"},                    \
    {                                                                                                        \
        "max-line", CLI_BYTES, DATA_AT(type, max_line_bytes), "BYTES", "the longest line that is read",      \
            .min = 1024, .max = 1 << 30                                                                      \
    }

/* What is made of their fields. */
#define DATA_PLAN_OPTIONS(type)                                                                             \
    {"", CLI_HEADING, 0, NULL, "Features"},                                                                 \
        {"schema", CLI_TEXT, DATA_AT(type, schema), "FILE",                                                 \
         "JSON that says what fields are; options win over it"},                                            \
        {"drop", CLI_TEXT, DATA_AT(type, drop), "A,B,..", "fields to leave out"},                           \
        {"numbers", CLI_TEXT, DATA_AT(type, numbers), "A,B,..",                                             \
         "fields that are numbers; others are categories"},                                                 \
        {"multi", CLI_TEXT, DATA_AT(type, multi), "A,B,..",                                                 \
         "fields that hold many values, such as user tags"},                                                \
        {"normal", CLI_CHOICE, DATA_AT(type, normal),                                                       \
         "default|standard|log|minmax|quantile|quantile+log|none", "how numbers become inputs"},            \
        {"buckets",                                                                                         \
         CLI_U32,                                                                                           \
         DATA_AT(type, buckets),                                                                            \
         "N",                                                                                               \
         "of quantiles; 0: the schema's",                                                                   \
         .max = PLAN_MAX_BUCKETS},                                                                          \
        {"min-count", CLI_U32, DATA_AT(type, min_count), "N", "rarer values are unknown; 0: the schema's"}, \
        {"max-values",                                                                                      \
         CLI_U32,                                                                                           \
         DATA_AT(type, max_values),                                                                         \
         "N",                                                                                               \
         "most values of a field; 0: the schema's",                                                         \
         .max = FEATURE_MAX_IDS - 2},                                                                       \
        {"hash",                                                                                            \
         CLI_U32,                                                                                           \
         DATA_AT(type, hash),                                                                               \
         "N",                                                                                               \
         "hash values into so many buckets; 0: vocabularies",                                               \
         .max = FEATURE_MAX_IDS - 1},                                                                       \
    {                                                                                                       \
        "slots", CLI_U32, DATA_AT(type, slots), "N",                                                        \
            "values of a many-valued field that count; 0: the schema's", .max = FEATURE_MAX_COLUMNS         \
    }

/* The plan that schema and options make. The caller frees it. */
ONNXD_MUST_USE onnxd_status data_plan(const struct data_options *o, struct feature_plan **ret_plan,
                                      onnxd_error *err);

/* The plan of a learnt set, for data to be judged or answered, with the options over it. */
ONNXD_MUST_USE onnxd_status data_plan_of_set(const struct data_options *o, const struct feature_set *set,
                                             struct feature_plan **ret_plan, onnxd_error *err);

/* Refuses to write over the data or the model, and what cannot be written, before anything was done.
 * output NULL or "-": nothing to see. ONNXD_ERR_ARGUMENT, ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status data_check_output(const struct data_options *o, const char *model,
                                              const char *output, onnxd_error *err);

/* The records, their reading told by `progress`. */
struct dataset_source data_source(const struct data_options *o, struct cli_progress *progress);

/* Encodes the records into `path`. ONNXD_ERR_FORMAT where there is no row. */
ONNXD_MUST_USE onnxd_status data_encode(const struct data_options *o, const struct feature_set *set,
                                        struct feature_plan *plan, bool needs_label, const char *path,
                                        struct dataset_totals *ret_totals, onnxd_error *err);

/* Encodes into a file of TMPDIR without a name, gone when the rows are done with. */
ONNXD_MUST_USE onnxd_status data_encode_apart(const struct data_options *o, const struct feature_set *set,
                                              bool needs_label, struct encoded_rows *ret_rows,
                                              struct dataset_totals *ret_totals, onnxd_error *err);

#endif
