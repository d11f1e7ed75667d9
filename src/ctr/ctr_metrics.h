/* ctr/ctr_metrics.h - how good probabilities are: ranking, log loss, calibration.
 *
 *   AUC                 the chance that a positive row scores above a negative one, ties counting half;
 *                       rows weigh their weights
 *   log loss            mean of -ln p(what happened); a probability is held within 1e-15 of 0 and 1
 *   normalised entropy  log loss over that of always saying the observed rate (He et al. 2014)
 *   calibration         mean prediction over observed rate
 *
 * Threads: functions of their arguments. */
#ifndef CTR_CTR_METRICS_H
#define CTR_CTR_METRICS_H

#include <stdint.h>

#include "onnxd/status.h"

struct ctr_scores {
    const float *p;              /* [n] probabilities */
    const float *label, *weight; /* [n] 0..1; from 0 */
    uint64_t n;
};

enum { CTR_BUCKETS = 20, CTR_ROC_POINTS = 200 };

/* Rows of neighbouring predictions. */
struct ctr_bucket {
    uint64_t n;
    double low, high;      /* predictions */
    double mean, observed; /* weighted */
};

struct ctr_metrics {
    uint64_t n;
    double n_positive; /* sum of labels, unweighted */
    double auc, log_loss, normalised_entropy;
    double mean, observed;                  /* prediction, rate; weighted */
    struct ctr_bucket buckets[CTR_BUCKETS]; /* of equal numbers of rows, by rising prediction */
    uint32_t n_buckets;
    double false_rate[CTR_ROC_POINTS + 1], true_rate[CTR_ROC_POINTS + 1]; /* the ROC curve */
};

/* scores: [n] anything that ranks. ONNXD_ERR_RANGE: no rows or one class only; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status ctr_auc(const float *scores, const float *label, const float *weight, uint64_t n,
                                    double *ret_auc, onnxd_error *err);

ONNXD_MUST_USE onnxd_status ctr_metrics_of(const struct ctr_scores *scores, struct ctr_metrics *ret_metrics,
                                           onnxd_error *err);

#endif
