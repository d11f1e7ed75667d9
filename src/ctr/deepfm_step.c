#include "ctr/deepfm_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ctr/deepfm_work.h"

enum { MAX_BATCH = 65536, MIN_SLICE = 32, MAX_SLICE = 128, SLICES = 8 };

#define LARGEST_FACTOR 10.0 /* on the penalty of a field */

struct deepfm_settings deepfm_settings_default(void)
{
    return (struct deepfm_settings){
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .ftrl_alpha = 0.1, .ftrl_beta = 1, .seed = 1};
}

/* A row length that keeps columns of rows from sharing few sets of the cache. */
static size_t row_length(size_t width)
{
    size_t n = (width + 15) / 16 * 16;
    return n % 64 == 0 ? n + 16 : n;
}

static bool allocate_layers(struct deepfm_work *w)
{
    bool ok = true;
    for (uint32_t l = 0; l < w->model->shape->net.n_hidden; l++) {
        const struct deepfm_layer *layer = &w->model->layers[l];
        struct deepfm_hidden *hidden = &w->hidden[l];
        hidden->ld = row_length(layer->n);
        hidden->packed = arena_alloc_array(&w->arena, w->kernels->f32_gemm_packed_size(layer->n, layer->k),
                                           sizeof(float));
        hidden->y = arena_alloc_array(&w->arena, w->batch, hidden->ld * sizeof(float));
        ok = ok && hidden->packed != NULL && hidden->y != NULL;
        if (w->settings == NULL) continue;
        hidden->packed_back = arena_alloc_array(
            &w->arena, w->kernels->f32_gemm_packed_size(layer->k, layer->n), sizeof(float));
        hidden->d = arena_alloc_array(&w->arena, w->batch, hidden->ld * sizeof(float));
        ok = ok && hidden->packed_back != NULL && hidden->d != NULL;
    }
    return ok;
}

static bool allocate_scratch(struct deepfm_work *w)
{
    const struct ctr_shape *shape = w->model->shape;
    uint32_t n = threads_count(w->threads), slots = 1;
    size_t widest = shape->n_dense + 1;
    for (uint32_t f = 0; f < shape->n_fields; f++)
        if (shape->fields[f].n_slots > slots) slots = shape->fields[f].n_slots;
    for (uint32_t l = 0; l < shape->net.n_hidden; l++)
        if (shape->net.hidden[l] > widest) widest = shape->net.hidden[l];
    w->scratch = arena_alloc_array(&w->arena, n, sizeof *w->scratch);
    for (uint32_t i = 0; w->scratch != NULL && i < n; i++) {
        struct deepfm_scratch *s = &w->scratch[i];
        if (w->settings == NULL) continue;
        s->matmul = arena_alloc_array(&w->arena, F32_MATMUL_SCRATCH, sizeof(float));
        s->gradient = arena_alloc_array(&w->arena, (size_t)DEEPFM_BLOCK * DEEPFM_BLOCK, sizeof(float));
        s->sums = arena_alloc_array(&w->arena, (size_t)w->batch * slots, w->model->n_own * sizeof(float));
        s->seen = arena_alloc_array(&w->arena, (size_t)w->batch * slots, sizeof *s->seen);
        s->bits = arena_alloc_array(&w->arena, widest / 4 + 1, sizeof *s->bits);
        s->column = arena_alloc_array(&w->arena, widest, sizeof(float));
        if (s->matmul == NULL || s->gradient == NULL || s->sums == NULL || s->seen == NULL ||
            s->bits == NULL || s->column == NULL)
            return false;
    }
    return w->scratch != NULL;
}

