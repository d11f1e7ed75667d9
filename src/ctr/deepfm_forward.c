#include <math.h>
#include <string.h>

#include "base/error.h"
#include "ctr/deepfm_work.h"

enum { ROWS_AHEAD = 8 };

/* ---- rows to inputs ---- */

static void tell_bad(struct deepfm_slice *slice, uint64_t row, uint32_t column, float value)
{
    if (slice->bad_row != UINT64_MAX) return;
    slice->bad_row = row;
    slice->bad_column = column;
    slice->bad_value = value;
}

/* The ids of a row, checked, with their table rows asked for ahead of their use. */
static void read_ids(struct deepfm_work *w, uint32_t b, const float *record, struct deepfm_slice *slice)
{
    const struct ctr_shape *shape = w->model->shape;
    uint32_t *ids = w->ids + (size_t)b * shape->n_places;
    for (uint32_t f = 0; f < shape->n_fields + shape->n_factors; f++) {
        const struct ctr_field *field = &shape->fields[f];
        for (uint32_t s = 0; s < field->n_slots; s++) {
            uint32_t c = field->first_column + s, *row = ids + field->first_place + s;
            float value = record[c];
            if (!(value >= 0 && value < (float)field->n_ids) || value != (float)(uint32_t)value) {
                tell_bad(slice, deepfm_row_number(w, b), c, value);
                *row = field->first_row;
                continue;
            }
            uint32_t id = (uint32_t)value;
            *row = id == field->padding_id ? FEATURE_NO_ID : field->first_row + id;
            if (*row != FEATURE_NO_ID) __builtin_prefetch(deepfm_row(w->model, *row));
        }
    }
}

/* The mean of a multi-valued field's rows times `gain`, linear weight included in the return value. */
static float pool(struct deepfm_work *w, const uint32_t *ids, uint32_t n_slots, float gain, float *x,
                  float *ret_share)
{
    uint32_t n = w->model->shape->net.embedding, count = 0;
    float linear = 0;
    memset(x, 0, n * sizeof *x);
    for (uint32_t s = 0; s < n_slots; s++) count += ids[s] != FEATURE_NO_ID;
    float share = count > 0 ? gain / (float)count : 0;
    for (uint32_t s = 0; s < n_slots; s++) {
        if (ids[s] == FEATURE_NO_ID) continue;
        const float *row = deepfm_row(w->model, ids[s]);
        w->ctr->add(x, row, n, share);
        linear += share * row[n];
    }
    *ret_share = share;
    return linear;
}

static inline void copy_embedding(float *to, const float *from, uint32_t n)
{
    if (n == 8)
        memcpy(to, from, 8 * sizeof *to);
    else if (n == 16)
        memcpy(to, from, 16 * sizeof *to);
    else
        memcpy(to, from, n * sizeof *to);
}

/* Fills the factors' part of x and returns the log-odds of the crosses. */
static float cross(struct deepfm_work *w, const uint32_t *ids, float *x, float *share)
{
    const struct ctr_shape *shape = w->model->shape;
    float z = 0;
    for (uint32_t i = 0, f = shape->n_fields; i < shape->net.n_crosses; i++) {
        uint32_t n = shape->net.crosses[i].n, first = f;
        for (; f < first + n; f++) {
            const struct ctr_field *factor = &shape->fields[f];
            pool(w, ids + factor->first_place, factor->n_slots, DEEPFM_CROSS_GAIN,
                 x + ctr_shape_value_at(shape, f), share + f);
        }
        z += w->ctr->cross(x + ctr_shape_value_at(shape, first), n, shape->net.embedding);
    }
    return z;
}

