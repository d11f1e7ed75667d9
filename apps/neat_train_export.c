/* neat_train export: a saved champion in other forms. */
#include "base/file.h"
#include "cli_options.h"
#include "neat_train.h"

struct export_options {
    const char *out;
};

static const struct cli_option options[] = {
    {"out", CLI_TEXT, CLI_AT(struct export_options, out), "DIR", "where to write; made if missing"},
};

static const struct cli_command command = {
    "neat_train export",  "Writes a saved champion as JSON, ONNX, DOT and SVG.",
    CLI_TABLE(options),   .positionals = "CHAMPION.json",
    .min_positionals = 1, .max_positionals = 1};

int neat_train_export_main(int argc, char **argv)
{
    struct export_options o = {.out = "."};
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    struct policy policy;
    onnxd_error err;
    onnxd_status status = policy_read(argv[1], &policy, &err);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    status = file_make_folder(o.out, &err);
    if (status == ONNXD_OK) status = write_policy_files(&policy, o.out, NULL, &err);
    policy_done(&policy);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
