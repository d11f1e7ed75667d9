/* The micro harness with a clock of its own: known times in, known figures out. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "bench/micro_baseline.h"
#include "bench/micro_cases.h"
#include "support/models.h"
#include "support/run_program.h"

struct fake { /* a function whose calls take as long as this says */
    uint64_t now_ns;
    double call_ns, noise;    /* share of the time, uniform about it */
    uint64_t every, pause_ns; /* each so many samples one takes longer */
    uint64_t n_samples, n_calls;
    struct rng rng;
};

static onnxd_status advance(void *context, uint64_t n, onnxd_error *err)
{
    struct fake *f = context;
    (void)err;
    f->n_calls += n;
    f->n_samples++;
    double ns = f->call_ns * (double)n * (1 + f->noise * (2 * rng_f64(&f->rng) - 1));
    if (f->every > 0 && f->n_samples % f->every == 0) ns += (double)f->pause_ns;
    f->now_ns += (uint64_t)ns;
    return ONNXD_OK;
}

static onnxd_status refuse(void *context, uint64_t n, onnxd_error *err)
{
    (void)context, (void)n;
    return error_set(err, ONNXD_ERR_RANGE, "a bad row");
}

static void measure(struct fake *f, double seconds, struct micro_suite *suite)
{
    struct micro_case one = {.name = "fake", .run = advance, .context = f, .units = 8, .unit = "rows"};
    struct micro_options o = {
        .seconds = seconds, .warm_up_s = 0.01, .clock = clock_fake(&f->now_ns), .seed = 1};
    onnxd_error err;
    assert_ok(micro_run(&one, 1, &o, NULL, NULL, suite, &err), err);
}

static void short_calls_are_a_slope_of_rising_samples(void **state)
{
    (void)state;
    struct fake f = {.call_ns = 100, .noise = 0.02, .rng = rng_seed(test_seed())};
    struct micro_suite suite;
    measure(&f, 0.5, &suite);
    const struct micro_result *r = &suite.results[0];
    assert_true(r->is_slope);
    assert_int_equal(r->n_samples, 100);
    for (uint32_t i = 1; i < 50; i++) assert_true(r->calls[i] == r->calls[0] * (i + 1));
    assert_true(r->calls[50] == r->calls[0]); /* the second round begins anew */
    assert_true(fabs(r->ns.point - 100) < 1 && r->ns.low < 100.5 && r->ns.high > 99.5);
    assert_true(r->ns.low < r->ns.point && r->ns.point < r->ns.high);
    assert_true(r->r2 > 0.99);
    assert_true(r->own_noise < 0.02 && suite.noise >= MICRO_LEAST_NOISE);
    double total_ns = 0;
    for (uint32_t i = 0; i < r->n_samples; i++) total_ns += r->times_ns[i];
    assert_true(fabs(total_ns / 1e9 - 0.5) < 0.05); /* as long as asked for */
    micro_suite_done(&suite);
}

static void long_calls_are_a_mean_and_do_not_run_away(void **state)
{
    (void)state;
    struct fake f = {.call_ns = 3e8, .noise = 0.02, .rng = rng_seed(test_seed())};
    struct micro_suite suite;
    measure(&f, 1, &suite);
    const struct micro_result *r = &suite.results[0];
    assert_false(r->is_slope);
    assert_in_range(r->n_samples, 10, 14);
    assert_true(fabs(r->ns.point - 3e8) < 3e6);
    micro_suite_done(&suite);
    f.call_ns = 2e6; /* fits a few hundred times: every sample has the same number of calls */
    measure(&f, 1, &suite);
    assert_false(suite.results[0].is_slope);
    assert_int_equal(suite.results[0].n_samples, 100);
    assert_true(suite.results[0].calls[0] == suite.results[0].calls[99]);
    micro_suite_done(&suite);
}

static void outliers_are_labelled_and_kept(void **state)
{
    (void)state;
    struct fake f = {.call_ns = 100, .noise = 0.01, .every = 25, .pause_ns = 3000000, .rng = rng_seed(7)};
    struct micro_suite suite;
    measure(&f, 0.5, &suite);
    const struct micro_result *r = &suite.results[0];
    assert_in_range(r->outliers.n_high_severe, 3, 5);
    assert_int_equal(r->n_samples, 100);
    assert_true(r->ns.point > 100.2);
    micro_suite_done(&suite);
}

static void faults_name_their_case_and_options_their_range(void **state)
{
    (void)state;
    struct micro_case bad = {.name = "bad one", .run = refuse};
    struct micro_suite suite;
    onnxd_error err;
    assert_fails(micro_run(&bad, 1, &(struct micro_options){0}, NULL, NULL, &suite, &err), ONNXD_ERR_RANGE,
                 err, "bad one: a bad row");
    assert_fails(micro_run(&bad, 1, &(struct micro_options){.n_samples = 9}, NULL, NULL, &suite, &err),
                 ONNXD_ERR_ARGUMENT, err, "10..1000");
    assert_fails(micro_run(&bad, 1, &(struct micro_options){.seconds = -1}, NULL, NULL, &suite, &err),
                 ONNXD_ERR_ARGUMENT, err, "3600");
    assert_fails(micro_run(&bad, 1, &(struct micro_options){.warm_up_s = NAN}, NULL, NULL, &suite, &err),
                 ONNXD_ERR_ARGUMENT, err, "3600");
}

