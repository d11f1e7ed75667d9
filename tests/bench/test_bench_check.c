/* The gate over histories: false alarms and found slowdowns in simulation, verdicts, exit codes. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/trend_report.h"
#include "support/run_program.h"

enum shape { NORMAL, LOGNORMAL, DISTURBED, DRIFTING, N_SHAPES };

/* One run's figure: about `level`, with noise of standard deviation sd (relative). DISTURBED: one run in ten
 * meets something else on the machine and is up to half as slow again. DRIFTING: each run is correlated with
 * the one before by 0.5; *state is its place. */
static double draw(struct rng *rng, enum shape shape, double level, double sd, double *state)
{
    double z = rng_normal(rng), s = sqrt(log1p(sd * sd));
    if (shape == DRIFTING) z = *state = 0.5 * *state + sqrt(0.75) * z;
    if (shape == LOGNORMAL) return level * exp(s * z - s * s / 2);
    double value = level * (1 + sd * z);
    return shape == DISTURBED && rng_f64(rng) < 0.1 ? value * (1 + rng_f64(rng) / 2) : value;
}

struct simulation {
    struct bench_run runs[64];
    const struct bench_run *pointers[64];
    struct bench_figure figures[64 * 32];
    char names[32][24];
    double places[32]; /* of figures that drift */
};

/* n runs of n_figures figures; the latest is `factor` times as slow in its first figure. */
static enum bench_verdict simulate(struct simulation *s, struct rng *rng, enum shape shape, uint32_t n,
                                   uint32_t n_figures, double sd, double factor, uint32_t *ret_others)
{
    struct check_result result;
    onnxd_error err;
    for (uint32_t k = 0; k < n_figures; k++) snprintf(s->names[k], sizeof s->names[k], "figure %u", k);
    for (uint32_t k = 0; k < n_figures; k++) s->places[k] = rng_normal(rng);
    for (uint32_t i = 0; i < n; i++) {
        s->runs[i] = (struct bench_run){.suite = "micro",
                                        .settings = "a=1",
                                        .version = "1",
                                        .commit = "",
                                        .remark = "",
                                        .unix_ms = i,
                                        .figures = &s->figures[i * n_figures],
                                        .n_figures = n_figures};
        s->pointers[i] = &s->runs[i];
        for (uint32_t k = 0; k < n_figures; k++) {
            bool higher = k % 2 == 1;
            double value = draw(rng, i == n - 1 && shape == DISTURBED ? NORMAL : shape, 100 + 10 * k, sd,
                                &s->places[k]);
            if (i == n - 1 && k == 0) value *= factor;
            s->figures[i * n_figures + k] = (struct bench_figure){.name = s->names[k],
                                                                  .unit = "ns",
                                                                  .value = {value, value, value},
                                                                  .better = higher ? BENCH_HIGHER
                                                                                   : BENCH_LOWER};
        }
    }
    assert_ok(bench_check(s->pointers, n, &(struct check_options){0}, &result, &err), err);
    enum bench_verdict verdict = result.verdict;
    bool found = result.figures[0].verdict == CHECK_WORSE;
    *ret_others = 0;
    for (uint32_t k = 1; k < n_figures; k++) *ret_others += result.figures[k].verdict == CHECK_WORSE;
    check_result_done(&result);
    return factor > 1 && !found ? BENCH_OK : verdict;
}

static void unchanged_programs_rarely_alarm(void **state)
{
    (void)state;
    static struct simulation s;
    static const uint32_t runs[] = {6, 8, 11, 21, 31, 41}, figures[] = {1, 24};
    struct rng rng = rng_seed(test_seed());
    uint32_t others;
    for (int shape = NORMAL; shape < N_SHAPES; shape++)
        for (size_t f = 0; f < 2; f++)
            for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
                enum { N = 600 };
                uint32_t n_alarms = 0;
                for (int k = 0; k < N; k++)
                    n_alarms += simulate(&s, &rng, (enum shape)shape, runs[i], figures[f], 0.03, 1,
                                         &others) == BENCH_REGRESSION;
                if (n_alarms > N * 5 / 100)
                    fail_msg("shape %d, %u figures, %u runs: %u false alarms in %d", shape, figures[f],
                             runs[i], n_alarms, N);
            }
}

/* With 20 earlier runs that differ by 1.5 % (one figure), also where they drift or one in ten is disturbed;
 * or with 30 that differ by 1 % (24 figures, of which the chance that any alarms is corrected for). */
