/* features/feature_plan.h - what is to be made of each field, said before anything is learnt.
 *
 * A plan names the label and the weight, says of each field what kind it is, and how records are to be
 * understood (missing marks). It comes from a JSON file (docs/deepfm.md, "Schema") and from options; options
 * are applied later and win.
 *
 *     struct feature_plan *plan = NULL;
 *     feature_plan_create(&plan, &err);
 *     feature_plan_read(plan, text, n, &err);
 *     feature_plan_assign(plan, "age,income", PLAN_NUMBER, &err);
 *
 * Fields that the plan does not name take the role of `other`, a category unless told otherwise.
 *
 * Ownership: the plan copies every text.
 * Threads:   one at a time while it changes. */
#ifndef FEATURES_FEATURE_PLAN_H
#define FEATURES_FEATURE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "onnxd/status.h"

enum plan_role { PLAN_CATEGORY, PLAN_CATEGORIES, PLAN_NUMBER, PLAN_DROP, PLAN_LABEL, PLAN_WEIGHT };

/* How a number becomes an input. */
enum plan_normal {
    PLAN_OTHER,        /* as the plan's `other` says */
    PLAN_STANDARD,     /* (x - mean) / deviation */
    PLAN_LOG,          /* the same of sign(x) log(1 + |x|) */
    PLAN_MINMAX,       /* (x - min) / (max - min), held within 0..1 */
    PLAN_QUANTILE,     /* the bucket between learnt quantiles, as a category */
    PLAN_QUANTILE_LOG, /* two features: QUANTILE and LOG */
    PLAN_AS_IT_IS
};

struct field_plan { /* 0: as the plan's `other` says */
    char *name;
    enum plan_role role;
    /* CATEGORY, CATEGORIES */
    uint32_t min_count;   /* values seen less often are unknown */
    uint32_t max_values;  /* most values kept, the most frequent */
    uint32_t reserve_ids; /* ids there are at least, for models of a given size; 0: as many as needed */
    uint32_t hash;        /* buckets; 0: a vocabulary */
    /* CATEGORIES */
    uint32_t slots; /* values of a row that count */
    char separator; /* between values in one text */
    /* NUMBER */
    enum plan_normal normal;
    uint32_t buckets; /* QUANTILE */
};

enum { PLAN_MAX_MARKS = 16, PLAN_MAX_BUCKETS = 4096 };

struct feature_plan {
    struct arena arena;
    struct map by_name;        /* index into fields */
    struct field_plan *fields; /* named ones */
    uint32_t n_fields, capacity;
    /* Of fields without a plan, and what those with one leave open; callers may set it. */
    struct field_plan other;
    const char *marks[PLAN_MAX_MARKS]; /* texts that mean "missing", besides the empty one */
    uint32_t n_marks;
    const char *positive;       /* the label's text of a positive row; NULL: labels are 0 and 1 */
    const char *const *columns; /* names of the columns of a file without header, or NULL */
    uint32_t n_columns;
};

ONNXD_MUST_USE onnxd_status feature_plan_create(struct feature_plan **ret_plan, onnxd_error *err);
void feature_plan_free(struct feature_plan *plan); /* takes NULL */

/* Adds what a JSON text says; keys are those of docs/deepfm.md. ONNXD_ERR_FORMAT, ONNXD_ERR_RANGE,
 * ONNXD_ERR_LIMIT, ONNXD_ERR_NOT_FOUND (a key that a schema does not have); the message names the place. */
ONNXD_MUST_USE onnxd_status feature_plan_read(struct feature_plan *plan, const char *text, size_t n,
                                              onnxd_error *err);

/* Gives the comma-separated fields a role. A second label or weight, and another role for the label or the
 * weight, are ONNXD_ERR_ARGUMENT. */
ONNXD_MUST_USE onnxd_status feature_plan_assign(struct feature_plan *plan, const char *names,
                                                enum plan_role role, onnxd_error *err);

/* The same for one field, whose name may hold commas. */
ONNXD_MUST_USE onnxd_status feature_plan_assign_one(struct feature_plan *plan, const char *name,
                                                    enum plan_role role, onnxd_error *err);

/* Makes one field the label or the weight. Another one that was loses that role and is left out: what stood
 * for the outcome once must not tell it to the model. */
ONNXD_MUST_USE onnxd_status feature_plan_choose(struct feature_plan *plan, const char *name,
                                                enum plan_role role, onnxd_error *err);

/* Comma-separated names of a file's columns, and marks of missing values, in place of earlier ones.
 * ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status feature_plan_set_columns(struct feature_plan *plan, const char *names,
                                                     onnxd_error *err);
ONNXD_MUST_USE onnxd_status feature_plan_set_marks(struct feature_plan *plan, const char *marks,
                                                   onnxd_error *err);

/* The first field with a role, such as the label; NULL: none. */
const char *feature_plan_named(const struct feature_plan *plan, enum plan_role role);

/* The plan of a field of this name, with what it leaves open taken from `other`. */
struct field_plan feature_plan_of(const struct feature_plan *plan, const char *name, size_t n);

#endif
