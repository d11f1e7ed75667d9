/* onnxd predict: rows from a file through a model, answers as JSON lines. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "cli_options.h"
#include "cli_precision.h"
#include "cli_progress.h"
#include "json/json_writer.h"
#include "onnxd/onnxd.h"
#include "onnxd_commands.h"
#include "protocol/row_json.h"
#include "protocol/row_stream.h"
#include "serve/raw_fields.h"

#define MAX_ANSWER_BYTES ((size_t)1 << 30) /* of one batch */

struct predict_options {
    const char *model, *input, *output;
    int format; /* 0: by the input's name, else enum row_format + 1 */
    uint32_t batch;
    int engine, precision;
};

static const struct cli_option options[] = {
    {"model", CLI_TEXT, CLI_AT(struct predict_options, model), "FILE", "ONNX model", .required = true},
    {"input", CLI_TEXT, CLI_AT(struct predict_options, input), "FILE", "rows to answer; - is standard input"},
    {"format", CLI_CHOICE, CLI_AT(struct predict_options, format), "auto|jsonl|csv|f32",
     "how the rows are written; auto goes by the ending .csv or .f32 and is jsonl else"},
    {"output", CLI_TEXT, CLI_AT(struct predict_options, output), "FILE",
     "where the answers go; - is standard output"},
    {"batch", CLI_U32, CLI_AT(struct predict_options, batch), "N", "rows of a run", .min = 1, .max = 65536},
    {"engine", CLI_CHOICE, CLI_AT(struct predict_options, engine), "auto|native|onnxruntime",
     "what runs the model"},
    {"precision", CLI_CHOICE, CLI_AT(struct predict_options, precision), "fp32|bf16",
     "bf16 keeps large weights in half the memory where the CPU multiplies them"},
};

static const struct cli_command command = {
    "onnxd predict", "Answers rows from a file, one line of JSON for each.", CLI_TABLE(options),
    .notes =
        "Rows in JSON lines are [1,2,3], {\"features\":[1,2,3]} or {\"inputs\":{\"name\":[..],..}}; in CSV\n"
        "the elements of all inputs, with or without a line of names; in f32 little-endian floats.\n"
        "Beside NAME.onnx, NAME.features.json says how raw fields become inputs: rows may then be\n"
        "{\"weekday\":4,...}, or CSV with the fields' names in the first line.\n"
        "An answer is {\"ctr\":x} when the model gives one number a row, else {\"prediction\":..}; NaN and\n"
        "infinity are written as null. Rows in front of a faulty one are answered."};

struct predict {
    const struct predict_options *options;
    onnxd_model *model;
    onnxd_session *session;
    struct raw_fields raw_fields;
    struct protocol_schema schema;
    struct row_stream stream;
    struct row_batch batch;
    onnxd_tensor *in, *out; /* [n_inputs], [n_outputs] */
    struct buf answers;
    int fd;
    uint64_t n_answered;
};

static onnxd_status output_error(const struct predict *p, onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_IO, "%s: %s",
                     p->fd == STDOUT_FILENO ? "standard output" : p->options->output, strerror(errno));
}

