#include "features/features_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "features/feature_build.h"
#include "json/json_reader.h"
#include "json/json_writer.h"

enum { MAX_BOUNDS = 65534 };

static const char *const source_names[] = {"dropped", "category", "categories", "number"};

#define N_SOURCES (sizeof source_names / sizeof *source_names)

/* ---- reading ------------------------------------------------------------------------------------- */

struct file_reader {
    struct json_reader json;
    struct feature_set *set;
    char *text;           /* the whole file in the set's arena: names and values are parts of it */
    onnxd_string *values; /* [capacity] of the vocabulary being read */
    uint32_t capacity;
    char sha256[SHA256_HEX_BYTES]; /* empty: none was given */
    bool has_format, has_fields;
};

static bool fail_memory(struct file_reader *r)
{
    return json_fail(&r->json, ONNXD_ERR_NOMEM, "no memory for the feature description");
}

/* A string, decoded where it stands and ended with NUL: there is always its closing quote to make room. */
static bool read_text(struct file_reader *r, onnxd_string *ret)
{
    struct json_text text;
    if (!json_read_string(&r->json, &text)) return false;
    char *at = r->text + (text.raw - r->text);
    size_t n = text.escaped ? json_text_decode(&text, at) : text.n_raw;
    at[n] = 0;
    *ret = (onnxd_string){at, n};
    return true;
}

/* The same for texts that are used as names. */
static bool read_name(struct file_reader *r, const char **ret)
{
    onnxd_string text;
    if (!read_text(r, &text)) return false;
    if (*ret != NULL) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    if (memchr(text.data, 0, text.len) != NULL)
        return json_fail(&r->json, ONNXD_ERR_FORMAT, "the text holds a NUL");
    *ret = text.data;
    return true;
}

static bool read_count(struct file_reader *r, uint32_t least, uint32_t most, uint32_t *ret)
{
    uint64_t x;
    if (!json_read_u64(&r->json, &x)) return false;
    if (*ret != 0) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    if (x < least || x > most)
        return json_fail(&r->json, ONNXD_ERR_RANGE, "expected %u..%u, got %llu", least, most,
                         (unsigned long long)x);
    *ret = (uint32_t)x;
    return true;
}

/* Elements of the array at the reader, without reading it. */
static bool count_elements(struct file_reader *r, uint32_t most, uint32_t *ret)
{
    struct json_reader ahead = r->json;
    uint32_t n = 0;
    if (!json_enter_array(&ahead)) return json_enter_array(&r->json); /* fails for both */
    while (json_next_element(&ahead)) {
        if (n++ == most) return json_fail(&r->json, ONNXD_ERR_LIMIT, "more than %u elements", most);
        if (!json_skip(&ahead)) break;
    }
    if (ahead.status != ONNXD_OK) {
        r->json = ahead;
        return false;
    }
    *ret = n;
    return true;
}

static bool read_names(struct file_reader *r, struct feature_records *records)
{
    uint32_t n;
    if (records->columns != NULL) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    if (!count_elements(r, FEATURE_MAX_FIELDS * 2, &n)) return false;
    const char **names = arena_alloc_array(&r->set->arena, n, sizeof *names);
    if (names == NULL) return fail_memory(r);
    json_enter_array(&r->json);
    for (uint32_t i = 0; json_next_element(&r->json); i++)
        if (!read_name(r, &names[i])) return false;
    records->columns = names;
    records->n_columns = n;
    return true;
}

static bool read_records(struct file_reader *r)
{
    struct json_text key;
    struct feature_records *records = &r->set->records;
    if (!json_enter_object(&r->json)) return false;
    while (json_next_key(&r->json, &key)) {
        bool done;
        if (json_text_is(&key, "label"))
            done = read_name(r, &records->label);
        else if (json_text_is(&key, "weight"))
            done = read_name(r, &records->weight);
        else if (json_text_is(&key, "positive"))
            done = read_name(r, &records->positive);
        else if (json_text_is(&key, "columns"))
            done = read_names(r, records);
        else
            done = json_fail(&r->json, ONNXD_ERR_NOT_FOUND, "unknown key");
        if (!done) return false;
    }
    return r->json.status == ONNXD_OK;
}

