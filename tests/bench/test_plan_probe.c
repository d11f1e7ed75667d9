/* Random inputs, the plan and its costs. */
#include "support/test.h"

#include <stdlib.h>

#include "bench/plan_probe.h"
#include "support/models.h"

static onnxd_model *load(const char *name)
{
    onnxd_model *model = NULL;
    onnxd_error err;
    assert_ok(onnxd_model_load(stored_model_path(name), NULL, &model, &err), err);
    return model;
}

/* Table heights of the columns that index one, as the models' description has them. */
static const int64_t heights[STORED_COLUMNS] = {7, 24, 35, 370, 5, 20000, 10000, 4, 150, 70};

static void drawn_rows_index_within_their_tables(void **state)
{
    (void)state;
    static const char *const names[] = {"deepfm", "wdl", "autoint"};
    for (int m = 0; m < 3; m++) {
        onnxd_model *model = load(names[m]);
        onnxd_session *session = NULL;
        struct input_set set;
        struct input_ranges ranges;
        struct rng rng = rng_seed(test_seed());
        onnxd_tensor out;
        onnxd_error err;
        bool above_half[STORED_COLUMNS] = {false};
        assert_ok(input_set_init(&set, model, 50, &err), err);
        assert_ok(input_ranges_init(&ranges, native_model_of(model)->graph, set.tensors, set.n, &err), err);
        assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
        for (int c = 0; c < STORED_COLUMNS; c++) assert_int_equal(ranges.inputs[0].below[c], heights[c]);
        for (int round = 0; round < 20; round++) {
            input_ranges_draw(&ranges, &rng, set.tensors);
            const float *x = set.tensors[0].data;
            for (int i = 0; i < 50 * STORED_COLUMNS; i++) {
                int64_t below = heights[i % STORED_COLUMNS];
                float most = below > 0 ? (float)below : 1;
                if (!(x[i] >= 0 && x[i] < most) || (below > 0 && x[i] != (float)(int64_t)x[i]))
                    fail_msg("%s: column %d: %g is not below %g", names[m], i % STORED_COLUMNS, (double)x[i],
                             (double)most);
                above_half[i % STORED_COLUMNS] |= x[i] > most / 2;
            }
            assert_ok(onnxd_session_run(session, set.tensors, 1, &out, 1, &err), err);
        }
        for (int c = 0; c < STORED_COLUMNS; c++) assert_true(above_half[c]);
        onnxd_session_free(session);
        input_ranges_done(&ranges);
        input_set_done(&set);
        onnxd_model_unref(model);
    }
}

/* wdl: 85 -> 256 -> 128 -> 1, so the products of a row are known by hand. */
static void products_are_counted(void **state)
{
    (void)state;
    onnxd_model *model = load("wdl");
    onnxd_error err;
    for (int64_t batch = 1; batch <= 7; batch += 6) {
        struct input_set set;
        struct plan_probe *probe = NULL;
        uint64_t dense = 0, weights = 0;
        assert_ok(input_set_init(&set, model, batch, &err), err);
        assert_ok(plan_probe_create(model, &set, &probe, &err), err);
        for (uint32_t i = 0; i < plan_probe_n_steps(probe); i++) {
            struct plan_step step = plan_probe_step(probe, i);
            if (step.flops < 2u * 85 * 256 * (uint64_t)batch) continue;
            dense += step.flops;
            weights += step.read_bytes;
        }
        assert_int_equal(dense, 2 * (85 * 256 + 256 * 128) * batch);
        assert_true(weights >= 4 * (85 * 256 + 256 * 128));
        assert_true(plan_probe_flops(probe) >= dense);
        assert_true(plan_probe_arena_bytes(probe) > 0);
        plan_probe_free(probe);
        input_set_done(&set);
    }
    onnxd_model_unref(model);
}

static void a_profile_times_every_step(void **state)
{
    (void)state;
    onnxd_model *model = load("deepfm");
    struct input_set set;
    struct input_ranges ranges;
    struct plan_probe *probe = NULL;
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    double step_ns[64], run_ns = -1, sum = 0;
    assert_ok(input_set_init(&set, model, 8, &err), err);
    assert_ok(input_ranges_init(&ranges, native_model_of(model)->graph, set.tensors, set.n, &err), err);
    assert_ok(plan_probe_create(model, &set, &probe, &err), err);
    uint32_t n = plan_probe_n_steps(probe);
    assert_true(n > 0 && n <= 64);
    for (uint32_t i = 0; i < n; i++) step_ns[i] = -1;
    assert_ok(plan_probe_profile(probe, &ranges, 5, &rng, step_ns, &run_ns, &err), err);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(step_ns[i] >= 0);
        sum += step_ns[i];
    }
    assert_true(sum > 0 && run_ns > 0);
    plan_probe_free(probe);
    input_ranges_done(&ranges);
    input_set_done(&set);
    onnxd_model_unref(model);
}

static void faults_of_the_drawn_rows_are_told(void **state)
{
    (void)state;
    onnxd_model *model = load("deepfm");
    struct input_set set;
    struct input_ranges ranges;
    struct plan_probe *probe = NULL;
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    double step_ns[64], run_ns;
    assert_ok(input_set_init(&set, model, 8, &err), err);
    assert_ok(input_ranges_init(&ranges, NULL, set.tensors, set.n, &err), err);
    assert_ok(plan_probe_create(model, &set, &probe, &err), err);
    ranges.inputs[0].below[0] = 1000; /* weekday has 7 rows */
    assert_fails(plan_probe_profile(probe, &ranges, 5, &rng, step_ns, &run_ns, &err), ONNXD_ERR_RANGE, err,
                 "7");
    plan_probe_free(probe);
    input_ranges_done(&ranges);
    input_set_done(&set);
    onnxd_model_unref(model);
}

static void tiles_are_told(void **state)
{
    (void)state;
    onnxd_model *model = load("deepfm");
    onnxd_error err;
    uint32_t rows = 77;
    for (int64_t batch = 1; batch <= 1000; batch += 999) {
        struct input_set set;
        assert_ok(input_set_init(&set, model, batch, &err), err);
        memset(set.tensors[0].data, 0, onnxd_tensor_n_bytes(&set.tensors[0]));
        assert_ok(plan_tile_rows(model, &set, &rows, &err), err);
        assert_true(batch == 1 ? rows == 0 : rows > 0 && rows < 1000);
        input_set_done(&set);
    }
    onnxd_model_unref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_rows_index_within_their_tables),
        cmocka_unit_test(products_are_counted),
        cmocka_unit_test(a_profile_times_every_step),
        cmocka_unit_test(faults_of_the_drawn_rows_are_told),
        cmocka_unit_test(tiles_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
