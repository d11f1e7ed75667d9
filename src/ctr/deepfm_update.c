#include <math.h>
#include <string.h>

#include "ctr/deepfm_work.h"

enum { FIELD_MEMORY = 500 }; /* steps over which a field's squares are averaged */

/* ---- parameters by their optimiser ---- */

static void take_step(const struct deepfm_work *w, float *p, float *a, float *b, const float *g, size_t n,
                      const struct ctr_step *step)
{
    switch (w->settings->optimiser) {
    case DEEPFM_ADAM: w->ctr->adam(p, a, b, g, n, step); break;
    case DEEPFM_ADAGRAD: w->ctr->adagrad(p, a, b, g, n, step); break;
    case DEEPFM_SGD: w->ctr->sgd(p, a, b, g, n, step); break;
    }
}

/* FTRL-Proximal: z and n are its state of one weight, g is the gradient of the batch's sum of losses. */
static void take_ftrl_step(const struct deepfm_settings *s, float *p, float *z, float *n, double g)
{
    double sigma = (sqrt(*n + g * g) - sqrt(*n)) / s->ftrl_alpha;
    double sum = *z + g - sigma * *p, squares = *n + g * g;
    double over = fabs(sum) - s->ftrl_l1;
    *z = (float)sum;
    *n = (float)squares;
    *p = over <= 0
             ? 0
             : (float)(-copysign(over, sum) / ((s->ftrl_beta + sqrt(squares)) / s->ftrl_alpha + s->ftrl_l2));
}

static void take_linear_step(const struct deepfm_work *w, float *p, float *a, float *b, const float *g,
                             size_t n, const struct ctr_step *step)
{
    if (!w->settings->ftrl) {
        take_step(w, p, a, b, g, n, step);
        return;
    }
    for (size_t i = 0; i < n; i++) take_ftrl_step(w->settings, p + i, a + i, b + i, (double)g[i] * w->n);
}

/* ---- ids ---- */

/* An id pays for the steps that passed without it, too, so that the penalty weighs as it does where all
 * parameters move at every step; but never more than its whole value. */
static float penalty(float l2, float gap)
{
    return l2 * gap < 1 ? l2 * gap : 1;
}

/* What the batch's embeddings of a field sum to squared goes into the field's running mean. */
static void measure_field(struct deepfm_work *w, uint32_t f)
{
    float *mean = &w->model->field_squares[f];
    uint32_t n = w->model->shape->net.embedding;
    double sum = 0, steps = w->step < FIELD_MEMORY ? (double)w->step : FIELD_MEMORY;
    for (uint32_t b = 0; b < w->n; b++) {
        const float *x = w->x + b * w->ldx + (size_t)f * n;
        sum += (double)w->ctr->dot(x, x, n);
    }
    *mean += (float)((sum / w->n - (double)*mean) / steps);
}

/* Sums the gradients of each id of field or factor f that occurs in the batch, in the order of rows, then
 * moves each once. */
static void update_field(struct deepfm_work *w, uint32_t f, struct deepfm_scratch *scratch)
{
    struct deepfm *model = w->model;
    const struct ctr_shape *shape = model->shape;
    const struct ctr_field *field = &shape->fields[f];
    uint32_t n = shape->net.embedding, n_both = shape->n_fields + shape->n_factors, n_seen = 0;
    size_t own = model->n_own, at = ctr_shape_value_at(shape, f);
    bool linear = f < shape->n_fields;
    for (uint32_t b = 0; b < w->n; b++) {
        const uint32_t *ids = w->ids + (size_t)b * shape->n_places + field->first_place;
        const float *d = w->dx + b * w->ldx + at;
        float share = w->share[(size_t)b * n_both + f];
        for (uint32_t s = 0; s < field->n_slots; s++) {
            if (ids[s] == FEATURE_NO_ID) continue;
            uint32_t *number = &w->numbered[ids[s]];
            if (*number == 0) {
                scratch->seen[n_seen++] = ids[s];
                *number = n_seen;
                memset(scratch->sums + (n_seen - 1) * own, 0, own * sizeof(float));
            }
            float *sum = scratch->sums + (*number - 1) * own;
            w->ctr->add(sum, d, n, share);
            sum[n] += share * w->dz[b];
        }
    }
    for (uint32_t i = 0; i < n_seen; i++) {
        struct ctr_step own_step = w->own, linear_step = w->linear;
        float gap = (float)(uint32_t)((uint32_t)w->step - deepfm_last_step(model, scratch->seen[i]));
        own_step.l2 = penalty(own_step.l2 * (linear ? w->field_penalty[f] : 1), gap);
        linear_step.l2 = penalty(linear_step.l2, gap);
        float *row = deepfm_row(model, scratch->seen[i]), *g = scratch->sums + i * own;
        take_step(w, row, row + own, row + 2 * own, g, n, &own_step);
        if (linear) take_linear_step(w, row + n, row + own + n, row + 2 * own + n, g + n, 1, &linear_step);
        deepfm_set_last_step(model, scratch->seen[i], (uint32_t)w->step);
        w->numbered[scratch->seen[i]] = 0;
    }
}