static bool read_missing(struct file_reader *r)
{
    onnxd_error why;
    if (!json_enter_array(&r->json)) return false;
    while (json_next_element(&r->json)) {
        onnxd_string text;
        if (!read_text(r, &text)) return false;
        onnxd_status status = feature_build_mark(r->set, text.data, text.len, &why);
        if (status != ONNXD_OK) return json_fail(&r->json, status, "%s", why.message);
    }
    return r->json.status == ONNXD_OK;
}

static bool grow_values(struct file_reader *r)
{
    uint32_t capacity = r->capacity == 0 ? 4096 : 2 * r->capacity;
    onnxd_string *values = realloc(r->values, capacity * sizeof *values);
    if (values == NULL) return fail_memory(r);
    r->values = values;
    r->capacity = capacity;
    return true;
}

static bool read_vocabulary(struct file_reader *r, struct feature_field *field)
{
    uint32_t n = 0;
    onnxd_error why;
    if (field->values != NULL) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    if ((r->capacity == 0 && !grow_values(r)) || !json_enter_array(&r->json)) return false;
    for (; json_next_element(&r->json); n++) {
        if (n == FEATURE_MAX_IDS)
            return json_fail(&r->json, ONNXD_ERR_LIMIT, "more than %u elements", FEATURE_MAX_IDS);
        if ((n == r->capacity && !grow_values(r)) || !read_text(r, &r->values[n])) return false;
    }
    if (r->json.status != ONNXD_OK) return false;
    onnxd_string *values = arena_memdup(&r->set->arena, r->values, n * sizeof *values);
    if (values == NULL) return fail_memory(r);
    onnxd_status status = feature_build_values(r->set, field, values, n, &why);
    return status == ONNXD_OK || json_fail(&r->json, status, "%s", why.message);
}

static bool read_bounds(struct file_reader *r, struct feature_field *field)
{
    uint32_t n;
    if (field->has_buckets) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    if (!count_elements(r, MAX_BOUNDS, &n)) return false;
    field->bounds = arena_alloc_array(&r->set->arena, n, sizeof *field->bounds);
    if (field->bounds == NULL) return fail_memory(r);
    json_enter_array(&r->json);
    for (; json_next_element(&r->json); field->n_bounds++) {
        double *at = field->bounds + field->n_bounds;
        if (!json_read_f64(&r->json, at)) return false;
        if (field->n_bounds > 0 && !(at[0] > at[-1]))
            return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected more than the bound before, %g", at[-1]);
    }
    field->has_buckets = true;
    return r->json.status == ONNXD_OK;
}

static bool read_rule(struct file_reader *r, struct feature_field *field)
{
    struct json_text key;
    struct number_rule *rule = &field->rule;
    if (field->has_number) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    *rule = (struct number_rule){.multiply = 1, .low = -INFINITY, .high = INFINITY};
    field->has_number = true;
    if (!json_enter_object(&r->json)) return false;
    while (json_next_key(&r->json, &key)) {
        double *target = json_text_is(&key, "subtract")   ? &rule->subtract
                         : json_text_is(&key, "multiply") ? &rule->multiply
                         : json_text_is(&key, "low")      ? &rule->low
                         : json_text_is(&key, "high")     ? &rule->high
                         : json_text_is(&key, "missing")  ? &rule->missing
                                                          : NULL;
        bool done = target != NULL              ? json_read_f64(&r->json, target)
                    : json_text_is(&key, "log") ? json_read_bool(&r->json, &rule->log)
                                                : json_fail(&r->json, ONNXD_ERR_NOT_FOUND, "unknown key");
        if (!done) return false;
    }
    if (r->json.status == ONNXD_OK && !(rule->low < rule->high))
        return json_fail(&r->json, ONNXD_ERR_RANGE, "expected low < high");
    return r->json.status == ONNXD_OK;
}

static bool read_separator(struct file_reader *r, struct feature_field *field)
{
    onnxd_string text;
    if (!read_text(r, &text)) return false;
    if (text.len != 1) return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected one character of ASCII");
    field->separator = text.data[0];
    return true;
}

