/* deepfm_train predict: probabilities of records. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "deepfm_train.h"
#include "deepfm_train_data.h"
#include "deepfm_train_model.h"
#include "json/json_writer.h"

enum { CHUNK_ROWS = 1 << 14, MAX_LINE_BYTES = 64, FORM_JSONL = 0, FORM_CSV = 1 };

struct predict_command {
    struct data_options data;
    const char *output;
    struct model_options model;
    int form;
};

#define AT(member) CLI_AT(struct predict_command, member)

static const struct cli_option options[] = {
    {"output", CLI_TEXT, AT(output), "FILE", "where the answers go; - is standard output"},
    {"form", CLI_CHOICE, AT(form), "jsonl|csv", "{\"ctr\":x} a line, or a column \"ctr\""},
    MODEL_OPTIONS(struct predict_command),
    DATA_SOURCE_OPTIONS(struct predict_command),
};

static const struct cli_command command = {
    "deepfm_train predict", "Writes the probability of each record, by the features beside the model.",
    CLI_TABLE(options),     .positionals = "MODEL.onnx",
    .min_positionals = 1,   .max_positionals = 1};

static onnxd_status write_chunk(FILE *file, const char *name, int form, const float *p, uint64_t n,
                                onnxd_error *err)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, (size_t)CHUNK_ROWS * MAX_LINE_BYTES);
    for (uint64_t i = 0; i < n; i++) {
        json_writer_init(&w, &text, JSON_NULL_FOR_NON_FINITE);
        if (form == FORM_JSONL) {
            json_begin_object(&w);
            json_key(&w, "ctr");
        }
        json_f32(&w, p[i]);
        if (form == FORM_JSONL) json_end_object(&w);
        buf_append_char(&text, '\n');
    }
    bool written = !text.failed && fwrite(text.data, 1, text.n, file) == text.n;
    buf_done(&text);
    return written ? ONNXD_OK : error_set(err, ONNXD_ERR_IO, "%s: %s", name, strerror(errno));
}

static onnxd_status predict(const struct predict_command *o, struct served_deepfm *served,
                            const struct encoded_rows *rows, onnxd_error *err)
{
    bool standard = strcmp(o->output, "-") == 0;
    const char *name = standard ? "standard output" : o->output;
    float *p = malloc(CHUNK_ROWS * sizeof *p);
    FILE *file = standard ? stdout : fopen(o->output, "we");
    onnxd_status status = ONNXD_OK;
    if (p == NULL) status = error_set(err, ONNXD_ERR_NOMEM, "no memory for %d answers", CHUNK_ROWS);
    if (file == NULL) status = error_set(err, ONNXD_ERR_IO, "%s: %s", name, strerror(errno));
    if (status == ONNXD_OK && o->form == FORM_CSV) fputs("ctr\n", file);
    for (uint64_t i = 0; i < rows->n_rows && status == ONNXD_OK; i += CHUNK_ROWS) {
        uint64_t left = rows->n_rows - i, n = left < CHUNK_ROWS ? left : CHUNK_ROWS;
        status = ctr_scorer_run(served->scorer, rows, i, n, NULL, p, err);
        if (status == ONNXD_OK) status = write_chunk(file, name, o->form, p, n, err);
    }
    if (file != NULL && (standard ? fflush(file) : fclose(file)) != 0 && status == ONNXD_OK)
        status = error_set(err, ONNXD_ERR_IO, "%s: %s", name, strerror(errno));
    free(p);
    return status;
}

int deepfm_train_predict_main(int argc, char **argv)
{
    struct predict_command o = {.data = {.max_line_bytes = 16 << 20}, .output = "-"};
    struct served_deepfm served = {0};
    struct encoded_rows rows = {0};
    struct dataset_totals totals;
    onnxd_error err;
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    if (o.data.data.n == 0) return cli_usage_error(&command, "--data is missing");
    onnxd_status status = data_check_output(&o.data, argv[1], o.output, &err);
    if (status == ONNXD_OK) status = served_deepfm_open(argv[1], &o.model, &served, &err);
    if (status == ONNXD_OK) status = data_encode_apart(&o.data, served.set, false, &rows, &totals, &err);
    if (status == ONNXD_OK) status = predict(&o, &served, &rows, &err);
    if (status == ONNXD_OK && totals.n_unknowns > 0)
        fprintf(stderr, "%llu values are unknown to the model\n", (unsigned long long)totals.n_unknowns);
    encoded_rows_done(&rows);
    served_deepfm_close(&served);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
