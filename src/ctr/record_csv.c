/* Separated values: a line a record, names from the first line, from the plan, or the columns' numbers. */
#include <stdio.h>
#include <string.h>

#include "base/csv_line.h"
#include "base/error.h"
#include "ctr/record_formats.h"

static onnxd_status prepare(struct record_reader *reader, onnxd_error *err)
{
    const char *separator = reader->source->separator;
    if (separator != NULL && (separator[0] == 0 || separator[0] == '"' || (unsigned char)separator[0] > 126 ||
                              separator[1 + strspn(separator + 1, " ")] != 0))
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "the separator '%.20s' must be one character of ASCII, blanks may follow",
                         separator);
    reader->separator = separator != NULL ? separator[0] : 0;
    return ONNXD_OK;
}

/* The field's text: a view, or a copy without doubled quotes. */
static onnxd_status text_of(struct record_reader *reader, const struct csv_field *field, onnxd_string *ret,
                            onnxd_error *err)
{
    *ret = (onnxd_string){field->text, field->n};
    if (!field->quoted) return ONNXD_OK;
    char *copy = arena_alloc(&reader->arena, field->n);
    if (copy == NULL) return error_set(err, ONNXD_ERR_LIMIT, "no room for the texts of a record");
    *ret = (onnxd_string){copy, csv_unquote(field, copy)};
    return ONNXD_OK;
}

static onnxd_status names_of_header(struct record_reader *reader, const char *line, size_t n,
                                    onnxd_error *err)
{
    struct csv_line at = csv_line_of(line, n, reader->separator);
    while (at.at != NULL) {
        struct csv_field field;
        onnxd_string name;
        onnxd_status status = csv_next_field(&at, &field, err);
        if (status == ONNXD_OK) status = text_of(reader, &field, &name, err);
        if (status == ONNXD_OK) status = record_add_name(reader, name.data, name.len, err);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

/* Of a later file: they must be those of the first. */
static onnxd_status same_names(struct record_reader *reader, const char *line, size_t n, onnxd_error *err)
{
    struct csv_line at = csv_line_of(line, n, reader->separator);
    uint32_t i = 0;
    for (; at.at != NULL; i++) {
        struct csv_field field;
        onnxd_string name;
        onnxd_status status = csv_next_field(&at, &field, err);
        if (status == ONNXD_OK) status = text_of(reader, &field, &name, err);
        if (status != ONNXD_OK) return status;
        if (i >= reader->n_names || strlen(reader->names[i]) != name.len ||
            memcmp(reader->names[i], name.data, name.len) != 0)
            return error_set(err, ONNXD_ERR_FORMAT, "column %u is '%.*s', in the first file it is '%.60s'",
                             i + 1, name.len < 60 ? (int)name.len : 60, name.data,
                             i < reader->n_names ? reader->names[i] : "(none)");
    }
    if (i < reader->n_names)
        return error_set(err, ONNXD_ERR_FORMAT, "column '%.60s' of the first file is missing",
                         reader->names[i]);
    return ONNXD_OK;
}

static onnxd_status names_of_plan(struct record_reader *reader, size_t n_columns, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    const struct feature_plan *plan = reader->plan;
    char number[16];
    if (plan->columns != NULL)
        for (uint32_t i = 0; i < plan->n_columns && status == ONNXD_OK; i++)
            status = record_add_name(reader, plan->columns[i], strlen(plan->columns[i]), err);
    else
        for (size_t i = 0; i < n_columns && status == ONNXD_OK; i++)
            status = record_add_name(reader, number, (size_t)snprintf(number, sizeof number, "%zu", i), err);
    return status;
}

static onnxd_status head(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err)
{
    bool header = reader->source->header == DATASET_HEADER_YES ||
                  (reader->source->header == DATASET_HEADER_AUTO && reader->plan->columns == NULL);
    *ret_taken = header;
    if (header)
        return reader->n_names > 0 ? same_names(reader, line, n, err) : names_of_header(reader, line, n, err);
    if (reader->n_names > 0) return ONNXD_OK;
    return names_of_plan(reader, csv_count_fields(line, n, reader->separator), err);
}

static onnxd_status read(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err)
{
    struct csv_line at = csv_line_of(line, n, reader->separator);
    for (uint32_t i = 0; at.at != NULL; i++) {
        struct csv_field field;
        onnxd_string text;
        onnxd_status status = csv_next_field(&at, &field, err);
        if (status == ONNXD_OK && i < reader->n_names) status = text_of(reader, &field, &text, err);
        if (status != ONNXD_OK) return status;
        if (i < reader->n_names) reader->fields[i] = field_value_of_text(text.data, text.len);
    }
    if (at.n_fields != reader->n_names)
        return error_set(err, ONNXD_ERR_FORMAT, "expected %u columns, got %zu", reader->n_names, at.n_fields);
    *ret_taken = true;
    return ONNXD_OK;
}

const struct record_format record_csv = {
    .ending = {".csv", ".tsv"}, .quotes = true, .prepare = prepare, .head = head, .read = read};
