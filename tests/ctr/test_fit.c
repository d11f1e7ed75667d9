#include "support/test.h"

#include <unistd.h>

#include "base/file.h"
#include "click_log.h"
#include "ctr/ctr_export.h"
#include "ctr/ctr_metrics.h"
#include "ctr/fit.h"
#include "ctr/fit_checkpoint.h"
#include "engine/backend_onnxruntime.h"
#include "onnxd/session.h"

enum { N_TRAIN = 30000, N_VALID = 10000 };

struct fixture {
    struct ctr_shape shape;
    float *records;
    struct encoded_rows train, valid;
    struct threads *threads;
    struct fit_options options;
};

static void fixture_init(struct fixture *f, double base, uint32_t n_threads)
{
    static const struct ctr_network network = {
        .embedding = 6,
        .hidden = {24, 16},
        .n_hidden = 2,
        .crosses = {{.fields = {0, 1}, .n = 2}, {.fields = {2, 0, 1}, .n = 3}},
        .n_crosses = 2};
    onnxd_error err;
    *f = (struct fixture){.options = fit_options_default()};
    assert_ok(ctr_shape_make(&f->shape, LOG_FIELDS, LOG_FIELDS_N, LOG_DENSE, &network, &err), err);
    assert_int_equal(f->shape.n_columns, LOG_COLUMNS);
    f->records = malloc((N_TRAIN + N_VALID) * LOG_STRIDE * sizeof(float));
    click_log(f->records, N_TRAIN + N_VALID, base, test_seed());
    f->train = encoded_rows_view(f->records, N_TRAIN, LOG_COLUMNS);
    f->valid = encoded_rows_view(f->records + N_TRAIN * LOG_STRIDE, N_VALID, LOG_COLUMNS);
    assert_ok(threads_create(n_threads, &f->threads, &err), err);
    f->options.rate = 0.003;
    f->options.batch = 256;
    f->options.max_epochs = 4;
    f->options.seed = test_seed();
}

static void fixture_done(struct fixture *f)
{
    threads_free(f->threads);
    ctr_shape_done(&f->shape);
    free(f->records);
}

static struct fit *start(struct fixture *f)
{
    struct fit *fit = NULL;
    onnxd_error err;
    assert_ok(fit_create(&f->options, &f->shape, &f->train, &f->valid, f->threads, &fit, &err), err);
    return fit;
}

static void run_batches(struct fit *fit, uint64_t n)
{
    onnxd_error err;
    for (uint64_t i = 0; i < n && !fit->finished; i++) assert_ok(fit_batch(fit, NULL, &err), err);
}

/* Of the weights as they are and of the best ones. */
static uint64_t hash_weights(const struct fit *fit)
{
    size_t n = deepfm_n_weights(&fit->model);
    float *weights = malloc(2 * n * sizeof *weights);
    uint64_t hash = 14695981039346656037u;
    deepfm_get_weights(&fit->model, weights);
    memcpy(weights + n, fit->best, n * sizeof *weights);
    for (size_t i = 0; i < 2 * n * sizeof *weights; i++)
        hash = (hash ^ ((const unsigned char *)weights)[i]) * 1099511628211u;
    free(weights);
    return hash;
}

static void training_reaches_the_stated_auc(void **state)
{
    (void)state;
    struct fixture f;
    onnxd_error err;
    fixture_init(&f, -2, 2);
    struct fit *fit = start(&f);
    run_batches(fit, UINT64_MAX);
    assert_ok(fit_finish(fit, &err), err);
    print_message("AUC %.4f, log loss %.4f\n", fit->best_point.valid_auc, fit->best_point.valid_loss);
    assert_true(fit->best_point.valid_auc > 0.79);
    fit_free(fit);
    fixture_done(&f);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t first = 0;
    for (uint32_t n_threads = 1; n_threads <= 4; n_threads++) {
        struct fixture f;
        fixture_init(&f, -2, n_threads);
        f.options.step.dropout = 0.2;
        f.options.step.ftrl = true;
        f.options.step.l2_embedding = 1e-4;
        f.options.step.l2_by_field = true;
        f.options.negatives = 2;
        f.options.average = 3;
        f.options.looks = 2;
        struct fit *fit = start(&f);
        run_batches(fit, 90);
        assert_true(fit->best_point.epoch > 0);
        uint64_t hash = hash_weights(fit);
        if (n_threads == 1) first = hash;
        assert_int_equal(hash, first);
        fit_free(fit);
        fixture_done(&f);
    }
}

static const char *temp_file(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/fit_%d_%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid(),
             name);
    return path;
}