/* The name and the kind must stand in front of the rest: what may follow depends on them. */
static bool start_field(struct file_reader *r, struct feature_field **ret_field)
{
    struct json_text key;
    onnxd_string name, kind;
    onnxd_error why;
    enum feature_source source = 0;
    if (!json_enter_object(&r->json)) return false;
    if (!json_next_key(&r->json, &key) || !json_text_is(&key, "name"))
        return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected \"name\" first");
    if (!read_text(r, &name)) return false;
    if (!json_next_key(&r->json, &key) || !json_text_is(&key, "kind"))
        return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected \"kind\" behind the name");
    if (!read_text(r, &kind)) return false;
    while (source < N_SOURCES && strcmp(kind.data, source_names[source]) != 0) source++;
    if (source == N_SOURCES)
        return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected dropped, category, categories or number");
    onnxd_status status = feature_build_field(r->set, name.data, name.len, ret_field, &why);
    if (status != ONNXD_OK) return json_fail(&r->json, status, "%s", why.message);
    (*ret_field)->source = source;
    return true;
}

static bool read_member(struct file_reader *r, struct feature_field *field, const struct json_text *key)
{
    bool ids = field->source == SOURCE_CATEGORY || field->source == SOURCE_CATEGORIES;
    bool many = field->source == SOURCE_CATEGORIES, number = field->source == SOURCE_NUMBER;
    if (ids && json_text_is(key, "vocabulary")) return read_vocabulary(r, field);
    if (ids && json_text_is(key, "hash")) return read_count(r, 1, FEATURE_MAX_IDS - 1, &field->hash);
    if (ids && json_text_is(key, "ids")) return read_count(r, 1, FEATURE_MAX_IDS, &field->min_ids);
    if (many && json_text_is(key, "slots")) return read_count(r, 1, FEATURE_MAX_COLUMNS, &field->slots);
    if (many && json_text_is(key, "separator")) return read_separator(r, field);
    if (number && json_text_is(key, "bounds")) return read_bounds(r, field);
    if (number && json_text_is(key, "normalise")) return read_rule(r, field);
    return json_fail(&r->json, ONNXD_ERR_NOT_FOUND, "unknown key for a field that is %s",
                     source_names[field->source]);
}

static bool check_field(struct file_reader *r, const struct feature_field *field)
{
    bool ids = field->source == SOURCE_CATEGORY || field->source == SOURCE_CATEGORIES;
    const char *fault = NULL;
    if (ids && (field->values != NULL) == (field->hash > 0)) fault = "expected a vocabulary or a hash";
    if (field->source == SOURCE_CATEGORIES && field->slots == 0) fault = "slots is missing";
    if (field->source == SOURCE_NUMBER && !field->has_buckets && !field->has_number)
        fault = "expected bounds or normalise";
    return fault == NULL || json_fail(&r->json, ONNXD_ERR_FORMAT, "field '%.60s': %s", field->name, fault);
}

static bool read_fields(struct file_reader *r)
{
    if (r->has_fields) return json_fail(&r->json, ONNXD_ERR_FORMAT, "given twice");
    r->has_fields = true;
    if (!json_enter_array(&r->json)) return false;
    while (json_next_element(&r->json)) {
        struct feature_field *field;
        struct json_text key;
        if (!start_field(r, &field)) return false;
        field->separator = ';';
        while (json_next_key(&r->json, &key))
            if (!read_member(r, field, &key)) return false;
        if (r->json.status != ONNXD_OK || !check_field(r, field)) return false;
    }
    return r->json.status == ONNXD_OK;
}

static bool read_format(struct file_reader *r)
{
    uint64_t format;
    if (!json_read_u64(&r->json, &format)) return false;
    if (format == 0 || format > FEATURES_FILE_FORMAT)
        return json_fail(&r->json, ONNXD_ERR_UNSUPPORTED,
                         "the format is %llu; this program reads formats up to %d",
                         (unsigned long long)format, FEATURES_FILE_FORMAT);
    r->has_format = true;
    return true;
}