/* ---- layers ---- */

/* Blocks of DEEPFM_BLOCK x DEEPFM_BLOCK weights of all layers, numbered from the first layer on. */
static uint32_t n_blocks(const struct deepfm_layer *layer)
{
    return (layer->k + DEEPFM_BLOCK - 1) / DEEPFM_BLOCK * ((layer->n + DEEPFM_BLOCK - 1) / DEEPFM_BLOCK);
}

static size_t at_most_block(size_t n)
{
    return n < DEEPFM_BLOCK ? n : DEEPFM_BLOCK;
}

static void update_block(struct deepfm_work *w, uint32_t l, uint32_t block, struct deepfm_scratch *scratch)
{
    struct deepfm *model = w->model;
    const struct deepfm_layer *layer = &model->layers[l];
    uint32_t across = (layer->n + DEEPFM_BLOCK - 1) / DEEPFM_BLOCK;
    size_t row = (size_t)(block / across) * DEEPFM_BLOCK, col = (size_t)(block % across) * DEEPFM_BLOCK;
    size_t rows = at_most_block(layer->k - row), cols = at_most_block(layer->n - col);
    const float *input = l == 0 ? w->x : w->hidden[l - 1].y;
    struct f32_matmul g = {.m = rows,
                           .n = cols,
                           .k = w->n,
                           .a = input + row,
                           .lda = l == 0 ? w->ldx : w->hidden[l - 1].ld,
                           .a_transposed = 1,
                           .b = w->hidden[l].d + col,
                           .ldb = w->hidden[l].ld,
                           .c = scratch->gradient,
                           .ldc = DEEPFM_BLOCK};
    w->kernels->f32_matmul(&g, scratch->matmul);
    for (size_t r = 0; r < rows; r++) {
        size_t at = layer->w + (row + r) * layer->n + col;
        take_step(w, model->dense + at, model->state_a + at, model->state_b + at,
                  scratch->gradient + r * DEEPFM_BLOCK, cols, &w->layers);
    }
}

/* Bias, weights of numbers, biases of layers, weights of the last layer. */
static void update_rest(struct deepfm_work *w, struct deepfm_scratch *scratch)
{
    struct deepfm *m = w->model;
    const struct ctr_shape *shape = m->shape;
    struct ctr_step no_penalty = w->layers;
    no_penalty.l2 = 0;
    float *g = scratch->column;
    w->ctr->column_sums(g, w->dz, 1, NULL, w->n, 1);
    take_step(w, m->dense, m->state_a, m->state_b, g, 1, &no_penalty);
    w->ctr->column_sums(g, w->x + shape->n_fields * shape->net.embedding, w->ldx, w->dz, w->n,
                        shape->n_dense);
    take_linear_step(w, m->dense + m->numbers, m->state_a + m->numbers, m->state_b + m->numbers, g,
                     shape->n_dense, &w->linear);
    for (uint32_t l = 0; l < shape->net.n_hidden; l++) {
        size_t at = m->layers[l].b, n = m->layers[l].n;
        w->ctr->column_sums(g, w->hidden[l].d, w->hidden[l].ld, NULL, w->n, n);
        take_step(w, m->dense + at, m->state_a + at, m->state_b + at, g, n, &no_penalty);
    }
    if (shape->net.n_hidden == 0) return;
    const struct deepfm_hidden *top = &w->hidden[shape->net.n_hidden - 1];
    size_t n = deepfm_last_width(m);
    w->ctr->column_sums(g, top->y, top->ld, w->dz, w->n, n);
    take_step(w, m->dense + m->last, m->state_a + m->last, m->state_b + m->last, g, n, &w->layers);
}

static void update_task(void *context, uint32_t task, uint32_t worker)
{
    struct deepfm_work *w = context;
    const struct ctr_shape *shape = w->model->shape;
    struct deepfm_scratch *scratch = &w->scratch[worker];
    for (uint32_t l = 0; l < shape->net.n_hidden; l++) {
        uint32_t n = n_blocks(&w->model->layers[l]);
        if (task < n) {
            update_block(w, l, task, scratch);
            return;
        }
        task -= n;
    }
    if (task == shape->n_fields + shape->n_factors) {
        update_rest(w, scratch);
        return;
    }
    if (w->settings->l2_by_field && task < shape->n_fields) measure_field(w, task);
    update_field(w, task, scratch);
}

void deepfm_update(struct deepfm_work *w)
{
    const struct ctr_shape *shape = w->model->shape;
    uint32_t n_tasks = shape->n_fields + shape->n_factors + 1;
    for (uint32_t l = 0; l < shape->net.n_hidden; l++) n_tasks += n_blocks(&w->model->layers[l]);
    threads_run(w->threads, update_task, w, n_tasks);
}