/* Stops in the middle of the second epoch, goes on from the file, and must not be told from one that ran on.
 */
static void a_resumed_run_ends_in_the_same_bits(void **state)
{
    (void)state;
    struct fixture f;
    onnxd_error err;
    const char *path = temp_file("resume");
    fixture_init(&f, -2, 2);
    f.options.step.dropout = 0.1;
    f.options.negatives = 3;
    f.options.step.l2_embedding = 1e-4;
    f.options.step.l2_by_field = true;
    f.options.average = 2;
    f.options.looks = 2;
    f.options.max_epochs = 3;
    struct fit *whole = start(&f), *part = start(&f), *resumed = start(&f);
    run_batches(whole, UINT64_MAX);
    run_batches(part, 170);
    assert_int_equal(part->epoch, 1);
    assert_true(part->at > 0);
    assert_ok(fit_save(part, path, &err), err);
    assert_ok(fit_load(resumed, path, &err), err);
    assert_int_equal(resumed->step, 170);
    run_batches(resumed, UINT64_MAX);
    assert_int_equal(hash_weights(resumed), hash_weights(whole));
    assert_int_equal(resumed->n_points, whole->n_points);
    assert_memory_equal(resumed->best, whole->best, deepfm_n_weights(&whole->model) * sizeof(float));
    assert_memory_equal(&resumed->best_point, &whole->best_point, sizeof whole->best_point);
    fit_free(whole);
    fit_free(part);
    fit_free(resumed);
    unlink(path);
    fixture_done(&f);
}

/* The share of the j-th of k weights in their mean: polynomial decay written out. */
static double share_of(uint64_t j, uint64_t k, double power)
{
    double share = (power + 1) / (power + (double)j);
    for (uint64_t i = j + 1; i <= k; i++) share *= (double)(i - 1) / (power + (double)i);
    return share;
}

/* The kept weights are the mean of those that were there, and taking it does not disturb the course. */
static void averages_are_those_of_the_course(void **state)
{
    (void)state;
    enum { MOST = 60 };
    struct fixture f;
    fixture_init(&f, -2, 1);
    f.options.max_epochs = 1;
    struct fit *plain = start(&f);
    f.options.average = 3;
    struct fit *fit = start(&f);
    size_t n = deepfm_n_weights(&fit->model);
    float *seen = malloc(MOST * n * sizeof *seen);
    double total = 0, first = share_of(1, 20, 3);
    while (!fit->finished) {
        uint64_t k = fit->n_averaged;
        run_batches(fit, 1);
        run_batches(plain, 1);
        if (fit->n_averaged == k) continue;
        assert_int_equal(fit->n_averaged, k + 1);
        assert_true(k < MOST);
        deepfm_get_weights(&plain->model, seen + k * n);
    }
    uint64_t k = fit->n_averaged;
    assert_int_equal(k, FIT_AVERAGES_AN_EPOCH);
    for (uint64_t j = 1; j <= k; j++) total += share_of(j, k, 3);
    assert_float_equal(total, 1, 1e-12);
    assert_true(share_of(20, 20, 3) > 100 * first);
    for (size_t i = 0; i < n; i++) {
        double want = 0;
        for (uint64_t j = 1; j <= k; j++) want += share_of(j, k, 3) * (double)seen[(j - 1) * n + i];
        assert_float_equal(fit->best[i], want, 1e-5 * (1 + fabs(want)));
    }
    free(seen);
    fit_free(plain);
    fit_free(fit);
    fixture_done(&f);
}

static void an_average_of_large_steps_is_better_than_the_last(void **state)
{
    (void)state;
    struct fixture f;
    double loss[2];
    fixture_init(&f, -2, 2);
    f.options.rate = 0.02;
    f.options.max_epochs = 2;
    for (int i = 0; i < 2; i++) {
        f.options.average = 4 * i;
        struct fit *fit = start(&f);
        run_batches(fit, UINT64_MAX);
        loss[i] = fit->points[fit->n_points - 1].valid_loss;
        fit_free(fit);
    }
    print_message("validation loss %.5f, averaged %.5f\n", loss[0], loss[1]);
    assert_true(loss[1] < loss[0]);
    fixture_done(&f);
}

