/* onnxd bench modes: in process or remote, measured and decided. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "bench/modes_suite.h"
#include "cli_history.h"
#include "cli_options.h"
#include "cli_progress.h"
#include "onnxd_commands.h"

enum { FORMAT_TEXT, FORMAT_MARKDOWN, FORMAT_JSON };

struct modes_command {
    const char *model, *rows, *modes, *engines, *weights, *html, *json, *history;
    double seconds;
    uint32_t slices, workers;
    uint64_t seed;
    int format, protocol;
};

#define AT(member) CLI_AT(struct modes_command, member)

static const struct cli_option options[] = {
    {"model", CLI_TEXT, AT(model), "FILE", "ONNX file", .required = true},
    {"rows", CLI_TEXT, AT(rows), "FILE",
     "rows to run (.f32, .csv or JSON lines); without it rows are drawn within the model's tables"},
    {"modes", CLI_TEXT, AT(modes), "LIST", "cpu, cpu:BATCH and remote:BATCH, parted by commas"},
    {"engines", CLI_TEXT, AT(engines), "LIST", "native and onnxruntime, parted by commas"},
    {"protocol", CLI_CHOICE, AT(protocol), "binary|json",
     "of remote modes: /v2 with binary tensors, or /predict"},
    {"seconds", CLI_F64, AT(seconds), "S", "of each mode", .min = 0.001, .max = 3600},
    {"slices", CLI_U32, AT(slices), "N", "in which modes take turns", .min = 2, .max = MODES_MAX_SLICES},
    {"workers", CLI_U32, AT(workers), "N", "of the server", .min = 1, .max = 1024},
    {"weights", CLI_TEXT, AT(weights), "LIST",
     "of latency, throughput, resources and complexity, in per cent, such as 40,30,20,10"},
    {"format", CLI_CHOICE, AT(format), "text|markdown|json", "of standard output"},
    {"json", CLI_TEXT, AT(json), "FILE", "writes the figures there, too"},
    {"html", CLI_TEXT, AT(html), "FILE", "writes a page there, too"},
    {"seed", CLI_U64, AT(seed), "N", "of drawn rows"},
    CLI_HISTORY(struct modes_command, history),
};

static const struct cli_command command = {
    "onnxd bench modes",
    "Runs the same model and rows in process, remote one by one and remote in batches, and says what to "
    "choose.",
    CLI_TABLE(options),
    .notes =
        "The server is started by the command itself and stopped whatever happens. Scores: a measured factor "
        "has\n"
        "100 points for the best option and loses a third of them with every factor of ten that an option "
        "is\n"
        "worse; complexity is 100 less 30 for a server, 20 for a network, 15 for batches that the caller\n"
        "gathers, 10 for a foreign runtime. An option is dominated when another is at least as good in "
        "every\n"
        "factor and better in one."};

static int parse_engines(const char *text, struct modes_options *o)
{
    static const struct {
        const char *name;
        onnxd_engine engine;
    } known[] = {{"native", ONNXD_ENGINE_NATIVE}, {"onnxruntime", ONNXD_ENGINE_ONNXRUNTIME}};
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        int found = -1;
        for (int k = 0; k < 2; k++)
            if (n == strlen(known[k].name) && memcmp(at, known[k].name, n) == 0) found = k;
        for (uint32_t i = 0; i < o->n_engines && found >= 0; i++)
            if (o->engines[i] == known[found].engine) found = -1;
        if (found < 0)
            return cli_usage_error(
                &command, "--engines: expected native and onnxruntime, each once, got '%.60s'", text);
        o->engines[o->n_engines++] = known[found].engine;
        at += n;
        if (*at == 0) return CLI_GO_ON;
    }
}

static void show_mode(void *context, const char *mode, uint32_t done, uint32_t all)
{
    (void)mode;
    cli_progress_update(context, done, done, all);
}

static void describe_run(const struct modes_command *o, struct bench_run *run)
{
    const char *slash = strrchr(o->model, '/');
    bench_run_begin(run, "modes");
    bench_run_setting(run, "model", "%s", slash != NULL ? slash + 1 : o->model);
    bench_run_setting(run, "rows", "%s", o->rows != NULL ? "file" : "drawn");
    bench_run_setting(run, "modes", "%s", o->modes);
    bench_run_setting(run, "engines", "%s", o->engines);
    bench_run_setting(run, "protocol", "%s", o->protocol == MODES_JSON ? "json" : "binary");
    bench_run_setting(run, "workers", "%u", o->workers);
}

static onnxd_status write_file(const char *path, const struct buf *buf, onnxd_error *err)
{
    if (buf->failed) return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for the report", path);
    return file_replace(path, buf->data, buf->n, err);
}

static onnxd_status report(const struct modes_command *o, const struct modes_suite *suite,
                           const struct bench_run *run, onnxd_error *err)
{
    struct buf buf;
    onnxd_status status = ONNXD_OK;
    buf_init(&buf, (size_t)16 << 20);
    if (o->format == FORMAT_TEXT) modes_report_text(suite, &buf);
    if (o->format == FORMAT_MARKDOWN) modes_report_markdown(suite, &buf);
    if (o->format == FORMAT_JSON) modes_report_json(suite, run, &buf);
    fwrite(buf.data, 1, buf.n, stdout);
    if (o->json != NULL) {
        buf_reset(&buf);
        modes_report_json(suite, run, &buf);
        status = write_file(o->json, &buf, err);
    }
    if (o->html != NULL && status == ONNXD_OK) {
        buf_reset(&buf);
        modes_report_html(suite, run, &buf);
        status = write_file(o->html, &buf, err);
    }
    buf_done(&buf);
    return status;
}

int onnxd_bench_modes_main(int argc, char **argv)
{
    struct modes_command o = {.modes = "cpu,remote:1,remote:8",
                              .engines = "native",
                              .seconds = 3,
                              .slices = 20,
                              .workers = 1,
                              .seed = 1};
    struct decision_weights weights = decision_weights_default();
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    struct modes_options modes = {.model = o.model,
                                  .rows = o.rows,
                                  .protocol = (enum modes_protocol)o.protocol,
                                  .seconds = o.seconds,
                                  .n_slices = o.slices,
                                  .workers = o.workers,
                                  .seed = o.seed};
    struct modes_suite suite = {0};
    struct bench_run run;
    onnxd_error err;
    result = parse_engines(o.engines, &modes);
    if (result != CLI_GO_ON) return result;
    onnxd_status status = modes_parse(o.modes, modes.kinds, &modes.n_kinds, &err);
    if (status == ONNXD_OK && o.weights != NULL) status = decision_weights_parse(o.weights, &weights, &err);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    signal(SIGPIPE, SIG_IGN); /* a server that goes away is told as such */
    describe_run(&o, &run);
    struct cli_progress progress = cli_progress_start("slices", false);
    status = modes_suite_run(&modes, &weights, show_mode, &progress, &suite, &err);
    cli_progress_end(&progress);
    if (status == ONNXD_ERR_RANGE && o.rows == NULL)
        error_prefix(&err, "rows drawn at random do not fit the model, give real ones with --rows: ");
    if (status == ONNXD_OK) status = report(&o, &suite, &run, &err);
    if (status == ONNXD_OK) modes_to_run(&suite, &run);
    modes_suite_done(&suite);
    if (status == ONNXD_OK) return cli_history_keep(command.name, o.history, &run);
    bench_run_done(&run);
    return cli_fail(command.name, &err);
}