/* Fills x and returns the log-odds of the parts that are not deep. */
static float embed(struct deepfm_work *w, uint32_t b, const float *record)
{
    const struct ctr_shape *shape = w->model->shape;
    uint32_t n = shape->net.embedding;
    const uint32_t *ids = w->ids + (size_t)b * shape->n_places;
    float *x = w->x + b * w->ldx, *share = w->share + (size_t)b * (shape->n_fields + shape->n_factors);
    float z = w->model->dense[0];
    for (uint32_t f = 0; f < shape->n_fields; f++) {
        const struct ctr_field *field = &shape->fields[f];
        if (field->n_slots > 1 || field->padding_id != FEATURE_NO_ID) {
            z += pool(w, ids + field->first_place, field->n_slots, 1, x + f * n, share + f);
            continue;
        }
        const float *row = deepfm_row(w->model, ids[field->first_place]);
        copy_embedding(x + f * n, row, n);
        z += row[n];
        share[f] = 1;
    }
    float *numbers = x + shape->n_fields * n;
    memcpy(numbers, record + shape->first_dense, shape->n_dense * sizeof *numbers);
    z += w->ctr->dot(numbers, w->model->dense + w->model->numbers, shape->n_dense);
    z += cross(w, ids, x, share);
    return z + w->ctr->fm(w->sum + (size_t)b * n, x, shape->n_fields, n);
}

static void read_rows(struct deepfm_work *w, uint32_t from, uint32_t to, struct deepfm_slice *slice)
{
    for (uint32_t b = from; b < to; b++) {
        if (b + ROWS_AHEAD < to) {
            const float *ahead = encoded_row(w->rows, deepfm_row_number(w, b + ROWS_AHEAD));
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + w->rows->stride - 1);
        }
        read_ids(w, b, encoded_row(w->rows, deepfm_row_number(w, b)), slice);
    }
    for (uint32_t b = from; b < to; b++) w->z[b] = embed(w, b, encoded_row(w->rows, deepfm_row_number(w, b)));
}

/* ---- layers ---- */

/* Which units stay is drawn from the step, the slice and the layer, not from who computes it. */
static void drop_units(struct deepfm_work *w, uint32_t slice, uint32_t layer, uint32_t from, uint32_t to,
                       uint64_t *bits)
{
    struct deepfm_hidden *hidden = &w->hidden[layer];
    uint32_t n = w->model->shape->net.hidden[layer];
    uint32_t keep = (uint32_t)lround((1 - w->settings->dropout) * 65536);
    struct rng rng = rng_fork(&w->dropout, (uint64_t)slice * CTR_MAX_HIDDEN + layer);
    for (uint32_t b = from; b < to; b++) {
        for (uint32_t i = 0; i < (n + 3) / 4; i++) bits[i] = rng_u64(&rng);
        w->ctr->drop(hidden->y + b * hidden->ld, (const uint16_t *)bits, n, keep, 65536.0f / (float)keep);
    }
}

static void forward(struct deepfm_work *w, uint32_t slice, uint32_t from, uint32_t to, uint64_t *bits)
{
    const struct ctr_shape *shape = w->model->shape;
    const float *input = w->x;
    size_t ld = w->ldx;
    for (uint32_t l = 0; l < shape->net.n_hidden; l++) {
        struct deepfm_hidden *hidden = &w->hidden[l];
        const struct deepfm_layer *layer = &w->model->layers[l];
        struct f32_gemm g = {.m = to - from,
                             .n = layer->n,
                             .k = layer->k,
                             .a = input + from * ld,
                             .lda = ld,
                             .b = hidden->packed,
                             .bias = w->model->dense + layer->b,
                             .c = hidden->y + from * hidden->ld,
                             .ldc = hidden->ld,
                             .act = F32_ACT_RELU};
        w->kernels->f32_gemm(&g);
        if (w->training && w->settings->dropout > 0) drop_units(w, slice, l, from, to, bits);
        input = hidden->y;
        ld = hidden->ld;
    }
    if (shape->net.n_hidden == 0) return;
    for (uint32_t b = from; b < to; b++)
        w->z[b] += w->ctr->dot(input + b * ld, w->model->dense + w->model->last, deepfm_last_width(w->model));
}

