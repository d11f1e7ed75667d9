#include "support/test.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "bench/bench_history.h"
#include "support/run_program.h"

static void make_run(struct bench_run *run, const char *suite, double value)
{
    double samples[50];
    for (int i = 0; i < 50; i++) samples[i] = value + i;
    bench_run_begin(run, suite);
    bench_run_setting(run, "model", "%s", "deep fm=1");
    bench_run_setting(run, "batch", "%d", 8);
    bench_run_setting(run, "connections", "%d", 64);
    bench_run_setting(run, "batch", "%d", 16);
    bench_run_figure(run, "p99", "ns", BENCH_LOWER, (struct interval){value, value - 1, value + 1}, samples,
                     50);
    bench_run_value(run, "rate", "1/s", BENCH_HIGHER, 1e6 / value);
    bench_run_value(run, "unmeasured", "ns", BENCH_LOWER, NAN);
}

static void keep(const char *path, const char *suite, double value)
{
    struct bench_run run;
    onnxd_error err;
    make_run(&run, suite, value);
    assert_ok(bench_history_keep(path, &run, &err), err);
    bench_run_done(&run);
}

static char *fresh_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s", scratch_path(name));
    unlink(path);
    return path;
}

static void a_run_comes_back_as_it_was_kept(void **state)
{
    (void)state;
    const char *path = fresh_path("kept.db");
    struct bench_run run;
    struct bench_history history;
    onnxd_error err;
    make_run(&run, "micro", 100);
    bench_run_verdict(&run, BENCH_UNSTABLE, "it wavered");
    bench_run_verdict(&run, BENCH_OK, "lighter, ignored");
    assert_string_equal(run.settings, "batch=16 connections=64 model=deep_fm_1");
    assert_ok(bench_history_keep(path, &run, &err), err);
    keep(path, "load", 7);
    assert_ok(bench_history_read(path, "micro", &history, &err), err);
    assert_int_equal(history.n_runs, 1);
    const struct bench_run *back = &history.runs[0];
    assert_string_equal(back->suite, "micro");
    assert_string_equal(back->settings, run.settings);
    assert_string_equal(back->version, ONNXD_VERSION);
    assert_string_equal(back->remark, "it wavered");
    assert_int_equal(back->verdict, BENCH_UNSTABLE);
    assert_true(back->unix_ms == run.unix_ms);
    assert_memory_equal(&back->machine.cpu, run.machine.cpu, strlen(run.machine.cpu) + 1);
    assert_true(bench_history_alike(back, &run));
    assert_int_equal(back->n_figures, 2); /* what was not measured is no figure */
    const struct bench_figure *p99 = bench_run_find(back, "p99");
    assert_non_null(p99);
    assert_true(p99->value.point == 100 && p99->value.low == 99 && p99->value.high == 101);
    assert_int_equal(p99->n_samples, 50);
    assert_true(p99->samples[49] == 149);
    assert_int_equal(p99->better, BENCH_LOWER);
    assert_null(bench_run_find(back, "unmeasured"));
    bench_history_done(&history);
    assert_ok(bench_history_read(path, NULL, &history, &err), err);
    assert_int_equal(history.n_runs, 2);
    assert_false(bench_history_alike(&history.runs[0], &history.runs[1]));
    bench_history_done(&history);
    bench_run_done(&run);
}

static void many_samples_are_thinned_and_the_fingerprint_sees_each_part(void **state)
{
    (void)state;
    enum { N = BENCH_MAX_SAMPLES * 2 + 5 };
    const char *path = fresh_path("many.db");
    double *samples = calloc(N, sizeof *samples);
    struct bench_run run;
    struct bench_history history;
    onnxd_error err;
    bench_run_begin(&run, "micro");
    bench_run_figure(&run, "x", "ns", BENCH_LOWER, (struct interval){1, 1, 1}, samples, N);
    assert_ok(bench_history_keep(path, &run, &err), err);
    assert_ok(bench_history_read(path, NULL, &history, &err), err);
    assert_in_range(history.runs[0].figures[0].n_samples, N / 3, BENCH_MAX_SAMPLES);
    bench_history_done(&history);
    struct fingerprint other = run.machine;
    snprintf(other.governor, sizeof other.governor, "powersave2");
    fingerprint_seal(&other);
    assert_string_not_equal(other.id, run.machine.id);
    bench_run_done(&run);
    free(samples);
}

/* A file made by `sql`, with our mark unless it sets another. */
static const char *made_by(const char *name, const char *sql)
{
    const char *path = fresh_path(name);
    sqlite3 *db = NULL;
    char *why = NULL;
    keep(path, "micro", 100);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
    return path;
}

