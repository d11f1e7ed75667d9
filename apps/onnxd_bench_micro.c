/* onnxd bench micro: the parts of a request's way, each measured alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "bench/micro_baseline.h"
#include "bench/micro_cases.h"
#include "cli_history.h"
#include "cli_options.h"
#include "cli_progress.h"
#include "onnxd_commands.h"

enum { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV };

struct micro_command {
    const char *model, *filter, *save, *baseline, *history;
    struct cli_numbers batches;
    double seconds, warm_up;
    uint32_t samples;
    uint64_t seed, calls;
    int format;
    bool list;
};

#define AT(member) CLI_AT(struct micro_command, member)

static const struct cli_option options[] = {
    {"model", CLI_TEXT, AT(model), "FILE", "measures runs of this model, too"},
    {"batch", CLI_NUMBERS, AT(batches), "N,N", "batch sizes of the model's runs", .min = 1, .max = 65536},
    {"filter", CLI_TEXT, AT(filter), "PATTERN",
     "only cases whose name holds this; * and ? match as in a shell"},
    {"list", CLI_FLAG, AT(list), NULL, "prints the names of the cases and measures nothing"},
    {"seconds", CLI_F64, AT(seconds), "S", "of sampling of each case", .min = 0.001, .max = 3600},
    {"warm-up", CLI_F64, AT(warm_up), "S", "before each of the two rounds of a case", .min = 0.001,
     .max = 3600},
    {"samples", CLI_U32, AT(samples), "N", "of each case", .min = 10, .max = MICRO_MAX_SAMPLES},
    {"format", CLI_CHOICE, AT(format), "text|json|csv", "of standard output"},
    {"save", CLI_TEXT, AT(save), "FILE", "writes the samples there, as a baseline"},
    {"baseline", CLI_TEXT, AT(baseline), "FILE", "compares with what --save wrote; exit code 1 when slower"},
    {"calls", CLI_U64, AT(calls), "N", "only calls each case so often: for tools that count instructions",
     .max = 1e9},
    {"seed", CLI_U64, AT(seed), "N", "of drawn inputs and resampling"},
    CLI_HISTORY(struct micro_command, history),
};

static const struct cli_command command = {
    "onnxd bench micro", "Measures the parts of a request's way, each alone.", CLI_TABLE(options),
    .notes =
        "Every case is measured in two rounds, the second in reverse order; how far they differ is the "
        "noise\n"
        "below which no change counts. A change must be significant (Welch's t against resamples of the\n"
        "pooled sample, p < 0.05) and lie wholly beyond the noise. Save and compare in one sitting: a\n"
        "shared machine drifts between minutes; over longer times use --history and onnxd bench check."};

static void show_case(void *context, const char *name, uint32_t done, uint32_t all)
{
    (void)name;
    cli_progress_update(context, done, done, all);
}

static onnxd_status make_cases(const struct micro_command *o, struct micro_list *list, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    if (o->model != NULL)
        status = micro_cases_model(list, o->model, o->batches.items, o->batches.n, o->seed, err);
    if (status == ONNXD_ERR_RANGE)
        error_prefix(err, "inputs drawn at random do not fit the model (bench engine takes --rows): ");
    if (status == ONNXD_OK) status = micro_cases_wire(list, err);
    if (status == ONNXD_OK) status = micro_cases_networks(list, err);
    if (status == ONNXD_OK) status = micro_cases_base(list, err);
    if (status == ONNXD_OK && o->filter != NULL) micro_list_filter(list, o->filter);
    if (status == ONNXD_OK && list->n == 0)
        status = error_set(err, ONNXD_ERR_ARGUMENT,
                           "--filter: no case is called like '%s'; --list shows them", o->filter);
    return status;
}

static void describe_run(const struct micro_command *o, struct bench_run *run)
{
    const char *slash = o->model != NULL ? strrchr(o->model, '/') : NULL;
    bench_run_begin(run, "micro");
    if (o->model != NULL) bench_run_setting(run, "model", "%s", slash != NULL ? slash + 1 : o->model);
    bench_run_setting(run, "seconds", "%g", o->seconds);
}

/* Prints and writes what was asked for. ret_slower: cases that became slower. */
static onnxd_status report(const struct micro_command *o, const struct micro_suite *suite,
                           const struct bench_run *run, uint32_t *ret_slower, onnxd_error *err)
{
    struct micro_baseline baseline = {0};
    struct micro_comparison *changes = NULL;
    struct buf buf;
    onnxd_status status = ONNXD_OK;
    buf_init(&buf, (size_t)256 << 20);
    if (o->baseline != NULL) {
        status = micro_baseline_read(o->baseline, &baseline, err);
        if (status != ONNXD_OK) goto out;
        if (strcmp(baseline.machine, run->machine.id) != 0)
            fprintf(stderr, "%s: %s was measured on another machine or build; its times mean little here\n",
                    command.name, o->baseline);
        changes = calloc(suite->n_results + 1u, sizeof *changes);
        status = changes != NULL ? micro_compare_all(&baseline, suite, changes, err)
                                 : error_set(err, ONNXD_ERR_NOMEM, "no memory for the comparison");
        if (status != ONNXD_OK) goto out;
        for (uint32_t i = 0; i < suite->n_results; i++) *ret_slower += changes[i].change == MICRO_SLOWER;
    }
    if (o->format == FORMAT_TEXT) micro_report_text(suite, changes, &buf);
    if (o->format == FORMAT_CSV) micro_report_csv(suite, changes, &buf);
    if (o->format == FORMAT_JSON) micro_suite_json(suite, run, &buf);
    fwrite(buf.data, 1, buf.n, stdout);
    if (o->save != NULL) {
        buf_reset(&buf);
        micro_suite_json(suite, run, &buf);
        status = buf.failed ? error_set(err, ONNXD_ERR_LIMIT, "%s: too many samples", o->save)
                            : file_replace(o->save, buf.data, buf.n, err);
    }
out:
    free(changes);
    micro_baseline_done(&baseline);
    buf_done(&buf);
    return status;
}

