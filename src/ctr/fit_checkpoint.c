#include "ctr/fit_checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/map.h"

enum { VERSION = 1, HASH_BYTES = 8 };

#define MAX_BYTES ((size_t)1 << 36)
#define HASH_SEED 0x6f6e6e7864666974u

static const char MAGIC[8] = {'O', 'N', 'N', 'X', 'D', 'F', 'I', 'T'};

/* ---- options ---- */

enum kind { KIND_U32, KIND_U64, KIND_F64, KIND_BOOL };

/* What decides the weights; a file made with another value does not go on. */
#define OPTION(name, member, kind)                       \
    {                                                    \
        name, offsetof(struct fit_options, member), kind \
    }
static const struct {
    const char *name;
    size_t offset;
    enum kind kind;
} options[] = {
    OPTION("optimizer", step.optimiser, KIND_U32),
    OPTION("linear-optimizer", step.ftrl, KIND_BOOL),
    OPTION("beta1", step.beta1, KIND_F64),
    OPTION("beta2", step.beta2, KIND_F64),
    OPTION("epsilon", step.epsilon, KIND_F64),
    OPTION("l2-embedding", step.l2_embedding, KIND_F64),
    OPTION("l2-linear", step.l2_linear, KIND_F64),
    OPTION("l2-hidden", step.l2_hidden, KIND_F64),
    OPTION("ftrl-alpha", step.ftrl_alpha, KIND_F64),
    OPTION("ftrl-beta", step.ftrl_beta, KIND_F64),
    OPTION("ftrl-l1", step.ftrl_l1, KIND_F64),
    OPTION("ftrl-l2", step.ftrl_l2, KIND_F64),
    OPTION("dropout", step.dropout, KIND_F64),
    OPTION("lr", rate, KIND_F64),
    OPTION("lr-decay", rate_decay, KIND_F64),
    OPTION("lr-schedule", schedule, KIND_U32),
    OPTION("batch", batch, KIND_U32),
    OPTION("looks", looks, KIND_U32),
    OPTION("metric", metric, KIND_U32),
    OPTION("neg", negatives, KIND_U32),
    OPTION("seed", seed, KIND_U64),
};
#undef OPTION
enum { N_OPTIONS = sizeof options / sizeof options[0] };

_Static_assert(sizeof(enum deepfm_optimiser) == 4 && sizeof(enum fit_schedule) == 4, "saved as 32 bits");

static uint64_t get_option(const struct fit_options *o, uint32_t i)
{
    const char *at = (const char *)o + options[i].offset;
    uint64_t x = 0;
    switch (options[i].kind) {
    case KIND_U32: memcpy(&x, at, 4); break;
    case KIND_U64:
    case KIND_F64: memcpy(&x, at, 8); break;
    case KIND_BOOL: x = *(const bool *)at; break;
    }
    return x;
}

static void set_option(struct fit_options *o, uint32_t i, uint64_t x)
{
    char *at = (char *)o + options[i].offset;
    switch (options[i].kind) {
    case KIND_U32: memcpy(at, &x, 4); break;
    case KIND_U64:
    case KIND_F64: memcpy(at, &x, 8); break;
    case KIND_BOOL: *(bool *)at = x != 0; break;
    }
}

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

static void put_head(struct buf *out, const struct fit *fit)
{
    const struct ctr_shape *s = fit->shape;
    buf_append(out, MAGIC, sizeof MAGIC);
    bytes_put_u32(out, VERSION);
    for (uint32_t i = 0; i < N_OPTIONS; i++) bytes_put_u64(out, get_option(&fit->options, i));
    bytes_put_u32(out, fit->options.max_epochs);
    bytes_put_u32(out, fit->options.patience);
    bytes_put_u32(out, fit->options.calibrate);
    bytes_put_u32(out, s->embedding);
    bytes_put_u32(out, s->n_hidden);
    for (uint32_t i = 0; i < CTR_MAX_HIDDEN; i++) bytes_put_u32(out, i < s->n_hidden ? s->hidden[i] : 0);
    bytes_put_u64(out, fit->train->n_rows);
    bytes_put_u64(out, fit->order.n_positive);
    bytes_put_u64(out, fit->valid->n_rows);
}