/* ---- baselines ----------------------------------------------------------------------------------- */

static void save(const struct micro_suite *suite, struct buf *buf)
{
    struct bench_run run;
    bench_run_begin(&run, "micro");
    buf_init(buf, 1 << 24);
    micro_suite_json(suite, &run, buf);
    assert_false(buf->failed);
    bench_run_done(&run);
}

static enum micro_change compare_with(double factor, uint64_t seed, struct micro_comparison *ret)
{
    struct fake before = {.call_ns = 100, .noise = 0.03, .rng = rng_seed(seed)};
    struct fake after = {.call_ns = 100 * factor, .noise = 0.03, .rng = rng_seed(seed + 1)};
    struct micro_suite was, now;
    struct micro_baseline baseline;
    struct buf buf;
    onnxd_error err;
    measure(&before, 0.5, &was);
    measure(&after, 0.5, &now);
    save(&was, &buf);
    assert_ok(micro_baseline_parse(buf.data, buf.n, &baseline, &err), err);
    assert_int_equal(baseline.n_results, 1);
    assert_true(baseline.results[0].is_slope == was.results[0].is_slope);
    assert_memory_equal(baseline.results[0].times_ns, was.results[0].times_ns,
                        was.results[0].n_samples * sizeof(double));
    assert_ok(micro_compare_all(&baseline, &now, ret, &err), err);
    micro_baseline_done(&baseline);
    micro_suite_done(&was);
    micro_suite_done(&now);
    buf_done(&buf);
    return ret->change;
}

static void changes_are_told_from_noise(void **state)
{
    (void)state;
    struct micro_comparison c;
    assert_int_equal(compare_with(1.10, 11, &c), MICRO_SLOWER);
    assert_true(c.p < 0.001 && fabs(c.relative.point - 0.10) < 0.02 && c.relative.low > 0.05);
    assert_int_equal(compare_with(0.90, 12, &c), MICRO_FASTER);
    assert_true(c.relative.point < -0.05);
    uint32_t n_told = 0;
    for (uint64_t seed = 100; seed < 120; seed++) {
        enum micro_change change = compare_with(1, seed, &c);
        n_told += change == MICRO_SLOWER || change == MICRO_FASTER;
    }
    assert_in_range(n_told, 0, 1);
    assert_int_equal(compare_with(1.009, 13, &c), MICRO_WITHIN_NOISE); /* real, but less than one per cent */
}

