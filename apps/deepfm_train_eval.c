/* deepfm_train eval: what a model is worth on records. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "ctr/evaluation.h"
#include "ctr/fit_course.h"
#include "deepfm_train.h"
#include "deepfm_train_data.h"
#include "deepfm_train_files.h"
#include "deepfm_train_model.h"

enum { MAX_REPORT_BYTES = 64 << 20 };

struct eval_command {
    struct data_options data;
    const char *json, *html;
    struct model_options model;
    struct evaluation_options evaluation;
};

#define AT(member) CLI_AT(struct eval_command, member)

static const struct cli_option options[] = {
    {"json", CLI_TEXT, AT(json), "FILE", "write the result as JSON too"},
    {"html", CLI_TEXT, AT(html), "FILE", "write it as a page with curves too"},
    {"by-field", CLI_FLAG, AT(evaluation.by_field), NULL, "the AUC with each field shuffled"},
    {"seed", CLI_U64, AT(evaluation.seed), "N", "of the shuffling"},
    MODEL_OPTIONS(struct eval_command),
    DATA_SOURCE_OPTIONS(struct eval_command),
};

static const struct cli_command command = {
    "deepfm_train eval",  "Judges a model by records that it was not trained on.",
    CLI_TABLE(options),   .positionals = "MODEL.onnx",
    .min_positionals = 1, .max_positionals = 1};

/* The course of the training, where it lies beside the model. */
static void read_course(const char *model, struct fit_point **ret_points, uint32_t *ret_n)
{
    char path[TRAIN_MAX_PATH], *text = NULL;
    size_t n = 0;
    onnxd_error err;
    if (train_course_path(model, path, &err) != ONNXD_OK || access(path, R_OK) != 0) return;
    onnxd_status status = file_read(path, MAX_REPORT_BYTES, &text, &n, &err);
    if (status == ONNXD_OK) status = fit_course_read(text, n, ret_points, ret_n, &err);
    if (status != ONNXD_OK) fprintf(stderr, "%s: %s; its curves are left out\n", path, err.message);
    free(text);
}

static onnxd_status write_reports(const struct eval_command *o, const char *model, const struct evaluation *e,
                                  onnxd_error *err)
{
    struct evaluation_source source = {.model = model, .data = o->data.data.items[0]};
    struct fit_point *course = NULL;
    struct buf text;
    onnxd_status status = ONNXD_OK;
    buf_init(&text, MAX_REPORT_BYTES);
    evaluation_text(e, &text);
    fwrite(text.data, 1, text.n, stdout);
    fflush(stdout); /* JSON may go to /dev/stdout, too */
    buf_reset(&text);
    if (o->json != NULL) {
        status = evaluation_json(e, &source, &text, err);
        buf_append_char(&text, '\n');
        if (status == ONNXD_OK) status = file_replace(o->json, text.data, text.n, err);
        buf_reset(&text);
    }
    if (status == ONNXD_OK && o->html != NULL) {
        read_course(model, &course, &source.n_course);
        source.course = course;
        evaluation_html(e, &source, &text);
        status = file_replace(o->html, text.data, text.n, err);
    }
    free(course);
    buf_done(&text);
    return status;
}

int deepfm_train_eval_main(int argc, char **argv)
{
    struct eval_command o = {.data = {.max_line_bytes = 16 << 20},
                             .evaluation = {.by_field = true, .seed = 1}};
    struct served_deepfm served = {0};
    struct encoded_rows rows = {0};
    struct dataset_totals totals;
    struct evaluation evaluation = {0};
    onnxd_error err;
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    if (o.data.data.n == 0) return cli_usage_error(&command, "--data is missing");
    onnxd_status status = data_check_output(&o.data, argv[1], o.json, &err);
    if (status == ONNXD_OK) status = data_check_output(&o.data, argv[1], o.html, &err);
    if (status == ONNXD_OK) status = served_deepfm_open(argv[1], &o.model, &served, &err);
    if (status == ONNXD_OK) status = data_encode_apart(&o.data, served.set, true, &rows, &totals, &err);
    if (status == ONNXD_OK) {
        status = evaluation_run(served.scorer, served.set, &rows, &o.evaluation, &evaluation, &err);
        if (status != ONNXD_OK) error_prefix(&err, "%.200s: ", o.data.data.items[0]);
    }
    if (status == ONNXD_OK) status = write_reports(&o, argv[1], &evaluation, &err);
    evaluation_done(&evaluation);
    encoded_rows_done(&rows);
    served_deepfm_close(&served);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
