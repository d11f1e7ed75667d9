/* features/feature_build.h - the inside of a feature set, and how one is put together.
 *
 * A set is made field by field (feature_build_field, then its members are filled) and closed by
 * feature_build_finish, which lays out the columns. All memory comes from the set's arena.
 *
 * Threads: one at a time until the set is finished. */
#ifndef FEATURES_FEATURE_BUILD_H
#define FEATURES_FEATURE_BUILD_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/lookup.h"
#include "base/map.h"
#include "features/feature_plan.h"
#include "features/feature_set.h"

enum { FEATURE_NAMES_BYTES = 512, UNKNOWN_ID = 0, PADDING_ID = 1 };

enum feature_source { SOURCE_DROPPED, SOURCE_CATEGORY, SOURCE_CATEGORIES, SOURCE_NUMBER };

struct number_rule { /* out = clamp((T(x) - subtract) * multiply, low, high); T: sign(x) log(1 + |x|) or x */
    bool log;
    double subtract, multiply, low, high;
    double missing; /* the out of no number */
};

struct feature_field { /* one field of the records and all that is made of it */
    const char *name;
    size_t name_len;
    enum feature_source source;
    /* CATEGORY, CATEGORIES */
    const onnxd_string *values; /* [n_values] by id, the first has the id behind unknown and padding */
    uint32_t n_values, hash;    /* hash > 0: buckets instead of values */
    uint32_t min_ids;           /* reserved: n_ids is at least this */
    uint32_t slots;             /* CATEGORIES: 1..FEATURE_MAX_COLUMNS */
    char separator;             /* CATEGORIES */
    struct lookup *ids;         /* from values to their positions */
    /* Id of the text of each whole number below n_small, so that most small ids are found without hashing. */
    uint32_t *small_ids, n_small;
    /* NUMBER */
    bool has_number, has_buckets;
    struct number_rule rule;
    double *bounds; /* [n_bounds] ascending: x is in bucket 1 + the number of bounds <= x */
    uint32_t n_bounds;
    /* where it goes */
    uint32_t id_column, number_column;
};

struct feature_set {
    _Atomic uint32_t refs;
    struct arena arena;
    struct feature_field *fields; /* [n_fields] */
    uint32_t n_fields, capacity;
    struct map by_name;
    struct feature_info *infos; /* [n_features] */
    uint32_t n_features, n_columns, n_id_columns;
    onnxd_string marks[PLAN_MAX_MARKS]; /* texts that mean "missing" */
    uint32_t n_marks;
    struct feature_records records;
    char names[FEATURE_NAMES_BYTES];
};

/* The value of a whole number of at most four digits without leading zeros; UINT32_MAX for other texts. */
static inline uint32_t small_number(const char *text, size_t n)
{
    uint32_t x = 0;
    if (n == 0 || n > 4 || (n > 1 && text[0] == '0')) return UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        uint32_t digit = (uint32_t)(unsigned char)text[i] - '0';
        if (digit > 9) return UINT32_MAX;
        x = x * 10 + digit;
    }
    return x;
}

/* An empty set with one reference. NULL: no memory. */
struct feature_set *feature_build_start(void);

/* A new field, zeroed but for its name, which is copied. The pointer holds until the next field.
 * ONNXD_ERR_FORMAT when the name is taken or empty, ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status feature_build_field(struct feature_set *set, const char *name, size_t n,
                                                struct feature_field **ret_field, onnxd_error *err);

/* The values of a field, most frequent first; `values` and the texts lie in the set's arena.
 * ONNXD_ERR_FORMAT for a value given twice. */
ONNXD_MUST_USE onnxd_status feature_build_values(struct feature_set *set, struct feature_field *field,
                                                 const onnxd_string *values, uint32_t n, onnxd_error *err);

/* Id of the first of a field's values: unknown, and padding of lists, stand in front. */
static inline uint32_t feature_first_id(const struct feature_field *field)
{
    return field->source == SOURCE_CATEGORIES ? PADDING_ID + 1 : UNKNOWN_ID + 1;
}

ONNXD_MUST_USE onnxd_status feature_build_mark(struct feature_set *set, const char *text, size_t n,
                                               onnxd_error *err);

/* Checks the fields and lays out the columns. ONNXD_ERR_FORMAT without any feature, ONNXD_ERR_LIMIT,
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status feature_build_finish(struct feature_set *set, onnxd_error *err);

/* The text that stands for a value in a vocabulary, "" when it is missing: as written, without a fraction of
 * zeros. Lists have none. */
onnxd_string category_text(const onnxd_string *marks, uint32_t n_marks, const struct field_value *value);

/* The number of a value; *ret_missing when it is none. ONNXD_ERR_TYPE for texts and lists. */
ONNXD_MUST_USE onnxd_status number_of_value(const onnxd_string *marks, uint32_t n_marks,
                                            const struct field_value *value, double *ret, bool *ret_missing,
                                            onnxd_error *err);

/* Calls `take` with the text of each of a multi-valued field's values, empty ones left out. */
void categories_each(const onnxd_string *marks, uint32_t n_marks, char separator,
                     const struct field_value *value, bool (*take)(void *context, onnxd_string text),
                     void *context);

/* sign(x) log(1 + |x|) */
double signed_log(double x);

#endif