static void a_slowdown_of_ten_per_cent_is_found(void **state)
{
    (void)state;
    static struct simulation s;
    struct rng rng = rng_seed(test_seed());
    uint32_t others;
    for (int shape = NORMAL; shape < N_SHAPES; shape++)
        for (int many = 0; many < (shape >= DISTURBED ? 1 : 2); many++) {
            enum { N = 400 };
            uint32_t n_found = 0;
            double sd = many || shape == DISTURBED ? 0.01 : 0.015;
            for (int k = 0; k < N; k++)
                n_found += simulate(&s, &rng, (enum shape)shape, many ? 31 : 21, many ? 24 : 1, sd, 1.1,
                                    &others) == BENCH_REGRESSION;
            if (n_found < N * 95 / 100)
                fail_msg("shape %d, many %d: found %u of %d", shape, many, n_found, N);
        }
}

/* The scale that the degrees of freedom were fitted for: about 2.5 % of unchanged figures beyond the limit
 * when runs are correlated, fewer when they are not. */
static void the_limit_is_where_it_is_said_to_be(void **state)
{
    (void)state;
    static struct simulation s;
    static const uint32_t runs[] = {6, 8, 11, 16, 21, 31};
    struct rng rng = rng_seed(test_seed());
    for (size_t i = 0; i < 2 * sizeof runs / sizeof runs[0]; i++) {
        enum { N = 4000 };
        uint32_t n_beyond = 0, others, n = runs[i / 2];
        for (int k = 0; k < N; k++) {
            struct check_result result;
            onnxd_error err;
            (void)simulate(&s, &rng, i % 2 ? DRIFTING : NORMAL, n, 1, 0.03, 1, &others);
            assert_ok(bench_check(s.pointers, n, &(struct check_options){0}, &result, &err), err);
            n_beyond += result.figures[0].p < 0.025;
            check_result_done(&result);
        }
        print_message("%u runs%s: %u of %d beyond\n", n, i % 2 ? ", correlated" : "", n_beyond, N);
        assert_in_range(n_beyond, i % 2 ? N * 15 / 1000 : N * 5 / 1000,
                        i % 2 ? N * 35 / 1000 : N * 25 / 1000);
    }
}

/* ---- verdicts ------------------------------------------------------------------------------------ */

static enum bench_verdict verdict_of(const double *values, uint32_t n, enum bench_better better,
                                     enum check_change *ret)
{
    static struct bench_run runs[64];
    static struct bench_figure figures[64];
    const struct bench_run *pointers[64];
    struct check_result result;
    onnxd_error err;
    for (uint32_t i = 0; i < n; i++) {
        figures[i] = (struct bench_figure){
            .name = "x", .unit = "ns", .better = better, .value = {values[i], values[i], values[i]}};
        runs[i] = (struct bench_run){.suite = "s",
                                     .settings = "",
                                     .version = "1",
                                     .commit = "",
                                     .remark = "",
                                     .figures = &figures[i],
                                     .n_figures = 1};
        pointers[i] = &runs[i];
    }
    assert_ok(bench_check(pointers, n, &(struct check_options){0}, &result, &err), err);
    enum bench_verdict verdict = result.verdict;
    *ret = result.figures[0].verdict;
    check_result_done(&result);
    return verdict;
}

static void figures_are_judged_on_their_worse_side(void **state)
{
    (void)state;
    enum check_change change;
    const double steady[] = {100, 100, 100, 100, 100, 100, 103},
                 gained[] = {100, 100, 100, 100, 100, 100, 97};
    assert_int_equal(verdict_of(steady, 7, BENCH_LOWER, &change), BENCH_REGRESSION); /* counts do not vary */
    assert_int_equal(change, CHECK_WORSE);
    assert_int_equal(verdict_of(steady, 7, BENCH_HIGHER, &change), BENCH_OK);
    assert_int_equal(change, CHECK_BETTER);
    assert_int_equal(verdict_of(gained, 7, BENCH_HIGHER, &change), BENCH_REGRESSION);
    assert_int_equal(verdict_of(steady, 7, BENCH_NEITHER, &change), BENCH_OK);
    assert_int_equal(change, CHECK_SAME);
    const double little[] = {100, 100, 100, 100, 100, 100, 101.9}; /* below the least that counts */
    assert_int_equal(verdict_of(little, 7, BENCH_LOWER, &change), BENCH_OK);
    assert_int_equal(verdict_of(steady + 2, 5, BENCH_LOWER, &change), BENCH_OK); /* four earlier runs */
    assert_int_equal(change, CHECK_NEW);
    const double wild[] = {100, 200, 50, 300, 20, 150, 400};
    assert_int_equal(verdict_of(wild, 7, BENCH_LOWER, &change), BENCH_UNSTABLE);
    assert_int_equal(change, CHECK_NOISY);
    /* A gain some runs ago, and its loss: still no slower than once, but slower than the level since. */
    const double step[] = {100, 101, 99, 100, 101, 100, 99, 100, 101, 100, 100, 99, 100,
                           101, 100, 86, 87,  85,  86,  86, 87,  85,  86,  87,  86, 98};
    assert_int_equal(verdict_of(step, 26, BENCH_LOWER, &change), BENCH_REGRESSION);
    assert_int_equal(verdict_of(step, 25, BENCH_LOWER, &change), BENCH_OK);
    const double zeros[] = {0, 0, 0, 0, 0, 0, 5};
    assert_int_equal(verdict_of(zeros, 7, BENCH_LOWER, &change), BENCH_OK); /* no ratio to zero */
}

