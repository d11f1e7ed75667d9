#include "support/test.h"

#include "base/cpus.h"
#include "ctr/deepfm_step.h"
#include "deepfm_reference.h"

enum { N_ROWS = 77, N_DENSE = 3 };

static const struct ctr_field FIELDS[] = {
    {.name = "site", .first_column = 0, .n_slots = 1, .n_ids = 11, .padding_id = FEATURE_NO_ID},
    {.name = "tags", .first_column = 1, .n_slots = 3, .n_ids = 6, .padding_id = 1},
    {.name = "hour", .first_column = 4, .n_slots = 1, .n_ids = 4, .padding_id = FEATURE_NO_ID},
};

struct fixture {
    struct ctr_shape shape;
    struct deepfm model;
    float *records;
    struct encoded_rows rows;
    uint64_t index[N_ROWS];
    struct threads *threads;
};

static void fixture_init(struct fixture *f, uint32_t embedding, uint32_t n_hidden, uint32_t n_threads)
{
    const struct ctr_network network = {
        .embedding = embedding,
        .hidden = {19, 33, 9},
        .n_hidden = n_hidden,
        .crosses = {{.fields = {0, 1, 2}, .n = 3}, {.fields = {2, 1}, .n = 2}},
        .n_crosses = n_hidden % 3}; /* none, one, both, none */
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    assert_ok(ctr_shape_make(&f->shape, FIELDS, 3, N_DENSE, &network, &err), err);
    assert_ok(deepfm_init(&f->model, &f->shape, &err), err);
    random_weights(&f->model, &rng);
    f->records = malloc(N_ROWS * (f->shape.n_columns + 2) * sizeof(float));
    random_records(&f->shape, f->records, N_ROWS, &rng);
    f->rows = encoded_rows_view(f->records, N_ROWS, f->shape.n_columns);
    for (uint32_t i = 0; i < N_ROWS; i++) f->index[i] = i;
    assert_ok(threads_create(n_threads, &f->threads, &err), err);
}

static void fixture_done(struct fixture *f)
{
    threads_free(f->threads);
    deepfm_done(&f->model);
    ctr_shape_done(&f->shape);
    free(f->records);
}

static double *as_doubles(const struct deepfm *m)
{
    size_t n = deepfm_n_weights(m);
    float *weights = malloc(n * sizeof *weights);
    double *doubles = malloc(n * sizeof *doubles);
    deepfm_get_weights(m, weights);
    for (size_t i = 0; i < n; i++) doubles[i] = weights[i];
    free(weights);
    return doubles;
}

static const char *name_of(const struct deepfm *m, size_t i)
{
    size_t n_table = (size_t)m->shape->n_rows * m->n_own;
    if (i < n_table) return i % m->n_own == m->shape->net.embedding ? "linear weight" : "embedding";
    i -= n_table;
    if (i == 0) return "bias";
    if (i < m->numbers + m->shape->n_dense) return "number's weight";
    if (i >= m->last) return "last layer";
    for (uint32_t l = 0; l < m->shape->net.n_hidden; l++)
        if (i >= m->layers[l].b && i < m->layers[l].b + m->layers[l].n) return "layer's bias";
    return "layer's weight";
}

static void predictions_equal_the_naive_model(void **state)
{
    (void)state;
    static const uint32_t embeddings[] = {1, 5, 8, 16, 21};
    for (uint32_t e = 0; e < 5; e++)
        for (uint32_t n_hidden = 0; n_hidden <= 3; n_hidden++) {
            struct fixture f;
            struct deepfm_work *work = NULL;
            onnxd_error err;
            float logits[N_ROWS];
            fixture_init(&f, embeddings[e], n_hidden, 1);
            assert_ok(deepfm_work_create(&f.model, NULL, f.threads, 32, &work, &err), err);
            assert_ok(deepfm_logits(work, &f.rows, 0, N_ROWS, logits, &err), err);
            double *weights = as_doubles(&f.model);
            for (uint32_t i = 0; i < N_ROWS; i++) {
                double want = reference_logit(&f.model, weights, encoded_row(&f.rows, i));
                assert_float_equal(logits[i], want, 2e-5 * (1 + fabs(want)));
            }
            free(weights);
            deepfm_work_free(work);
            fixture_done(&f);
        }
}

