/* The engine suite: what it reports, not how fast anything is. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/engine_suite.h"
#include "kernels/kernels.h"
#include "support/models.h"
#include "support/run_program.h"

static void count_reports(void *context, const struct engine_suite *suite)
{
    uint32_t *n = context;
    (*n)++;
    assert_int_equal(suite->n_figures, *n);
}

static void check_interval(const struct interval *x)
{
    assert_true(x->point > 0 && x->low > 0 && x->low <= x->point && x->point <= x->high && isfinite(x->high));
}

static void figures_hold_together(void **state)
{
    (void)state;
    static struct engine_suite suite;
    struct engine_suite_options options = {.model = stored_model_path("deepfm"),
                                           .batches = {1, 100},
                                           .n_batches = 2,
                                           .seconds = 0.001,
                                           .seed = test_seed()};
    onnxd_error err;
    uint32_t n = 0;
    assert_ok(engine_suite_run(&options, count_reports, &n, &suite, &err), err);
    assert_int_equal(n, 2);
    assert_string_equal(suite.isa, kernels_get()->isa);
    for (uint32_t i = 0; i < 2; i++) {
        const struct engine_figures *f = &suite.figures[i];
        check_interval(&f->native_us);
        assert_true(f->n_blocks >= 8);
        assert_true(f->flops >= 2.0 * 62784 * f->batch);
        assert_true(f->bytes > 250e3);
        assert_true(f->flop_share > 0 && f->byte_share > 0);
        if (suite.other_version[0] == 0) {
            assert_true(f->other_us.point == 0 && f->ratio.point == 0);
            continue;
        }
        check_interval(&f->other_us);
        check_interval(&f->ratio);
        assert_true(fabs(f->ratio.point - f->other_us.point / f->native_us.point) < 1e-6 * f->ratio.point);
        assert_true(f->worst_difference <= 1e-5);
    }
    if (suite.other_version[0] == 0) {
        print_message("onnxruntime not measured: %s\n", suite.why_no_other);
        assert_non_null(strstr(suite.why_no_other, "onnxruntime"));
    }
}

static void rows_come_from_a_file(void **state)
{
    (void)state;
    static struct engine_suite suite;
    struct engine_suite_options options = {.batches = {3}, .n_batches = 1, .seconds = 0.001};
    char model[4096], rows[4096];
    onnxd_error err;
    snprintf(model, sizeof model, "%s", stored_model_path("wdl"));
    options.model = model;
    const char good[] = "[4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125]\n";
    const char bad[] = "[4,15,1,1,1,20001,282,2,77,13,0.728,0.09,0.5,0.25,0.125]\n";
    snprintf(rows, sizeof rows, "%s", scratch_file("good.jsonl", good, strlen(good)));
    options.rows = rows;
    assert_ok(engine_suite_run(&options, NULL, NULL, &suite, &err), err);
    check_interval(&suite.figures[0].native_us);
    snprintf(rows, sizeof rows, "%s", scratch_file("bad.jsonl", bad, strlen(bad)));
    assert_fails(engine_suite_run(&options, NULL, NULL, &suite, &err), ONNXD_ERR_RANGE, err, "batch 3: ");
    snprintf(rows, sizeof rows, "%s", scratch_file("empty.jsonl", "\n", 1));
    assert_fails(engine_suite_run(&options, NULL, NULL, &suite, &err), ONNXD_ERR_FORMAT, err,
                 "holds no rows");
    snprintf(rows, sizeof rows, "%s", scratch_file("broken.jsonl", "[4,15]\n", 7));
    assert_fails(engine_suite_run(&options, NULL, NULL, &suite, &err), ONNXD_ERR_SHAPE, err,
                 "broken.jsonl:1: ");
    options.n_batches = 0;
    assert_fails(engine_suite_run(&options, NULL, NULL, &suite, &err), ONNXD_ERR_ARGUMENT, err,
                 "batch sizes");
}

static void peaks_are_measured(void **state)
{
    (void)state;
    struct core_peak peak = core_peak_measure(kernels_get()->isa);
    assert_true(peak.flops_per_s > 1e8 && peak.flops_per_s < 1e13);
    assert_true(peak.l2_bytes_per_s > 1e8 && peak.l2_bytes_per_s < 1e13);
    assert_true(core_peak_measure("none").flops_per_s == 0);
}

static void the_command_prints_a_table_and_writes_json(void **state)
{
    (void)state;
    char model[4096], json[256];
    snprintf(model, sizeof model, "%s", stored_model_path("deepfm"));
    snprintf(json, sizeof json, "%s", scratch_path("engine.json"));
    const char *argv[] = {"onnxd",     "bench", "engine", model, "--batch", "1,4",
                          "--seconds", "0.001", "--json", json,  NULL};
    struct run_result got = run_program(argv, NULL, 0);
    assert_string_equal(got.err, "");
    assert_int_equal(got.exit_code, 0);
    assert_non_null(strstr(got.out, "peaks of the core: "));
    assert_non_null(strstr(got.out, "\n     4  "));
    assert_int_equal(access(json, R_OK), 0);
    run_result_done(&got);
    const char *missing[] = {"onnxd", "bench", "engine", "/nonexistent.onnx", NULL};
    got = run_program(missing, NULL, 0);
    assert_int_equal(got.exit_code, 66);
    run_result_done(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_hold_together),
        cmocka_unit_test(rows_come_from_a_file),
        cmocka_unit_test(peaks_are_measured),
        cmocka_unit_test(the_command_prints_a_table_and_writes_json),
    };
    static const char *const places[] = {BUILD_DIR "/onnxruntime/libonnxruntime.so.1",
                                         SOURCE_DIR "/build/onnxruntime/libonnxruntime.so.1"};
    for (int i = 0; i < 2; i++)
        if (access(places[i], R_OK) == 0) setenv("ONNXD_ONNXRUNTIME", places[i], 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