static bool allocate(struct deepfm_work *w)
{
    const struct ctr_shape *shape = w->model->shape;
    bool training = w->settings != NULL;
    uint32_t n_both = shape->n_fields + shape->n_factors;
    w->ldx = row_length(ctr_shape_value_at(shape, n_both));
    w->x = arena_alloc_array(&w->arena, w->batch, w->ldx * sizeof(float));
    w->sum = arena_alloc_array(&w->arena, w->batch, shape->net.embedding * sizeof(float));
    w->z = arena_alloc_array(&w->arena, w->batch, sizeof(float));
    w->share = arena_alloc_array(&w->arena, w->batch, (n_both + 1) * sizeof(float));
    w->ids = arena_alloc_array(&w->arena, w->batch, (shape->n_places + 1) * sizeof *w->ids);
    w->slices = arena_alloc_array(&w->arena, w->batch / MIN_SLICE + 1, sizeof *w->slices);
    if (training) {
        w->dx = arena_alloc_array(&w->arena, w->batch, w->ldx * sizeof(float));
        w->dz = arena_alloc_array(&w->arena, w->batch, sizeof(float));
        w->field_penalty = arena_alloc_array(&w->arena, shape->n_fields + 1, sizeof(float));
        w->numbered = arena_alloc_array(&w->arena, shape->n_rows, sizeof *w->numbered);
        if (w->dx == NULL || w->dz == NULL || w->field_penalty == NULL || w->numbered == NULL) return false;
    }
    return w->x != NULL && w->sum != NULL && w->z != NULL && w->share != NULL && w->ids != NULL &&
           w->slices != NULL && allocate_layers(w) && allocate_scratch(w);
}

onnxd_status deepfm_work_create(struct deepfm *model, const struct deepfm_settings *settings,
                                struct threads *threads, uint32_t batch, struct deepfm_work **ret_work,
                                onnxd_error *err)
{
    if (batch < 1 || batch > MAX_BATCH)
        return error_set(err, ONNXD_ERR_RANGE, "batch: expected 1 to %d rows, got %u", MAX_BATCH, batch);
    if (settings != NULL && !(settings->dropout >= 0 && settings->dropout <= 0.9))
        return error_set(err, ONNXD_ERR_RANGE, "dropout: expected 0 to 0.9, got %g", settings->dropout);
    struct deepfm_work *w = calloc(1, sizeof *w);
    if (w == NULL) return error_set(err, ONNXD_ERR_NOMEM, "training: no memory");
    w->model = model;
    w->settings = settings;
    w->threads = threads;
    w->kernels = kernels_get();
    w->ctr = ctr_kernels_get();
    w->batch = batch;
    arena_init(&w->arena, 0);
    if (!allocate(w)) {
        deepfm_work_free(w);
        return error_set(err, ONNXD_ERR_NOMEM, "training: no memory for batches of %u rows", batch);
    }
    *ret_work = w;
    return ONNXD_OK;
}

void deepfm_work_free(struct deepfm_work *w)
{
    if (w == NULL) return;
    arena_done(&w->arena);
    free(w);
}

void deepfm_work_refresh(struct deepfm_work *w)
{
    w->packed = false;
}

static void pack_task(void *context, uint32_t task, uint32_t worker)
{
    struct deepfm_work *w = context;
    const struct deepfm_layer *layer = &w->model->layers[task / 2];
    struct deepfm_hidden *hidden = &w->hidden[task / 2];
    const float *weights = w->model->dense + layer->w;
    (void)worker;
    if (task % 2 == 0) {
        w->kernels->f32_gemm_pack(hidden->packed, weights, layer->n, 0, layer->n, layer->k);
    } else if (w->training) {
        size_t k = task == 1 ? w->model->shape->n_fields * w->model->shape->net.embedding : layer->k;
        w->kernels->f32_gemm_pack(hidden->packed_back, weights, layer->n, 1, k, layer->n);
    }
}

