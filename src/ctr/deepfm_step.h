/* ctr/deepfm_step.h - one batch through a DeepFM: predictions, or gradients and a step of the optimiser.
 *
 *     struct deepfm_work *work = NULL;
 *     deepfm_work_create(&model, &settings, threads, batch_rows, &work, &err);
 *     deepfm_train(work, &rows, index, n, step, rate, &loss, &err);     // a batch of rows index[0..n)
 *     deepfm_logits(work, &rows, 0, rows.n_rows, logits, &err);
 *
 * A batch is cut into slices of rows whose size depends on the batch alone: they go forward and back
 * independently. Gradients of weights are then formed block by block over the whole batch, those of ids
 * field by field, each in the order of the rows, and applied at once. So the result is the same bits for any
 * number of threads.
 *
 * The loss is the log loss, formed from log-odds so that it does not overflow, weighted, and divided by the
 * rows of the batch. Optimisers: Adam (Kingma and Ba 2015) and Adagrad (Duchi et al. 2011), whose state of an
 * id moves only when the id occurs ("lazy"); plain gradient descent; and FTRL-Proximal (McMahan et al. 2013)
 * for the linear weights. FTRL sums what every row said of a weight: its gradients are those of the sum of
 * the losses over the batch, not of their mean, so that alpha, beta and its penalties mean what they do in
 * the paper, for any batch. L2 of an id's parameters is applied when the id occurs, for all the steps since
 * it last did; linear weights under FTRL pay ftrl_l1 and ftrl_l2 instead of l2_linear. Factors of crosses are
 * moved as embeddings are, and pay l2_embedding.
 *
 * One penalty for all embeddings is too dear for the few fields whose pairs matter and too cheap for the
 * others. With l2_by_field a field pays l2_embedding times the mean over all fields of its embeddings'
 * squares, over its own, which is estimated from the batches (a prior variance for each field, as in MacKay
 * 1992 on automatic relevance); at least a tenth and at most ten times.
 *
 * Threads: one caller at a time; the work is shared out to `threads`. */
#ifndef CTR_DEEPFM_STEP_H
#define CTR_DEEPFM_STEP_H

#include "base/threads.h"
#include "ctr/deepfm.h"
#include "ctr/encoded_rows.h"

enum deepfm_optimiser { DEEPFM_ADAM, DEEPFM_ADAGRAD, DEEPFM_SGD };

struct deepfm_settings {
    enum deepfm_optimiser optimiser;
    bool ftrl; /* linear weights by FTRL instead */
    double beta1, beta2, epsilon;
    double l2_embedding, l2_linear, l2_hidden;
    bool l2_by_field; /* l2_embedding shared out, see above */
    double ftrl_alpha, ftrl_beta, ftrl_l1, ftrl_l2;
    double dropout; /* share of hidden units left out, 0..0.9 */
    uint64_t seed;  /* of dropout */
};

/* Adam, no dropout, no penalties. */
struct deepfm_settings deepfm_settings_default(void);

struct deepfm_work;

/* settings NULL: for predictions only. batch: the most rows of a batch, 1..65536. Model, settings and threads
 * are borrowed. ONNXD_ERR_RANGE, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status deepfm_work_create(struct deepfm *model, const struct deepfm_settings *settings,
                                               struct threads *threads, uint32_t batch,
                                               struct deepfm_work **ret_work, onnxd_error *err);
void deepfm_work_free(struct deepfm_work *work); /* takes NULL */

/* Trains on n <= batch rows. step counts from 1. *ret_loss: the sum of weighted losses before the step.
 * ONNXD_ERR_RANGE names a row and column whose id the model does not have; nothing has changed then. */
ONNXD_MUST_USE onnxd_status deepfm_train(struct deepfm_work *work, const struct encoded_rows *rows,
                                         const uint64_t *index, uint32_t n, uint64_t step, double rate,
                                         double *ret_loss, onnxd_error *err);

/* Log-odds of rows first..first + n. ONNXD_ERR_RANGE as above. */
ONNXD_MUST_USE onnxd_status deepfm_logits(struct deepfm_work *work, const struct encoded_rows *rows,
                                          uint64_t first, uint64_t n, float *ret_logits, onnxd_error *err);

/* To be told when the model's weights were changed from outside. */
void deepfm_work_refresh(struct deepfm_work *work);

#endif