/* What the same site, tag and half of the day do together only, no pair shows. */
static void a_cross_learns_what_pairs_cannot(void **state)
{
    (void)state;
    struct fixture f;
    struct ctr_network network = {.embedding = 6, .crosses = {{.fields = {0, 1, 2}, .n = 3}}};
    double auc[2];
    onnxd_error err;
    fixture_init(&f, -2, 2);
    struct rng rng = rng_seed(test_seed());
    for (uint32_t i = 0; i < N_TRAIN + N_VALID; i++) {
        float *row = f.records + (size_t)i * LOG_STRIDE;
        row[3] = 1; /* one tag */
        int odd = ((int)row[0] + (int)row[1] / 4 + (int)row[2]) % 2;
        row[LOG_COLUMNS] = rng_f64(&rng) < (odd ? 0.35 : 0.1);
    }
    f.options.rate = 0.01;
    for (uint32_t crosses = 0; crosses < 2; crosses++) {
        ctr_shape_done(&f.shape);
        network.n_crosses = crosses;
        assert_ok(ctr_shape_make(&f.shape, LOG_FIELDS, LOG_FIELDS_N, LOG_DENSE, &network, &err), err);
        struct fit *fit = start(&f);
        run_batches(fit, UINT64_MAX);
        auc[crosses] = fit->best_point.valid_auc;
        fit_free(fit);
    }
    print_message("AUC %.4f without, %.4f with\n", auc[0], auc[1]);
    assert_true(auc[0] < 0.53);
    assert_true(auc[1] > 0.68); /* 0.699 is the best possible */
    fixture_done(&f);
}

static void checkpoints_that_are_not_right_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    onnxd_error err;
    char *path = strdup(temp_file("hostile")), *bytes = NULL;
    size_t n = 0;
    fixture_init(&f, -2, 1);
    struct fit *fit = start(&f);
    run_batches(fit, 3);
    uint64_t hash = hash_weights(fit);
    assert_ok(fit_save(fit, path, &err), err);
    assert_ok(file_read(path, 1 << 26, &bytes, &n, &err), err);
    struct rng rng = rng_seed(test_seed());
    for (uint32_t i = 0; i < 200; i++) { /* one byte anywhere, or a shorter file */
        size_t at = rng_below(&rng, n), keep = i % 2 == 0 ? n : at;
        char old = bytes[at];
        bytes[at] = (char)(bytes[at] + 1 + (char)rng_below(&rng, 255));
        if (bytes[at] == old) bytes[at]++;
        assert_ok(file_replace(path, bytes, keep, &err), err);
        assert_int_not_equal(fit_load(fit, path, &err), ONNXD_OK);
        assert_non_null(strstr(err.message, path));
        assert_int_equal(hash_weights(fit), hash);
        bytes[at] = old;
    }
    assert_ok(file_replace(path, bytes, n, &err), err);
    f.options.rate = 0.1;
    struct fit *other = start(&f);
    assert_fails(fit_load(other, path, &err), ONNXD_ERR_ARGUMENT, err, "another --lr");
    fit_free(other);
    f.options.rate = fit->options.rate;
    f.train.n_rows--;
    other = start(&f);
    assert_fails(fit_load(other, path, &err), ONNXD_ERR_ARGUMENT, err, "other rows");
    fit_free(other);
    f.train.n_rows++;
    f.train.fingerprint ^= 1;
    other = start(&f);
    assert_fails(fit_load(other, path, &err), ONNXD_ERR_ARGUMENT, err, "other rows, though as many");
    fit_free(other);
    assert_fails(fit_load(fit, "/nowhere/at/all", &err), ONNXD_ERR_NOT_FOUND, err, "/nowhere");
    free(bytes);
    unlink(path);
    free(path);
    fit_free(fit);
    fixture_done(&f);
}

/* With a tenth of the negatives left out of training, probabilities are those of all rows. */
static void down_sampling_keeps_probabilities(void **state)
{
    (void)state;
    struct fixture f;
    onnxd_error err;
    fixture_init(&f, -4, 2);
    f.options.negatives = 2;
    f.options.max_epochs = 6;
    f.options.metric = FIT_LOG_LOSS;
    struct fit *fit = start(&f);
    assert_true(row_order_keep_rate(&fit->order) < 0.5);
    assert_int_equal(fit->order.n_kept, 2 * fit->order.n_positive);
    uint64_t *index = malloc(N_TRAIN * sizeof *index);
    uint32_t n = row_order_next(&fit->order, index, N_TRAIN), n_negative = 0;
    for (uint32_t i = 0; i < n; i++) n_negative += encoded_label(&f.train, index[i]) < 0.5f;
    assert_int_equal(n, row_order_n(&fit->order));
    assert_int_equal(n_negative, fit->order.n_kept);
    free(index);
    row_order_start(&fit->order, 0);
    run_batches(fit, UINT64_MAX);
    for (int calibrate = 0; calibrate < 2; calibrate++) {
        double sum = 0, clicks = 0;
        float *logits = malloc(N_TRAIN * sizeof *logits);
        fit->options.calibrate = calibrate;
        assert_ok(fit_finish(fit, &err), err);
        assert_ok(deepfm_logits(fit->work, &f.train, 0, N_TRAIN, logits, &err), err);
        for (uint32_t i = 0; i < N_TRAIN; i++) {
            sum += 1 / (1 + exp(-(logits[i] + fit->offset)));
            clicks += encoded_label(&f.train, i);
        }
        print_message("mean prediction over rate: %.4f\n", sum / clicks);
        assert_float_equal(sum / clicks, 1, calibrate ? 1e-4 : 0.15);
        free(logits);
    }
    fit_free(fit);
    fixture_done(&f);
}

