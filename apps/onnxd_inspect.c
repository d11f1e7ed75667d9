/* onnxd inspect: what a model takes, gives and costs. */
#include <inttypes.h>
#include <stdio.h>

#include "cli_options.h"
#include "onnxd/onnxd.h"
#include "onnxd_commands.h"

struct inspect_options {
    int engine;
};

static const struct cli_option options[] = {
    {"engine", CLI_CHOICE, CLI_AT(struct inspect_options, engine), "auto|native|onnxruntime",
     "what loads the model"},
};

static const struct cli_command command = {"onnxd inspect",      "Shows what a model takes, gives and costs.",
                                           CLI_TABLE(options),   .positionals = "MODEL",
                                           .min_positionals = 1, .max_positionals = 1};

static void print_io(const char *kind, const onnxd_io_info *info)
{
    printf("%-8s %s  %s[", kind, info->name, onnxd_type_name(info->type));
    for (int32_t i = 0; i < info->rank; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (info->dims[i] >= 0)
            printf("%s%" PRId64, comma, info->dims[i]);
        else
            printf("%s%s", comma, info->dim_names[i] != NULL ? info->dim_names[i] : "?");
    }
    printf("]\n");
}

int onnxd_inspect_main(int argc, char **argv)
{
    struct inspect_options o = {0};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    onnxd_model_options load = {.engine = (onnxd_engine)o.engine};
    onnxd_model *model = NULL;
    onnxd_error err;
    if (onnxd_model_load(argv[1], &load, &model, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    for (uint32_t i = 0; i < onnxd_model_n_inputs(model); i++) print_io("input", onnxd_model_input(model, i));
    for (uint32_t i = 0; i < onnxd_model_n_outputs(model); i++)
        print_io("output", onnxd_model_output(model, i));
    onnxd_model_unref(model);
    return CLI_EXIT_OK;
}
