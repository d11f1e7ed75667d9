#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "kernels/kernels.h"
#include "support/models.h"

static const char *const names[] = {"deepfm", "wdl", "autoint"};

/* PyTorch and this engine add in different orders; both are within 1e-6 of the exact sum. */
static const double tolerance = 1e-5;

static onnxd_session *open_session(const char *name, const onnxd_model_options *options,
                                   const onnxd_session_options *session_options)
{
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    assert_ok(onnxd_model_load(stored_model_path(name), options, &model, &err), err);
    assert_ok(onnxd_session_create(model, session_options, &session, &err), err);
    onnxd_model_unref(model); /* the session holds its own reference */
    return session;
}

static void check_against_pytorch(const onnxd_model_options *options)
{
    static const int64_t batches[] = {1, 3, 7, 64, 2, 33, 1};
    for (size_t m = 0; m < 3; m++) {
        struct stored stored;
        stored_read(names[m], &stored);
        onnxd_session *session = open_session(names[m], options, NULL);
        for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
            double worst = stored_worst_difference(session, &stored, batches[i]);
            if (!(worst <= tolerance))
                fail_msg("%s, batch %d: differs by %g", names[m], (int)batches[i], worst);
        }
        onnxd_session_free(session);
    }
}

static void answers_equal_pytorchs(void **state)
{
    (void)state;
    check_against_pytorch(NULL);
}

static void answers_equal_pytorchs_without_fusion(void **state)
{
    (void)state;
    onnxd_model_options options = {.no_optimize = true};
    check_against_pytorch(&options);
}

/* Weights and activations are rounded to eight bits of mantissa: probabilities move in the third digit. */
static void bf16_stays_near_pytorch(void **state)
{
    (void)state;
    static const int64_t batches[] = {1, 7, 64};
    onnxd_model_options options = {.precision = ONNXD_PRECISION_BF16};
    for (size_t m = 0; m < 3; m++) {
        struct stored stored;
        stored_read(names[m], &stored);
        onnxd_session *session = open_session(names[m], &options, NULL);
        for (size_t i = 0; i < 3; i++) {
            double worst = stored_worst_difference(session, &stored, batches[i]);
            if (!(worst <= 5e-3)) fail_msg("%s, batch %d: differs by %g", names[m], (int)batches[i], worst);
            if (kernels_get()->has_bf16 && worst <= 1e-6) fail_msg("%s: bf16 was not used", names[m]);
        }
        onnxd_session_free(session);
    }
}

static void models_tell_their_inputs(void **state)
{
    (void)state;
    onnxd_error err;
    for (size_t m = 0; m < 3; m++) {
        onnxd_model *model = NULL;
        assert_ok(onnxd_model_load(stored_model_path(names[m]), NULL, &model, &err), err);
        assert_int_equal(onnxd_model_n_inputs(model), 1);
        assert_int_equal(onnxd_model_n_outputs(model), 1);
        const onnxd_io_info *in = onnxd_model_input(model, 0), *out = onnxd_model_output(model, 0);
        assert_string_equal(in->name, "input");
        assert_string_equal(in->dim_names[0], "batch");
        assert_int_equal(in->dims[0], -1);
        assert_int_equal(in->dims[1], 15);
        assert_string_equal(out->name, "output");
        assert_int_equal(out->rank, 2);
        assert_int_equal(out->dims[1], 1);
        assert_null(onnxd_model_input(model, 1));
        assert_true(onnxd_model_is_batchable(model));
        assert_string_equal(onnxd_model_engine_name(model), "native");
        onnxd_model_unref(model);
    }
    onnxd_model_unref(NULL);
}

static void wrong_inputs_are_named(void **state)
{
    (void)state;
    onnxd_error err;
    struct stored stored;
    stored_read("deepfm", &stored);
    onnxd_session *session = open_session("deepfm", NULL, NULL);
    onnxd_tensor out = {.rank = 77};
    onnxd_tensor in = {ONNXD_FLOAT32, 2, {1, 14}, stored.in};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_SHAPE, err,
                 "input 'input': expected shape [batch, 15], got [1, 14]");
    in = (onnxd_tensor){ONNXD_INT64, 2, {1, 15}, stored.in};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_TYPE, err,
                 "expected float32, got int64");
    in = (onnxd_tensor){ONNXD_FLOAT32, 1, {15}, stored.in};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_SHAPE, err, "[15]");
    in = (onnxd_tensor){ONNXD_FLOAT32, 2, {-1, 15}, stored.in};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_LIMIT, err, "impossible");
    in = (onnxd_tensor){ONNXD_FLOAT32, 2, {INT64_MAX / 2, 15}, stored.in};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_LIMIT, err, "too large");
    in = (onnxd_tensor){ONNXD_FLOAT32, 2, {1, 15}, NULL};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_ARGUMENT, err, "no data");
    assert_fails(onnxd_session_run(session, &in, 1, &out, 2, &err), ONNXD_ERR_ARGUMENT, err,
                 "1 outputs, not 1 and 2");
    assert_int_equal(out.rank, 77); /* untouched by all of these */
    assert_true(stored_worst_difference(session, &stored, 1) <= tolerance);
    onnxd_session_free(session);
}