static void rows_of_one_class_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct fit *fit = NULL;
    onnxd_error err;
    fixture_init(&f, -2, 1);
    struct encoded_rows all = f.train;
    for (uint32_t i = 0; i < N_VALID; i++) f.records[(N_TRAIN + i) * LOG_STRIDE + LOG_COLUMNS] = 0;
    assert_fails(fit_create(&f.options, &f.shape, &f.train, &f.valid, f.threads, &fit, &err), ONNXD_ERR_RANGE,
                 err, "validation rows: 0 positive of 10000");
    f.train = f.valid;
    f.valid = all;
    assert_fails(fit_create(&f.options, &f.shape, &f.train, &f.valid, f.threads, &fit, &err), ONNXD_ERR_RANGE,
                 err, "training rows: 0 positive and 10000 negative");
    f.train = all;
    f.records[5 * LOG_STRIDE + 1] = 8;
    fit = start(&f);
    onnxd_status status = ONNXD_OK;
    while (status == ONNXD_OK && !fit->finished) status = fit_batch(fit, NULL, &err);
    assert_int_equal(status, ONNXD_ERR_RANGE);
    assert_non_null(strstr(err.message, "row 5, column 1: 8 is no id"));
    fit_free(fit);
    fixture_done(&f);
}

static void expect_equal(const struct fit *fit, const struct buf *file, const struct encoded_rows *rows,
                         onnxd_engine engine)
{
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_model_options options = {.engine = engine};
    enum { N = 500 };
    float *logits = malloc(N * sizeof *logits), *columns = malloc(N * rows->n_columns * sizeof *columns);
    for (uint32_t i = 0; i < N; i++)
        memcpy(columns + i * rows->n_columns, encoded_row(rows, i), rows->n_columns * sizeof *columns);
    assert_ok(onnxd_model_load_bytes(file->data, file->n, NULL, &options, &model, &err), err);
    assert_true(onnxd_model_is_batchable(model));
    assert_string_equal(onnxd_model_input(model, 0)->name, "input");
    assert_string_equal(onnxd_model_output(model, 0)->name, "output");
    assert_int_equal(onnxd_model_input(model, 0)->dims[1], rows->n_columns);
    assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
    assert_ok(deepfm_logits(fit->work, rows, 0, N, logits, &err), err);
    onnxd_tensor in = {.type = ONNXD_FLOAT32, .rank = 2, .dims = {N, rows->n_columns}, .data = columns}, out;
    assert_ok(onnxd_session_run(session, &in, 1, &out, 1, &err), err);
    assert_int_equal(out.rank, 2);
    assert_int_equal(out.dims[0], N);
    assert_int_equal(out.dims[1], 1);
    for (uint32_t i = 0; i < N; i++)
        assert_float_equal(((const float *)out.data)[i], 1 / (1 + exp(-(logits[i] + fit->offset))), 1e-6);
    onnxd_session_free(session);
    onnxd_model_unref(model);
    free(logits);
    free(columns);
}

static void exported_models_answer_as_the_trained_one(void **state)
{
    (void)state;
    struct fixture f;
    onnxd_error err;
    struct buf file;
    fixture_init(&f, -2, 1);
    f.options.negatives = 4;
    f.options.max_epochs = 1;
    struct fit *fit = start(&f);
    run_batches(fit, UINT64_MAX);
    assert_ok(fit_finish(fit, &err), err);
    buf_init(&file, 1 << 26);
    assert_ok(ctr_to_onnx(&fit->model, fit->offset, &file, &err), err);
    expect_equal(fit, &file, &f.valid, ONNXD_ENGINE_NATIVE);
    if (onnxruntime_version() != NULL) expect_equal(fit, &file, &f.valid, ONNXD_ENGINE_ONNXRUNTIME);
    buf_done(&file);
    fit_free(fit);
    fixture_done(&f);
}

