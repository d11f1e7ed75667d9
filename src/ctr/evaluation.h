/* ctr/evaluation.h - what an exported model is worth on rows that it was not trained on.
 *
 * Beside the measures of ctr_metrics.h, each field's share in the ranking: the AUC when the field's columns
 * are taken from other rows, drawn at random with a fixed seed (permutation importance: Breiman 2001). What
 * the AUC falls by is what the model would lose if the field told it nothing about the row; fields that say
 * the same cover for each other, so the falls do not add up.
 *
 * Ownership: evaluation_done frees. Threads: one at a time. */
#ifndef CTR_EVALUATION_H
#define CTR_EVALUATION_H

#include "base/buf.h"
#include "ctr/ctr_metrics.h"
#include "ctr/ctr_scorer.h"
#include "ctr/fit.h"
#include "features/feature_set.h"

struct field_worth {
    const char *name; /* the feature set's */
    double auc;       /* with the field shuffled */
};

struct evaluation {
    struct ctr_metrics metrics;
    struct field_worth *fields; /* [n_fields] by falling worth */
    uint32_t n_fields;
};

struct evaluation_options {
    bool by_field; /* one more pass over the rows for each field */
    uint64_t seed; /* of the shuffling */
};

/* ONNXD_ERR_RANGE: no rows or one class; errors of the engine; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status evaluation_run(struct ctr_scorer *scorer, const struct feature_set *set,
                                           const struct encoded_rows *rows,
                                           const struct evaluation_options *options,
                                           struct evaluation *ret_evaluation, onnxd_error *err);
void evaluation_done(struct evaluation *evaluation); /* takes a zeroed one */

/* ---- as people and programs read it ---- */

struct evaluation_source {
    const char *model, *data;       /* names, for headings */
    const struct fit_point *course; /* of its training; NULL: not known */
    uint32_t n_course;
};

void evaluation_text(const struct evaluation *e, struct buf *out);

/* ONNXD_ERR_LIMIT, ONNXD_ERR_RANGE. */
ONNXD_MUST_USE onnxd_status evaluation_json(const struct evaluation *e,
                                            const struct evaluation_source *source, struct buf *out,
                                            onnxd_error *err);

/* One page without script or other files: tables, ROC, calibration and, where known, loss by step. */
void evaluation_html(const struct evaluation *e, const struct evaluation_source *source, struct buf *out);

#endif
