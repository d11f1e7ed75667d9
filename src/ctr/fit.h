/* ctr/fit.h - training from first to last row: epochs, validation, early stopping, the best weights.
 *
 *     struct fit *fit = NULL;
 *     fit_create(&options, &shape, &train, &valid, threads, &fit, &err);
 *     while (!fit->finished && !interrupted) fit_batch(fit, &err);
 *     fit_finish(fit, &err);                   // the best weights are in fit->model, calibrated
 *
 * After each part of an epoch the validation rows are predicted; the weights of the best prediction are
 * kept. Training stops when `patience` looks in a row brought nothing better.
 *
 * Down-sampling: a model that saw the share w of negative rows says odds that are 1/w too high. p becomes
 * p / (p + (1 - p) / w), which is ln w on the log-odds; fit_offset holds it, validation and export use it.
 * Stochastic steps leave a bias that is off by some percent of the rate; fit_finish therefore moves the
 * log-odds by the one number that makes the mean prediction over all training rows the observed rate, as it
 * is in logistic regression. No validation row and no test row takes part in that.
 *
 * Averaging: steps that are still large leave weights that wander about a good place. With options.average,
 * what is validated and kept is the mean of the course's weights so far, those of the k-th of
 * FIT_AVERAGES_AN_EPOCH an epoch weighing about k^average: so the first ones are forgotten, whenever one
 * looks (polynomial decay: Shamir and Zhang 2013). Steps go on from the weights themselves.
 *
 * The same options and rows give the same bits for any number of threads, interrupted or not.
 *
 * Ownership: fit_create copies the options; shape, rows and threads are borrowed. Threads: one at a time. */
#ifndef CTR_FIT_H
#define CTR_FIT_H

#include "ctr/deepfm_step.h"
#include "ctr/row_order.h"

enum fit_schedule { FIT_CONSTANT, FIT_LINEAR, FIT_COSINE }; /* of the rate, over max_epochs down to 0 */
enum fit_metric { FIT_AUC, FIT_LOG_LOSS };

struct fit_options {
    struct deepfm_settings step;
    double rate;
    double rate_decay; /* factor on the rate per epoch; 1: none */
    enum fit_schedule schedule;
    uint32_t batch;
    uint32_t max_epochs;
    uint32_t looks;    /* validations an epoch */
    uint32_t patience; /* 0: never stops early */
    enum fit_metric metric;
    uint32_t negatives; /* a positive row at most; 0: all */
    double average;     /* power of the averaging below; 0: none */
    bool calibrate;
    uint64_t seed;
};

/* A point of the course of training. */
struct fit_point {
    double epoch;                 /* 1.5: in the middle of the second */
    uint64_t n_rows;              /* trained on so far */
    double train_loss;            /* mean since the last point, before the steps */
    double valid_loss, valid_auc; /* NAN: not looked */
};

enum { FIT_POINTS_A_LOOK = 10, FIT_AVERAGES_AN_EPOCH = 50 };

struct fit {
    struct fit_options options;
    const struct ctr_shape *shape;
    const struct encoded_rows *train, *valid;
    struct threads *threads;
    struct deepfm model;
    struct deepfm_work *work;
    struct row_order order;
    uint64_t *index;                            /* [batch] */
    float *logits, *valid_label, *valid_weight; /* [valid->n_rows] */
    /* where it is */
    uint64_t step;    /* batches done in all */
    uint64_t epoch;   /* under way, from 0 */
    uint64_t at;      /* rows done of it */
    uint64_t n_rows;  /* rows done in all */
    double loss;      /* since the last point */
    uint64_t n_loss;  /* rows of it */
    uint32_t n_worse; /* looks since the best one */
    bool finished;
    float *average, *aside; /* [deepfm_n_weights] the mean, and room for the model's own; NULL: none */
    uint64_t n_averaged;    /* weights in the mean */
    /* what came of it */
    float *best;                 /* [deepfm_n_weights] */
    struct fit_point best_point; /* epoch 0: none yet */
    struct fit_point *points;
    uint32_t n_points, points_capacity;
    double offset; /* on the log-odds, see above; final after fit_finish */
};

struct fit_options fit_options_default(void);

/* ONNXD_ERR_RANGE: an option, or rows of one class; ONNXD_ERR_SHAPE; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status fit_create(const struct fit_options *options, const struct ctr_shape *shape,
                                       const struct encoded_rows *train, const struct encoded_rows *valid,
                                       struct threads *threads, struct fit **ret_fit, onnxd_error *err);
void fit_free(struct fit *fit); /* takes NULL */

/* One batch, and what falls due behind it. *ret_looked, which may be NULL, tells of a validation. */
ONNXD_MUST_USE onnxd_status fit_batch(struct fit *fit, bool *ret_looked, onnxd_error *err);

/* Puts the best weights into the model and settles the offset. */
ONNXD_MUST_USE onnxd_status fit_finish(struct fit *fit, onnxd_error *err);

/* The learning rate of the next step. */
double fit_rate(const struct fit *fit);

#endif
