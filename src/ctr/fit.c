#include "ctr/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ctr/ctr_metrics.h"

enum { MAX_POINTS = 1 << 20, CALIBRATION_BINS = 8192, PREDICT_ROWS = 8192 };

#define LARGEST_LOGIT 40.0

struct fit_options fit_options_default(void)
{
    return (struct fit_options){.step = deepfm_settings_default(),
                                .rate = 0.001,
                                .rate_decay = 1,
                                .batch = 1024,
                                .max_epochs = 10,
                                .looks = 1,
                                .patience = 2,
                                .metric = FIT_AUC,
                                .calibrate = true,
                                .seed = 1};
}

static onnxd_status check(const struct fit_options *o, onnxd_error *err)
{
    const struct deepfm_settings *s = &o->step;
    if (!(o->rate > 0 && o->rate <= 100))
        return error_set(err, ONNXD_ERR_RANGE, "learning rate: expected above 0 up to 100, got %g", o->rate);
    if (!(o->rate_decay > 0 && o->rate_decay <= 1))
        return error_set(err, ONNXD_ERR_RANGE, "decay: expected above 0 up to 1, got %g", o->rate_decay);
    if (!(o->average >= 0 && o->average <= 1000))
        return error_set(err, ONNXD_ERR_RANGE, "average: expected a power of 0 to 1000, got %g", o->average);
    if (o->max_epochs == 0 || o->looks == 0 || o->looks > 1000)
        return error_set(err, ONNXD_ERR_RANGE, "epochs and looks: expected at least 1");
    if (!(s->l2_embedding >= 0 && s->l2_linear >= 0 && s->l2_hidden >= 0 && s->ftrl_l1 >= 0 &&
          s->ftrl_l2 >= 0))
        return error_set(err, ONNXD_ERR_RANGE, "penalties: expected numbers from 0");
    if (s->ftrl && !(s->ftrl_alpha > 0 && s->ftrl_beta >= 0))
        return error_set(err, ONNXD_ERR_RANGE, "ftrl: expected alpha above 0 and beta from 0");
    return ONNXD_OK;
}