static bool read_sha256(struct file_reader *r)
{
    onnxd_string text;
    if (!read_text(r, &text)) return false;
    if (text.len != SHA256_HEX_BYTES - 1 || strspn(text.data, "0123456789abcdef") != text.len)
        return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected 64 hexadecimal digits in lower case");
    memcpy(r->sha256, text.data, SHA256_HEX_BYTES);
    return true;
}

static bool read_file(struct file_reader *r)
{
    struct json_text key;
    if (!json_enter_object(&r->json)) return false;
    while (json_next_key(&r->json, &key)) {
        bool done;
        if (json_text_is(&key, "format"))
            done = read_format(r);
        else if (!r->has_format)
            done = json_fail(&r->json, ONNXD_ERR_FORMAT, "expected \"format\" first");
        else if (json_text_is(&key, "model_sha256"))
            done = read_sha256(r);
        else if (json_text_is(&key, "records"))
            done = read_records(r);
        else if (json_text_is(&key, "missing"))
            done = read_missing(r);
        else if (json_text_is(&key, "fields"))
            done = read_fields(r);
        else
            done = json_fail(&r->json, ONNXD_ERR_NOT_FOUND, "unknown key");
        if (!done) return false;
    }
    if (r->json.status == ONNXD_OK && !r->has_fields)
        return json_fail(&r->json, ONNXD_ERR_FORMAT, "fields is missing");
    return r->json.status == ONNXD_OK;
}

onnxd_status features_read(const char *text, size_t n, const char *model_sha256, struct feature_set **ret_set,
                           onnxd_error *err)
{
    struct file_reader r = {.set = feature_build_start()};
    if (r.set != NULL) r.text = arena_strndup(&r.set->arena, text, n);
    if (r.text == NULL) {
        feature_set_unref(r.set);
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for the feature description");
    }
    json_reader_init(&r.json, r.text, n, err);
    read_file(&r);
    free(r.values);
    onnxd_status status = json_finish(&r.json);
    if (status == ONNXD_OK) status = feature_build_finish(r.set, err);
    if (status == ONNXD_OK && model_sha256 != NULL && strcmp(r.sha256, model_sha256) != 0)
        status = error_set(err, ONNXD_ERR_MODEL,
                           "belongs to another model: it names SHA-256 %.16s..., the model has %.16s...",
                           r.sha256[0] != 0 ? r.sha256 : "(none)", model_sha256);
    if (status == ONNXD_OK)
        *ret_set = r.set;
    else
        feature_set_unref(r.set);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static void write_optional(struct json_writer *w, const char *key, const char *text)
{
    if (text == NULL) return;
    json_key(w, key);
    json_string(w, text);
}

static void write_records(struct json_writer *w, const struct feature_records *records)
{
    json_key(w, "records");
    json_begin_object(w);
    write_optional(w, "label", records->label);
    write_optional(w, "positive", records->positive);
    write_optional(w, "weight", records->weight);
    if (records->columns != NULL) {
        json_key(w, "columns");
        json_begin_array(w);
        for (uint32_t i = 0; i < records->n_columns; i++) json_string(w, records->columns[i]);
        json_end_array(w);
    }
    json_end_object(w);
}

static void write_strings(struct json_writer *w, const char *key, const onnxd_string *texts, uint32_t n)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < n; i++) json_string_n(w, texts[i].data, texts[i].len);
    json_end_array(w);
}

static void write_rule(struct json_writer *w, const struct number_rule *rule)
{
    json_key(w, "normalise");
    json_begin_object(w);
    json_key(w, "log");
    json_bool(w, rule->log);
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"subtract", rule->subtract},
                   {"multiply", rule->multiply},
                   {"low", rule->low},
                   {"high", rule->high},
                   {"missing", rule->missing}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (isinf(numbers[i].value)) continue;
        json_key(w, numbers[i].key);
        json_f64(w, numbers[i].value);
    }
    json_end_object(w);
}

