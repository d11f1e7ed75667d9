/* ctr/interaction_rows.h - rows as the search for missed interactions reads them: column by column.
 *
 * Every field becomes one column of ids (a multi-valued one a column a slot): categories and learnt quantile
 * buckets as they are, a number without such buckets cut into 16 by the rows' own quantiles. The latter can
 * be tested but not crossed, as the model has no ids for it.
 *
 * Memory: 4 bytes a row for each slot of each field, and 8 more, whatever the rows come from; the caller's p
 * is 4.
 *
 * Ownership: interaction_rows_done frees what init made. Rows for tests may be put together by hand.
 * Threads:   any number may read. */
#ifndef CTR_INTERACTION_ROWS_H
#define CTR_INTERACTION_ROWS_H

#include <stdbool.h>

#include "base/arena.h"
#include "ctr/encoded_rows.h"
#include "features/feature_set.h"

struct interaction_field {
    const char *name;    /* the feature's */
    const uint32_t *ids; /* [n_slots, n rows], each below n_ids */
    uint32_t n_slots;    /* at least 1 */
    uint32_t n_ids;      /* at least 1 */
    uint32_t padding_id; /* slots that hold it do not count; FEATURE_NO_ID: all do */
    bool is_number;      /* its ids are buckets made here */
};

struct interaction_rows {
    uint64_t n;
    const float *p;      /* [n] the model's answers, 0..1 */
    const float *label;  /* [n] 0 or 1 */
    const float *weight; /* [n] from 0; NULL: all 1 */
    struct interaction_field *fields;
    uint32_t n_fields;
    struct arena arena;
};

/* Columns of the rows with the answers p[n_rows] of a model of these features; both p and the set's names are
 * borrowed. `only` is a list of names "A,B,.." to take; NULL: all.
 * ONNXD_ERR_ARGUMENT: `only` names what is not there; ONNXD_ERR_SHAPE: rows of other features;
 * ONNXD_ERR_RANGE names a row with an id, a label, a weight or an answer out of range; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status interaction_rows_init(struct interaction_rows *rows,
                                                  const struct feature_set *set,
                                                  const struct encoded_rows *encoded, const float *p,
                                                  const char *only, onnxd_error *err);
void interaction_rows_done(struct interaction_rows *rows); /* takes a zeroed one */

/* Whether fit --cross can name it: it has ids in the model, and no '*' or ',' in its name. */
bool interaction_field_can_be_crossed(const struct interaction_field *field);

#endif