/* One step of plain descent shows the gradient: (before - after) / rate. */
static void gradients_equal_finite_differences(void **state)
{
    (void)state;
    const double RATE = 64, STEP = 1e-5;
    for (uint32_t n_hidden = 0; n_hidden <= 3; n_hidden++) {
        struct fixture f;
        struct deepfm_work *work = NULL;
        struct deepfm_settings settings = deepfm_settings_default();
        onnxd_error err;
        double loss = 0, largest = 0;
        settings.optimiser = DEEPFM_SGD;
        fixture_init(&f, 5, n_hidden, 1);
        double *before = as_doubles(&f.model);
        assert_ok(deepfm_work_create(&f.model, &settings, f.threads, N_ROWS, &work, &err), err);
        assert_ok(deepfm_train(work, &f.rows, f.index, N_ROWS, 1, RATE, &loss, &err), err);
        assert_float_equal(loss / N_ROWS, reference_loss(&f.model, before, &f.rows), 1e-5);
        double *after = as_doubles(&f.model);
        for (size_t i = 0; i < deepfm_n_weights(&f.model); i++) {
            double value = before[i];
            before[i] = value + STEP;
            double up = reference_loss(&f.model, before, &f.rows);
            before[i] = value - STEP;
            double down = reference_loss(&f.model, before, &f.rows);
            before[i] = value;
            double want = (up - down) / (2 * STEP), got = (value - after[i]) / RATE;
            if (fabs(want) > largest) largest = fabs(want);
            if (fabs(got - want) > 2e-6 + 1e-4 * fabs(want))
                fail_msg("%u layers, %s %zu: gradient %.8f, expected %.8f", n_hidden, name_of(&f.model, i), i,
                         got, want);
        }
        assert_true(largest > 0.01);
        free(before);
        free(after);
        deepfm_work_free(work);
        fixture_done(&f);
    }
}

/* The weights after one step of plain descent from the fixture's model. */
static double *after_step(struct fixture *f, const struct deepfm_settings *settings, const float *squares,
                          uint64_t step)
{
    struct deepfm_work *work = NULL;
    onnxd_error err;
    double loss = 0;
    fixture_init(f, 5, 2, 2);
    memcpy(f->model.field_squares, squares, 3 * sizeof *squares);
    assert_ok(deepfm_work_create(&f->model, settings, f->threads, N_ROWS, &work, &err), err);
    assert_ok(deepfm_train(work, &f->rows, f->index, N_ROWS, step, 1, &loss, &err), err);
    deepfm_work_free(work);
    return as_doubles(&f->model);
}

/* What a field pays beside an unpunished step: the mean of the squares over its own, a tenth to ten times. */
static void fields_with_large_embeddings_pay_less(void **state)
{
    (void)state;
    enum { STEPS = 600 }; /* none of the ids has moved before */
    static const float squares[] = {0.001f, 2, 7};
    static const double want[] = {10, 9.001 / 3 / 2, 9.001 / 3 / 7, 1}; /* the last: factors */
    const double L2 = 1e-5;
    struct fixture fixtures[3];
    struct deepfm_settings free_of = deepfm_settings_default(), punished;
    free_of.optimiser = DEEPFM_SGD;
    punished = free_of;
    punished.l2_embedding = L2;
    punished.l2_by_field = true;
    fixture_init(&fixtures[2], 5, 2, 1);
    const struct deepfm *model = &fixtures[2].model;
    double *before = as_doubles(model), *plain = after_step(&fixtures[0], &free_of, squares, STEPS);
    double *shared = after_step(&fixtures[1], &punished, squares, STEPS);
    uint32_t n_moved[4] = {0};
    for (size_t i = 0; i < deepfm_n_weights(model); i++) {
        size_t row = i / model->n_own;
        bool embedding = row < model->shape->n_rows && i % model->n_own < model->shape->net.embedding;
        uint32_t field = row < 11 ? 0 : row < 17 ? 1 : row < 21 ? 2 : 3;
        double pays = embedding && plain[i] != before[i] ? L2 * STEPS * want[field] * before[i] : 0;
        if (pays != 0) n_moved[field]++;
        assert_float_equal(plain[i] - shared[i], pays, 1e-6);
    }
    for (uint32_t f = 0; f < 4; f++) assert_true(n_moved[f] > 0);
    free(before);
    free(plain);
    free(shared);
    for (int i = 0; i < 3; i++) fixture_done(&fixtures[i]);
}