static void write_number(struct json_writer *w, const struct feature_field *field)
{
    if (field->has_buckets) {
        json_key(w, "bounds");
        json_begin_array(w);
        for (uint32_t i = 0; i < field->n_bounds; i++) json_f64(w, field->bounds[i]);
        json_end_array(w);
    }
    if (field->has_number) write_rule(w, &field->rule);
}

static void write_field(struct json_writer *w, const struct feature_field *field)
{
    json_begin_object(w);
    json_key(w, "name");
    json_string_n(w, field->name, field->name_len);
    json_key(w, "kind");
    json_string(w, source_names[field->source]);
    if (field->source == SOURCE_CATEGORIES) {
        json_key(w, "slots");
        json_u64(w, field->slots);
        json_key(w, "separator");
        json_string_n(w, &field->separator, 1);
    }
    if (field->source == SOURCE_NUMBER) write_number(w, field);
    if (field->min_ids > 0) {
        json_key(w, "ids");
        json_u64(w, field->min_ids);
    }
    if (field->hash > 0) {
        json_key(w, "hash");
        json_u64(w, field->hash);
    } else if (field->source == SOURCE_CATEGORY || field->source == SOURCE_CATEGORIES) {
        write_strings(w, "vocabulary", field->values, field->n_values);
    }
    json_end_object(w);
}

onnxd_status features_write(const struct feature_set *set, const char *model_sha256, struct buf *out,
                            onnxd_error *err)
{
    struct json_writer w;
    json_writer_init(&w, out, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "format");
    json_u64(&w, FEATURES_FILE_FORMAT);
    write_optional(&w, "model_sha256", model_sha256);
    write_records(&w, &set->records);
    write_strings(&w, "missing", set->marks, set->n_marks);
    json_key(&w, "fields");
    json_begin_array(&w);
    for (uint32_t i = 0; i < set->n_fields; i++) {
        buf_append_char(out, '\n'); /* a field a line: for people and for diff */
        write_field(&w, &set->fields[i]);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_append_char(out, '\n');
    return json_writer_finish(&w, err);
}

/* ---- beside the model ---------------------------------------------------------------------------- */

onnxd_status features_file_path(const char *model_path, char *ret_path, size_t size, onnxd_error *err)
{
    size_t n = strlen(model_path);
    if (n > 5 && strcmp(model_path + n - 5, ".onnx") == 0) n -= 5;
    int written = snprintf(ret_path, size, "%.*s.features.json", (int)(n < size ? n : size), model_path);
    if (written < 0 || (size_t)written >= size)
        return error_set(err, ONNXD_ERR_LIMIT, "%.200s: the path is too long", model_path);
    return ONNXD_OK;
}

onnxd_status features_load_beside(const char *model_path, struct feature_set **ret_set, onnxd_error *err)
{
    char path[4096], sha256[SHA256_HEX_BYTES], *text = NULL;
    size_t n;
    struct feature_set *set = NULL;
    onnxd_status status = features_file_path(model_path, path, sizeof path, err);
    if (status == ONNXD_OK && access(path, F_OK) != 0) {
        *ret_set = NULL;
        return ONNXD_OK;
    }
    if (status == ONNXD_OK) status = file_read(path, FEATURES_FILE_MAX_BYTES, &text, &n, err);
    if (status == ONNXD_OK) status = sha256_file_hex(model_path, sha256, err);
    if (status != ONNXD_OK) goto out;
    status = features_read(text, n, sha256, &set, err);
    if (status == ONNXD_OK)
        *ret_set = set;
    else
        error_prefix(err, "%.200s: ", path);
out:
    free(text);
    return status;
}

onnxd_status features_save_beside(const struct feature_set *set, const char *model_path, onnxd_error *err)
{
    char path[4096], sha256[SHA256_HEX_BYTES];
    struct buf text;
    buf_init(&text, FEATURES_FILE_MAX_BYTES);
    onnxd_status status = features_file_path(model_path, path, sizeof path, err);
    if (status == ONNXD_OK) status = sha256_file_hex(model_path, sha256, err);
    if (status == ONNXD_OK) status = features_write(set, sha256, &text, err);
    if (status == ONNXD_OK) status = file_replace(path, text.data, text.n, err);
    buf_done(&text);
    return status;
}
