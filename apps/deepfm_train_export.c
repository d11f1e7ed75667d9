/* deepfm_train export: the best weights of a checkpoint as ONNX. */
#include <stdio.h>

#include "base/file.h"
#include "cli_options.h"
#include "ctr/fit_checkpoint.h"
#include "deepfm_train.h"
#include "deepfm_train_files.h"

struct export_command {
    const char *out, *name;
};

static const struct cli_option options[] = {
    {"out", CLI_TEXT, CLI_AT(struct export_command, out), "DIR", "where to write; made if missing"},
    {"name", CLI_TEXT, CLI_AT(struct export_command, name), "NAME",
     "of the model's files; from the settings unless given"},
};

static const struct cli_command command = {
    "deepfm_train export",
    "Writes the best model of a training, finished or not, as ONNX with its features.",
    CLI_TABLE(options),
    .positionals = "DIR",
    .min_positionals = 1,
    .max_positionals = 1,
    .notes = "DIR is what deepfm_train fit was given as --out."};

int deepfm_train_export_main(int argc, char **argv)
{
    struct export_command o = {.out = "."};
    struct train_files files;
    struct fit_head head;
    struct feature_set *set = NULL;
    struct ctr_shape shape = {0};
    struct fit fit = {0};
    char path[TRAIN_MAX_PATH];
    onnxd_error err;
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    onnxd_status status = train_check_name(o.name, &err);
    if (status == ONNXD_OK) status = train_files_of(argv[1], &files, &err);
    if (status == ONNXD_OK) status = fit_read_head(files.checkpoint, &head, &err);
    if (status == ONNXD_OK) status = train_read_features(files.features, &set, &err);
    if (status == ONNXD_OK) status = ctr_shape_init(&shape, set, &head.net, &err);
    if (status == ONNXD_OK) status = fit_read_result(files.checkpoint, &shape, &fit, &err);
    if (status == ONNXD_OK) status = file_make_folder(o.out, &err);
    if (status == ONNXD_OK) status = train_write_model(&fit, set, o.out, o.name, path, &err);
    if (status == ONNXD_OK) printf("%s\n", path);
    fit_result_done(&fit);
    ctr_shape_done(&shape);
    feature_set_unref(set);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
