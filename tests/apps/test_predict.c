/* onnxd predict and the dispatch of onnxd, as a user calls them. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "cli_progress.h"
#include "support/models.h"
#include "support/run_program.h"

#define BUNDLED "models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx"

/* Each answer line is {"ctr":x} within 1e-5 of the stored one. */
static void expect_answers(const struct run_result *got, const float *want, uint32_t n)
{
    assert_string_equal(got->err, "");
    assert_int_equal(got->exit_code, 0);
    const char *at = got->out;
    for (uint32_t i = 0; i < n; i++) {
        char *end;
        if (strncmp(at, "{\"ctr\":", 7) != 0) fail_msg("row %u: unexpected answer: %.60s", i, at);
        double x = strtod(at + 7, &end);
        if (!(fabs(x - (double)want[i]) <= 1e-5))
            fail_msg("row %u: expected %.9g, got %.9g", i, (double)want[i], x);
        assert_memory_equal(end, "}\n", 2);
        at = end + 2;
    }
    assert_int_equal(*at, 0);
}

static size_t write_rows(const struct stored *stored, const char *format, char *text, size_t n_text)
{
    size_t n = 0;
    bool csv = strcmp(format, "csv") == 0;
    for (int i = 0; i < STORED_ROWS; i++) {
        n += (size_t)snprintf(text + n, n_text - n, csv ? "" : i % 2 == 0 ? "[" : "{\"features\":[");
        for (int k = 0; k < STORED_COLUMNS; k++)
            n += (size_t)snprintf(text + n, n_text - n, "%s%.9g", k > 0 ? "," : "",
                                  (double)stored->in[i * STORED_COLUMNS + k]);
        n += (size_t)snprintf(text + n, n_text - n, csv ? "\n" : i % 2 == 0 ? "]\n" : "]}\n");
    }
    return n;
}

static void predict_model(const char *model)
{
    static struct stored stored;
    static char text[1 << 16], path[4096];
    static const char *const batches[] = {"1", "3", "7", "64"};
    stored_read(model, &stored);
    snprintf(path, sizeof path, "%s", stored_model_path(model));
    for (int b = 0; b < 4; b++) {
        for (int f = 0; f < 3; f++) {
            const char *format = (const char *[]){"jsonl", "csv", "f32"}[f];
            const char *argv[] = {"onnxd",    "predict", "--model",  path,     "--batch", batches[b],
                                  "--format", format,    "--engine", "native", NULL};
            size_t n = f == 2 ? sizeof stored.in : write_rows(&stored, format, text, sizeof text);
            struct run_result got = run_program(argv, f == 2 ? (const void *)stored.in : text, n);
            expect_answers(&got, stored.out, STORED_ROWS);
            run_result_done(&got);
        }
    }
}

static void deepfm_answers_as_pytorch_did(void **state)
{
    (void)state;
    predict_model("deepfm");
}

static void wdl_answers_as_pytorch_did(void **state)
{
    (void)state;
    predict_model("wdl");
}

static void autoint_answers_as_pytorch_did(void **state)
{
    (void)state;
    predict_model("autoint");
}

static const char good_row[] = "[4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125]\n";
static const char bad_row[] = "[4,15,1,1,1,20001,282,2,77,13,0.728,0.09,0.5,0.25,0.125]\n";

static struct run_result predict(const char *input, const char *const *more)
{
    static char model[4096];
    const char *argv[16] = {"onnxd", "predict", "--model", model};
    snprintf(model, sizeof model, "%s", project_path(BUNDLED));
    for (int i = 0; more[i] != NULL; i++) argv[4 + i] = more[i];
    return run_program(argv, input, strlen(input));
}

static void expect_failure(struct run_result got, int exit_code, const char *message)
{
    if (got.exit_code != exit_code || strstr(got.err, message) == NULL)
        fail_msg("expected exit %d with \"%s\", got %d: %s", exit_code, message, got.exit_code, got.err);
    run_result_done(&got);
}