/* The running mean takes in what the batch's embeddings, pooled where there are many values, sum to. */
static void squares_of_fields_are_those_of_the_batch(void **state)
{
    (void)state;
    static const float squares[] = {3, 4, 5};
    struct deepfm_settings settings = deepfm_settings_default();
    struct fixture plain, f;
    settings.l2_by_field = true;
    free(after_step(&f, &settings, squares, 1000));
    fixture_init(&plain, 5, 2, 1);
    for (uint32_t field = 0; field < 3; field++) {
        const struct ctr_field *at = &plain.shape.fields[field];
        double sum = 0;
        for (uint32_t i = 0; i < N_ROWS; i++) {
            const float *row = encoded_row(&plain.rows, i);
            double x[5] = {0}, count = 0;
            for (uint32_t c = 0; c < at->n_slots; c++) {
                uint32_t id = (uint32_t)row[at->first_column + c];
                if (id == at->padding_id) continue;
                for (int j = 0; j < 5; j++) x[j] += deepfm_row(&plain.model, at->first_row + id)[j];
                count++;
            }
            for (int j = 0; j < 5 && count > 0; j++) sum += x[j] / count * (x[j] / count);
        }
        double want = squares[field] + (sum / N_ROWS - squares[field]) / 500;
        assert_float_equal(f.model.field_squares[field], want, 1e-5);
        assert_true(fabs(want - squares[field]) > 1e-4);
    }
    fixture_done(&plain);
    fixture_done(&f);
}

/* One step of FTRL-Proximal for a weight, from the gradient of the sum of losses, as McMahan et al. write it.
 */
static void reference_ftrl(const struct deepfm_settings *s, double *w, double *z, double *n, double g)
{
    double sigma = (sqrt(*n + g * g) - sqrt(*n)) / s->ftrl_alpha;
    *z += g - sigma * *w;
    *n += g * g;
    double sign = *z < 0 ? -1 : 1;
    *w = fabs(*z) <= s->ftrl_l1
             ? 0
             : -(*z - sign * s->ftrl_l1) / ((s->ftrl_beta + sqrt(*n)) / s->ftrl_alpha + s->ftrl_l2);
}

/* Rows count one by one, however many share a step: FTRL's beta and penalties mean the same for any batch. */
static void ftrl_takes_gradients_as_sums_over_the_batch(void **state)
{
    (void)state;
    static const uint32_t batches[] = {N_ROWS, 30, 50};
    const double STEP = 1e-5;
    struct fixture f;
    struct deepfm_work *work = NULL;
    struct deepfm_settings settings = deepfm_settings_default();
    onnxd_error err;
    double loss = 0;
    size_t n_zero = 0, n_moved = 0;
    settings.optimiser = DEEPFM_SGD; /* at rate 0: only FTRL moves anything */
    settings.ftrl = true;
    settings.ftrl_l1 = 1;
    settings.ftrl_l2 = 0.5;
    fixture_init(&f, 5, 2, 2);
    size_t n_weights = deepfm_n_weights(&f.model), n_table = (size_t)f.shape.n_rows * f.model.n_own;
    double *weights = as_doubles(&f.model), *z = calloc(n_weights, sizeof *z);
    double *n = calloc(n_weights, sizeof *n), *g = calloc(n_weights, sizeof *g);
    assert_ok(deepfm_work_create(&f.model, &settings, f.threads, N_ROWS, &work, &err), err);
    for (uint32_t step = 0; step < 3; step++) {
        struct encoded_rows rows = encoded_rows_part(&f.rows, 0, batches[step]);
        assert_ok(deepfm_train(work, &rows, f.index, batches[step], step + 1, 0, &loss, &err), err);
        for (size_t i = 0; i < n_weights; i++) {
            double value = weights[i];
            weights[i] = value + STEP;
            double up = reference_loss(&f.model, weights, &rows);
            weights[i] = value - STEP;
            g[i] = (up - reference_loss(&f.model, weights, &rows)) / (2 * STEP) * batches[step];
            weights[i] = value;
        }
        double *got = as_doubles(&f.model);
        for (size_t i = 0; i < n_weights; i++) {
            size_t number = i - n_table - f.model.numbers;
            bool linear = i < n_table ? i % f.model.n_own == f.shape.net.embedding : number < f.shape.n_dense;
            bool seen = g[i] != 0; /* an id that no row has does not move */
            if (linear && seen) reference_ftrl(&settings, &weights[i], &z[i], &n[i], g[i]);
            if (fabs(got[i] - weights[i]) > 1e-5)
                fail_msg("step %u, %s %zu: %.7f, expected %.7f", step, name_of(&f.model, i), i, got[i],
                         weights[i]);
            n_zero += linear && seen && weights[i] == 0;
            n_moved += linear && seen && weights[i] != 0;
        }
        free(got);
    }
    assert_true(n_zero > 0 && n_moved > 5);
    free(weights);
    free(z);
    free(n);
    free(g);
    deepfm_work_free(work);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_equal_the_naive_model),
        cmocka_unit_test(gradients_equal_finite_differences),
        cmocka_unit_test(ftrl_takes_gradients_as_sums_over_the_batch),
        cmocka_unit_test(fields_with_large_embeddings_pay_less),
        cmocka_unit_test(squares_of_fields_are_those_of_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
