/* In process or remote: figures that hold together, servers that are gone afterwards. */
#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/modes_suite.h"
#include "bench/row_pool.h"
#include "support/run_program.h"

static const char MODEL[] = "models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx";

static void modes_are_parsed_or_the_word_is_named(void **state)
{
    (void)state;
    struct modes_kind kinds[MODES_MAX];
    uint32_t n = 0;
    onnxd_error err;
    assert_ok(modes_parse("cpu,cpu:16,remote:1,remote:65536,remote", kinds, &n, &err), err);
    assert_int_equal(n, 5);
    assert_true(!kinds[1].remote && kinds[1].batch == 16 && kinds[3].remote && kinds[3].batch == 65536);
    assert_true(kinds[4].remote && kinds[4].batch == 1);
    static const char *const bad[] = {"",          "cpu,",       ",cpu",
                                      "gpu",       "remote:0",   "remote:65537",
                                      "remote:-1", "remote:1x",  "remote:99999999999999999999",
                                      "cpu:",      "cpu remote", "remotes:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(modes_parse(bad[i], kinds, &n, &err), ONNXD_ERR_ARGUMENT, err, "modes");
    char many[512] = "cpu";
    for (int i = 0; i < MODES_MAX; i++) strcat(many, ",cpu");
    assert_fails(modes_parse(many, kinds, &n, &err), ONNXD_ERR_ARGUMENT, err, "at most");
}

/* Whether a process runs the server of this build with our model. */
static int count_servers(const char *model)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc != NULL && (e = readdir(proc)) != NULL;) {
        char path[300], line[4096] = "";
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        FILE *file = e->d_name[0] >= '0' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file == NULL) continue;
        size_t got = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        for (size_t i = 0; i < got; i++)
            if (line[i] == 0) line[i] = ' ';
        n += strstr(line, " serve ") != NULL && strstr(line, model) != NULL;
    }
    if (proc != NULL) closedir(proc);
    return n;
}

static void figures_hold_together(void **state)
{
    (void)state;
    struct modes_options o = {.model = project_path(MODEL),
                              .seconds = 0.05,
                              .n_slices = 4,
                              .workers = 1,
                              .seed = test_seed(),
                              .engines = {ONNXD_ENGINE_NATIVE},
                              .n_engines = 1,
                              .program = BUILD_DIR "/onnxd"};
    const struct decision_weights weights = decision_weights_default();
    onnxd_error err;
    assert_ok(modes_parse("cpu,cpu:8,remote:1,remote:8", o.kinds, &o.n_kinds, &err), err);
    for (int protocol = MODES_BINARY; protocol <= MODES_JSON; protocol++) {
        struct modes_suite suite;
        o.protocol = (enum modes_protocol)protocol;
        assert_ok(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), err);
        assert_int_equal(suite.n_figures, 4);
        assert_string_equal(suite.figures[0].name, "cpu");
        assert_string_equal(suite.figures[3].name, "remote:8");
        for (uint32_t i = 0; i < 4; i++) {
            const struct modes_figures *f = &suite.figures[i];
            assert_true(f->p50_us > 0 && f->p50_us <= f->p95_us && f->p95_us <= f->p99_us);
            assert_true(f->rows_per_s.low <= f->rows_per_s.point &&
                        f->rows_per_s.point <= f->rows_per_s.high);
            assert_int_equal(f->n_slices, 4);
            assert_true(f->n_rows == f->n_calls * f->kind.batch && f->n_calls >= 4);
            assert_true(f->worst_difference <= 1e-5); /* JSON keeps floats exactly; batches sum otherwise */
            assert_true(f->own_memory_bytes > 1e6);
            assert_true((f->server_memory_bytes > 1e6) == f->kind.remote);
            assert_true(f->server_cpu_us >= 0 && (f->kind.remote || f->server_cpu_us == 0));
        }
        assert_int_equal(suite.decision.n, 4);
        modes_suite_done(&suite);
    }
    assert_int_equal(count_servers(o.model), 0);
}