/* The answers must not overwrite the rows while they are read. */
static onnxd_status open_output(struct predict *p, onnxd_error *err)
{
    struct stat in, out;
    if (strcmp(p->options->output, "-") == 0) return ONNXD_OK;
    bool same = fstat(p->stream.reader.fd, &in) == 0 && stat(p->options->output, &out) == 0 &&
                S_ISREG(out.st_mode) && in.st_dev == out.st_dev && in.st_ino == out.st_ino;
    if (same)
        return error_set(err, ONNXD_ERR_ARGUMENT, "%s: input and output are the same file",
                         p->options->output);
    int fd = open(p->options->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return error_set(err, ONNXD_ERR_IO, "%s: %s", p->options->output, strerror(errno));
    p->fd = fd;
    return ONNXD_OK;
}

/* Rows that may share a run: one only, where rows could change each other's answers. */
static uint32_t rows_of_a_run(const struct predict *p)
{
    for (uint32_t i = 0; i < p->schema.n_inputs; i++)
        if (p->schema.inputs[i].info->dims[0] == 1) return 1;
    return onnxd_model_is_batchable(p->model) ? p->options->batch : 1;
}

static onnxd_status open_all(struct predict *p, onnxd_error *err)
{
    const struct predict_options *o = p->options;
    onnxd_model_options load = {.engine = (onnxd_engine)o->engine,
                                .precision = (onnxd_precision)o->precision};
    enum row_format format = o->format == 0 ? row_format_of_path(o->input) : (enum row_format)(o->format - 1);
    onnxd_status status = onnxd_model_load(o->model, &load, &p->model, err);
    if (status != ONNXD_OK) return status;
    if (load.precision == ONNXD_PRECISION_BF16) cli_report_precision(o->model);
    uint32_t n_in = onnxd_model_n_inputs(p->model), n_out = onnxd_model_n_outputs(p->model);
    status = raw_fields_load(&p->raw_fields, o->model, onnxd_model_input(p->model, 0), n_in, err);
    if (status == ONNXD_OK)
        status = protocol_schema_init(&p->schema, onnxd_model_input(p->model, 0), n_in,
                                      onnxd_model_output(p->model, 0), n_out, raw_fields_hook(&p->raw_fields),
                                      err);
    if (status == ONNXD_OK) status = row_stream_open(&p->stream, o->input, format, &p->schema, err);
    if (status != ONNXD_OK) return status;
    onnxd_session_options session = {.max_batch = rows_of_a_run(p)};
    p->in = calloc(n_in + 1u, sizeof *p->in);
    p->out = calloc(n_out + 1u, sizeof *p->out);
    if (p->in == NULL || p->out == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the tensors");
    status = row_batch_init(&p->batch, &p->schema, session.max_batch, err);
    if (status == ONNXD_OK) status = onnxd_session_create(p->model, &session, &p->session, err);
    if (status == ONNXD_OK) status = open_output(p, err);
    return status;
}

static void close_all(struct predict *p)
{
    if (p->fd != STDOUT_FILENO) close(p->fd);
    buf_done(&p->answers);
    onnxd_session_free(p->session);
    row_batch_done(&p->batch);
    row_stream_close(&p->stream);
    free(p->in);
    free(p->out);
    protocol_schema_done(&p->schema);
    raw_fields_done(&p->raw_fields);
    onnxd_model_unref(p->model);
}

static onnxd_status write_answers(struct predict *p, onnxd_error *err)
{
    const char *at = p->answers.data;
    size_t left = p->answers.n;
    while (left > 0) {
        ssize_t n = write(p->fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return output_error(p, err);
        at += n;
        left -= (size_t)n;
    }
    buf_reset(&p->answers);
    return ONNXD_OK;
}

/* Rows first..first+n of the batch, run and written as lines. */
static onnxd_status answer_rows(struct predict *p, uint32_t first, uint32_t n, onnxd_error *err)
{
    row_batch_tensors(&p->batch, &p->schema, first, n, p->in);
    onnxd_status status = onnxd_session_run(p->session, p->in, p->schema.n_inputs, p->out,
                                            p->schema.n_outputs, err);
    if (status == ONNXD_OK) status = row_json_check_outputs(&p->schema, p->out, n, err);
    if (status != ONNXD_OK) return status;
    const char *key = row_json_is_scalar(&p->schema, p->out) ? "ctr" : "prediction";
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
        struct json_writer w;
        json_writer_init(&w, &p->answers, JSON_NULL_FOR_NON_FINITE);
        json_begin_object(&w);
        json_key(&w, key);
        row_json_write(&w, &p->schema, p->out, i);
        json_end_object(&w);
        buf_append_char(&p->answers, '\n');
        status = json_writer_finish(&w, err);
    }
    if (status == ONNXD_OK) status = write_answers(p, err);
    if (status == ONNXD_OK) p->n_answered += n;
    return status;
}

/* A batch that fails is run again row by row, which answers the rows in front of the culprit and names it. */
static onnxd_status answer_batch(struct predict *p, onnxd_error *err)
{
    uint32_t n = p->batch.rows.n;
    onnxd_status status = answer_rows(p, 0, n, err);
    if (status == ONNXD_OK || status == ONNXD_ERR_IO) return status;
    buf_reset(&p->answers);
    for (uint32_t i = 0; i < n; i++) {
        status = answer_rows(p, i, 1, err);
        if (status == ONNXD_OK) continue;
        if (status != ONNXD_ERR_IO)
            error_prefix(err, "%.200s: row %llu: ", p->stream.reader.name,
                         (unsigned long long)p->n_answered + 1);
        return status;
    }
    return ONNXD_OK;
}

static onnxd_status answer_all(struct predict *p, onnxd_error *err)
{
    struct cli_progress progress = cli_progress_start("rows", p->fd != STDOUT_FILENO);
    onnxd_status status;
    do {
        row_batch_reset(&p->batch);
        status = row_stream_read(&p->stream, &p->batch.rows, err);
        if (status == ONNXD_OK && p->batch.rows.n > 0) status = answer_batch(p, err);
        cli_progress_update(&progress, p->n_answered, p->stream.reader.n_taken, p->stream.reader.total_bytes);
    } while (status == ONNXD_OK && p->batch.rows.n > 0);
    cli_progress_end(&progress);
    return status;
}

int onnxd_predict_main(int argc, char **argv)
{
    struct predict_options o = {.input = "-", .output = "-", .batch = 64};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    struct predict p = {.options = &o, .stream.reader.fd = -1, .fd = STDOUT_FILENO};
    buf_init(&p.answers, MAX_ANSWER_BYTES);
    onnxd_error err;
    onnxd_status status = open_all(&p, &err);
    if (status == ONNXD_OK) status = answer_all(&p, &err);
    if (status != ONNXD_OK) result = cli_fail(command.name, &err);
    close_all(&p);
    return status == ONNXD_OK ? CLI_EXIT_OK : result;
}