/* The loss of a slice, and the gradients of its log-odds. */
static double lose(struct deepfm_work *w, uint32_t from, uint32_t to)
{
    double loss = 0;
    for (uint32_t b = from; b < to; b++) {
        uint64_t row = deepfm_row_number(w, b);
        double z = w->z[b], y = encoded_label(w->rows, row), weight = encoded_weight(w->rows, row);
        double small = exp(-fabs(z)), p = z >= 0 ? 1 / (1 + small) : small / (1 + small);
        loss += weight * ((z > 0 ? z : 0) - z * y + log1p(small));
        w->dz[b] = (float)(weight * (p - y) / w->n);
    }
    return loss;
}

static void cross_back(struct deepfm_work *w, float *d, const float *x, float dz)
{
    const struct ctr_shape *shape = w->model->shape;
    for (uint32_t i = 0, f = shape->n_fields; i < shape->net.n_crosses; f += shape->net.crosses[i++].n) {
        uint32_t at = ctr_shape_value_at(shape, f);
        w->ctr->cross_back(d + at, x + at, shape->net.crosses[i].n, shape->net.embedding, dz);
    }
}

static void backward(struct deepfm_work *w, uint32_t from, uint32_t to)
{
    const struct ctr_shape *shape = w->model->shape;
    size_t n = shape->net.embedding, rows = to - from;
    float scale = 1;
    if (w->settings->dropout > 0) {
        scale = 65536.0f / (float)lround((1 - w->settings->dropout) * 65536);
    }
    for (uint32_t l = shape->net.n_hidden; l-- > 0;) {
        struct deepfm_hidden *hidden = &w->hidden[l];
        const struct deepfm_layer *layer = &w->model->layers[l];
        float *d = hidden->d + from * hidden->ld;
        if (l + 1 == shape->net.n_hidden)
            w->ctr->outer(d, hidden->ld, w->dz + from, w->model->dense + w->model->last, rows, layer->n);
        w->ctr->relu_back(d, hidden->ld, hidden->y + from * hidden->ld, hidden->ld, rows, layer->n, scale);
        struct f32_gemm g = {.m = rows,
                             .n = l == 0 ? shape->n_fields * n : layer->k, /* numbers need no gradient */
                             .k = layer->n,
                             .a = d,
                             .lda = hidden->ld,
                             .b = hidden->packed_back,
                             .c = l == 0 ? w->dx + from * w->ldx
                                         : w->hidden[l - 1].d + from * w->hidden[l - 1].ld,
                             .ldc = l == 0 ? w->ldx : w->hidden[l - 1].ld};
        w->kernels->f32_gemm(&g);
    }
    for (uint32_t b = from; b < to; b++) {
        float *d = w->dx + b * w->ldx;
        if (shape->net.n_hidden == 0) memset(d, 0, shape->n_fields * n * sizeof *d);
        w->ctr->fm_back(d, w->x + b * w->ldx, w->sum + b * n, shape->n_fields, n, w->dz[b]);
        cross_back(w, d, w->x + b * w->ldx, w->dz[b]);
    }
}

static void run_slice(void *context, uint32_t task, uint32_t worker)
{
    struct deepfm_work *w = context;
    struct deepfm_slice *slice = &w->slices[task];
    uint32_t from = task * w->slice_rows, to = w->n - from < w->slice_rows ? w->n : from + w->slice_rows;
    *slice = (struct deepfm_slice){.bad_row = UINT64_MAX};
    read_rows(w, from, to, slice);
    forward(w, task, from, to, w->scratch[worker].bits);
    if (!w->training) return;
    slice->loss = lose(w, from, to);
    backward(w, from, to);
}

onnxd_status deepfm_run_slices(struct deepfm_work *w, onnxd_error *err)
{
    threads_run(w->threads, run_slice, w, w->n_slices);
    for (uint32_t i = 0; i < w->n_slices; i++) {
        const struct deepfm_slice *slice = &w->slices[i];
        if (slice->bad_row != UINT64_MAX)
            return error_set(err, ONNXD_ERR_RANGE, "row %llu, column %u: %g is no id of the model",
                             (unsigned long long)slice->bad_row, slice->bad_column, (double)slice->bad_value);
    }
    return ONNXD_OK;
}
