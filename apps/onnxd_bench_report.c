/* onnxd bench report: a history as a page with the course of every figure. */
#include <stdio.h>

#include "base/error.h"
#include "base/file.h"
#include "bench/trend_report.h"
#include "cli_options.h"
#include "onnxd_commands.h"

struct report_command {
    const char *history, *suite, *out, *markdown, *json;
    uint32_t window;
};

#define AT(member) CLI_AT(struct report_command, member)

static const struct cli_option options[] = {
    {"history", CLI_TEXT, AT(history), "FILE", "the runs, as --history of the other suites kept them",
     .required = true, .env = "ONNXD_BENCH_HISTORY"},
    {"out", CLI_TEXT, AT(out), "FILE", "the page to write"},
    {"markdown", CLI_TEXT, AT(markdown), "FILE", "the latest runs as Markdown"},
    {"json", CLI_TEXT, AT(json), "FILE", "the latest runs as JSON"},
    {"suite", CLI_TEXT, AT(suite), "NAME", "only runs of this suite, such as micro"},
    {"window", CLI_U32, AT(window), "N", "earlier runs that the latest is compared with",
     .min = CHECK_MIN_RUNS, .max = CHECK_MAX_WINDOW},
};

static const struct cli_command command = {
    "onnxd bench report",
    "Draws kept runs as one page that needs no other file: the course of every figure, explained.",
    CLI_TABLE(options),
    .notes = "Without --out, --markdown and --json the Markdown form goes to standard output.",
};

typedef onnxd_status (*form_fn)(const struct bench_history *, const struct check_options *, struct buf *,
                                onnxd_error *);

static onnxd_status write_form(form_fn form, const struct bench_history *history,
                               const struct check_options *check, const char *path, onnxd_error *err)
{
    struct buf buf;
    buf_init(&buf, (size_t)256 << 20);
    onnxd_status status = form(history, check, &buf, err);
    if (status == ONNXD_OK && path != NULL)
        status = file_replace(path, buf.data, buf.n, err);
    else if (status == ONNXD_OK)
        fwrite(buf.data, 1, buf.n, stdout);
    buf_done(&buf);
    return status;
}

int onnxd_bench_report_main(int argc, char **argv)
{
    struct report_command o = {.window = CHECK_WINDOW};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    const struct check_options check = {.window = o.window};
    struct bench_history history = {0};
    onnxd_error err;
    onnxd_status status = bench_history_read(o.history, o.suite, &history, &err);
    if (status == ONNXD_OK && o.out != NULL)
        status = write_form(trend_report_html, &history, &check, o.out, &err);
    if (status == ONNXD_OK && o.json != NULL)
        status = write_form(trend_report_json, &history, &check, o.json, &err);
    if (status == ONNXD_OK && (o.markdown != NULL || (o.out == NULL && o.json == NULL)))
        status = write_form(trend_report_markdown, &history, &check, o.markdown, &err);
    bench_history_done(&history);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
