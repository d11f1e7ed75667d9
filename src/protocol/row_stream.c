#include "protocol/row_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "json/json_reader.h"
#include "protocol/row_csv.h"
#include "protocol/row_json.h"

enum { BATCH_ALIGN = 64 };

#define BATCH_TEXT_BYTES ((size_t)1 << 30)

enum row_format row_format_of_path(const char *path)
{
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".csv") == 0) return ROW_FORMAT_CSV;
    if (n > 4 && strcmp(path + n - 4, ".f32") == 0) return ROW_FORMAT_F32;
    return ROW_FORMAT_JSONL;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static onnxd_status measure_f32_row(struct row_stream *stream, onnxd_error *err)
{
    for (uint32_t i = 0; i < stream->schema->n_inputs; i++) {
        const struct protocol_io *io = &stream->schema->inputs[i];
        if (io->info->type != ONNXD_FLOAT32)
            return error_set(err, ONNXD_ERR_UNSUPPORTED,
                             "input '%s' is %s; the f32 format needs float32 inputs only", io->info->name,
                             onnxd_type_name(io->info->type));
        if (!checked_add_size(stream->row_bytes, io->row_bytes, &stream->row_bytes))
            return error_set(err, ONNXD_ERR_LIMIT, "a row has too many elements");
    }
    return ONNXD_OK;
}

onnxd_status row_stream_open(struct row_stream *stream, const char *path, enum row_format format,
                             const struct protocol_schema *schema, onnxd_error *err)
{
    struct row_stream s = {.schema = schema, .format = format, .reader.fd = -1};
    if (!schema->rows_ok)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "the model does not go by rows: %s",
                         schema->why_not_rows);
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        s.keeps_text |= schema->inputs[i].info->type == ONNXD_STRING;
    onnxd_status status = ONNXD_OK;
    if (format == ROW_FORMAT_F32) status = measure_f32_row(&s, err);
    if (format == ROW_FORMAT_CSV) status = row_csv_create(schema, &s.csv, err);
    size_t most = s.row_bytes > ROW_STREAM_MAX_LINE ? s.row_bytes : ROW_STREAM_MAX_LINE;
    if (status == ONNXD_OK) status = line_reader_open(&s.reader, path, most, err);
    if (status != ONNXD_OK) {
        row_csv_free(s.csv);
        return status;
    }
    *stream = s;
    return ONNXD_OK;
}

void row_stream_close(struct row_stream *stream)
{
    line_reader_close(&stream->reader);
    row_csv_free(stream->csv);
    stream->csv = NULL;
}

/* ---- reading ------------------------------------------------------------------------------------- */

static bool is_blank_line(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t') return false;
    return true;
}

static onnxd_status read_json_line(struct row_stream *stream, const char *line, size_t n,
                                   struct protocol_rows *rows, onnxd_error *err)
{
    if (stream->keeps_text) {
        line = arena_memdup(rows->arena, line, n);
        if (line == NULL) return error_set(err, ONNXD_ERR_LIMIT, "no room for the texts of a batch");
    }
    struct json_reader r;
    json_reader_init(&r, line, n, err);
    row_json_read(&r, stream->schema, rows);
    return json_finish(&r);
}

static onnxd_status read_line(struct row_stream *stream, struct protocol_rows *rows, bool *at_end,
                              onnxd_error *err)
{
    const char *line;
    size_t n;
    uint32_t first = rows->n;
    onnxd_status status = line_reader_next(&stream->reader, &line, &n, err);
    if (status != ONNXD_OK) return status;
    *at_end = line == NULL;
    if (line == NULL || is_blank_line(line, n)) return ONNXD_OK;
    status = stream->csv != NULL ? row_csv_read(stream->csv, line, n, rows, err)
                                 : read_json_line(stream, line, n, rows, err);
    if (status == ONNXD_OK) return ONNXD_OK;
    rows->n = first;
    error_prefix(err, "%.200s:%llu: ", stream->reader.name, (unsigned long long)stream->reader.line);
    return status;
}

