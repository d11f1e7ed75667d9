#include "ctr/fit_checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define MAX_BYTES ((size_t)1 << 36)

const struct seal fit_checkpoint_seal = {"ONNXDFIT", 6, "a checkpoint of deepfm_train"};

/* ---- saving ---- */

static void put_floats(struct buf *out, const float *values, size_t n)
{
    buf_append(out, values, n * sizeof *values);
}

static void put_point(struct buf *out, const struct fit_point *p)
{
    bytes_put_f64(out, p->epoch);
    bytes_put_u64(out, p->n_rows);
    bytes_put_f64(out, p->train_loss);
    bytes_put_f64(out, p->valid_loss);
    bytes_put_f64(out, p->valid_auc);
}

onnxd_status fit_save(const struct fit *fit, const char *path, onnxd_error *err)
{
    struct buf out;
    const struct deepfm *m = &fit->model;
    onnxd_status status = ONNXD_OK;
    buf_init(&out, MAX_BYTES);
    size_t start = seal_begin(&fit_checkpoint_seal, &out);
    fit_head_save(fit, &out);
    ctr_shape_save(fit->shape, &out);
    bytes_put_u64(&out, fit->step);
    bytes_put_u64(&out, fit->epoch);
    bytes_put_u64(&out, fit->at);
    bytes_put_u64(&out, fit->n_rows);
    bytes_put_f64(&out, fit->loss);
    bytes_put_u64(&out, fit->n_loss);
    bytes_put_u32(&out, fit->n_worse);
    bytes_put_u32(&out, fit->finished);
    bytes_put_f64(&out, fit->offset);
    put_point(&out, &fit->best_point);
    bytes_put_u32(&out, fit->n_points);
    for (uint32_t i = 0; i < fit->n_points; i++) put_point(&out, &fit->points[i]);
    for (uint32_t r = 0; r < fit->shape->n_rows; r++) {
        put_floats(&out, deepfm_row(m, r), 3 * (size_t)m->n_own);
        bytes_put_u32(&out, deepfm_last_step(m, r));
    }
    put_floats(&out, m->field_squares, fit->shape->n_fields);
    put_floats(&out, m->dense, m->n_dense);
    put_floats(&out, m->state_a, m->n_dense);
    put_floats(&out, m->state_b, m->n_dense);
    put_floats(&out, fit->best, deepfm_n_weights(m));
    bytes_put_u64(&out, fit->n_averaged);
    if (fit->average != NULL) put_floats(&out, fit->average, deepfm_n_weights(m));
    seal_end(&out, start);
    if (out.failed)
        status = error_set(err, ONNXD_ERR_NOMEM, "%s: no memory to write it", path);
    else
        status = file_replace(path, out.data, out.n, err);
    buf_done(&out);
    return status;
}

/* ---- loading ---- */

static void get_point(struct byte_reader *in, struct fit_point *p)
{
    p->epoch = bytes_get_f64(in);
    p->n_rows = bytes_get_u64(in);
    p->train_loss = bytes_get_f64(in);
    p->valid_loss = bytes_get_f64(in);
    p->valid_auc = bytes_get_f64(in);
}

/* The file's bytes and a reader behind the head. The caller frees *ret_bytes. Messages lack the path. */
static onnxd_status open_checkpoint(const char *path, char **ret_bytes, struct byte_reader *ret_in,
                                    struct fit_head *ret_head, onnxd_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, MAX_BYTES, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    status = seal_open(&fit_checkpoint_seal, bytes, n, ret_in, err);
    if (status == ONNXD_OK) status = fit_head_load(ret_in, ret_head, err);
    if (status != ONNXD_OK) {
        error_prefix(err, "%s: ", path);
        free(bytes);
        return status;
    }
    *ret_bytes = bytes;
    return ONNXD_OK;
}

onnxd_status fit_read_head(const char *path, struct fit_head *ret_head, onnxd_error *err)
{
    char *bytes = NULL;
    struct byte_reader in;
    onnxd_status status = open_checkpoint(path, &bytes, &in, ret_head, err);
    if (status == ONNXD_OK) free(bytes);
    return status;
}

/* Whether the next bytes are this shape. */
static bool is_shape(struct byte_reader *in, const struct ctr_shape *shape)
{
    struct buf expected;
    buf_init(&expected, MAX_BYTES);
    ctr_shape_save(shape, &expected);
    bool same = !expected.failed && (size_t)(in->end - in->at) >= expected.n &&
                memcmp(in->at, expected.data, expected.n) == 0;
    if (same) in->at += expected.n;
    buf_done(&expected);
    return same;
}

static bool get_floats(struct byte_reader *in, float *ret_values, size_t n)
{
    if (in->failed || (size_t)(in->end - in->at) / sizeof *ret_values < n) return false;
    memcpy(ret_values, in->at, n * sizeof *ret_values);
    in->at += n * sizeof *ret_values;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(ret_values[i])) return false;
    return true;
}

