#include "protocol/row_csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/csv_line.h"
#include "base/error.h"
#include "json/json_reader.h"
#include "protocol/tensor_json.h"

struct column { /* where a column's value goes */
    uint32_t input;
    size_t element; /* in the input's row */
};

struct row_csv {
    const struct protocol_schema *schema;
    struct column *columns; /* [n_columns], unless by_field */
    uint32_t *fields_of;    /* [n_columns] field of each column, when by_field */
    size_t n_columns;
    bool by_field, started;
};

/* ---- fields of a line ---------------------------------------------------------------------------- */

static bool is_number(const struct csv_field *field)
{
    struct decimal decimal;
    const char *end = field->text + field->n;
    return !field->quoted && decimal_scan(field->text, end, &decimal) == end;
}

/* The field's text, quotes resolved, in the arena. */
static onnxd_status copy_text(const struct csv_field *field, struct arena *arena, onnxd_string *ret,
                              onnxd_error *err)
{
    char *copy = arena_alloc(arena, field->n);
    if (copy == NULL) return error_set(err, ONNXD_ERR_LIMIT, "no room for the texts of a batch");
    *ret = (onnxd_string){copy, csv_unquote(field, copy)};
    return ONNXD_OK;
}

/* ---- the line of names --------------------------------------------------------------------------- */

static bool has_string_input(const struct protocol_schema *schema)
{
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        if (schema->inputs[i].info->type == ONNXD_STRING) return true;
    return false;
}

static bool inputs_have_one_element(const struct protocol_schema *schema)
{
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        if (schema->inputs[i].row_elements != 1) return false;
    return true;
}

static bool is_bool_word(const struct csv_field *field)
{
    return (field->n == 4 && memcmp(field->text, "true", 4) == 0) ||
           (field->n == 5 && memcmp(field->text, "false", 5) == 0);
}

struct first_line {
    size_t n, n_numbers, n_inputs, n_fields; /* fields in all, numbers, names of inputs, of raw fields */
};

static struct first_line look_at_first(const struct protocol_schema *schema, const char *text, size_t n)
{
    struct first_line first = {0};
    struct csv_line line = csv_line_of(text, n, ',');
    struct csv_field field;
    while (line.at != NULL && csv_next_field(&line, &field, NULL) == ONNXD_OK) {
        first.n++;
        first.n_numbers += is_number(&field) || is_bool_word(&field) || field.n == 0;
        first.n_inputs += protocol_find_input(schema, field.text, field.n) != UINT32_MAX;
        const struct protocol_features *features = schema->features;
        first.n_fields += features != NULL &&
                          features->find(features->context, field.text, field.n) != PROTOCOL_NO_FIELD;
    }
    return first;
}

