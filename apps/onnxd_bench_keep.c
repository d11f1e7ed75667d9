/* onnxd bench keep: figures that other tools measured, into the same history. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli_history.h"
#include "cli_options.h"
#include "onnxd_commands.h"

struct keep_command {
    const char *history, *suite;
    struct cli_texts settings, figures;
};

#define AT(member) CLI_AT(struct keep_command, member)

static const struct cli_option options[] = {
    {"history", CLI_TEXT, AT(history), "FILE", "the SQLite file to keep the run in", .required = true,
     .env = "ONNXD_BENCH_HISTORY"},
    {"suite", CLI_TEXT, AT(suite), "NAME", "what was measured", .required = true},
    {"setting", CLI_TEXTS, AT(settings), "NAME=VALUE", "how; only runs with the same settings are compared"},
    {"figure", CLI_TEXTS, AT(figures), "NAME=VALUE[:UNIT[:lower|higher]]",
     "a figure, its unit (ns, bytes, 1/s or any word) and which side is better; may be repeated"},
};

static const struct cli_command command = {
    "onnxd bench keep",
    "Keeps figures that another tool measured, for bench report and check.",
    CLI_TABLE(options),
};

/* "NAME=VALUE:UNIT:lower"; the name may hold anything but '='. */
static bool keep_figure(struct bench_run *run, const char *text)
{
    const char *equals = strchr(text, '=');
    char name[200], unit[32] = "", *end = NULL;
    enum bench_better better = BENCH_NEITHER;
    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof name) return false;
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    double value = strtod(equals + 1, &end);
    if (end == equals + 1 || !isfinite(value) || bench_run_find(run, name) != NULL) return false;
    if (*end == ':') {
        size_t n = strcspn(end + 1, ":");
        if (n >= sizeof unit) return false;
        snprintf(unit, sizeof unit, "%.*s", (int)n, end + 1);
        end += 1 + n;
    }
    if (strcmp(end, ":lower") == 0)
        better = BENCH_LOWER;
    else if (strcmp(end, ":higher") == 0)
        better = BENCH_HIGHER;
    else if (*end != 0)
        return false;
    bench_run_value(run, name, unit, better, value);
    return true;
}

static int fill(const struct keep_command *o, struct bench_run *run)
{
    for (uint32_t i = 0; i < o->settings.n; i++) {
        const char *text = o->settings.items[i], *equals = strchr(text, '=');
        char name[64];
        if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof name ||
            strpbrk(text, " \t\n") != NULL)
            return cli_usage_error(&command, "--setting: expected NAME=VALUE without blanks, got '%.100s'",
                                   text);
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        bench_run_setting(run, name, "%s", equals + 1);
    }
    for (uint32_t i = 0; i < o->figures.n; i++)
        if (!keep_figure(run, o->figures.items[i]))
            return cli_usage_error(
                &command,
                "--figure: expected NAME=VALUE, NAME=VALUE:UNIT or NAME=VALUE:UNIT:lower (or "
                "higher), each name once, got '%.100s'",
                o->figures.items[i]);
    return CLI_GO_ON;
}

int onnxd_bench_keep_main(int argc, char **argv)
{
    struct keep_command o = {0};
    struct bench_run run;
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    if (o.figures.n == 0) return cli_usage_error(&command, "--figure: expected at least one");
    bench_run_begin(&run, o.suite);
    result = fill(&o, &run);
    if (result == CLI_GO_ON) return cli_history_keep(command.name, o.history, &run);
    bench_run_done(&run);
    return result;
}