static bool get_parameters(struct byte_reader *in, struct fit *fit)
{
    struct deepfm *m = &fit->model;
    for (uint32_t r = 0; r < fit->shape->n_rows; r++) {
        if (!get_floats(in, deepfm_row(m, r), 3 * (size_t)m->n_own)) return false;
        deepfm_set_last_step(m, r, bytes_get_u32(in));
    }
    if (!get_floats(in, m->field_squares, fit->shape->n_fields) || !get_floats(in, m->dense, m->n_dense) ||
        !get_floats(in, m->state_a, m->n_dense) || !get_floats(in, m->state_b, m->n_dense) ||
        !get_floats(in, fit->best, deepfm_n_weights(m)))
        return false;
    fit->n_averaged = bytes_get_u64(in);
    if (fit->average == NULL) return fit->n_averaged == 0;
    return get_floats(in, fit->average, deepfm_n_weights(m));
}

/* Reads into *fit, which is thrown away when it fails. epoch_rows: of a whole epoch. */
static bool get_course(struct byte_reader *in, struct fit *fit, uint64_t epoch_rows)
{
    fit->step = bytes_get_u64(in);
    fit->epoch = bytes_get_u64(in);
    fit->at = bytes_get_u64(in);
    fit->n_rows = bytes_get_u64(in);
    fit->loss = bytes_get_f64(in);
    fit->n_loss = bytes_get_u64(in);
    fit->n_worse = bytes_get_u32(in);
    fit->finished = bytes_get_u32(in) != 0;
    fit->offset = bytes_get_f64(in);
    get_point(in, &fit->best_point);
    fit->n_points = bytes_get_count(in, 40);
    if (in->failed || fit->at >= epoch_rows || !isfinite(fit->offset)) return false;
    fit->points = malloc((fit->n_points + 1) * sizeof *fit->points);
    if (fit->points == NULL) return false;
    fit->points_capacity = fit->n_points + 1;
    for (uint32_t i = 0; i < fit->n_points; i++) get_point(in, &fit->points[i]);
    return !in->failed && get_parameters(in, fit) && in->at == in->end;
}

/* The order of rows goes on where it was. */
static void skip_rows(struct fit *fit)
{
    row_order_start(&fit->order, fit->epoch);
    for (uint64_t left = fit->at; left > 0;) {
        uint32_t some = left < fit->options.batch ? (uint32_t)left : fit->options.batch;
        left -= row_order_next(&fit->order, fit->index, some);
    }
}

onnxd_status fit_load(struct fit *fit, const char *path, onnxd_error *err)
{
    char *bytes = NULL;
    struct byte_reader in;
    struct fit_head head;
    struct fit *fresh = NULL;
    onnxd_status status = open_checkpoint(path, &bytes, &in, &head, err);
    if (status != ONNXD_OK) return status;
    status = fit_head_compare(&head, fit, err);
    if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    if (status == ONNXD_OK && !is_shape(&in, fit->shape))
        status = error_set(err, ONNXD_ERR_ARGUMENT, "%s: was made for other features or layers", path);
    if (status == ONNXD_OK)
        status = fit_create(&fit->options, fit->shape, fit->train, fit->valid, fit->threads, &fresh, err);
    if (status != ONNXD_OK) goto out;
    if (!get_course(&in, fresh, row_order_n(&fresh->order))) {
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: its numbers do not fit the model", path);
        goto out;
    }
    fresh->offset = fit->offset;                 /* settled anew when it finishes */
    const struct fit_options *o = &fit->options; /* more epochs or patience may have been granted */
    fresh->finished = fresh->epoch >= o->max_epochs || (o->patience > 0 && fresh->n_worse >= o->patience);
    skip_rows(fresh);
    struct fit other = *fit;
    struct deepfm_work *work = fit->work; /* it points into *fit and stays */
    *fit = *fresh;
    *fresh = other;
    fresh->work = fit->work;
    fit->work = work;
    deepfm_work_refresh(work);
out:
    fit_free(fresh);
    free(bytes);
    return status;
}

onnxd_status fit_read_result(const char *path, const struct ctr_shape *shape, struct fit *ret_fit,
                             onnxd_error *err)
{
    char *bytes = NULL;
    struct byte_reader in;
    struct fit_head head;
    struct fit fit = {.shape = shape};
    onnxd_status status = open_checkpoint(path, &bytes, &in, &head, err);
    if (status != ONNXD_OK) return status;
    if (!is_shape(&in, shape))
        status = error_set(err, ONNXD_ERR_ARGUMENT, "%s: was made for other features or layers", path);
    if (status == ONNXD_OK) status = deepfm_init(&fit.model, shape, err);
    if (status != ONNXD_OK) goto out;
    fit.options = head.options;
    fit.best = calloc(deepfm_n_weights(&fit.model), sizeof *fit.best);
    if (fit.options.average > 0) fit.average = calloc(deepfm_n_weights(&fit.model), sizeof *fit.average);
    if (fit.best == NULL || (fit.options.average > 0 && fit.average == NULL))
        status = error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for its weights", path);
    else if (!get_course(&in, &fit, UINT64_MAX))
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: its numbers do not fit the model", path);
    else if (!(fit.best_point.epoch > 0))
        status = error_set(err, ONNXD_ERR_CANCELLED, "%s: stopped before its first validation", path);
    if (status == ONNXD_OK) {
        deepfm_set_weights(&fit.model, fit.best);
        *ret_fit = fit;
        fit = (struct fit){0};
    }
out:
    fit_result_done(&fit);
    free(bytes);
    return status;
}

void fit_result_done(struct fit *fit)
{
    deepfm_done(&fit->model);
    free(fit->average);
    free(fit->best);
    free(fit->points);
}