static int measure(const struct micro_command *o, const struct micro_list *list)
{
    const struct micro_options micro = {
        .warm_up_s = o->warm_up, .seconds = o->seconds, .n_samples = o->samples, .seed = o->seed};
    struct cli_progress progress = cli_progress_start("cases", false);
    struct micro_suite suite = {0};
    struct bench_run run;
    uint32_t n_slower = 0;
    onnxd_error err;
    describe_run(o, &run);
    onnxd_status status = micro_run(list->cases, list->n, &micro, show_case, &progress, &suite, &err);
    cli_progress_end(&progress);
    if (status == ONNXD_OK) status = report(o, &suite, &run, &n_slower, &err);
    if (status == ONNXD_OK) micro_to_run(&suite, &run);
    micro_suite_done(&suite);
    if (status != ONNXD_OK) {
        bench_run_done(&run);
        return cli_fail(command.name, &err);
    }
    int result = cli_history_keep(command.name, o->history, &run);
    return result == CLI_EXIT_OK && n_slower > 0 ? BENCH_REGRESSION : result;
}

/* A first call outside prepares what is prepared once. */
static int repeat(const struct micro_command *o, const struct micro_list *list)
{
    onnxd_error err;
    for (uint32_t i = 0; i < list->n; i++) {
        onnxd_status status = list->cases[i].run(list->cases[i].context, 1, &err);
        if (status == ONNXD_OK) status = micro_repeat(&list->cases[i], o->calls, &err);
        if (status != ONNXD_OK) return cli_fail(command.name, &err);
        puts(list->cases[i].name);
    }
    return CLI_EXIT_OK;
}

int onnxd_bench_micro_main(int argc, char **argv)
{
    static struct micro_list list;
    struct micro_command o = {
        .batches = {{1, 8, 64}, 3}, .seconds = 1, .warm_up = 0.2, .samples = 100, .seed = 1};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    onnxd_error err;
    micro_list_init(&list);
    onnxd_status status = make_cases(&o, &list, &err);
    if (status != ONNXD_OK)
        result = cli_fail(command.name, &err);
    else if (o.list) {
        for (uint32_t i = 0; i < list.n; i++) puts(list.cases[i].name);
        result = CLI_EXIT_OK;
    } else
        result = o.calls > 0 ? repeat(&o, &list) : measure(&o, &list);
    micro_list_done(&list);
    return result;
}