static onnxd_status run_batch(struct deepfm_work *w, onnxd_error *err)
{
    uint32_t slice = (w->n / SLICES + 15) / 16 * 16;
    w->slice_rows = slice < MIN_SLICE ? MIN_SLICE : slice > MAX_SLICE ? MAX_SLICE : slice;
    w->n_slices = (w->n + w->slice_rows - 1) / w->slice_rows;
    if (!w->packed || w->training) threads_run(w->threads, pack_task, w, 2 * w->model->shape->net.n_hidden);
    w->packed = true;
    return deepfm_run_slices(w, err);
}

/* How much of the penalty each field pays, by the squares before this step. */
static void share_penalty(struct deepfm_work *w)
{
    const float *squares = w->model->field_squares;
    uint32_t n = w->model->shape->n_fields;
    double mean = 0;
    for (uint32_t f = 0; f < n; f++) mean += (double)squares[f] / n;
    for (uint32_t f = 0; f < n; f++) {
        bool known = w->settings->l2_by_field && mean > 0;
        double factor = known ? mean / fmax((double)squares[f], mean / LARGEST_FACTOR) : 1;
        w->field_penalty[f] = (float)fmax(factor, 1 / LARGEST_FACTOR);
    }
}

/* The rates and corrections of this step. */
static void prepare_step(struct deepfm_work *w, double rate)
{
    const struct deepfm_settings *s = w->settings;
    struct ctr_step step = {.rate = (float)rate,
                            .keep1 = (float)s->beta1,
                            .keep2 = (float)s->beta2,
                            .epsilon = (float)s->epsilon};
    if (s->optimiser == DEEPFM_ADAM) {
        step.rate = (float)(rate / (1 - pow(s->beta1, (double)w->step)));
        step.scale = (float)(1 / sqrt(1 - pow(s->beta2, (double)w->step)));
    }
    w->own = w->linear = w->layers = step;
    w->own.l2 = (float)s->l2_embedding;
    w->linear.l2 = (float)s->l2_linear;
    w->layers.l2 = (float)s->l2_hidden;
    share_penalty(w);
}

onnxd_status deepfm_train(struct deepfm_work *w, const struct encoded_rows *rows, const uint64_t *index,
                          uint32_t n, uint64_t step, double rate, double *ret_loss, onnxd_error *err)
{
    struct rng root = rng_seed(w->settings->seed);
    if (n == 0 || n > w->batch)
        return error_set(err, ONNXD_ERR_RANGE, "batch: %u rows; expected 1 to %u", n, w->batch);
    if (rows->n_columns != w->model->shape->n_columns)
        return error_set(err, ONNXD_ERR_SHAPE, "rows: %u columns; the model takes %u", rows->n_columns,
                         w->model->shape->n_columns);
    w->rows = rows;
    w->index = index;
    w->n = n;
    w->training = true;
    w->step = step;
    w->dropout = rng_fork(&root, step);
    prepare_step(w, rate);
    onnxd_status status = run_batch(w, err);
    if (status != ONNXD_OK) return status;
    deepfm_update(w);
    w->packed = false;
    *ret_loss = 0;
    for (uint32_t i = 0; i < w->n_slices; i++) *ret_loss += w->slices[i].loss;
    return ONNXD_OK;
}

onnxd_status deepfm_logits(struct deepfm_work *w, const struct encoded_rows *rows, uint64_t first, uint64_t n,
                           float *ret_logits, onnxd_error *err)
{
    if (rows->n_columns != w->model->shape->n_columns)
        return error_set(err, ONNXD_ERR_SHAPE, "rows: %u columns; the model takes %u", rows->n_columns,
                         w->model->shape->n_columns);
    w->rows = rows;
    w->index = NULL;
    w->training = false;
    for (uint64_t done = 0; done < n; done += w->n) {
        w->first = first + done;
        w->n = n - done < w->batch ? (uint32_t)(n - done) : w->batch;
        onnxd_status status = run_batch(w, err);
        if (status != ONNXD_OK) return status;
        memcpy(ret_logits + done, w->z, w->n * sizeof *ret_logits);
    }
    return ONNXD_OK;
}
