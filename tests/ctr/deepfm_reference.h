/* deepfm_reference.h - a DeepFM in double precision, written as plainly as the paper says it, and small
 * random models and rows to hold the fast one against. */
#ifndef DEEPFM_REFERENCE_H
#define DEEPFM_REFERENCE_H

#include <math.h>
#include <stdlib.h>

#include "ctr/deepfm.h"
#include "ctr/encoded_rows.h"

/* What field or factor f of a row is: the mean over its values, to x. Returns the linear part. */
static inline double reference_pool(const struct deepfm *m, const double *weights, const float *row,
                                    uint32_t f, double *x)
{
    const struct ctr_field *field = &m->shape->fields[f];
    uint32_t n = m->shape->net.embedding;
    double count = 0, linear = 0;
    memset(x, 0, n * sizeof *x);
    for (uint32_t c = 0; c < field->n_slots; c++) {
        uint32_t id = (uint32_t)row[field->first_column + c];
        if (id == field->padding_id) continue;
        const double *own = weights + (size_t)(field->first_row + id) * m->n_own;
        for (uint32_t j = 0; j < n; j++) x[j] += own[j];
        linear += own[n];
        count++;
    }
    for (uint32_t j = 0; j < n && count > 0; j++) x[j] /= count;
    return count > 0 ? linear / count : 0;
}

/* Log-odds of one row. weights: as deepfm_get_weights orders them, in double. */
static inline double reference_logit(const struct deepfm *m, const double *weights, const float *row)
{
    const struct ctr_shape *s = m->shape;
    const double *dense = weights + (size_t)s->n_rows * m->n_own;
    uint32_t n = s->net.embedding, n_inputs = ctr_shape_n_inputs(s);
    double *x = calloc(n_inputs + 1, sizeof *x), z = dense[0];
    for (uint32_t f = 0; f < s->n_fields; f++) z += reference_pool(m, weights, row, f, x + f * n);
    for (uint32_t i = 0, f = s->n_fields; i < s->net.n_crosses; i++) {
        double *products = calloc(n, sizeof *products), *values = calloc(n, sizeof *values);
        for (uint32_t j = 0; j < n; j++) products[j] = 1;
        for (uint32_t k = 0; k < s->net.crosses[i].n; k++, f++) {
            (void)reference_pool(m, weights, row, f, values);
            for (uint32_t j = 0; j < n; j++) products[j] *= (double)DEEPFM_CROSS_GAIN * values[j];
        }
        for (uint32_t j = 0; j < n; j++) z += products[j];
        free(products);
        free(values);
    }
    for (uint32_t j = 0; j < s->n_dense; j++) {
        x[s->n_fields * n + j] = row[s->first_dense + j];
        z += row[s->first_dense + j] * dense[m->numbers + j];
    }
    for (uint32_t f = 0; f < s->n_fields; f++)
        for (uint32_t g = f + 1; g < s->n_fields; g++)
            for (uint32_t j = 0; j < n; j++) z += x[f * n + j] * x[g * n + j];
    double *y = x;
    for (uint32_t l = 0; l < s->net.n_hidden; l++) {
        const struct deepfm_layer *layer = &m->layers[l];
        double *next = calloc(layer->n, sizeof *next);
        for (uint32_t j = 0; j < layer->n; j++) {
            next[j] = dense[layer->b + j];
            for (uint32_t k = 0; k < layer->k; k++)
                next[j] += y[k] * dense[layer->w + (size_t)k * layer->n + j];
            if (next[j] < 0) next[j] = 0;
        }
        free(y);
        y = next;
    }
    for (uint32_t j = 0; s->net.n_hidden > 0 && j < deepfm_last_width(m); j++) z += y[j] * dense[m->last + j];
    free(y);
    return z;
}

/* Mean of the weighted log losses of rows 0..n. */
static inline double reference_loss(const struct deepfm *m, const double *weights,
                                    const struct encoded_rows *rows)
{
    double loss = 0;
    for (uint64_t i = 0; i < rows->n_rows; i++) {
        double z = reference_logit(m, weights, encoded_row(rows, i)), y = encoded_label(rows, i);
        loss += encoded_weight(rows, i) * (log(1 + exp(-z)) + (1 - y) * z);
    }
    return loss / (double)rows->n_rows;
}

/* Random ids (skewed to small ones), numbers, labels of either kind and weights. */
static inline void random_records(const struct ctr_shape *s, float *records, uint32_t n, struct rng *rng)
{
    for (uint32_t i = 0; i < n; i++, records += s->n_columns + 2) {
        for (uint32_t f = 0; f < s->n_fields; f++)
            for (uint32_t c = 0; c < s->fields[f].n_slots; c++) {
                double u = rng_f64(rng);
                records[s->fields[f].first_column + c] = (float)(uint32_t)(u * u * s->fields[f].n_ids);
            }
        for (uint32_t j = 0; j < s->n_dense; j++) records[s->first_dense + j] = (float)rng_normal(rng);
        records[s->n_columns] = rng_below(rng, 3) == 0;
        records[s->n_columns + 1] = 0.5f + rng_f32(rng);
    }
}

/* Parameters large enough that every part counts. */
static inline void random_weights(struct deepfm *m, struct rng *rng)
{
    float *weights = malloc(deepfm_n_weights(m) * sizeof *weights);
    for (size_t i = 0; i < deepfm_n_weights(m); i++) weights[i] = 0.4f * (float)rng_normal(rng);
    deepfm_set_weights(m, weights);
    free(weights);
}

#endif
