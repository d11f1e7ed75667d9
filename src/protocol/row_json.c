#include "protocol/row_json.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "json/field_json.h"
#include "protocol/tensor_json.h"

/* ---- reading --------------------------------------------------------------------------------------- */

struct row { /* what one row's object has told so far */
    const struct protocol_schema *schema;
    struct protocol_rows *rows;
    uint64_t seen[PROTOCOL_MAX_INPUTS / 64]; /* inputs given */
    uint32_t n_inputs_seen;
    uint32_t n_fields_seen;
};

bool row_json_check_schema(struct json_reader *r, const struct protocol_schema *schema)
{
    if (schema->rows_ok) return true;
    return json_fail(r, ONNXD_ERR_UNSUPPORTED, "%s; use /v2/models/.../infer", schema->why_not_rows);
}

static bool make_room(struct json_reader *r, struct protocol_rows *rows)
{
    if (rows->n < rows->capacity) return true;
    if (rows->grow != NULL && rows->grow(rows, rows->grow_context) && rows->n < rows->capacity) return true;
    return json_fail(r, ONNXD_ERR_LIMIT, "no room for more than %u rows at a time", rows->capacity);
}

static inline void *input_place(const struct row *row, uint32_t input)
{
    return (char *)row->rows->data[input] + (size_t)row->rows->n * row->schema->inputs[input].row_bytes;
}

static bool read_input(struct json_reader *r, struct row *row, uint32_t input)
{
    uint64_t bit = 1ull << (input % 64);
    if (row->seen[input / 64] & bit) return json_fail(r, ONNXD_ERR_FORMAT, "given twice");
    row->seen[input / 64] |= bit;
    row->n_inputs_seen++;
    const struct protocol_io *io = &row->schema->inputs[input];
    return tensor_json_read(r, io->info->type, io->info->dims + 1, io->row_rank, input_place(row, input),
                            row->rows->arena);
}

/* Names of the inputs for messages. */
static void list_inputs(const struct protocol_schema *schema, char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < schema->n_inputs && n + 1 < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "", schema->inputs[i].info->name);
}

static bool fail_several_inputs(struct json_reader *r, const struct protocol_schema *schema)
{
    char names[160];
    list_inputs(schema, names, sizeof names);
    return json_fail(r, ONNXD_ERR_FORMAT, "the model has %u inputs; give them by name: %s", schema->n_inputs,
                     names);
}

static uint32_t find_input(const struct protocol_schema *schema, const struct json_text *key)
{
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        if (json_text_equal(key, schema->inputs[i].info->name, schema->inputs[i].name_len)) return i;
    return UINT32_MAX;
}

static bool fail_no_input(struct json_reader *r, const struct protocol_schema *schema)
{
    char names[160];
    list_inputs(schema, names, sizeof names);
    return json_fail(r, ONNXD_ERR_NOT_FOUND, "no such input; the model has: %s", names);
}

static bool read_named_inputs(struct json_reader *r, struct row *row)
{
    struct json_text key;
    if (!json_enter_object(r)) return false;
    while (json_next_key(r, &key)) {
        uint32_t input = find_input(row->schema, &key);
        if (input == UINT32_MAX) return fail_no_input(r, row->schema);
        if (!read_input(r, row, input)) return false;
    }
    return r->status == ONNXD_OK;
}

static bool read_field(struct json_reader *r, struct row *row, uint32_t field)
{
    struct protocol_rows *rows = row->rows;
    if (row->n_fields_seen == 0)
        memset(rows->fields, 0, row->schema->features->n_fields * sizeof *rows->fields);
    if (rows->fields[field].kind != FIELD_ABSENT) return json_fail(r, ONNXD_ERR_FORMAT, "given twice");
    row->n_fields_seen++;
    return json_read_field(r, rows->arena, &rows->fields[field]);
}

static uint32_t find_field(struct json_reader *r, const struct row *row, const struct json_text *key)
{
    const struct protocol_features *features = row->schema->features;
    if (features == NULL) return PROTOCOL_NO_FIELD;
    if (!key->escaped) return features->find(features->context, key->raw, key->n_raw);
    char *decoded = row->rows->arena != NULL ? arena_alloc(row->rows->arena, key->n_raw) : NULL;
    if (decoded == NULL) {
        json_fail(r, ONNXD_ERR_LIMIT, "no room for the strings of this request");
        return PROTOCOL_NO_FIELD;
    }
    return features->find(features->context, decoded, json_text_decode(key, decoded));
}

static bool fail_unknown(struct json_reader *r, const struct protocol_schema *schema)
{
    char names[160];
    list_inputs(schema, names, sizeof names);
    if (schema->features != NULL)
        return json_fail(r, ONNXD_ERR_NOT_FOUND, "unknown field; the model takes: %.160s",
                         schema->features->names(schema->features->context));
    return json_fail(r, ONNXD_ERR_NOT_FOUND, "unknown field; expected %sinputs, instances or the model's: %s",
                     schema->n_inputs == 1 ? "features, " : "", names);
}