onnxd_status fit_save(const struct fit *fit, const char *path, onnxd_error *err)
{
    struct buf out;
    const struct deepfm *m = &fit->model;
    onnxd_status status = ONNXD_OK;
    buf_init(&out, MAX_BYTES);
    put_head(&out, fit);
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
    put_floats(&out, m->dense, m->n_dense);
    put_floats(&out, m->state_a, m->n_dense);
    put_floats(&out, m->state_b, m->n_dense);
    put_floats(&out, fit->best, deepfm_n_weights(m));
    bytes_put_u64(&out, hash_bytes(out.data, out.n, HASH_SEED));
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

static void get_head(struct byte_reader *in, struct fit_head *head)
{
    head->options = fit_options_default();
    for (uint32_t i = 0; i < N_OPTIONS; i++) set_option(&head->options, i, bytes_get_u64(in));
    head->options.max_epochs = bytes_get_u32(in);
    head->options.patience = bytes_get_u32(in);
    head->options.calibrate = bytes_get_u32(in) != 0;
    head->embedding = bytes_get_u32(in);
    head->n_hidden = bytes_get_u32(in);
    for (uint32_t i = 0; i < CTR_MAX_HIDDEN; i++) head->hidden[i] = bytes_get_u32(in);
    head->n_train = bytes_get_u64(in);
    head->n_positive = bytes_get_u64(in);
    head->n_valid = bytes_get_u64(in);
}

/* The file's bytes behind magic and version, its hash checked. The caller frees *ret_bytes. */
static onnxd_status open_checkpoint(const char *path, char **ret_bytes, struct byte_reader *ret_in,
                                    onnxd_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, MAX_BYTES, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    const unsigned char *at = (const unsigned char *)bytes;
    if (n < sizeof MAGIC + 4 + HASH_BYTES || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) {
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: not a checkpoint of deepfm_train", path);
        goto out;
    }
    struct byte_reader in = {.at = at + sizeof MAGIC, .end = at + n - HASH_BYTES};
    struct byte_reader tail = {.at = at + n - HASH_BYTES, .end = at + n};
    uint32_t version = bytes_get_u32(&in);
    if (version != VERSION)
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: version %u; this program reads version %d", path,
                           version, VERSION);
    else if (bytes_get_u64(&tail) != hash_bytes(bytes, n - HASH_BYTES, HASH_SEED))
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: damaged: its bytes do not have its hash", path);
    if (status != ONNXD_OK) goto out;
    *ret_in = in;
    *ret_bytes = bytes;
    bytes = NULL;
out:
    free(bytes);
    return status;
}

static onnxd_status check_head(const char *path, const struct fit_head *head, onnxd_error *err)
{
    bool fits = head->n_hidden <= CTR_MAX_HIDDEN && head->options.schedule <= FIT_COSINE &&
                head->options.metric <= FIT_LOG_LOSS && head->options.step.optimiser <= DEEPFM_SGD &&
                head->embedding >= 1 && head->embedding <= CTR_MAX_EMBEDDING;
    for (uint32_t i = 0; fits && i < head->n_hidden; i++)
        fits = head->hidden[i] >= 1 && head->hidden[i] <= CTR_MAX_WIDTH;
    return fits ? ONNXD_OK : error_set(err, ONNXD_ERR_FORMAT, "%s: options that cannot be", path);
}

onnxd_status fit_read_head(const char *path, struct fit_head *ret_head, onnxd_error *err)
{
    char *bytes = NULL;
    struct byte_reader in;
    struct fit_head head;
    onnxd_status status = open_checkpoint(path, &bytes, &in, err);
    if (status != ONNXD_OK) return status;
    get_head(&in, &head);
    status = in.failed ? error_set(err, ONNXD_ERR_FORMAT, "%s: cut short", path)
                       : check_head(path, &head, err);
    if (status == ONNXD_OK) *ret_head = head;
    free(bytes);
    return status;
}

static onnxd_status compare(const char *path, const struct fit *fit, const struct fit_head *head,
                            onnxd_error *err)
{
    for (uint32_t i = 0; i < N_OPTIONS; i++)
        if (get_option(&fit->options, i) != get_option(&head->options, i))
            return error_set(err, ONNXD_ERR_ARGUMENT, "%s: was made with another --%s", path,
                             options[i].name);
    if (head->n_train != fit->train->n_rows || head->n_positive != fit->order.n_positive ||
        head->n_valid != fit->valid->n_rows)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "%s: was made from other rows (%llu, %llu positive, %llu for validation)", path,
                         (unsigned long long)head->n_train, (unsigned long long)head->n_positive,
                         (unsigned long long)head->n_valid);
    return ONNXD_OK;
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
    return get_floats(in, m->dense, m->n_dense) && get_floats(in, m->state_a, m->n_dense) &&
           get_floats(in, m->state_b, m->n_dense) && get_floats(in, fit->best, deepfm_n_weights(m));
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
    onnxd_status status = open_checkpoint(path, &bytes, &in, err);
    if (status != ONNXD_OK) return status;
    get_head(&in, &head);
    if (in.failed)
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: cut short", path);
    else
        status = compare(path, fit, &head, err);
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
    onnxd_status status = open_checkpoint(path, &bytes, &in, err);
    if (status != ONNXD_OK) return status;
    get_head(&in, &head);
    if (in.failed)
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: cut short", path);
    else if (!is_shape(&in, shape))
        status = error_set(err, ONNXD_ERR_ARGUMENT, "%s: was made for other features or layers", path);
    if (status == ONNXD_OK) status = deepfm_init(&fit.model, shape, err);
    if (status != ONNXD_OK) goto out;
    fit.options = head.options;
    fit.best = calloc(deepfm_n_weights(&fit.model), sizeof *fit.best);
    if (fit.best == NULL)
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
    free(fit->best);
    free(fit->points);
}