static void faults_are_told_with_place_and_exit_code(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    char text[1024];
    snprintf(text, sizeof text, "%s%s%s", good_row, good_row, bad_row);
    struct run_result got = predict(text, none);
    int lines = 0;
    for (const char *c = got.out; *c != 0; c++) lines += *c == '\n';
    assert_int_equal(lines, 2); /* the rows in front of the bad one */
    expect_failure(got, 65, "standard input: row 3: ");
    expect_failure(predict("[1,2]\n", none), 65, "standard input:1: ");
    expect_failure(predict("", (const char *[]){"--input", "/nonexistent", NULL}), 66, "/nonexistent: ");
    expect_failure(predict("", (const char *[]){"--batch", "0", NULL}), 64, "--batch");
    expect_failure(predict(good_row, (const char *[]){"--output", "/nonexistent/x", NULL}), 74,
                   "/nonexistent/x");
    expect_failure(predict(good_row, (const char *[]){"--output", "/dev/full", NULL}), 74,
                   "/dev/full: No space left");
    const char *path = scratch_file("same.jsonl", good_row, strlen(good_row));
    expect_failure(predict("", (const char *[]){"--input", path, "--output", path, NULL}), 64,
                   "the same file");
    char *bytes = NULL;
    size_t n = 0;
    onnxd_error err;
    assert_ok(file_read(path, 1000, &bytes, &n, &err), err);
    assert_string_equal(bytes, good_row);
    free(bytes);
    const char *no_model[] = {"onnxd", "predict", NULL};
    expect_failure(run_program(no_model, NULL, 0), 64, "--model FILE is needed");
    const char *bad_model[] = {"onnxd", "predict", "--model", scratch_file("bad.onnx", "abc", 3), NULL};
    expect_failure(run_program(bad_model, NULL, 0), 65, "bad.onnx: ");
}

static void answers_go_to_a_file(void **state)
{
    (void)state;
    char path[256], *bytes = NULL;
    size_t n = 0;
    onnxd_error err;
    snprintf(path, sizeof path, "%s", scratch_path("answers.jsonl"));
    struct run_result got = predict(good_row, (const char *[]){"--output", path, NULL});
    assert_int_equal(got.exit_code, 0);
    assert_string_equal(got.out, "");
    assert_string_equal(got.err, ""); /* no progress bar without a terminal */
    assert_ok(file_read(path, 1000, &bytes, &n, &err), err);
    assert_memory_equal(bytes, "{\"ctr\":0.", 9);
    free(bytes);
    run_result_done(&got);
    got = predict("", (const char *[]){"--output", path, NULL});
    assert_int_equal(got.exit_code, 0); /* no rows, no answers */
    run_result_done(&got);
}

static void unknown_commands_are_named(void **state)
{
    (void)state;
    expect_failure(run_program((const char *[]){"onnxd", "preditc", NULL}, NULL, 0), 64,
                   "did you mean 'predict'?");
    expect_failure(run_program((const char *[]){"onnxd", NULL}, NULL, 0), 64, "expected a command");
    struct run_result got = run_program((const char *[]){"onnxd", "--help", NULL}, NULL, 0);
    assert_int_equal(got.exit_code, 0);
    assert_non_null(strstr(got.out, "predict"));
    run_result_done(&got);
}

static void progress_tells_share_rate_and_time_left(void **state)
{
    (void)state;
    struct cli_progress progress = {.unit = "rows"};
    char text[160];
    cli_progress_text(&progress, 2000, 25, 100, 2000000000u, text, sizeof text);
    assert_string_equal(text, " 25% [######..................] 2000 rows, 1000 rows/s, 0:06 left");
    cli_progress_text(&progress, 3000, 25, 0, 75000000000u, text, sizeof text);
    assert_string_equal(text, "3000 rows, 40 rows/s, 1:15");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deepfm_answers_as_pytorch_did),
        cmocka_unit_test(wdl_answers_as_pytorch_did),
        cmocka_unit_test(autoint_answers_as_pytorch_did),
        cmocka_unit_test(faults_are_told_with_place_and_exit_code),
        cmocka_unit_test(answers_go_to_a_file),
        cmocka_unit_test(unknown_commands_are_named),
        cmocka_unit_test(progress_tells_share_rate_and_time_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