static bool read_member(struct json_reader *r, struct row *row, const struct json_text *key, uint32_t field)
{
    const struct protocol_schema *schema = row->schema;
    if (field != PROTOCOL_NO_FIELD) return read_field(r, row, field);
    if (r->status != ONNXD_OK) return false;
    uint32_t input = find_input(schema, key);
    if (input != UINT32_MAX) return read_input(r, row, input);
    if (json_text_is(key, "features"))
        return schema->n_inputs == 1 ? read_input(r, row, 0) : fail_several_inputs(r, schema);
    if (json_text_is(key, "inputs")) return read_named_inputs(r, row);
    return fail_unknown(r, schema);
}

/* The members from the next key on. Keys written as in the row before are known at once. */
static bool read_members(struct json_reader *r, struct row *row)
{
    struct json_text key;
    if (row->schema->features == NULL) {
        while (json_next_key(r, &key))
            if (!read_member(r, row, &key, PROTOCOL_NO_FIELD)) return false;
        return r->status == ONNXD_OK;
    }
    for (;;) {
        struct protocol_note *note = &row->rows->notes[row->n_fields_seen];
        if (json_next_key_again(r, &note->key)) {
            if (!read_field(r, row, note->field)) return false;
            continue;
        }
        if (!json_next_key_noted(r, &key, &note->key)) return r->status == ONNXD_OK;
        note->field = find_field(r, row, &key);
        if (note->field == PROTOCOL_NO_FIELD) note->key = (struct json_key_note){0};
        if (!read_member(r, row, &key, note->field)) return false;
    }
}

static bool finish_row(struct json_reader *r, struct row *row)
{
    const struct protocol_schema *schema = row->schema;
    if (row->n_fields_seen > 0) {
        if (row->n_inputs_seen > 0)
            return json_fail(r, ONNXD_ERR_FORMAT, "give raw fields or model inputs, not both");
        void *places[PROTOCOL_MAX_INPUTS];
        for (uint32_t i = 0; i < schema->n_inputs; i++) places[i] = input_place(row, i);
        onnxd_error why = {0};
        onnxd_status status = schema->features->convert(schema->features->context, row->rows->fields, places,
                                                        row->rows->unknowns, &why);
        if (status != ONNXD_OK) return json_fail(r, status, "%s", why.message);
    } else if (row->n_inputs_seen < schema->n_inputs) {
        uint32_t i = 0;
        while (row->seen[i / 64] >> (i % 64) & 1) i++;
        if (schema->features != NULL && row->n_inputs_seen == 0)
            return json_fail(r, ONNXD_ERR_FORMAT, "no field is given; the model takes: %.160s",
                             schema->features->names(schema->features->context));
        if (schema->n_inputs == 1) return json_fail(r, ONNXD_ERR_FORMAT, "features is missing");
        return json_fail(r, ONNXD_ERR_FORMAT, "input '%s' is missing", schema->inputs[i].info->name);
    }
    row->rows->n++;
    return true;
}

bool row_json_read_members(struct json_reader *r, const struct protocol_schema *schema,
                           const struct json_text *first_key, struct protocol_rows *rows)
{
    if (!make_room(r, rows)) return false;
    struct row row = {.schema = schema, .rows = rows};
    if (first_key != NULL &&
        (!read_member(r, &row, first_key, find_field(r, &row, first_key)) || !read_members(r, &row)))
        return false;
    return finish_row(r, &row);
}

static bool read_bare_row(struct json_reader *r, const struct protocol_schema *schema,
                          struct protocol_rows *rows)
{
    if (schema->n_inputs != 1) return fail_several_inputs(r, schema);
    if (!make_room(r, rows)) return false;
    const struct protocol_io *io = &schema->inputs[0];
    if (!tensor_json_read(r, io->info->type, io->info->dims + 1, io->row_rank,
                          (char *)rows->data[0] + (size_t)rows->n * io->row_bytes, rows->arena))
        return false;
    rows->n++;
    return true;
}

bool row_json_read(struct json_reader *r, const struct protocol_schema *schema, struct protocol_rows *rows)
{
    if (json_peek(r) != JSON_OBJECT) return read_bare_row(r, schema, rows);
    if (!json_enter_object(r) || !make_room(r, rows)) return false;
    struct row row = {.schema = schema, .rows = rows};
    return read_members(r, &row) && finish_row(r, &row);
}

bool row_json_read_array(struct json_reader *r, const struct protocol_schema *schema, bool bare,
                         struct protocol_rows *rows)
{
    uint32_t first = rows->n;
    if (!json_enter_array(r)) return false;
    while (json_next_element(r)) {
        if (rows->n - first == rows->max_rows)
            return json_fail(r, ONNXD_ERR_LIMIT, "more than %u rows in one request", rows->max_rows);
        if (!(bare ? read_bare_row(r, schema, rows) : row_json_read(r, schema, rows))) return false;
    }
    if (r->status != ONNXD_OK) return false;
    return rows->n > first || json_fail(r, ONNXD_ERR_FORMAT, "expected at least one row");
}