static void hostile_baselines_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        onnxd_status status;
        const char *text;
    } cases[] = {
        {"", ONNXD_ERR_FORMAT, ""},
        {"[]", ONNXD_ERR_FORMAT, "object"},
        {"{}", ONNXD_ERR_FORMAT, "no result"},
        {"{\"onnxd_bench_micro\":2}", ONNXD_ERR_UNSUPPORTED, "later"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1}", ONNXD_ERR_FORMAT, "results"},
        {"{\"onnxd_bench_micro\":1,\"noise\":-1,\"results\":[]}", ONNXD_ERR_RANGE, "noise"},
        {"{\"onnxd_bench_micro\":1,\"noise\":null,\"results\":[]}", ONNXD_ERR_FORMAT, "noise"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1,\"results\":[{\"name\":\"x\"}]}", ONNXD_ERR_FORMAT, "calls"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1,\"results\":[{\"name\":\"x\",\"calls\":[1,2],\"times_ns\":["
         "1]}]}",
         ONNXD_ERR_FORMAT, "as many"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1,\"results\":[{\"name\":\"x\",\"calls\":[0],\"times_ns\":[1]}"
         "]}",
         ONNXD_ERR_RANGE, "above 0"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1,\"results\":[{\"name\":\"x\",\"calls\":[1],\"times_ns\":["
         "NaN]}]}",
         ONNXD_ERR_FORMAT, "times_ns"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1,\"results\":[{\"name\":\"x\",\"calls\":[1],\"times_ns\":["
         "1e999]}]}",
         ONNXD_ERR_RANGE, "times_ns"},
        {"{\"onnxd_bench_micro\":1,\"noise\":0.1,\"results\":[{\"name\":7}]}", ONNXD_ERR_FORMAT, "name"},
    };
    onnxd_error err;
    struct micro_baseline baseline;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(micro_baseline_parse(cases[i].json, strlen(cases[i].json), &baseline, &err),
                     cases[i].status, err, cases[i].text);
    assert_fails(micro_baseline_read("/nonexistent.json", &baseline, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nonexistent.json");
}

/* ---- cases and program --------------------------------------------------------------------------- */

static void every_case_runs(void **state)
{
    (void)state;
    static struct micro_list list;
    const uint32_t batches[] = {1, 3};
    onnxd_error err;
    micro_list_init(&list);
    assert_ok(micro_cases_model(&list,
                                project_path("models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx"),
                                batches, 2, 1, &err),
              err);
    assert_ok(micro_cases_wire(&list, &err), err);
    assert_ok(micro_cases_networks(&list, &err), err);
    assert_ok(micro_cases_base(&list, &err), err);
    assert_true(list.n > 20);
    for (uint32_t i = 0; i < list.n; i++) {
        assert_ok(list.cases[i].run(list.cases[i].context, 70, &err), err);
        for (uint32_t k = 0; k < i; k++) assert_string_not_equal(list.cases[i].name, list.cases[k].name);
    }
    micro_list_filter(&list, "model*batch ?");
    assert_int_equal(list.n, 2);
    micro_list_filter(&list, "batch 3");
    assert_int_equal(list.n, 1);
    assert_string_equal(list.cases[0].name, "model: run, batch 3");
    micro_list_done(&list);
    assert_fails(micro_cases_model(&list, "/nonexistent.onnx", batches, 2, 1, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nonexistent.onnx");
    micro_list_done(&list);
}

static int run_micro(const char *const *arguments, const char *text)
{
    static const char *const program[] = {"onnxd", "bench", "micro", NULL};
    return run_saying(program, arguments, text);
}

#define QUICK "--filter", "clock", "--seconds", "0.01", "--warm-up", "0.001", "--samples", "10"

static void the_program_measures_saves_and_compares(void **state)
{
    (void)state;
    char saved[4096], kept[4096];
    snprintf(saved, sizeof saved, "%s", scratch_path("micro.json"));
    snprintf(kept, sizeof kept, "%s", scratch_path("micro.db"));
    assert_int_equal(run_micro((const char *[]){QUICK, "--save", saved, NULL}, "clock: read"), 0);
    assert_int_equal(run_micro((const char *[]){QUICK, "--format", "csv", NULL}, "name,ns,low_ns"), 0);
    assert_int_equal(run_micro((const char *[]){QUICK, "--format", "json", NULL}, "\"onnxd_bench_micro\":1"),
                     0);
    assert_int_equal(run_micro((const char *[]){QUICK, "--history", kept, NULL}, "kept in"), 0);
    assert_int_equal(run_micro((const char *[]){"--list", "--filter", "json", NULL}, "json: read 15"), 0);
    /* A baseline in which everything took a thousandth of the time: slower now, exit code 1. */
    static const char quick[] =
        "{\"onnxd_bench_micro\":1,\"noise\":0.01,\"results\":[{\"name\":\"clock: read monotonic time\","
        "\"method\":\"mean\",\"calls\":[1,1,1],\"times_ns\":[0.011,0.012,0.013]}]}";
    const char *path = scratch_file("quick.json", quick, sizeof quick - 1);
    struct run_result slow = run_program(
        (const char *[]){"onnxd", "bench", "micro", QUICK, "--baseline", path, NULL}, NULL, 0);
    /* Disturbed samples may spread too far to say so; the exit code says what the table says. */
    assert_int_equal(slow.exit_code, strstr(slow.out, " slower") != NULL);
    run_result_done(&slow);
    /* The same code: 0, or 1 when the machine was disturbed meanwhile. */
    assert_in_range(run_micro((const char *[]){QUICK, "--baseline", saved, NULL}, "p="), 0, 1);
}

static void the_program_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    assert_int_equal(run_micro((const char *[]){"--filter", "nothing like it", NULL}, "--list shows"), 64);
    assert_int_equal(run_micro((const char *[]){"--samples", "9", NULL}, "samples"), 64);
    assert_int_equal(run_micro((const char *[]){"--seconds", "nan", NULL}, "seconds"), 64);
    assert_int_equal(run_micro((const char *[]){"--batch", "0", NULL}, "batch"), 64);
    assert_int_equal(run_micro((const char *[]){"--model", "/nonexistent.onnx", NULL}, "/nonexistent.onnx"),
                     66);
    assert_int_equal(run_micro((const char *[]){QUICK, "--baseline", "/dev/null", NULL}, "/dev/null"), 74);
    const char *path = scratch_file("words.json", "words", 5);
    assert_int_equal(run_micro((const char *[]){QUICK, "--baseline", path, NULL}, "words.json"), 65);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_calls_are_a_slope_of_rising_samples),
        cmocka_unit_test(long_calls_are_a_mean_and_do_not_run_away),
        cmocka_unit_test(outliers_are_labelled_and_kept),
        cmocka_unit_test(faults_name_their_case_and_options_their_range),
        cmocka_unit_test(changes_are_told_from_noise),
        cmocka_unit_test(hostile_baselines_are_refused),
        cmocka_unit_test(every_case_runs),
        cmocka_unit_test(the_program_measures_saves_and_compares),
        cmocka_unit_test(the_program_refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