static void hostile_files_are_refused_with_their_fault(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        onnxd_status status;
        const char *text;
    } cases[] = {
        {"PRAGMA user_version = 2", ONNXD_ERR_UNSUPPORTED, "a later onnxd"},
        {"PRAGMA application_id = 7", ONNXD_ERR_FORMAT, "no history"},
        {"DROP TABLE figure", ONNXD_ERR_FORMAT, "not whole"},
        {"DROP TABLE figure; CREATE TABLE figure(x)", ONNXD_ERR_FORMAT, "no such column"},
        {"DROP TABLE figure; CREATE VIEW figure AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM "
         "c) "
         "SELECT x AS name FROM c",
         ONNXD_ERR_FORMAT, "not whole"},
        {"UPDATE figure SET samples = x'00000000000000f87f' WHERE name = 'p99'", ONNXD_ERR_FORMAT, "samples"},
        {"UPDATE figure SET samples = x'000000000000f87f' WHERE name = 'p99'", ONNXD_ERR_FORMAT,
         "finite numbers"},
        {"UPDATE figure SET samples = zeroblob(1048576)", ONNXD_ERR_FORMAT, "65536"},
        {"UPDATE figure SET samples = 'words'", ONNXD_ERR_FORMAT, "samples"},
        {"UPDATE figure SET value = 'fast'", ONNXD_ERR_FORMAT, "value: expected a finite number"},
        {"UPDATE figure SET value = 9e999", ONNXD_ERR_FORMAT, "value: expected a finite number"},
        {"UPDATE figure SET better = 3", ONNXD_ERR_FORMAT, "better"},
        {"UPDATE run SET verdict = 99", ONNXD_ERR_FORMAT, "verdict"},
        {"UPDATE run SET unix_ms = -5", ONNXD_ERR_FORMAT, "unix_ms"},
        {"UPDATE run SET suite = zeroblob(9)", ONNXD_ERR_FORMAT, "suite"},
        {"UPDATE run SET settings = printf('%.*c', 5000, 'x')", ONNXD_ERR_FORMAT, "settings"},
        {"UPDATE machine SET n_cpus = 1e300", ONNXD_ERR_FORMAT, "n_cpus"},
    };
    onnxd_error err;
    struct bench_history history = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = made_by("hostile.db", cases[i].sql);
        assert_fails(bench_history_read(path, NULL, &history, &err), cases[i].status, err, cases[i].text);
        assert_null(history.runs);
    }
    const char *path = scratch_file("words.db", "these are not the pages of a database at all", 44);
    assert_fails(bench_history_read(path, NULL, &history, &err), ONNXD_ERR_FORMAT, err, "not a database");
    struct bench_run run;
    make_run(&run, "micro", 1);
    assert_fails(bench_history_keep(path, &run, &err), ONNXD_ERR_FORMAT, err, "not a database");
    path = made_by("later.db", "PRAGMA user_version = 9");
    assert_fails(bench_history_keep(path, &run, &err), ONNXD_ERR_UNSUPPORTED, err, "form 9");
    assert_fails(bench_history_keep("/nonexistent/h.db", &run, &err), ONNXD_ERR_IO, err, "/nonexistent/h.db");
    assert_fails(bench_history_read("/nonexistent/h.db", NULL, &history, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nonexistent/h.db");
    bench_run_done(&run);
}

/* Bytes turned at random in a whole file: read or refused, never a crash or a hang. */
static void damaged_files_are_read_or_refused(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    const char *path = fresh_path("whole.db");
    onnxd_error err;
    char *bytes = NULL;
    size_t n = 0;
    uint32_t n_refused = 0;
    for (int i = 0; i < 4; i++) keep(path, "micro", 100 + i);
    assert_ok(file_read(path, 1 << 20, &bytes, &n, &err), err);
    char *damaged = malloc(n), *copy = strdup(scratch_path("damaged.db"));
    for (int round = 0; round < 300; round++) {
        struct bench_history history = {0};
        memcpy(damaged, bytes, n);
        size_t most = round % 2 == 0 ? n : 4096; /* half of them in the first page, which holds the schema */
        for (int k = 0; k < 6; k++) damaged[rng_below(&rng, most)] = (char)rng_u64(&rng);
        FILE *file = fopen(copy, "wb");
        size_t n_left = round % 3 == 2 ? rng_below(&rng, n) : n;
        assert_non_null(file);
        assert_int_equal(fwrite(damaged, 1, n_left, file), n_left);
        fclose(file);
        if (bench_history_read(copy, NULL, &history, &err) != ONNXD_OK) n_refused++;
        bench_history_done(&history);
    }
    assert_in_range(n_refused, 30, 300);
    free(damaged);
    free(copy);
    free(bytes);
}

static void values_are_told_in_their_units(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *unit, *text;
    } cases[] = {{31.24, "ns", "31.2 ns"},    {1234, "ns", "1.23 us"},       {4.5e9, "ns", "4.50 s"},
                 {2048, "bytes", "2.00 KiB"}, {12345678, "1/s", "12.3 M/s"}, {0.5, "", "0.5"},
                 {999.99, "ns", "1000 ns"},   {-2.5, "%", "-2.5 %"},         {NAN, "ns", "-"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        bench_format_value(cases[i].value, cases[i].unit, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_comes_back_as_it_was_kept),
        cmocka_unit_test(many_samples_are_thinned_and_the_fingerprint_sees_each_part),
        cmocka_unit_test(hostile_files_are_refused_with_their_fault),
        cmocka_unit_test(damaged_files_are_read_or_refused),
        cmocka_unit_test(values_are_told_in_their_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
