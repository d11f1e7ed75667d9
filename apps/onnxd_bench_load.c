/* onnxd bench load: a load generator that counts time from when a request was due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/connection_sweep.h"
#include "bench/load_history.h"
#include "cli_history.h"
#include "load/load_report.h"
#include "onnxd_commands.h"
#include "onnxd_load_options.h"

#define MAX_REPORT_BYTES (16u << 20)

enum { EXIT_OBJECTIVE_BROKEN = 3, EXIT_CLIENT_LIMITED = 4 };

struct arguments {
    struct load_arguments load;
    struct cli_texts weights;
    const char *slo, *json, *csv, *markdown, *html, *history;
    bool quiet;
};

static const struct cli_option options[] = {
    LOAD_PLAN_OPTIONS(struct arguments, load),
    LOAD_REQUEST_OPTIONS(struct arguments, load),
    {"weight", CLI_TEXTS, CLI_AT(struct arguments, weights), "N",
     "how often a URL is asked, beside the others; once for each URL, in their order"},
    {.type = CLI_HEADING, .help = "Results"},
    {"slo", CLI_TEXT, CLI_AT(struct arguments, slo), "LIST",
     "objectives such as p99<1ms,rps>10000,errors<0.1%; exit code 3 when one is broken, 4 when it is but the "
     "client was the limit"},
    {"json", CLI_TEXT, CLI_AT(struct arguments, json), "FILE", "everything, as JSON; - is standard output"},
    {"csv", CLI_TEXT, CLI_AT(struct arguments, csv), "FILE", "the course of the run"},
    {"markdown", CLI_TEXT, CLI_AT(struct arguments, markdown), "FILE", "a table"},
    {"html", CLI_TEXT, CLI_AT(struct arguments, html), "FILE", "a page with charts that needs no other file"},
    CLI_HISTORY(struct arguments, history),
    {"quiet", CLI_FLAG, CLI_AT(struct arguments, quiet), NULL, "no live view"},
};

static const struct cli_command command = {
    "onnxd bench load",
    "Sends requests to a server and measures its answers.",
    CLI_TABLE(options),
    .positionals = "URL...",
    .min_positionals = 1,
    .max_positionals = LOAD_MAX_TARGETS,
    .notes = "onnxd bench load http://127.0.0.1:3000/predict -c 64 -d 10s     random rows of the model\n"
             "onnxd bench load http://127.0.0.1:3000 --random binary --batch 64\n"
             "onnxd bench load http://127.0.0.1:3000/predict -R 10000 --slo 'p99<1ms,errors<0.1%'\n"
             "onnxd bench load http://127.0.0.1:3000/predict --body '{\"features\":[${0..6},${0.0..1.0}]}'"};

/* ---- results --------------------------------------------------------------------------------------- */

static bool is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

static bool has_own_output(const struct arguments *a)
{
    return is_stdout(a->json) || is_stdout(a->csv) || is_stdout(a->markdown) || is_stdout(a->html);
}

static onnxd_status put(const char *path, struct buf *buf, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    if (is_stdout(path))
        fwrite(buf->data, 1, buf->n, stdout);
    else if (path != NULL)
        status = file_replace(path, buf->data, buf->n, err);
    buf_reset(buf);
    return status;
}

static onnxd_status write_reports(const struct arguments *a, const struct load_result *r,
                                  const struct load_objective *o, uint32_t n, onnxd_error *err)
{
    struct buf buf;
    buf_init(&buf, MAX_REPORT_BYTES);
    load_report_text(r, o, n, &buf);
    onnxd_status status = put(has_own_output(a) ? NULL : "-", &buf, err);
    load_report_json(r, o, n, &buf);
    if (status == ONNXD_OK) status = put(a->json, &buf, err);
    load_report_csv(r, &buf);
    if (status == ONNXD_OK) status = put(a->csv, &buf, err);
    load_report_markdown(r, o, n, &buf);
    if (status == ONNXD_OK) status = put(a->markdown, &buf, err);
    load_report_html(r, o, n, &buf);
    if (status == ONNXD_OK) status = put(a->html, &buf, err);
    buf_done(&buf);
    return status;
}