static void faults_are_told_and_leave_no_server(void **state)
{
    (void)state;
    struct modes_options o = {.model = "/nonexistent.onnx",
                              .seconds = 0.05,
                              .n_slices = 4,
                              .workers = 1,
                              .engines = {ONNXD_ENGINE_NATIVE},
                              .n_engines = 1,
                              .program = BUILD_DIR "/onnxd"};
    const struct decision_weights weights = decision_weights_default();
    struct modes_suite suite;
    onnxd_error err;
    assert_ok(modes_parse("remote:1", o.kinds, &o.n_kinds, &err), err);
    assert_fails(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nonexistent.onnx");
    o.model = project_path(MODEL);
    o.rows = "/nonexistent.f32";
    assert_fails(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nonexistent.f32");
    o.rows = scratch_file("short.f32", "abc", 3);
    assert_fails(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), ONNXD_ERR_FORMAT, err, "short.f32");
    o.rows = NULL;
    o.program = "/nonexistent/onnxd";
    assert_fails(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nonexistent/onnxd");
    o.program = "/bin/false"; /* starts, and ends before it listens */
    assert_fails(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), ONNXD_ERR_IO, err, "false");
    o.n_slices = 1;
    assert_fails(modes_suite_run(&o, &weights, NULL, NULL, &suite, &err), ONNXD_ERR_ARGUMENT, err, "slices");
    assert_int_equal(count_servers(o.model), 0);
}

/* Batches of every size in any order lie within the pool, and all of its rows are taken in time. */
static void pools_hold_what_is_taken(void **state)
{
    (void)state;
    const onnxd_io_info input = {.name = "x", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 3}};
    const onnxd_io_info output = {.name = "y", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}};
    struct rng rng = rng_seed(test_seed());
    struct protocol_schema schema;
    struct row_pool pool;
    onnxd_error err;
    const char *path = scratch_file("three.csv", "1,2,3\n4,5,6\n7,8,9\n", 18);
    assert_ok(protocol_schema_init(&schema, &input, 1, &output, 1, NULL, &err), err);
    assert_ok(row_pool_init(&pool, NULL, &schema, path, 5000, &rng, &err), err);
    const float *x = pool.rows.rows.data[0];
    uint32_t capacity = pool.rows.rows.capacity, last = 0;
    assert_true(capacity >= 10000);
    for (uint32_t i = 0; i < 3 * capacity; i++)
        assert_true(x[i] == (float)(1 + i % 9)); /* repeated to the end */
    for (int i = 0; i < 20000; i++) {
        uint32_t batch = i % 3 == 0 ? 1 : 1 + (uint32_t)rng_below(&rng, 5000),
                 first = row_pool_take(&pool, batch);
        assert_true(first + batch <= capacity);
        if (first + batch > last) last = first + batch;
    }
    assert_true(last > capacity - 100);
    row_pool_done(&pool);
    protocol_schema_done(&schema);
}

static int run_modes(const char *const *arguments, const char *text)
{
    static const char *const program[] = {"onnxd", "bench", "modes", NULL};
    return run_saying(program, arguments, text);
}

#define QUICK "--seconds", "0.02", "--slices", "2", "--modes", "cpu,remote:8"

static void the_program_reports_in_every_form(void **state)
{
    (void)state;
    char model[4096], html[4096], json[4096], kept[4096];
    snprintf(model, sizeof model, "%s", project_path(MODEL));
    snprintf(html, sizeof html, "%s", scratch_path("modes.html"));
    snprintf(json, sizeof json, "%s", scratch_path("modes.json"));
    snprintf(kept, sizeof kept, "%s", scratch_path("modes.db"));
    assert_int_equal(
        run_modes((const char *[]){"--model", model, QUICK, "--html", html, "--json", json, NULL},
                  "is recommended"),
        0);
    assert_int_equal(access(html, R_OK), 0);
    assert_int_equal(access(json, R_OK), 0);
    assert_int_equal(
        run_modes((const char *[]){"--model", model, QUICK, "--format", "json", "--history", kept, NULL},
                  "\"decision\""),
        0);
    assert_int_equal(
        run_modes((const char *[]){"--model", model, QUICK, "--format", "markdown", NULL}, "| mode |"), 0);
    assert_int_equal(
        run_modes((const char *[]){"--model", model, "--weights", "50,50,50,50", NULL}, "sum to 200"), 64);
    assert_int_equal(run_modes((const char *[]){"--model", model, "--modes", "gpu", NULL}, "'gpu'"), 64);
    assert_int_equal(
        run_modes((const char *[]){"--model", model, "--engines", "native,native", NULL}, "--engines"), 64);
    assert_int_equal(run_modes((const char *[]){"--modes", "cpu", NULL}, "--model"), 64);
    assert_int_equal(run_modes((const char *[]){"--model", "/nonexistent.onnx", NULL}, "/nonexistent.onnx"),
                     66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_are_parsed_or_the_word_is_named), cmocka_unit_test(figures_hold_together),
        cmocka_unit_test(faults_are_told_and_leave_no_server),   cmocka_unit_test(pools_hold_what_is_taken),
        cmocka_unit_test(the_program_reports_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
