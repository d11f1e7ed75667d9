/* onnxd bench check: has the latest build become worse? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench/bench_check.h"
#include "cli_options.h"
#include "onnxd_commands.h"

enum { FORMAT_TEXT, FORMAT_JSON };

struct check_command {
    const char *history, *suite, *baseline;
    uint32_t window;
    double least;
    int format;
};

#define AT(member) CLI_AT(struct check_command, member)

static const struct cli_option options[] = {
    {"history", CLI_TEXT, AT(history), "FILE", "the runs, as --history of the other suites kept them",
     .required = true, .env = "ONNXD_BENCH_HISTORY"},
    {"suite", CLI_TEXT, AT(suite), "NAME", "only runs of this suite, such as micro"},
    {"baseline", CLI_TEXT, AT(baseline), "TEXT", "compares with runs of this version or commit alone"},
    {"window", CLI_U32, AT(window), "N", "earlier runs to compare with", .min = CHECK_MIN_RUNS,
     .max = CHECK_MAX_WINDOW},
    {"least", CLI_F64, AT(least), "PERCENT", "smaller changes are no regression", .min = 0.1, .max = 100},
    {"format", CLI_CHOICE, AT(format), "text|json", "of standard output"},
};

static const struct cli_command command = {
    "onnxd bench check", "Compares the latest build's runs with the rolling median of earlier runs alike.",
    CLI_TABLE(options),
    .notes =
        "Runs are alike when suite, settings and machine (processor, caches, kernel, governor, compiler, "
        "flags)\n"
        "are the same. Judged is the latest run of every series that belongs to the same version and commit "
        "as\n"
        "the newest run of the file. A figure is worse when the change is significant against the spread of\n"
        "earlier runs, corrected for the number of figures, larger than that spread and than --least.\n\n"
        "Exit codes: 0 ok, 1 regression, 2 unstable, 3 objective broken, 4 client limited, 64 usage;\n"
        "65 and above: the history cannot be read."};

/* The weightiest first. */
static int weigh(enum bench_verdict verdict)
{
    static const int weights[] = {[BENCH_OK] = 0,
                                  [BENCH_UNSTABLE] = 1,
                                  [BENCH_CLIENT_LIMITED] = 2,
                                  [BENCH_OBJECTIVE_BROKEN] = 3,
                                  [BENCH_REGRESSION] = 4};
    return weights[verdict];
}

static bool is_baseline(const struct bench_run *run, const char *text)
{
    return strcmp(run->version, text) == 0 || strncmp(run->commit, text, strlen(text)) == 0;
}

/* Leaves the runs of the baseline and the latest; returns how many remain. */
static uint32_t keep_baseline(struct check_series *series, const char *baseline)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < series->n; i++)
        if (i == series->n - 1 || is_baseline(series->runs[i], baseline)) series->runs[n++] = series->runs[i];
    return n;
}

static onnxd_status check_one(const struct check_command *o, struct check_series *series, bool first,
                              enum bench_verdict *worst, onnxd_error *err)
{
    const struct check_options check = {.window = o->window, .least = o->least / 100};
    struct check_result result;
    struct buf buf;
    if (o->baseline != NULL) series->n = keep_baseline(series, o->baseline);
    onnxd_status status = bench_check(series->runs, series->n, &check, &result, err);
    if (status != ONNXD_OK) return status;
    buf_init(&buf, (size_t)64 << 20);
    if (!first) buf_append_text(&buf, o->format == FORMAT_JSON ? ",\n" : "\n");
    if (o->format == FORMAT_JSON)
        check_json(&result, &buf);
    else
        check_text(&result, &buf);
    if (weigh(result.verdict) > weigh(*worst)) *worst = result.verdict;
    fwrite(buf.data, 1, buf.n, stdout);
    buf_done(&buf);
    check_result_done(&result);
    return ONNXD_OK;
}

static bool same_build(const struct bench_run *a, const struct bench_run *b)
{
    return strcmp(a->version, b->version) == 0 && strcmp(a->commit, b->commit) == 0;
}

static onnxd_status check_latest(const struct check_command *o, const struct bench_history *history,
                                 enum bench_verdict *worst, onnxd_error *err)
{
    struct check_all all;
    onnxd_status status = check_sort_out(history, &all, err);
    if (status != ONNXD_OK) return status;
    const struct bench_run *newest = &history->runs[history->n_runs - 1];
    bool first = true;
    if (o->format == FORMAT_JSON) putchar('[');
    for (uint32_t s = 0; s < all.n && status == ONNXD_OK; s++) {
        struct check_series *series = &all.series[s];
        if (!same_build(series->runs[series->n - 1], newest)) continue;
        status = check_one(o, series, first, worst, err);
        first = false;
    }
    if (o->format == FORMAT_JSON) puts("]");
    check_all_done(&all);
    return status;
}

int onnxd_bench_check_main(int argc, char **argv)
{
    struct check_command o = {.window = CHECK_WINDOW, .least = 2};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    struct bench_history history = {0};
    enum bench_verdict worst = BENCH_OK;
    onnxd_error err;
    onnxd_status status = bench_history_read(o.history, o.suite, &history, &err);
    if (status == ONNXD_OK && history.n_runs == 0)
        status = error_set(&err, ONNXD_ERR_NOT_FOUND, "%s: holds no run%s%s", o.history,
                           o.suite != NULL ? " of suite " : "", o.suite != NULL ? o.suite : "");
    if (status == ONNXD_OK) status = check_latest(&o, &history, &worst, &err);
    bench_history_done(&history);
    return status == ONNXD_OK ? (int)worst : cli_fail(command.name, &err);
}