static int keep_run(const struct arguments *a, const struct load_result *r, bool kept_objectives)
{
    struct bench_run run;
    if (a->history == NULL) return CLI_EXIT_OK;
    bench_run_begin(&run, "load");
    load_history_fill(&run, r);
    bench_run_setting(&run, "batch", "%u", a->load.batch);
    if (!kept_objectives) bench_run_verdict(&run, BENCH_OBJECTIVE_BROKEN, a->slo);
    return cli_history_keep(command.name, a->history, &run);
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static int run_once(const struct arguments *a, const struct load_options *plan,
                    const struct load_target *targets, uint32_t n)
{
    struct load_objective objectives[LOAD_MAX_OBJECTIVES];
    struct load_result result = {0};
    onnxd_error err = {0};
    uint32_t n_objectives = 0;
    if (a->slo != NULL && load_slo_parse(a->slo, objectives, &n_objectives, &err) != ONNXD_OK)
        return cli_fail(command.name, &err);
    bool live = load_view_wanted(a->quiet);
    onnxd_status status = load_run(plan, targets, n, load_show_progress, &live, &result, &err);
    load_clear_view(live);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    bool kept = load_slo_check(&result, objectives, n_objectives);
    status = write_reports(a, &result, objectives, n_objectives, &err);
    bool limited = result.audit.client_limited, answered = result.record->n_done > 0;
    int code = status == ONNXD_OK ? keep_run(a, &result, kept) : cli_fail(command.name, &err);
    load_result_done(&result);
    if (code != CLI_EXIT_OK) return code;
    if (!kept) return limited ? EXIT_CLIENT_LIMITED : EXIT_OBJECTIVE_BROKEN;
    return answered ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

static int run_sweep(const struct arguments *a, const struct load_options *plan,
                     const struct load_target *targets, uint32_t n)
{
    struct connection_sweep sweep;
    struct buf buf;
    onnxd_error err = {0};
    if (a->html != NULL || a->slo != NULL || a->history != NULL)
        return cli_usage_error(&command,
                               "--profile connections is several runs: it has no --html, --slo or --history");
    bool live = load_view_wanted(a->quiet);
    onnxd_status status = connection_sweep_run(plan, targets, n, load_show_progress, &live, &sweep, &err);
    load_clear_view(live);
    buf_init(&buf, MAX_REPORT_BYTES);
    if (status == ONNXD_OK) {
        connection_sweep_text(&sweep, &buf);
        status = put(has_own_output(a) ? NULL : "-", &buf, &err);
        connection_sweep_json(&sweep, &buf);
        if (status == ONNXD_OK) status = put(a->json, &buf, &err);
        connection_sweep_csv(&sweep, &buf);
        if (status == ONNXD_OK) status = put(a->csv, &buf, &err);
        connection_sweep_markdown(&sweep, &buf);
        if (status == ONNXD_OK) status = put(a->markdown, &buf, &err);
    }
    buf_done(&buf);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}

/* ---- the command ----------------------------------------------------------------------------------- */

static bool read_weights(const struct arguments *a, uint32_t n_urls, double *ret)
{
    for (uint32_t i = 0; i < n_urls; i++) ret[i] = 1;
    if (a->weights.n != 0 && a->weights.n != n_urls) {
        cli_usage_error(&command, "--weight: expected one for each of %u URLs, got %u", n_urls, a->weights.n);
        return false;
    }
    for (uint32_t i = 0; i < a->weights.n; i++) {
        char *end = NULL;
        ret[i] = strtod(a->weights.items[i], &end);
        if (end == a->weights.items[i] || *end != 0 || !(ret[i] > 0 && ret[i] < 1e9)) {
            cli_usage_error(&command, "--weight: '%s' is no number above 0", a->weights.items[i]);
            return false;
        }
    }
    return true;
}

static int run(const struct arguments *a, char **urls, uint32_t n_urls)
{
    struct load_options plan;
    struct load_target targets[LOAD_MAX_TARGETS];
    double weights[LOAD_MAX_TARGETS];
    uint32_t n = 0;
    int code = load_make_plan(&command, &a->load, &plan);
    if (code == CLI_GO_ON && !read_weights(a, n_urls, weights)) code = CLI_EXIT_USAGE;
    for (; code == CLI_GO_ON && n < n_urls; n++) {
        code = load_make_target(&command, &a->load, &plan, urls[n], weights[n], &targets[n]);
        if (code != CLI_GO_ON) break;
    }
    load_catch_interrupts();
    if (code == CLI_GO_ON)
        code = a->load.profile == LOAD_PROFILE_CONNECTIONS ? run_sweep(a, &plan, targets, n)
                                                           : run_once(a, &plan, targets, n);
    while (n > 0) load_corpus_done(&targets[--n].corpus);
    return code;
}

int onnxd_bench_load_main(int argc, char **argv)
{
    struct arguments a = {.load = LOAD_ARGUMENTS};
    uint32_t n = 0;
    load_lengthen(argc, argv);
    int result = cli_parse(&command, argc, argv, &a, &n);
    if (result != CLI_GO_ON) return result;
    return run(&a, argv + 1, n);
}