/* ---- columns --------------------------------------------------------------------------------------- */

struct columns {
    const struct protocol_schema *schema;
    struct protocol_rows *rows;
    uint32_t first; /* the request's first row */
    bool counted;   /* rows->n is known, from the first column */
    uint64_t seen[PROTOCOL_MAX_INPUTS / 64];
};

static bool read_column(struct json_reader *r, struct columns *c, uint32_t input)
{
    const struct protocol_io *io = &c->schema->inputs[input];
    struct protocol_rows *rows = c->rows;
    uint64_t bit = 1ull << (input % 64);
    if (c->seen[input / 64] & bit) return json_fail(r, ONNXD_ERR_FORMAT, "given twice");
    c->seen[input / 64] |= bit;
    if (!json_enter_array(r)) return false;
    uint32_t row = c->first;
    for (; json_next_element(r); row++) {
        if (row - c->first == rows->max_rows)
            return json_fail(r, ONNXD_ERR_LIMIT, "more than %u rows in one request", rows->max_rows);
        if (c->counted && row == rows->n)
            return json_fail(r, ONNXD_ERR_SHAPE, "expected %u rows as in the other inputs",
                             rows->n - c->first);
        if (!c->counted && !make_room(r, rows)) return false;
        if (!tensor_json_read(r, io->info->type, io->info->dims + 1, io->row_rank,
                              (char *)rows->data[input] + (size_t)row * io->row_bytes, rows->arena))
            return false;
        if (!c->counted) rows->n++;
    }
    if (r->status != ONNXD_OK) return false;
    if (row != rows->n)
        return json_fail(r, ONNXD_ERR_SHAPE, "expected %u rows as in the other inputs, got %u",
                         rows->n - c->first, row - c->first);
    c->counted = true;
    return true;
}

bool row_json_read_columns(struct json_reader *r, const struct protocol_schema *schema,
                           struct protocol_rows *rows)
{
    struct columns c = {.schema = schema, .rows = rows, .first = rows->n};
    struct json_text key;
    if (json_peek(r) != JSON_OBJECT) {
        if (schema->n_inputs != 1) return fail_several_inputs(r, schema);
        if (!read_column(r, &c, 0)) return false;
    } else {
        json_enter_object(r);
        while (json_next_key(r, &key)) {
            uint32_t input = find_input(schema, &key);
            if (input == UINT32_MAX) return fail_no_input(r, schema);
            if (!read_column(r, &c, input)) return false;
        }
        if (r->status != ONNXD_OK) return false;
    }
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        if (!(c.seen[i / 64] >> (i % 64) & 1))
            return json_fail(r, ONNXD_ERR_FORMAT, "input '%s' is missing", schema->inputs[i].info->name);
    return rows->n > c.first || json_fail(r, ONNXD_ERR_FORMAT, "expected at least one row");
}

/* ---- answers --------------------------------------------------------------------------------------- */

onnxd_status row_json_check_outputs(const struct protocol_schema *schema, const onnxd_tensor *outputs,
                                    uint32_t n_rows_run, onnxd_error *err)
{
    for (uint32_t i = 0; i < schema->n_outputs; i++)
        if (outputs[i].rank == 0 || outputs[i].dims[0] != (int64_t)n_rows_run ||
            !tensor_json_supports(outputs[i].type))
            return error_set(err, ONNXD_ERR_INTERNAL,
                             "output '%s' has not one entry for each of %u rows; use /v2/models/.../infer",
                             schema->outputs[i].info->name, n_rows_run);
    return ONNXD_OK;
}

static size_t row_elements(const onnxd_tensor *tensor)
{
    size_t n = 1;
    for (uint32_t d = 1; d < tensor->rank; d++) n *= (size_t)tensor->dims[d];
    return n;
}

bool row_json_is_scalar(const struct protocol_schema *schema, const onnxd_tensor *outputs)
{
    return schema->n_outputs == 1 && row_elements(&outputs[0]) == 1;
}

static void write_output_row(struct json_writer *w, const onnxd_tensor *tensor, uint32_t row)
{
    size_t n = row_elements(tensor), bytes = n * onnxd_type_size(tensor->type);
    const char *data = (const char *)tensor->data + (size_t)row * bytes;
    if (n == 1)
        tensor_json_write_elements(w, tensor->type, data, 1);
    else
        tensor_json_write(w, tensor->type, tensor->dims + 1, tensor->rank - 1, data);
}

void row_json_write(struct json_writer *w, const struct protocol_schema *schema, const onnxd_tensor *outputs,
                    uint32_t row)
{
    if (schema->n_outputs == 1) {
        write_output_row(w, &outputs[0], row);
        return;
    }
    json_begin_object(w);
    for (uint32_t i = 0; i < schema->n_outputs; i++) {
        json_key_n(w, schema->outputs[i].info->name, schema->outputs[i].name_len);
        write_output_row(w, &outputs[i], row);
    }
    json_end_object(w);
}
