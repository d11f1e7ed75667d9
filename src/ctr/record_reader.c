#include "ctr/record_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv_line.h"
#include "base/error.h"
#include "ctr/record_formats.h"
#include "json/json_text.h"

#define DEFAULT_LINE_BYTES ((size_t)16 << 20)
#define NAMES_BYTES        ((size_t)16 << 20)
#define RECORD_BYTES       ((size_t)1 << 30)

static const struct record_format *const formats[] = {[DATASET_CSV] = &record_csv,
                                                      [DATASET_LIBSVM] = &record_libsvm,
                                                      [DATASET_LIBFFM] = &record_libffm,
                                                      [DATASET_IPINYOU] = &record_ipinyou};

static onnxd_status no_memory(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_NOMEM, "no memory for reading records");
}

static bool ends_with(const char *text, size_t n, const char *ending)
{
    size_t m = strlen(ending);
    return n > m && memcmp(text + n - m, ending, m) == 0;
}

static const struct record_format *format_of(const struct dataset_source *source)
{
    if (source->format != DATASET_AUTO) return formats[source->format];
    const char *path = source->paths[0];
    size_t n = strlen(path);
    if (ends_with(path, n, ".gz")) n -= 3;
    for (size_t i = DATASET_CSV; i < sizeof formats / sizeof *formats; i++)
        for (int k = 0; k < 3 && formats[i]->ending[k] != NULL; k++)
            if (ends_with(path, n, formats[i]->ending[k])) return formats[i];
    return &record_csv;
}

/* ---- lines --------------------------------------------------------------------------------------- */

void record_reader_blame(const struct record_reader *reader, onnxd_error *err)
{
    error_prefix(err, "%.200s:%llu: ", reader->file.name, (unsigned long long)reader->first_line);
}

static size_t max_line(const struct record_reader *reader)
{
    return reader->source->max_line_bytes != 0 ? (size_t)reader->source->max_line_bytes : DEFAULT_LINE_BYTES;
}