/* ---- the programs -------------------------------------------------------------------------------- */

static char history_path[4096];

static void keep(const char *suite, double value, int64_t minutes, enum bench_verdict verdict)
{
    struct bench_run run;
    onnxd_error err;
    bench_run_begin(&run, suite);
    run.unix_ms = 1700000000000 + minutes * 60000;
    bench_run_setting(&run, "model", "<script>alert('x')</script>&");
    bench_run_figure(&run, "answer, p99", "ns", BENCH_LOWER,
                     (struct interval){value, value * 0.99, value * 1.01}, NULL, 0);
    bench_run_value(&run, "rate", "1/s", BENCH_HIGHER, 1e9 / value);
    bench_run_verdict(&run, verdict, "because <it> is so");
    assert_ok(bench_history_keep(history_path, &run, &err), err);
    bench_run_done(&run);
}

static int run_bench(const char *suite, const char *const *arguments, const char *text)
{
    return run_saying((const char *[]){"onnxd", "bench", suite, NULL}, arguments, text);
}

static int check(const char *text)
{
    return run_bench("check", (const char *[]){"--history", history_path, NULL}, text);
}

static void exit_codes_tell_what_happened(void **state)
{
    (void)state;
    snprintf(history_path, sizeof history_path, "%s", scratch_path("check.db"));
    unlink(history_path);
    assert_int_equal(check("check.db"), 66);
    keep("load", 1000, 0, BENCH_OK);
    assert_int_equal(check("nothing to compare with yet"), 0);
    for (int i = 1; i < 12; i++) keep("load", 1000 + 10 * (i % 3), i, BENCH_OK);
    assert_int_equal(check("no figure is worse"), 0);
    keep("load", 1500, 20, BENCH_OK);
    assert_int_equal(check("2 of 2 figures worse"), 1);
    assert_int_equal(run_bench("check", (const char *[]){"--history", history_path, "--format", "json", NULL},
                               "\"exit_code\":1"),
                     1);
    assert_int_equal(run_bench("check", (const char *[]){"--history", history_path, "--least", "60", NULL},
                               "no figure is worse"),
                     0);
    assert_int_equal(run_bench("check",
                               (const char *[]){"--history", history_path, "--baseline", "9.9.9", NULL},
                               "nothing to compare"),
                     0);
    keep("load", 1010, 21, BENCH_UNSTABLE);
    assert_int_equal(check("unstable: because <it> is so"), 2);
    keep("load", 1010, 22, BENCH_OBJECTIVE_BROKEN);
    assert_int_equal(check("objective broken"), 3);
    keep("load", 1010, 23, BENCH_CLIENT_LIMITED);
    assert_int_equal(check("client limited"), 4);
    keep("other", 5, 24, BENCH_OK); /* another series of the same build: both are judged */
    assert_int_equal(check("client limited"), 4);
    assert_int_equal(run_bench("check", (const char *[]){"--history", history_path, "--suite", "other", NULL},
                               "ok: nothing"),
                     0);
    assert_int_equal(run_bench("check", (const char *[]){"--history", history_path, "--suite", "none", NULL},
                               "no run of suite none"),
                     66);
    assert_int_equal(run_bench("check", (const char *[]){NULL}, "--history"), 64);
    assert_int_equal(
        run_bench("check", (const char *[]){"--history", history_path, "--window", "4", NULL}, "window"), 64);
    assert_int_equal(
        run_bench("check", (const char *[]){"--history", history_path, "--least", "nan", NULL}, "least"), 64);
    const char *words = scratch_file("check_words.db", "these are not the pages of a database at all", 44);
    assert_int_equal(run_bench("check", (const char *[]){"--history", words, NULL}, "not a database"), 65);
    assert_int_equal(run_bench("report", (const char *[]){"--history", words, NULL}, "not a database"), 65);
}

