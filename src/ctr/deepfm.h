/* ctr/deepfm.h - the parameters of a DeepFM and the state that optimisers keep of them.
 *
 * DeepFM (Guo, Tang, Ye, Li and He, "DeepFM: A Factorization-Machine based Neural Network for CTR
 * Prediction", 2017): a click's log-odds are the sum of
 *     bias
 *     linear    a weight of each id and each number
 *     FM        the inner products of all pairs of the fields' embeddings
 *     deep      layers with ReLU over the same embeddings, next to each other, and the numbers
 *     crosses   where asked for, interactions of chosen fields (ctr/ctr_network.h)
 * A multi-valued field's embedding and weight are the means over those of its values. Numbers take part in
 * the linear and the deep part and, as in DeepCTR, not in the FM: a number that should meet others there is
 * given as quantile buckets (features/feature_plan.h), which are a field.
 *
 * Ownership: the shape is borrowed.
 * Threads:   whoever trains it is alone; else any may read. */
#ifndef CTR_DEEPFM_H
#define CTR_DEEPFM_H

#include <string.h>

#include "base/rng.h"
#include "ctr/ctr_shape.h"

/* A factor's values are its parameters times this. A product of small numbers has small gradients, so factors
 * of one would hardly leave their start; with it they start and learn at the pace of embeddings, under the
 * same penalty. */
#define DEEPFM_CROSS_GAIN 3.0f

struct deepfm_layer {
    uint32_t k, n; /* inputs, units */
    size_t w, b;   /* places in `dense` of the weights [k, n] and the biases [n] */
};

struct deepfm {
    const struct ctr_shape *shape;
    uint32_t n_own; /* parameters of an id: its embedding, then its linear weight, which factors do not use */
    size_t row_floats; /* of an id in the table: n_own parameters, n_own + n_own numbers of state, then the
                        * number of the last step that moved it, 32 bits as they are */
    float *table;      /* [shape->n_rows, row_floats] */
    size_t n_dense;
    float *dense, *state_a, *state_b; /* [n_dense]: bias, weights of numbers, layers, last layer's weights */
    float *field_squares; /* [n_fields] running mean of what a row's embedding of the field sums to squared */
    size_t numbers, last; /* places in `dense`; the bias is at 0 */
    struct deepfm_layer layers[CTR_MAX_HIDDEN];
    struct arena arena;
};

/* All parameters 0. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status deepfm_init(struct deepfm *model, const struct ctr_shape *shape,
                                        onnxd_error *err);
void deepfm_done(struct deepfm *model); /* takes a zeroed one */

/* Random start: embeddings normal with deviation 0.01, layers as He et al. 2015 for ReLU, the rest 0. The
 * bias is the log-odds of `rate`, the clicks' share. */
void deepfm_start(struct deepfm *model, uint64_t seed, double rate);

static inline float *deepfm_row(const struct deepfm *model, uint32_t row)
{
    return model->table + row * model->row_floats;
}

/* The step that last moved an id; 0: none. */
static inline uint32_t deepfm_last_step(const struct deepfm *model, uint32_t row)
{
    uint32_t step;
    memcpy(&step, deepfm_row(model, row) + 3 * (size_t)model->n_own, sizeof step);
    return step;
}
static inline void deepfm_set_last_step(struct deepfm *model, uint32_t row, uint32_t step)
{
    memcpy(deepfm_row(model, row) + 3 * (size_t)model->n_own, &step, sizeof step);
}

/* Inputs of the last layer. */
static inline uint32_t deepfm_last_width(const struct deepfm *model)
{
    const struct ctr_shape *s = model->shape;
    return s->net.n_hidden > 0 ? s->net.hidden[s->net.n_hidden - 1] : ctr_shape_n_inputs(s);
}

/* The parameters alone, without state: deepfm_n_weights floats. */
size_t deepfm_n_weights(const struct deepfm *model);
void deepfm_get_weights(const struct deepfm *model, float *ret_weights);
void deepfm_set_weights(struct deepfm *model, const float *weights);

#endif