static void indices_outside_their_table_are_named(void **state)
{
    (void)state;
    onnxd_error err;
    static const float bad[] = {20000, 1e9f, -20001, NAN, INFINITY, -INFINITY, 3e38f};
    struct stored stored;
    stored_read("deepfm", &stored);
    for (int fused = 0; fused < 2; fused++) {
        onnxd_model_options options = {.no_optimize = fused == 0};
        onnxd_session *session = open_session("deepfm", &options, NULL);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            for (int64_t rows = 1; rows <= 64; rows += 63) {
                struct stored changed = stored;
                onnxd_tensor in = {ONNXD_FLOAT32, 2, {rows, 15}, changed.in}, out;
                changed.in[(rows - 1) * 15 + 5] = bad[i]; /* domain */
                assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_RANGE, err,
                             "20000");
            }
        assert_true(stored_worst_difference(session, &stored, 64) <= tolerance);
        onnxd_session_free(session);
    }
}

static void memory_stays_bounded(void **state)
{
    (void)state;
    onnxd_error err;
    onnxd_session_options options = {.max_programs = 8, .arena_limit_bytes = 8 << 20};
    struct rng rng = rng_seed(test_seed());
    static float rows[3000 * 15];
    onnxd_session *session = open_session("deepfm", NULL, &options);
    for (int i = 0; i < 400; i++) {
        onnxd_tensor in = {ONNXD_FLOAT32, 2, {(int64_t)rng_below(&rng, 3000), 15}, rows}, out;
        assert_ok(onnxd_session_run(session, &in, 1, &out, 1, &err), err);
        assert_int_equal(out.dims[0], in.dims[0]);
        assert_true(onnxd_session_memory_bytes(session) <= options.arena_limit_bytes);
    }
    onnxd_session_free(session);
}

static void a_limit_too_small_is_told(void **state)
{
    (void)state;
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_session_options options = {.arena_limit_bytes = 4096};
    assert_ok(onnxd_model_load(stored_model_path("deepfm"), NULL, &model, &err), err);
    assert_fails(onnxd_session_create(model, &options, &session, &err), ONNXD_ERR_LIMIT, err, "limit");
    assert_null(session);
    options = (onnxd_session_options){.max_batch = 100000};
    assert_fails(onnxd_session_create(model, &options, &session, &err), ONNXD_ERR_RANGE, err, "max_batch");
    onnxd_model_unref(model);
    onnxd_model_options small = {.max_model_bytes = 100000};
    assert_fails(onnxd_model_load(stored_model_path("deepfm"), &small, &model, &err), ONNXD_ERR_LIMIT, err,
                 "100000");
}

/* One flipped bit in a model: refused, or loaded and then run or refused, but never a crash. */
static void damaged_models_never_crash(void **state)
{
    (void)state;
    onnxd_error err;
    struct rng rng = rng_seed(test_seed());
    struct stored stored;
    stored_read("wdl", &stored);
    char *bytes = NULL;
    size_t n;
    assert_ok(file_read(stored_model_path("wdl"), 64 << 20, &bytes, &n, &err), err);
    onnxd_model_options native = {.engine = ONNXD_ENGINE_NATIVE};
    int n_loaded = 0;
    for (int i = 0; i < 120; i++) {
        /* The graph lies at both ends of the file, the weights in between. */
        size_t at = i % 3 == 0   ? rng_below(&rng, n)
                    : i % 3 == 1 ? rng_below(&rng, 20000)
                                 : n - 1 - rng_below(&rng, 20000);
        char old = bytes[at];
        bytes[at] = (char)(old ^ (1 << rng_below(&rng, 8)));
        onnxd_model *model = NULL;
        onnxd_session *session = NULL;
        onnxd_tensor in = {ONNXD_FLOAT32, 2, {5, 15}, stored.in}, out;
        if (onnxd_model_load_bytes(bytes, n, NULL, &native, &model, &err) == ONNXD_OK) {
            n_loaded++;
            if (onnxd_session_create(model, NULL, &session, &err) == ONNXD_OK &&
                onnxd_model_n_inputs(model) == 1 && onnxd_model_n_outputs(model) == 1 &&
                onnxd_session_run(session, &in, 1, &out, 1, &err) != ONNXD_OK)
                assert_true(strlen(err.message) > 5);
        }
        onnxd_session_free(session);
        onnxd_model_unref(model);
        bytes[at] = old;
    }
    assert_true(n_loaded > 0);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_equal_pytorchs),     cmocka_unit_test(answers_equal_pytorchs_without_fusion),
        cmocka_unit_test(bf16_stays_near_pytorch),    cmocka_unit_test(models_tell_their_inputs),
        cmocka_unit_test(wrong_inputs_are_named),     cmocka_unit_test(indices_outside_their_table_are_named),
        cmocka_unit_test(memory_stays_bounded),       cmocka_unit_test(a_limit_too_small_is_told),
        cmocka_unit_test(damaged_models_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
