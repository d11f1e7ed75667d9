/* onnxd bench single: one server process under load, and what limits it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/connection_sweep.h"
#include "bench/load_history.h"
#include "cli_history.h"
#include "load/load_report.h"
#include "onnxd_commands.h"
#include "onnxd_trial_print.h"

enum {
    EXIT_OBJECTIVE_BROKEN = 3,
    EXIT_CLIENT_LIMITED = 4,
    MAX_JSON_BYTES = 1 << 20,
    MAX_HTML_BYTES = 16 << 20
};

struct arguments {
    struct trial_arguments trial;
    const char *slo, *html, *history;
};

static const struct cli_option options[] = {
    TRIAL_OPTIONS(struct arguments, trial),
    LOAD_PLAN_OPTIONS(struct arguments, trial.load),
    LOAD_REQUEST_OPTIONS(struct arguments, trial.load),
    {.type = CLI_HEADING, .help = "Results"},
    {"slo", CLI_TEXT, CLI_AT(struct arguments, slo), "LIST",
     "objectives such as p99<1ms,rps>10000,errors<0.1%; exit code 3 when one is broken, 4 when it is but the "
     "client "
     "was the limit"},
    {"json", CLI_TEXT, CLI_AT(struct arguments, trial.json), "FILE", "the figures, as JSON"},
    {"html", CLI_TEXT, CLI_AT(struct arguments, html), "FILE", "the load's page with charts"},
    CLI_HISTORY(struct arguments, history),
    {"quiet", CLI_FLAG, CLI_AT(struct arguments, trial.quiet), NULL, "no live view"},
};

static const struct cli_command command = {
    "onnxd bench single", "Starts one server process, loads it, and tells where the time went.",
    CLI_TABLE(options),
    .notes = "onnxd bench single --model models/deepfm.onnx -c 64 -d 10s\n"
             "onnxd bench single --model models/deepfm.onnx --profile spike -R 2000"};

static int sweep(const struct arguments *a, const struct trial_setup *setup, const struct load_target *target)
{
    struct connection_sweep found;
    struct buf buf;
    onnxd_error err;
    bool live = load_view_wanted(a->trial.quiet);
    if (a->trial.tool == TRIAL_WRK || a->html != NULL || a->slo != NULL || a->history != NULL ||
        a->trial.json != NULL)
        return cli_usage_error(&command,
                               "--profile connections has no --tool wrk, --html, --json, --slo or --history");
    onnxd_status status = connection_sweep_run(&setup->plan, target, 1, load_show_progress, &live, &found,
                                               &err);
    load_clear_view(live);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    buf_init(&buf, 1 << 16);
    connection_sweep_text(&found, &buf);
    fwrite(buf.data, 1, buf.n, stdout);
    buf_done(&buf);
    return CLI_EXIT_OK;
}

static onnxd_status write_json(const struct arguments *a, const struct trial_setup *setup,
                               const struct trial *trial, onnxd_error *err)
{
    struct buf buf;
    struct json_writer w;
    buf_init(&buf, MAX_JSON_BYTES);
    json_writer_init(&w, &buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    trial_json(&w, trial, &a->trial, setup);
    json_end_object(&w);
    buf_append_char(&buf, '\n');
    onnxd_status status = file_replace(a->trial.json, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

static onnxd_status write_html(const struct arguments *a, const struct load_result *r,
                               const struct load_objective *o, uint32_t n, onnxd_error *err)
{
    struct buf buf;
    buf_init(&buf, MAX_HTML_BYTES);
    load_report_html(r, o, n, &buf);
    onnxd_status status = file_replace(a->html, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

static int keep(const struct arguments *a, const struct load_result *r, const struct trial *t, bool kept)
{
    struct bench_run run;
    if (a->history == NULL) return CLI_EXIT_OK;
    bench_run_begin(&run, "single");
    load_history_fill(&run, r);
    bench_run_setting(&run, "model", "%s", a->trial.model != NULL ? a->trial.model : a->trial.repository);
    bench_run_setting(&run, "batch", "%u", a->trial.load.batch);
    bench_run_setting(&run, "workers", "%u", a->trial.workers);
    bench_run_value(&run, "server CPU", "ns", BENCH_LOWER, t->server_cpu_us * 1e3);
    bench_run_value(&run, "server memory", "bytes", BENCH_LOWER, t->memory_bytes);
    if (!kept) bench_run_verdict(&run, BENCH_OBJECTIVE_BROKEN, a->slo);
    return cli_history_keep(command.name, a->history, &run);
}

static void print_results(const struct trial_round *r)
{
    char p50[16], p99[16], max[16];
    load_format_time(r->p50_ns, p50, sizeof p50);
    load_format_time(r->p99_ns, p99, sizeof p99);
    load_format_time(r->max_ns, max, sizeof max);
    printf("Results\n  %.0f requests/s, p50 %s, p99 %s, max %s, errors %.3g %%\n  %s\n", r->rate, p50, p99,
           max, r->error_share * 100, r->verdict);
}

/* Reports on a finished trial. `result` is our own generator's, or NULL. */
static int report(const struct arguments *a, const struct trial_setup *setup, const struct trial *trial,
                  const struct load_result *result)
{
    struct load_objective objectives[LOAD_MAX_OBJECTIVES];
    uint32_t n = 0;
    bool kept = true;
    onnxd_error err;
    onnxd_status status = ONNXD_OK;
    if (a->slo != NULL) status = load_slo_parse(a->slo, objectives, &n, &err);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    if (result != NULL) {
        struct buf buf;
        kept = load_slo_check(result, objectives, n);
        buf_init(&buf, MAX_JSON_BYTES);
        load_report_text(result, objectives, n, &buf);
        printf("Results\n");
        fwrite(buf.data, 1, buf.n, stdout);
        buf_done(&buf);
    } else {
        print_results(&trial->median);
    }
    trial_print_split(trial);
    trial_print_processes(trial);
    trial_print_bottlenecks(trial, &a->trial, setup);
    if (a->trial.json != NULL) status = write_json(a, setup, trial, &err);
    if (status == ONNXD_OK && a->html != NULL) status = write_html(a, result, objectives, n, &err);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    int code = result != NULL ? keep(a, result, trial, kept) : CLI_EXIT_OK;
    if (code != CLI_EXIT_OK || kept) return code;
    return trial->median.client_limited ? EXIT_CLIENT_LIMITED : EXIT_OBJECTIVE_BROKEN;
}