static onnxd_status read_f32_row(struct row_stream *stream, struct protocol_rows *rows, bool *at_end,
                                 onnxd_error *err)
{
    const char *bytes;
    size_t n;
    onnxd_status status = line_reader_block(&stream->reader, stream->row_bytes, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    *at_end = n == 0;
    if (n == 0) return ONNXD_OK;
    if (n < stream->row_bytes)
        return error_set(err, ONNXD_ERR_FORMAT, "%.200s: row %llu is cut short: %zu of %zu bytes",
                         stream->reader.name, (unsigned long long)(stream->n_rows + 1), n, stream->row_bytes);
    for (uint32_t i = 0; i < stream->schema->n_inputs; i++) {
        size_t n_input = stream->schema->inputs[i].row_bytes;
        memcpy((char *)rows->data[i] + rows->n * n_input, bytes, n_input);
        bytes += n_input;
    }
    rows->n++;
    return ONNXD_OK;
}

onnxd_status row_stream_read(struct row_stream *stream, struct protocol_rows *rows, onnxd_error *err)
{
    uint32_t first = rows->n;
    bool at_end = false;
    while (rows->n < rows->capacity && !at_end && stream->fault == ONNXD_OK) {
        uint32_t before = rows->n;
        stream->fault = stream->format == ROW_FORMAT_F32
                            ? read_f32_row(stream, rows, &at_end, &stream->fault_error)
                            : read_line(stream, rows, &at_end, &stream->fault_error);
        stream->n_rows += rows->n - before;
    }
    if (stream->fault == ONNXD_OK || rows->n > first) return ONNXD_OK;
    return error_set(err, stream->fault, "%s", stream->fault_error.message);
}

/* ---- batches ------------------------------------------------------------------------------------- */

onnxd_status row_batch_init(struct row_batch *batch, const struct protocol_schema *schema, uint32_t capacity,
                            onnxd_error *err)
{
    size_t head = (schema->n_inputs * sizeof(void *) + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;
    size_t total = head;
    bool fits = true;
    for (uint32_t i = 0; i < schema->n_inputs && fits; i++) {
        size_t n;
        fits = checked_mul_size(schema->inputs[i].row_bytes, capacity, &n) && n < SIZE_MAX / 4 &&
               checked_add_size(total, n + BATCH_ALIGN, &total) && total < SIZE_MAX / 4;
    }
    if (!fits) return error_set(err, ONNXD_ERR_LIMIT, "%u rows do not fit into memory", capacity);
    total = (total + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;
    char *memory = aligned_alloc(BATCH_ALIGN, total);
    if (memory == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for %u rows (%zu bytes)", capacity, total);
    *batch = (struct row_batch){.memory = memory};
    arena_init(&batch->arena, BATCH_TEXT_BYTES);
    batch->rows = (struct protocol_rows){.data = (void **)memory, .capacity = capacity, .max_rows = capacity};
    size_t at = head;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        batch->rows.data[i] = memory + at;
        size_t n = schema->inputs[i].row_bytes * capacity;
        at += (n + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;
    }
    batch->rows.arena = &batch->arena; /* a batch is not moved once it is made */
    onnxd_status status = protocol_rows_scratch(schema, &batch->rows, &batch->scratch, err);
    if (status != ONNXD_OK) row_batch_done(batch);
    return status;
}

void row_batch_done(struct row_batch *batch)
{
    if (batch->memory == NULL) return;
    arena_done(&batch->arena);
    free(batch->memory);
    free(batch->scratch);
    *batch = (struct row_batch){0};
}

void row_batch_reset(struct row_batch *batch)
{
    batch->rows.n = 0;
    arena_reset(&batch->arena);
}

void row_batch_tensors(const struct row_batch *batch, const struct protocol_schema *schema, uint32_t first,
                       uint32_t n, onnxd_tensor *in)
{
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        const struct protocol_io *io = &schema->inputs[i];
        in[i] = (onnxd_tensor){.type = io->info->type,
                               .rank = io->row_rank + 1,
                               .data = (char *)batch->rows.data[i] + first * io->row_bytes};
        in[i].dims[0] = n;
        for (uint32_t k = 1; k <= io->row_rank; k++) in[i].dims[k] = io->info->dims[k];
    }
}