/* Models without one of the parts. */
static void models_of_every_make_up_can_be_exported(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_fields, n_dense, n_hidden, n_crosses;
    } makes[] = {{3, 0, 1, 0}, {0, 4, 1, 0}, {1, 2, 0, 0}, {2, 0, 0, 0},
                 {0, 2, 0, 0}, {3, 1, 0, 1}, {3, 0, 1, 2}};
    for (uint32_t i = 0; i < sizeof makes / sizeof makes[0]; i++) {
        const struct ctr_network network = {
            .embedding = 3,
            .hidden = {7},
            .n_hidden = makes[i].n_hidden,
            .crosses = {{.fields = {1, 2}, .n = 2}, {.fields = {2, 0, 1}, .n = 3}},
            .n_crosses = makes[i].n_crosses};
        struct ctr_shape shape;
        struct fit fit = {0};
        struct threads *threads = NULL;
        struct buf file;
        onnxd_error err;
        struct rng rng = rng_seed(test_seed() + i);
        float *records = calloc(600, 20 * sizeof *records);
        assert_ok(ctr_shape_make(&shape, LOG_FIELDS, makes[i].n_fields, makes[i].n_dense, &network, &err),
                  err);
        for (uint32_t r = 0; r < 600; r++)
            for (uint32_t c = 0; c < shape.n_columns; c++)
                records[r * (shape.n_columns + 2) + c] = (float)rng_below(&rng, 8);
        struct encoded_rows rows = encoded_rows_view(records, 600, shape.n_columns);
        assert_ok(deepfm_init(&fit.model, &shape, &err), err);
        deepfm_start(&fit.model, 5, 0.3);
        for (size_t p = 0; p < fit.model.n_dense; p++) fit.model.dense[p] += 0.05f * (float)rng_normal(&rng);
        assert_ok(threads_create(1, &threads, &err), err);
        assert_ok(deepfm_work_create(&fit.model, NULL, threads, 64, &fit.work, &err), err);
        buf_init(&file, 1 << 24);
        fit.offset = 0.25;
        assert_ok(ctr_to_onnx(&fit.model, fit.offset, &file, &err), err);
        expect_equal(&fit, &file, &rows, ONNXD_ENGINE_NATIVE);
        if (onnxruntime_version() != NULL) expect_equal(&fit, &file, &rows, ONNXD_ENGINE_ONNXRUNTIME);
        buf_done(&file);
        deepfm_work_free(fit.work);
        deepfm_done(&fit.model);
        threads_free(threads);
        ctr_shape_done(&shape);
        free(records);
    }
}

static void names_tell_the_settings(void **state)
{
    (void)state;
    struct ctr_network network = {
        .embedding = 8, .hidden = {256, 128, 64}, .n_hidden = 3, .crosses = {{.fields = {0, 2}, .n = 2}}};
    struct ctr_shape shape;
    struct fit_options options = fit_options_default();
    onnxd_error err;
    char name[100];
    assert_ok(ctr_shape_make(&shape, LOG_FIELDS, 3, 0, &network, &err), err);
    options.rate = 1e-4;
    options.negatives = 150;
    ctr_model_name(&options, &shape, name, sizeof name);
    assert_string_equal(name, "deepfm_emb8_lr0.0001_dnn25612864_neg150_best");
    options.negatives = 0;
    ctr_model_name(&options, &shape, name, sizeof name);
    assert_string_equal(name, "deepfm_emb8_lr0.0001_dnn25612864_best");
    ctr_shape_done(&shape);
    network.n_crosses = 1;
    assert_ok(ctr_shape_make(&shape, LOG_FIELDS, 3, 0, &network, &err), err);
    ctr_model_name(&options, &shape, name, sizeof name);
    assert_string_equal(name, "deepfm_emb8_lr0.0001_dnn25612864_cross1_best");
    ctr_shape_done(&shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_reaches_the_stated_auc),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(a_resumed_run_ends_in_the_same_bits),
        cmocka_unit_test(averages_are_those_of_the_course),
        cmocka_unit_test(an_average_of_large_steps_is_better_than_the_last),
        cmocka_unit_test(a_cross_learns_what_pairs_cannot),
        cmocka_unit_test(checkpoints_that_are_not_right_are_refused),
        cmocka_unit_test(down_sampling_keeps_probabilities),
        cmocka_unit_test(rows_of_one_class_are_refused),
        cmocka_unit_test(exported_models_answer_as_the_trained_one),
        cmocka_unit_test(models_of_every_make_up_can_be_exported),
        cmocka_unit_test(names_tell_the_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