static int run_trial(const struct arguments *a, const struct trial_setup *setup,
                     struct deployment *deployment, const struct load_target *target)
{
    bool live = load_view_wanted(a->trial.quiet), own = a->trial.tool == TRIAL_OWN;
    struct trial_plan plan = {a->trial.tool, setup->plan, load_show_progress, &live};
    struct load_result result = {0};
    onnxd_error err;
    struct trial *trial = calloc(1, sizeof *trial);
    if (trial == NULL) return cli_exit_code(ONNXD_ERR_NOMEM);
    onnxd_status status = trial_round(trial, &plan, deployment, target, own ? &result : NULL, &err);
    load_clear_view(live);
    int code = status != ONNXD_OK ? cli_fail(command.name, &err) : CLI_EXIT_OK;
    if (code == CLI_EXIT_OK) {
        trial_finish(trial);
        code = report(a, setup, trial, own ? &result : NULL);
        if (own) load_result_done(&result);
    }
    free(trial);
    return code;
}

static int run(const struct arguments *a)
{
    struct trial_setup setup;
    struct deployment deployment = {0};
    struct load_target target = {.weight = 1};
    onnxd_error err;
    int code = trial_setup_make(&command, &a->trial, 0, &setup);
    if (code != CLI_GO_ON) return code;
    if (a->trial.tool == TRIAL_WRK && (a->slo != NULL || a->html != NULL || a->history != NULL))
        return cli_usage_error(&command, "--tool wrk has no --slo, --html or --history");
    struct deployment_options options_of = {.program = setup.program,
                                            .words = setup.words,
                                            .n_processes = 1,
                                            .connections = setup.plan.n_connections,
                                            .port = (uint16_t)a->trial.port,
                                            .server_cpus = a->trial.server_cpus.items,
                                            .n_server_cpus = a->trial.server_cpus.n};
    load_catch_interrupts();
    if (deployment_start(&options_of, &deployment, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    code = trial_make_target(&command, &a->trial, &setup, &deployment, &target);
    if (code == CLI_GO_ON) {
        trial_print_configuration(&a->trial, &setup, &target);
        code = a->trial.load.profile == LOAD_PROFILE_CONNECTIONS ? sweep(a, &setup, &target)
                                                                 : run_trial(a, &setup, &deployment, &target);
    }
    load_corpus_done(&target.corpus);
    deployment_stop(&deployment);
    return code;
}

int onnxd_bench_single_main(int argc, char **argv)
{
    struct arguments a = {.trial = TRIAL_ARGUMENTS};
    load_lengthen(argc, argv);
    int result = cli_parse(&command, argc, argv, &a, NULL);
    return result != CLI_GO_ON ? result : run(&a);
}