/* Text is UTF-8 without NUL; anything else is no log, and no vocabulary could hold it. */
static onnxd_status check_text(const char *line, size_t n, onnxd_error *err)
{
    const char *at = line, *end = line + n;
    while (at < end) {
        uint64_t word;
        if (end - at >= 8) { /* eight bytes of ASCII without NUL at once */
            memcpy(&word, at, 8);
            if (((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0) {
                at += 8;
                continue;
            }
        }
        size_t length = *at == 0 ? 0 : (unsigned char)*at < 0x80 ? 1 : utf8_length(at, end);
        if (length == 0)
            return error_set(err, ONNXD_ERR_FORMAT, "byte %zu (0x%02x) is not UTF-8 text",
                             (size_t)(at - line) + 1, (unsigned char)*at);
        at += length;
    }
    return ONNXD_OK;
}

/* The next line, or record of several lines; *ret_line NULL at the file's end. */
static onnxd_status next_text(struct record_reader *reader, const char **ret_line, size_t *ret_n,
                              onnxd_error *err)
{
    const char *line;
    size_t n;
    onnxd_status status = text_file_next(&reader->file, &line, &n, err);
    if (status != ONNXD_OK) return status;
    reader->first_line = reader->file.lines.line;
    *ret_line = line;
    *ret_n = n;
    if (line == NULL || !reader->format->quotes) return ONNXD_OK;
    if (reader->separator == 0) reader->separator = csv_guess_separator(line, n);
    if (!csv_is_open(line, n, reader->separator)) return ONNXD_OK;
    buf_reset(&reader->joined);
    buf_append(&reader->joined, line, n);
    for (bool open = true;
         open;) { /* each line is looked at once, or a quote left open would take for ever */
        status = text_file_next(&reader->file, &line, &n, err);
        if (status != ONNXD_OK) return status;
        if (line == NULL) break; /* the file's end: reading the record tells the open quote */
        buf_append_char(&reader->joined, '\n');
        buf_append(&reader->joined, line, n);
        open = csv_stays_open(line, n, reader->separator);
        if (reader->joined.failed) {
            error_set(err, ONNXD_ERR_LIMIT, "the record with its quoted line breaks is longer than %zu bytes",
                      max_line(reader));
            record_reader_blame(reader, err);
            return ONNXD_ERR_LIMIT;
        }
    }
    *ret_line = reader->joined.data;
    *ret_n = reader->joined.n;
    return ONNXD_OK;
}

/* Nothing but blanks; separators say that there are fields. */
static bool is_blank(const struct record_reader *reader, const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((line[i] != ' ' && line[i] != '\t') || line[i] == reader->separator) return false;
    return true;
}

static onnxd_status open_next(struct record_reader *reader, onnxd_error *err)
{
    const char *path = reader->source->paths[reader->n_opened];
    onnxd_status status = text_file_open(&reader->file, path, max_line(reader), err);
    if (status != ONNXD_OK) return status;
    reader->n_opened++;
    reader->is_open = true;
    reader->has_head = false;
    return ONNXD_OK;
}

static void close_file(struct record_reader *reader)
{
    if (!reader->is_open) return;
    reader->at_bytes += reader->file.total_bytes;
    reader->is_open = false;
    text_file_close(&reader->file);
}

onnxd_status record_each_line(struct record_reader *reader,
                              onnxd_status (*take)(struct record_reader *reader, const char *line, size_t n,
                                                   onnxd_error *err),
                              onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    while (reader->n_opened < reader->source->n_paths && status == ONNXD_OK) {
        const char *line;
        size_t n;
        status = open_next(reader, err);
        while (status == ONNXD_OK) {
            status = next_text(reader, &line, &n, err);
            if (status != ONNXD_OK || line == NULL) break;
            if (is_blank(reader, line, n)) continue;
            status = check_text(line, n, err);
            if (status == ONNXD_OK) status = take(reader, line, n, err);
            if (status != ONNXD_OK) record_reader_blame(reader, err);
        }
        close_file(reader);
    }
    reader->n_opened = 0;
    reader->at_bytes = 0;
    return status;
}

/* ---- records ------------------------------------------------------------------------------------- */

onnxd_status record_add_name(struct record_reader *reader, const char *name, size_t n, onnxd_error *err)
{
    int shown = n < 60 ? (int)n : 60;
    if (n == 0) return error_set(err, ONNXD_ERR_FORMAT, "column %u has no name", reader->n_names + 1);
    if (map_get(&reader->by_name, name, n) != MAP_NONE)
        return error_set(err, ONNXD_ERR_FORMAT, "two columns are named '%.*s'", shown, name);
    if (reader->n_names == RECORD_MAX_FIELDS)
        return error_set(err, ONNXD_ERR_LIMIT, "more than %d columns", RECORD_MAX_FIELDS);
    char *copy = arena_strndup(&reader->names_arena, name, n);
    if (copy == NULL || !map_put(&reader->by_name, copy, n, reader->n_names)) return no_memory(err);
    reader->names[reader->n_names++] = copy;
    return ONNXD_OK;
}

/* One line of the open file; *ret_taken: it held a record. */
static onnxd_status take_line(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                              onnxd_error *err)
{
    bool is_head = false;
    onnxd_status status = check_text(line, n, err);
    if (status == ONNXD_OK && !reader->has_head) {
        status = reader->format->head(reader, line, n, &is_head, err);
        reader->has_head = true;
    }
    *ret_taken = false;
    if (status != ONNXD_OK || is_head) return status;
    arena_reset(&reader->arena);
    memset(reader->fields, 0, reader->n_names * sizeof *reader->fields);
    return reader->format->read(reader, line, n, ret_taken, err);
}

static onnxd_status at_end(struct record_reader *reader, const struct field_value **ret_fields,
                           onnxd_error *err)
{
    *ret_fields = NULL;
    if (reader->n_rows > 0) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_FORMAT, "%.200s: the file holds no record",
                     reader->source->paths[reader->source->n_paths - 1]);
}

static void tell_progress(const struct record_reader *reader)
{
    enum { EVERY = 4096 };
    const struct dataset_source *source = reader->source;
    if (source->progress == NULL || reader->n_rows % EVERY != 0) return;
    source->progress(source->progress_context, reader->n_rows, reader->at_bytes + text_file_at(&reader->file),
                     reader->total_bytes);
}

onnxd_status record_reader_next(struct record_reader *reader, const struct field_value **ret_fields,
                                onnxd_error *err)
{
    const struct dataset_source *source = reader->source;
    for (;;) {
        const char *line;
        size_t n;
        bool taken = false;
        if (source->max_rows > 0 && reader->n_rows == source->max_rows)
            return at_end(reader, ret_fields, err);
        if (!reader->is_open && reader->n_opened == source->n_paths) return at_end(reader, ret_fields, err);
        onnxd_status status = reader->is_open ? ONNXD_OK : open_next(reader, err);
        if (status == ONNXD_OK) status = next_text(reader, &line, &n, err);
        if (status != ONNXD_OK) return status;
        if (line == NULL) {
            close_file(reader);
            continue;
        }
        if (is_blank(reader, line, n)) continue;
        status = take_line(reader, line, n, &taken, err);
        if (status != ONNXD_OK) {
            record_reader_blame(reader, err);
            return status;
        }
        if (!taken) continue;
        reader->n_rows++;
        tell_progress(reader);
        *ret_fields = reader->fields;
        return ONNXD_OK;
    }
}

/* ---- life ---------------------------------------------------------------------------------------- */

/* Sizes of the files; those that are needed again must not be pipes. */
static onnxd_status measure(struct record_reader *reader, onnxd_error *err)
{
    bool again = reader->set == NULL || reader->format->scans;
    for (uint32_t i = 0; i < reader->source->n_paths; i++) {
        const char *path = reader->source->paths[i];
        struct text_measure file;
        onnxd_status status = text_file_measure(path, &file, err);
        if (status != ONNXD_OK) return status;
        if (again && file.once)
            return error_set(err, ONNXD_ERR_ARGUMENT,
                             "%.200s: it is read more than once, which a pipe cannot be; give a file",
                             strcmp(path, "-") == 0 ? "standard input" : path);
        reader->total_bytes += file.total_bytes;
    }
    return ONNXD_OK;
}

onnxd_status record_reader_open(const struct dataset_source *source, struct feature_plan *plan,
                                const struct feature_set *set, struct record_reader **ret_reader,
                                onnxd_error *err)
{
    if (source->n_paths == 0) return error_set(err, ONNXD_ERR_ARGUMENT, "no file of records is named");
    struct record_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return no_memory(err);
    reader->source = source;
    reader->plan = plan;
    reader->set = set;
    reader->format = format_of(source);
    buf_init(&reader->joined, max_line(reader));
    arena_init(&reader->names_arena, NAMES_BYTES);
    arena_init(&reader->arena, RECORD_BYTES);
    map_init(&reader->by_name);
    reader->names = calloc(RECORD_MAX_FIELDS, sizeof *reader->names);
    reader->fields = calloc(RECORD_MAX_FIELDS, sizeof *reader->fields);
    onnxd_status status = reader->names != NULL && reader->fields != NULL ? ONNXD_OK : no_memory(err);
    if (status == ONNXD_OK) status = measure(reader, err);
    if (status == ONNXD_OK && reader->format->prepare != NULL) status = reader->format->prepare(reader, err);
    if (status == ONNXD_OK)
        *ret_reader = reader;
    else
        record_reader_close(reader);
    return status;
}

void record_reader_close(struct record_reader *reader)
{
    if (reader == NULL) return;
    close_file(reader);
    if (reader->format->done != NULL) reader->format->done(reader);
    buf_done(&reader->joined);
    arena_done(&reader->names_arena);
    arena_done(&reader->arena);
    map_done(&reader->by_name);
    free(reader->names);
    free(reader->fields);
    free(reader);
}
