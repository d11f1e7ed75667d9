/* deepfm_train interactions: which fields act together in a way that a model misses. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "ctr/interactions.h"
#include "deepfm_train.h"
#include "deepfm_train_data.h"
#include "deepfm_train_model.h"

enum { MAX_REPORT_BYTES = 64 << 20, SCORED_ROWS = 1 << 16 };

struct interactions_command {
    struct data_options data;
    const char *fields, *json, *html;
    struct model_options model;
    int triples;
    struct interactions_options find;
};

#define AT(member) CLI_AT(struct interactions_command, member)

static const struct cli_option options[] = {
    {"threshold", CLI_F64, AT(find.threshold), "Z", "the z from which a combination stands out", .min = 1,
     .max = 1e6},
    {"max", CLI_U32, AT(find.max_found), "N", "most pairs and triples to find", .min = 1,
     .max = INTERACTIONS_MAX_FOUND},
    {"triples", CLI_CHOICE, AT(triples), "off|on", "whether three fields at a time are tested, too"},
    {"fields", CLI_TEXT, AT(fields), "A,B,..", "the fields to test; by default all"},
    {"json", CLI_TEXT, AT(json), "FILE", "write the result as JSON too"},
    {"html", CLI_TEXT, AT(html), "FILE", "write it as a page too"},
    MODEL_OPTIONS(struct interactions_command),
    DATA_SOURCE_OPTIONS(struct interactions_command),
};

static const struct cli_command command = {
    "deepfm_train interactions",
    "Finds the pairs and triples of fields that act together in a way that a model misses.",
    CLI_TABLE(options),
    .positionals = "MODEL.onnx",
    .min_positionals = 1,
    .max_positionals = 1,
    .notes =
        "Give it the records that the model was trained on. The last line is the value for fit --cross."};

static void tell(void *context, uint64_t done, uint64_t total)
{
    cli_progress_update(context, done, done, total);
}

static onnxd_status write_reports(const struct interactions_command *o, const char *model,
                                  const struct interactions *in, onnxd_error *err)
{
    struct interactions_source source = {.model = model, .data = o->data.data.items[0]};
    struct buf text;
    onnxd_status status = ONNXD_OK;
    buf_init(&text, MAX_REPORT_BYTES);
    if (o->json != NULL) {
        status = interactions_json(in, &source, &text, err);
        buf_append_char(&text, '\n');
        if (status == ONNXD_OK) status = file_replace(o->json, text.data, text.n, err);
        buf_reset(&text);
    }
    if (status == ONNXD_OK && o->html != NULL) {
        interactions_html(in, &source, &text);
        status = file_replace(o->html, text.data, text.n, err);
        buf_reset(&text);
    }
    if (status == ONNXD_OK) {
        interactions_text(in, &text);
        fwrite(text.data, 1, text.n, stdout);
    }
    buf_done(&text);
    return status;
}

/* The caller frees *ret_p. */
static onnxd_status score_rows(struct served_deepfm *served, const struct encoded_rows *rows, float **ret_p,
                               onnxd_error *err)
{
    struct cli_progress progress = cli_progress_start("rows scored", true);
    float *p = malloc(rows->n_rows * sizeof *p);
    onnxd_status status = ONNXD_OK;
    if (p == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for %llu answers",
                           (unsigned long long)rows->n_rows);
    for (uint64_t i = 0; i < rows->n_rows && status == ONNXD_OK; i += SCORED_ROWS) {
        uint64_t left = rows->n_rows - i, n = left < SCORED_ROWS ? left : SCORED_ROWS;
        status = ctr_scorer_run(served->scorer, rows, i, n, NULL, p + i, err);
        cli_progress_update(&progress, i + n, i + n, rows->n_rows);
    }
    cli_progress_end(&progress);
    if (status == ONNXD_OK)
        *ret_p = p;
    else
        free(p);
    return status;
}

static onnxd_status find(struct interactions_command *o, const char *model, struct served_deepfm *served,
                         const struct encoded_rows *encoded, onnxd_error *err)
{
    struct interaction_rows rows = {0};
    struct interactions in = {0};
    float *p = NULL;
    onnxd_status status = score_rows(served, encoded, &p, err);
    if (status == ONNXD_OK) status = interaction_rows_init(&rows, served->set, encoded, p, o->fields, err);
    if (status == ONNXD_OK) {
        struct cli_progress progress = cli_progress_start("combinations tested", true);
        o->find.progress = tell;
        o->find.progress_context = &progress;
        status = interactions_find(&rows, &o->find, served->threads, &in, err);
        cli_progress_end(&progress);
        if (status != ONNXD_OK) error_prefix(err, "%.200s: ", o->data.data.items[0]);
    }
    if (status == ONNXD_OK) status = write_reports(o, model, &in, err);
    interactions_done(&in);
    interaction_rows_done(&rows);
    free(p);
    return status;
}

int deepfm_train_interactions_main(int argc, char **argv)
{
    struct interactions_command o = {
        .data = {.max_line_bytes = 16 << 20}, .triples = 1, .find = {.threshold = 4, .max_found = 8}};
    struct served_deepfm served = {0};
    struct encoded_rows rows = {0};
    struct dataset_totals totals;
    onnxd_error err;
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    if (o.data.data.n == 0) return cli_usage_error(&command, "--data is missing");
    o.find.triples = o.triples == 1;
    onnxd_status status = data_check_output(&o.data, argv[1], o.json, &err);
    if (status == ONNXD_OK) status = data_check_output(&o.data, argv[1], o.html, &err);
    if (status == ONNXD_OK) status = served_deepfm_open(argv[1], &o.model, &served, &err);
    if (status == ONNXD_OK) status = data_encode_apart(&o.data, served.set, true, &rows, &totals, &err);
    if (status == ONNXD_OK) status = find(&o, argv[1], &served, &rows, &err);
    encoded_rows_done(&rows);
    served_deepfm_close(&served);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
