/* ctr/ctr_scorer.h - encoded rows through an exported model, by the engine that serves it.
 *
 * Evaluation and prediction judge the file that will be served, not the parameters it came from.
 *
 * Threads: one caller at a time; rows are shared out to `threads`, each with a session. */
#ifndef CTR_CTR_SCORER_H
#define CTR_CTR_SCORER_H

#include <stdbool.h>

#include "base/threads.h"
#include "ctr/encoded_rows.h"
#include "onnxd/model.h"

struct ctr_scorer;

/* The model has one float input [batch, n_columns] and gives one float a row: else ONNXD_ERR_SHAPE,
 * ONNXD_ERR_TYPE. Holds a reference on it; borrows threads. */
ONNXD_MUST_USE onnxd_status ctr_scorer_create(onnxd_model *model, uint32_t n_columns, struct threads *threads,
                                              struct ctr_scorer **ret_scorer, onnxd_error *err);
void ctr_scorer_free(struct ctr_scorer *scorer); /* takes NULL */

/* Takes the named columns of row i from row from[i] instead. */
struct ctr_mixing {
    const bool *columns;  /* [n_columns] */
    const uint32_t *from; /* [n] counted from `first` */
};

/* ret_p[n]: answers to rows first..first + n. mixing may be NULL. Errors of the engine; then ret_p is partly
 * written. */
ONNXD_MUST_USE onnxd_status ctr_scorer_run(struct ctr_scorer *scorer, const struct encoded_rows *rows,
                                           uint64_t first, uint64_t n, const struct ctr_mixing *mixing,
                                           float *ret_p, onnxd_error *err);

#endif