static onnxd_status read_valid_labels(struct fit *fit, onnxd_error *err)
{
    uint64_t n = fit->valid->n_rows, n_counted = 0, n_positive = 0; /* counted: of a weight above 0 */
    fit->logits = malloc((n + 1) * sizeof(float));
    fit->valid_label = malloc((n + 1) * sizeof(float));
    fit->valid_weight = malloc((n + 1) * sizeof(float));
    if (fit->logits == NULL || fit->valid_label == NULL || fit->valid_weight == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "validation: no memory for %llu rows", (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        fit->valid_label[i] = encoded_label(fit->valid, i);
        fit->valid_weight[i] = encoded_weight(fit->valid, i);
        n_counted += fit->valid_weight[i] > 0;
        n_positive += fit->valid_weight[i] > 0 && fit->valid_label[i] >= 0.5f;
    }
    if (n_positive == 0 || n_positive == n_counted)
        return error_set(err, ONNXD_ERR_RANGE,
                         "validation rows: %llu positive of %llu%s; both classes are needed",
                         (unsigned long long)n_positive, (unsigned long long)n_counted,
                         n_counted < n ? " whose weight is above 0" : "");
    return ONNXD_OK;
}

static onnxd_status allocate_weights(struct fit *fit, onnxd_error *err)
{
    size_t n = deepfm_n_weights(&fit->model);
    bool averages = fit->options.average > 0;
    fit->best = calloc(n, sizeof *fit->best);
    if (averages) {
        fit->average = calloc(n, sizeof *fit->average);
        fit->aside = calloc(n, sizeof *fit->aside);
    }
    if (fit->best == NULL || (averages && (fit->average == NULL || fit->aside == NULL)))
        return error_set(err, ONNXD_ERR_NOMEM, "training: no memory for the best weights");
    return ONNXD_OK;
}

onnxd_status fit_create(const struct fit_options *options, const struct ctr_shape *shape,
                        const struct encoded_rows *train, const struct encoded_rows *valid,
                        struct threads *threads, struct fit **ret_fit, onnxd_error *err)
{
    onnxd_status status = check(options, err);
    if (status != ONNXD_OK) return status;
    struct fit *fit = calloc(1, sizeof *fit);
    if (fit == NULL) return error_set(err, ONNXD_ERR_NOMEM, "training: no memory");
    fit->options = *options;
    fit->options.step.seed = options->seed;
    fit->shape = shape;
    fit->train = train;
    fit->valid = valid;
    fit->threads = threads;
    status = read_valid_labels(fit, err);
    if (status == ONNXD_OK) status = deepfm_init(&fit->model, shape, err);
    if (status == ONNXD_OK)
        status = deepfm_work_create(&fit->model, &fit->options.step, threads, options->batch, &fit->work,
                                    err);
    if (status == ONNXD_OK)
        status = row_order_init(&fit->order, train, options->negatives, options->seed, err);
    if (status == ONNXD_OK) status = allocate_weights(fit, err);
    if (status == ONNXD_OK) {
        fit->index = malloc(options->batch * sizeof *fit->index);
        if (fit->index == NULL) status = error_set(err, ONNXD_ERR_NOMEM, "training: no memory");
    }
    if (status != ONNXD_OK) {
        fit_free(fit);
        return status;
    }
    fit->offset = log(row_order_keep_rate(&fit->order));
    deepfm_start(&fit->model, options->seed,
                 (double)fit->order.n_positive / (double)row_order_n(&fit->order));
    row_order_start(&fit->order, 0);
    *ret_fit = fit;
    return ONNXD_OK;
}

void fit_free(struct fit *fit)
{
    if (fit == NULL) return;
    deepfm_work_free(fit->work);
    deepfm_done(&fit->model);
    row_order_done(&fit->order);
    free(fit->index);
    free(fit->logits);
    free(fit->valid_label);
    free(fit->valid_weight);
    free(fit->average);
    free(fit->aside);
    free(fit->best);
    free(fit->points);
    free(fit);
}

double fit_rate(const struct fit *fit)
{
    const struct fit_options *o = &fit->options;
    double epoch = (double)fit->epoch + (double)fit->at / (double)row_order_n(&fit->order);
    double share = epoch / o->max_epochs, rate = o->rate * pow(o->rate_decay, epoch);
    switch (o->schedule) {
    case FIT_CONSTANT: break;
    case FIT_LINEAR: rate *= 1 - share; break;
    case FIT_COSINE: rate *= (1 + cos(3.14159265358979323846 * share)) / 2; break;
    }
    return rate > 0 ? rate : 0;
}

static onnxd_status add_point(struct fit *fit, struct fit_point **ret_point, onnxd_error *err)
{
    if (fit->n_points == fit->points_capacity) {
        uint32_t capacity = fit->points_capacity > 0 ? 2 * fit->points_capacity : 64;
        struct fit_point *points = capacity > MAX_POINTS ? NULL
                                                         : realloc(fit->points, capacity * sizeof *points);
        if (points == NULL) return error_set(err, ONNXD_ERR_NOMEM, "training: no memory for its course");
        fit->points = points;
        fit->points_capacity = capacity;
    }
    fit->points[fit->n_points] = (struct fit_point){
        .epoch = (double)fit->epoch + (double)fit->at / (double)row_order_n(&fit->order),
        .n_rows = fit->n_rows,
        .train_loss = fit->n_loss > 0 ? fit->loss / (double)fit->n_loss : NAN,
        .valid_loss = NAN,
        .valid_auc = NAN};
    fit->loss = 0;
    fit->n_loss = 0;
    *ret_point = &fit->points[fit->n_points++];
    return ONNXD_OK;
}

static double log_loss_of(const struct fit *fit)
{
    double loss = 0, total = 0;
    for (uint64_t i = 0; i < fit->valid->n_rows; i++) {
        double z = fit->logits[i] + fit->offset, y = fit->valid_label[i], weight = fit->valid_weight[i];
        loss += weight * ((z > 0 ? z : 0) - z * y + log1p(exp(-fabs(z))));
        total += weight;
    }
    return loss / total;
}

/* Takes the weights as they are into the mean. */
static void add_to_average(struct fit *fit)
{
    size_t n = deepfm_n_weights(&fit->model);
    double k = (double)++fit->n_averaged, power = fit->options.average;
    float share = (float)((power + 1) / (power + k));
    deepfm_get_weights(&fit->model, fit->aside);
    for (size_t i = 0; i < n; i++) fit->average[i] += share * (fit->aside[i] - fit->average[i]);
}

/* Log-odds of the validation rows by the weights that would be kept. */
static onnxd_status predict_valid(struct fit *fit, onnxd_error *err)
{
    bool averaged = fit->n_averaged > 0;
    if (averaged) {
        deepfm_get_weights(&fit->model, fit->aside);
        deepfm_set_weights(&fit->model, fit->average);
        deepfm_work_refresh(fit->work);
    }
    onnxd_status status = deepfm_logits(fit->work, fit->valid, 0, fit->valid->n_rows, fit->logits, err);
    if (averaged) {
        deepfm_set_weights(&fit->model, fit->aside);
        deepfm_work_refresh(fit->work);
    }
    return status;
}

static void keep_best(struct fit *fit)
{
    if (fit->n_averaged > 0)
        memcpy(fit->best, fit->average, deepfm_n_weights(&fit->model) * sizeof *fit->best);
    else
        deepfm_get_weights(&fit->model, fit->best);
}

static onnxd_status look(struct fit *fit, struct fit_point *point, onnxd_error *err)
{
    uint64_t n = fit->valid->n_rows;
    onnxd_status status = predict_valid(fit, err);
    if (status != ONNXD_OK) {
        error_prefix(err, "validation: ");
        return status;
    }
    point->valid_loss = log_loss_of(fit);
    if (!isfinite(point->valid_loss))
        return error_set(
            err, ONNXD_ERR_RANGE,
            "training ran away: the validation loss is not finite; a lower learning rate may help");
    status = ctr_auc(fit->logits, fit->valid_label, fit->valid_weight, n, &point->valid_auc, err);
    if (status != ONNXD_OK) return status;
    const struct fit_point *best = &fit->best_point;
    bool better = best->epoch <= 0 || (fit->options.metric == FIT_AUC ? point->valid_auc > best->valid_auc
                                                                      : point->valid_loss < best->valid_loss);
    fit->n_worse = better ? 0 : fit->n_worse + 1;
    if (better) {
        fit->best_point = *point;
        keep_best(fit);
    }
    if (fit->options.patience > 0 && fit->n_worse >= fit->options.patience) fit->finished = true;
    return ONNXD_OK;
}

/* Passed the k-th of `parts` parts of the epoch with this batch. */
static bool passed(const struct fit *fit, uint32_t n, uint64_t parts)
{
    uint64_t whole = row_order_n(&fit->order);
    return fit->at * parts / whole != (fit->at - n) * parts / whole;
}

onnxd_status fit_batch(struct fit *fit, bool *ret_looked, onnxd_error *err)
{
    double loss = 0, rate = fit_rate(fit);
    uint32_t n = row_order_next(&fit->order, fit->index, fit->options.batch);
    onnxd_status status = deepfm_train(fit->work, fit->train, fit->index, n, fit->step + 1, rate, &loss, err);
    if (status != ONNXD_OK) return status;
    fit->step++;
    fit->at += n;
    fit->n_rows += n;
    fit->loss += loss;
    fit->n_loss += n;
    bool due = passed(fit, n, fit->options.looks);
    if (fit->average != NULL && (due || passed(fit, n, FIT_AVERAGES_AN_EPOCH))) add_to_average(fit);
    if (due || passed(fit, n, (uint64_t)fit->options.looks * FIT_POINTS_A_LOOK)) {
        struct fit_point *point = NULL;
        status = add_point(fit, &point, err);
        if (status == ONNXD_OK && due) status = look(fit, point, err);
    }
    if (status == ONNXD_OK && fit->at == row_order_n(&fit->order)) {
        fit->epoch++;
        fit->at = 0;
        row_order_start(&fit->order, fit->epoch);
        if (fit->epoch == fit->options.max_epochs) fit->finished = true;
    }
    if (ret_looked != NULL) *ret_looked = due;
    return status;
}

/* ---- calibration ---- */

struct calibration { /* log-odds of all training rows, in bins so fine that their means stand for them */
    double weight[CALIBRATION_BINS], sum[CALIBRATION_BINS];
    double positive;
};

static onnxd_status read_logits(struct fit *fit, struct calibration *c, onnxd_error *err)
{
    float logits[PREDICT_ROWS];
    for (uint64_t first = 0; first < fit->train->n_rows; first += PREDICT_ROWS) {
        uint64_t left = fit->train->n_rows - first, n = left < PREDICT_ROWS ? left : PREDICT_ROWS;
        onnxd_status status = deepfm_logits(fit->work, fit->train, first, n, logits, err);
        if (status != ONNXD_OK) return status;
        for (uint64_t i = 0; i < n; i++) {
            double z = fmin(fmax(logits[i], -LARGEST_LOGIT), LARGEST_LOGIT - 1e-6);
            double weight = encoded_weight(fit->train, first + i);
            uint32_t bin = (uint32_t)((z + LARGEST_LOGIT) / (2 * LARGEST_LOGIT) * CALIBRATION_BINS);
            c->weight[bin] += weight;
            c->sum[bin] += weight * z;
            c->positive += weight * encoded_label(fit->train, first + i);
        }
    }
    return ONNXD_OK;
}

/* The offset at which the mean prediction is the rate, by halving: it rises with the offset. */
static double solve(const struct calibration *c)
{
    double low = -LARGEST_LOGIT, high = LARGEST_LOGIT;
    for (int i = 0; i < 60; i++) {
        double offset = (low + high) / 2, sum = 0;
        for (uint32_t bin = 0; bin < CALIBRATION_BINS; bin++)
            if (c->weight[bin] > 0)
                sum += c->weight[bin] / (1 + exp(-(c->sum[bin] / c->weight[bin] + offset)));
        if (sum < c->positive)
            low = offset;
        else
            high = offset;
    }
    return (low + high) / 2;
}

onnxd_status fit_finish(struct fit *fit, onnxd_error *err)
{
    if (fit->best_point.epoch <= 0)
        return error_set(err, ONNXD_ERR_CANCELLED,
                         "training: stopped before its first validation; nothing to keep");
    deepfm_set_weights(&fit->model, fit->best);
    deepfm_work_refresh(fit->work);
    fit->finished = true;
    if (!fit->options.calibrate) return ONNXD_OK;
    struct calibration *c = calloc(1, sizeof *c);
    if (c == NULL) return error_set(err, ONNXD_ERR_NOMEM, "calibration: no memory");
    onnxd_status status = read_logits(fit, c, err);
    if (status == ONNXD_OK) fit->offset = solve(c);
    free(c);
    return status;
}
