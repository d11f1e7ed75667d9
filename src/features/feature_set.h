/* features/feature_set.h - the feature description: how records become rows of a model's input.
 *
 * A record has named fields (json/field_value.h). The model has one float32 input [batch, n_columns]; each
 * column holds category ids (whole numbers, exact below 2^24) or a number. All columns of ids come first,
 * then the numbers. Between them stand the features, each made of one field:
 *
 *     FEATURE_CATEGORY     one column: the id of the field's value in a vocabulary, or its hash bucket, or
 *                          the bucket of a number between learnt quantiles
 *     FEATURE_CATEGORIES   n_columns columns: the ids of the first values of a multi-valued field, such as
 *                          user tags; columns left over hold padding_id
 *     FEATURE_NUMBER       one column: the field's number, normalised
 *
 * A field may feed two features: a number its bucket and its normalised value. Dropped fields feed none.
 *
 * Ids: a vocabulary's known values have the ids behind unknown_id (0) and, for FEATURE_CATEGORIES,
 * padding_id (1), the most frequent value first. A missing value (null, an empty text, one of the missing
 * marks) is a value like others; where training saw it too seldom it is unknown. Hash buckets know no
 * unknown. Of quantile buckets, 0 is the missing number.
 *
 * Texts and numbers of a category mean the same: 4, 4.0 and "4" are one value, so are true and "true".
 *
 * The description lies beside its model: NAME.features.json for NAME.onnx, with the model's SHA-256.
 * features_file.h reads and writes it; feature_learner.h learns it from records.
 *
 * Ownership: reference counted; names and infos belong to the set.
 * Threads:   immutable; any thread may read and convert. */
#ifndef FEATURES_FEATURE_SET_H
#define FEATURES_FEATURE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/field_value.h"
#include "onnxd/status.h"

#define FEATURE_NO_ID    UINT32_MAX
#define FEATURE_NO_FIELD UINT32_MAX

#define FEATURE_MAX_FIELDS  1024u
#define FEATURE_MAX_COLUMNS 4096u
#define FEATURE_MAX_IDS     (1u << 24) /* of one feature: a float holds them all */

struct feature_set;

enum feature_kind { FEATURE_CATEGORY, FEATURE_CATEGORIES, FEATURE_NUMBER };

struct feature_info {
    const char *name; /* the field's; of two features of one field the bucket has ".bucket" behind it */
    enum feature_kind kind;
    uint32_t field;                   /* number of the field that feeds it */
    uint32_t first_column, n_columns; /* in the row */
    uint32_t n_ids;                   /* ids are below this; 0 for FEATURE_NUMBER */
    uint32_t unknown_id;              /* FEATURE_NO_ID: none */
    uint32_t padding_id;              /* FEATURE_CATEGORIES, else FEATURE_NO_ID */
};

struct feature_records { /* how the training records told their label; all may be NULL */
    const char *label, *weight;
    const char *positive;       /* the label's text of a positive row; NULL: labels were 0 and 1 */
    const char *const *columns; /* [n_columns] names, where the files had no line of them */
    uint32_t n_columns;
};

struct feature_set *feature_set_ref(struct feature_set *set);
void feature_set_unref(struct feature_set *set); /* takes NULL */

/* ---- what the model sees ---- */

uint32_t feature_set_n_columns(const struct feature_set *set);
uint32_t feature_set_n_id_columns(const struct feature_set *set); /* columns [0, this) hold ids */
uint32_t feature_set_n_features(const struct feature_set *set);

/* Feature i of n_features, in the order of their columns. */
const struct feature_info *feature_set_info(const struct feature_set *set, uint32_t i);

/* The value of an id of a vocabulary, for reports: NULL for unknown, padding, hash buckets and reserved ids.
 * *ret_n may be NULL; a NUL stands behind the text. */
const char *feature_set_value(const struct feature_set *set, uint32_t feature, uint32_t id, size_t *ret_n);

/* ---- what a record holds ---- */

uint32_t feature_set_n_fields(const struct feature_set *set); /* dropped ones included */
bool feature_set_is_dropped(const struct feature_set *set, uint32_t field);
enum feature_kind feature_set_field_kind(const struct feature_set *set,
                                         uint32_t field); /* not of dropped ones */
const char *feature_set_field_name(const struct feature_set *set, uint32_t field);
uint32_t feature_set_find(const struct feature_set *set, const char *name,
                          size_t n); /* or FEATURE_NO_FIELD */
const char *feature_set_names(const struct feature_set *set);

const struct feature_records *feature_set_records(const struct feature_set *set);

/* Turns fields[n_fields] into row[n_columns]. unknowns[n_fields], which may be NULL, counts up at each field
 * with a value that its vocabulary does not hold. Allocates nothing. ONNXD_ERR_FORMAT (a field is absent),
 * ONNXD_ERR_TYPE (a text where a number is due, a list where one value is) name the field; the row is then
 * partly written. */
ONNXD_MUST_USE onnxd_status feature_set_convert(const struct feature_set *set,
                                                const struct field_value *fields, float *row,
                                                uint64_t *unknowns, onnxd_error *err);

#endif