static void other_tools_figures_are_kept_and_checked(void **state)
{
    (void)state;
    snprintf(history_path, sizeof history_path, "%s", scratch_path("foreign.db"));
    unlink(history_path);
#define KEEP(...) \
    run_bench("keep", (const char *[]){"--history", history_path, "--suite", "cpu", __VA_ARGS__, NULL}, "")
    for (int i = 0; i < 6; i++)
        assert_int_equal(KEEP("--setting", "tool=wrk", "--figure", "us a request=6.3:us:lower"), 0);
    assert_int_equal(check("no figure is worse"), 0);
    assert_int_equal(KEEP("--setting", "tool=wrk", "--figure", "us a request=7:us:lower"), 0);
    assert_int_equal(check("by 11.1 %"), 1);
    assert_int_equal(KEEP("--figure", "x"), 64);
    assert_int_equal(KEEP("--figure", "x=nan"), 64);
    assert_int_equal(KEEP("--figure", "x=1:us:best"), 64);
    assert_int_equal(KEEP("--figure", "x=1", "--figure", "x=2"), 64);
    assert_int_equal(KEEP("--setting", "tool", "--figure", "x=1"), 64);
    assert_int_equal(KEEP("--setting", "a=b c", "--figure", "x=1"), 64);
#undef KEEP
}

static void reports_hold_every_series_and_no_foreign_markup(void **state)
{
    (void)state;
    struct bench_history history;
    struct buf buf;
    onnxd_error err;
    snprintf(history_path, sizeof history_path, "%s", scratch_path("report.db"));
    unlink(history_path);
    for (int i = 0; i < 130; i++) keep("load", 1000 + i % 7, i, i == 60 ? BENCH_UNSTABLE : BENCH_OK);
    for (int i = 0; i < 8; i++) keep("modes", 50 + i, 200 + i, BENCH_OK);
    assert_ok(bench_history_read(history_path, NULL, &history, &err), err);
    buf_init(&buf, 1 << 24);
    assert_ok(trend_report_html(&history, &(struct check_options){0}, &buf, &err), err);
    buf_append_char(&buf, 0);
    assert_null(strstr(buf.data, "<script"));
    assert_null(strstr(buf.data, "http"));
    assert_non_null(strstr(buf.data, "&lt;script&gt;"));
    assert_non_null(strstr(buf.data, "One answer in a hundred"));
    uint32_t n_charts = 0;
    for (const char *at = buf.data; (at = strstr(at, "<svg")) != NULL; at++) n_charts++;
    assert_int_equal(n_charts, 4);
    assert_true(strstr(buf.data, "<h2>modes") < strstr(buf.data, "<h2>load")); /* the latest first */
    buf_reset(&buf);
    assert_ok(trend_report_markdown(&history, &(struct check_options){0}, &buf, &err), err);
    buf_reset(&buf);
    assert_ok(trend_report_json(&history, &(struct check_options){0}, &buf, &err), err);
    buf_done(&buf);
    bench_history_done(&history);
    char out[4096];
    snprintf(out, sizeof out, "%s", scratch_path("report.html"));
    assert_int_equal(run_bench("report", (const char *[]){"--history", history_path, "--out", out, NULL}, ""),
                     0);
    assert_int_equal(access(out, R_OK), 0);
    assert_int_equal(run_bench("report",
                               (const char *[]){"--history", history_path, "--out", "/nonexistent/x", NULL},
                               "/nonexistent/x"),
                     74);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_programs_rarely_alarm),
        cmocka_unit_test(a_slowdown_of_ten_per_cent_is_found),
        cmocka_unit_test(the_limit_is_where_it_is_said_to_be),
        cmocka_unit_test(figures_are_judged_on_their_worse_side),
        cmocka_unit_test(exit_codes_tell_what_happened),
        cmocka_unit_test(other_tools_figures_are_kept_and_checked),
        cmocka_unit_test(reports_hold_every_series_and_no_foreign_markup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
