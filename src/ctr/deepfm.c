#include "ctr/deepfm.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

enum { LINE_FLOATS = 16 };

#define EMBEDDING_DEVIATION 0.01

onnxd_status deepfm_init(struct deepfm *ret_model, const struct ctr_shape *shape, onnxd_error *err)
{
    struct deepfm m = {.shape = shape, .n_own = shape->net.embedding + 1};
    size_t at = 1;
    m.row_floats = (3 * (size_t)m.n_own + 1 + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    m.numbers = at;
    at += shape->n_dense;
    for (uint32_t l = 0; l < shape->net.n_hidden; l++) {
        uint32_t k = l == 0 ? ctr_shape_n_inputs(shape) : shape->net.hidden[l - 1], n = shape->net.hidden[l];
        m.layers[l] = (struct deepfm_layer){.k = k, .n = n, .w = at, .b = at + (size_t)k * n};
        at += (size_t)k * n + n;
    }
    m.last = at;
    m.n_dense = at + deepfm_last_width(&m);
    arena_init(&m.arena, 0);
    m.table = arena_alloc_array(&m.arena, shape->n_rows, m.row_floats * sizeof(float));
    m.dense = arena_alloc_array(&m.arena, m.n_dense, sizeof(float));
    m.state_a = arena_alloc_array(&m.arena, m.n_dense, sizeof(float));
    m.state_b = arena_alloc_array(&m.arena, m.n_dense, sizeof(float));
    m.field_squares = arena_alloc_array(&m.arena, shape->n_fields + 1, sizeof(float));
    if (m.table == NULL || m.field_squares == NULL || m.dense == NULL || m.state_a == NULL ||
        m.state_b == NULL) {
        arena_done(&m.arena);
        return error_set(err, ONNXD_ERR_NOMEM, "model: no memory for %u ids of %zu bytes", shape->n_rows,
                         m.row_floats * sizeof(float));
    }
    *ret_model = m;
    return ONNXD_OK;
}

void deepfm_done(struct deepfm *model)
{
    arena_done(&model->arena);
    *model = (struct deepfm){0};
}

static void draw(float *to, size_t n, double deviation, struct rng *rng)
{
    for (size_t i = 0; i < n; i++) to[i] = (float)(deviation * rng_normal(rng));
}

void deepfm_start(struct deepfm *m, uint64_t seed, double rate)
{
    struct rng root = rng_seed(seed), rng = rng_fork(&root, 0);
    memset(m->table, 0, (size_t)m->shape->n_rows * m->row_floats * sizeof(float));
    memset(m->dense, 0, m->n_dense * sizeof(float));
    memset(m->state_a, 0, m->n_dense * sizeof(float));
    memset(m->state_b, 0, m->n_dense * sizeof(float));
    memset(m->field_squares, 0, m->shape->n_fields * sizeof(float));
    for (uint32_t r = 0; r < m->shape->n_rows; r++)
        draw(deepfm_row(m, r), m->shape->net.embedding, EMBEDDING_DEVIATION, &rng);
    for (uint32_t l = 0; l < m->shape->net.n_hidden; l++) {
        const struct deepfm_layer *layer = &m->layers[l];
        draw(m->dense + layer->w, (size_t)layer->k * layer->n, sqrt(2.0 / layer->k), &rng);
    }
    if (m->shape->net.n_hidden > 0)
        draw(m->dense + m->last, deepfm_last_width(m), sqrt(1.0 / deepfm_last_width(m)), &rng);
    m->dense[0] = (float)log(rate / (1 - rate));
}

size_t deepfm_n_weights(const struct deepfm *m)
{
    return (size_t)m->shape->n_rows * m->n_own + m->n_dense;
}

void deepfm_get_weights(const struct deepfm *m, float *weights)
{
    for (uint32_t r = 0; r < m->shape->n_rows; r++, weights += m->n_own)
        memcpy(weights, deepfm_row(m, r), m->n_own * sizeof(float));
    memcpy(weights, m->dense, m->n_dense * sizeof(float));
}

void deepfm_set_weights(struct deepfm *m, const float *weights)
{
    for (uint32_t r = 0; r < m->shape->n_rows; r++, weights += m->n_own)
        memcpy(deepfm_row(m, r), weights, m->n_own * sizeof(float));
    memcpy(m->dense, weights, m->n_dense * sizeof(float));
}