/* Columns by name: fields_of or columns are filled from the first line. */
static onnxd_status map_names(struct row_csv *csv, const char *text, size_t n, size_t n_columns,
                              onnxd_error *err)
{
    const struct protocol_features *features = csv->by_field ? csv->schema->features : NULL;
    size_t n_known = features != NULL ? features->n_fields : csv->schema->n_inputs;
    struct csv_line line = csv_line_of(text, n, ',');
    uint32_t *targets = calloc(n_columns, sizeof *targets);
    bool *seen = calloc(n_known + 1, sizeof *seen);
    onnxd_status status = ONNXD_OK;
    if (targets == NULL || seen == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for the columns");
    for (size_t i = 0; i < n_columns && status == ONNXD_OK; i++) {
        struct csv_field name;
        status = csv_next_field(&line, &name, err);
        if (status != ONNXD_OK) break;
        targets[i] = features != NULL ? features->find(features->context, name.text, name.n)
                                      : protocol_find_input(csv->schema, name.text, name.n);
        int shown = name.n < 60 ? (int)name.n : 60;
        if (targets[i] == UINT32_MAX)
            status = error_set(err, ONNXD_ERR_NOT_FOUND, "column %zu: the model has no %s '%.*s'", i + 1,
                               features != NULL ? "field" : "input", shown, name.text);
        else if (seen[targets[i]])
            status = error_set(err, ONNXD_ERR_FORMAT, "column %zu: '%.*s' is given twice", i + 1, shown,
                               name.text);
        else
            seen[targets[i]] = true;
    }
    for (uint32_t i = 0; i < csv->schema->n_inputs && features == NULL && status == ONNXD_OK; i++)
        if (!seen[i])
            status = error_set(err, ONNXD_ERR_FORMAT, "input '%s' has no column",
                               csv->schema->inputs[i].info->name);
    if (status == ONNXD_OK && features == NULL)
        for (size_t i = 0; i < n_columns; i++) csv->columns[i] = (struct column){targets[i], 0};
    if (status == ONNXD_OK && features != NULL) {
        csv->fields_of = targets;
        csv->n_columns = n_columns;
        targets = NULL;
    }
    free(targets);
    free(seen);
    return status;
}

static onnxd_status start(struct row_csv *csv, const char *text, size_t n, bool *ret_names, onnxd_error *err)
{
    const struct protocol_schema *schema = csv->schema;
    struct first_line first = look_at_first(schema, text, n);
    csv->started = true;
    *ret_names = false;
    if (first.n_fields > 0 && first.n_fields >= first.n_inputs) {
        csv->by_field = *ret_names = true;
        return map_names(csv, text, n, first.n, err);
    }
    bool single = schema->n_inputs == 1 && schema->inputs[0].row_elements > 1;
    bool strings = has_string_input(schema);
    /* Text in the first line can only be names where no input takes text. */
    *ret_names = strings ? first.n_inputs > 0 && !single : first.n_numbers < first.n;
    if (!*ret_names) return ONNXD_OK;
    if (first.n != csv->n_columns)
        return error_set(err, ONNXD_ERR_FORMAT, "expected %zu columns, got %zu names", csv->n_columns,
                         first.n);
    if (single) return ONNXD_OK;
    if (!inputs_have_one_element(schema)) {
        if (first.n_inputs == 0) return ONNXD_OK;
        return error_set(err, ONNXD_ERR_FORMAT,
                         "inputs with several elements a row cannot be named here; leave "
                         "out the line of names and keep the model's order");
    }
    return map_names(csv, text, n, first.n, err);
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static onnxd_status read_element(const struct csv_field *field, onnxd_type type, void *out,
                                 struct protocol_rows *rows, onnxd_error *err)
{
    if (type == ONNXD_STRING) return copy_text(field, rows->arena, out, err);
    if (field->n == 0) return error_set(err, ONNXD_ERR_FORMAT, "the field is empty");
    struct json_reader r;
    json_reader_init(&r, field->text, field->n, err);
    if (json_peek(&r) != JSON_NUMBER && json_peek(&r) != JSON_BOOL) {
        int shown = field->n < 60 ? (int)field->n : 60;
        return error_set(err, ONNXD_ERR_FORMAT, "expected %s, got '%.*s'",
                         type == ONNXD_BOOL ? "true or false" : "a number", shown, field->text);
    }
    tensor_json_read(&r, type, NULL, 0, out, NULL);
    return json_finish(&r);
}

static onnxd_status read_raw_field(const struct csv_field *field, struct protocol_rows *rows,
                                   struct field_value *value, onnxd_error *err)
{
    onnxd_string text;
    onnxd_status status = copy_text(field, rows->arena, &text, err);
    if (status == ONNXD_OK) *value = field_value_of_text(text.data, text.len);
    return status;
}

static onnxd_status read_field(struct row_csv *csv, size_t i, const struct csv_field *field,
                               struct protocol_rows *rows, onnxd_error *err)
{
    if (csv->by_field) return read_raw_field(field, rows, &rows->fields[csv->fields_of[i]], err);
    struct column column = csv->columns[i];
    const struct protocol_io *io = &csv->schema->inputs[column.input];
    char *row = (char *)rows->data[column.input] + (size_t)rows->n * io->row_bytes;
    size_t size = onnxd_type_size(io->info->type);
    return read_element(field, io->info->type, row + column.element * size, rows, err);
}

static onnxd_status convert(struct row_csv *csv, struct protocol_rows *rows, onnxd_error *err)
{
    const struct protocol_schema *schema = csv->schema;
    void *places[PROTOCOL_MAX_INPUTS];
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        places[i] = (char *)rows->data[i] + (size_t)rows->n * schema->inputs[i].row_bytes;
    return schema->features->convert(schema->features->context, rows->fields, places, rows->unknowns, err);
}

onnxd_status row_csv_read(struct row_csv *csv, const char *text, size_t n, struct protocol_rows *rows,
                          onnxd_error *err)
{
    struct csv_line line = csv_line_of(text, n, ',');
    onnxd_status status;
    if (!csv->started) {
        bool names;
        status = start(csv, text, n, &names, err);
        if (status != ONNXD_OK || names) return status;
    }
    if (csv->by_field) memset(rows->fields, 0, csv->schema->features->n_fields * sizeof *rows->fields);
    for (size_t i = 0; line.at != NULL; i++) {
        struct csv_field field;
        status = csv_next_field(&line, &field, err);
        if (status != ONNXD_OK) return status;
        if (i == csv->n_columns) break;
        status = read_field(csv, i, &field, rows, err);
        if (status != ONNXD_OK) {
            error_prefix(err, "column %zu: ", i + 1);
            return status;
        }
    }
    if (line.at != NULL || line.n_fields != csv->n_columns)
        return error_set(err, ONNXD_ERR_SHAPE, "expected %zu columns, got %zu", csv->n_columns,
                         csv_count_fields(text, n, ','));
    if (csv->by_field && (status = convert(csv, rows, err)) != ONNXD_OK) return status;
    rows->n++;
    return ONNXD_OK;
}

/* ---- life ---------------------------------------------------------------------------------------- */

onnxd_status row_csv_create(const struct protocol_schema *schema, struct row_csv **ret_csv, onnxd_error *err)
{
    size_t n = 0;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        const onnxd_io_info *info = schema->inputs[i].info;
        if (!tensor_json_supports(info->type))
            return error_set(err, ONNXD_ERR_UNSUPPORTED, "input '%s' is %s, which has no text form",
                             info->name, onnxd_type_name(info->type));
        if (!checked_add_size(n, schema->inputs[i].row_elements, &n))
            return error_set(err, ONNXD_ERR_LIMIT, "a row has too many elements");
    }
    struct row_csv *csv = calloc(1, sizeof *csv);
    if (csv == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for reading CSV");
    csv->schema = schema;
    csv->n_columns = n;
    csv->columns = calloc(n + 1, sizeof *csv->columns);
    if (csv->columns == NULL) {
        row_csv_free(csv);
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for %zu columns", n);
    }
    size_t at = 0;
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        for (size_t k = 0; k < schema->inputs[i].row_elements; k++)
            csv->columns[at++] = (struct column){i, k};
    *ret_csv = csv;
    return ONNXD_OK;
}

void row_csv_free(struct row_csv *csv)
{
    if (csv == NULL) return;
    free(csv->columns);
    free(csv->fields_of);
    free(csv);
}
