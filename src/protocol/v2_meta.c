#include "protocol/v2_meta.h"

#include <string.h>

#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/base64.h"
#include "protocol/v2_tensor.h"

#define MAX_FILES 64

static struct json_writer writer(struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_NULL_FOR_NON_FINITE);
    return w;
}

static void write_strings(struct json_writer *w, const char *const *strings, uint32_t n)
{
    json_begin_array(w);
    for (uint32_t i = 0; i < n; i++) json_string(w, strings[i]);
    json_end_array(w);
}

void v2_flag_write(const char *model_name, const char *flag, bool value, struct buf *buf)
{
    struct json_writer w = writer(buf);
    json_begin_object(&w);
    if (model_name != NULL) {
        json_key(&w, "name");
        json_string(&w, model_name);
    }
    json_key(&w, flag);
    json_bool(&w, value);
    json_end_object(&w);
}

void v2_server_write(const char *name, const char *version, const char *const *extensions,
                     uint32_t n_extensions, struct buf *buf)
{
    struct json_writer w = writer(buf);
    json_begin_object(&w);
    json_key(&w, "name");
    json_string(&w, name);
    json_key(&w, "version");
    json_string(&w, version);
    json_key(&w, "extensions");
    write_strings(&w, extensions, n_extensions);
    json_end_object(&w);
}

static void write_index_ranges(struct json_writer *w, const struct protocol_io *io)
{
    json_key(w, "parameters");
    json_begin_object(w);
    json_key(w, "index_below");
    json_begin_array(w);
    for (size_t i = 0; i < io->row_elements; i++) json_i64(w, io->index_below[i]);
    json_end_array(w);
    json_end_object(w);
}

static void write_ios(struct json_writer *w, const struct protocol_io *ios, uint32_t n)
{
    json_begin_array(w);
    for (uint32_t i = 0; i < n; i++) {
        const onnxd_io_info *info = ios[i].info;
        const char *datatype = v2_datatype(info->type);
        json_begin_object(w);
        json_key(w, "name");
        json_string(w, info->name);
        json_key(w, "datatype");
        if (datatype != NULL) {
            json_string(w, datatype);
        } else {
            char upper[32] = "";
            strncat(upper, onnxd_type_name(info->type), sizeof upper - 1);
            for (char *c = upper; *c != 0; c++)
                if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
            json_string(w, upper);
        }
        json_key(w, "shape");
        json_begin_array(w);
        for (int32_t d = 0; d < info->rank; d++) json_i64(w, info->dims[d]);
        json_end_array(w);
        if (ios[i].index_below != NULL) write_index_ranges(w, &ios[i]);
        json_end_object(w);
    }
    json_end_array(w);
}

void v2_model_write(const struct protocol_schema *schema, const char *name, const char *const *versions,
                    uint32_t n_versions, struct buf *buf)
{
    struct json_writer w = writer(buf);
    json_begin_object(&w);
    json_key(&w, "name");
    json_string(&w, name);
    json_key(&w, "versions");
    write_strings(&w, versions, n_versions);
    json_key(&w, "platform");
    json_string(&w, "onnx_onnxv1");
    json_key(&w, "inputs");
    write_ios(&w, schema->inputs, schema->n_inputs);
    json_key(&w, "outputs");
    write_ios(&w, schema->outputs, schema->n_outputs);
    if (schema->features != NULL && schema->features->describe != NULL) {
        json_key(&w, "parameters");
        json_begin_object(&w);
        json_key(&w, "fields");
        schema->features->describe(schema->features->context, &w);
        json_end_object(&w);
    }
    json_end_object(&w);
}

void v2_index_write(const struct v2_index_entry *entries, uint32_t n, struct buf *buf)
{
    struct json_writer w = writer(buf);
    json_begin_array(&w);
    for (uint32_t i = 0; i < n; i++) {
        json_begin_object(&w);
        json_key(&w, "name");
        json_string(&w, entries[i].name);
        if (entries[i].version != NULL) {
            json_key(&w, "version");
            json_string(&w, entries[i].version);
        }
        json_key(&w, "state");
        json_string(&w, entries[i].state);
        json_key(&w, "reason");
        json_string(&w, entries[i].reason);
        json_end_object(&w);
    }
    json_end_array(&w);
}

onnxd_status v2_index_request_read(const char *body, size_t n, bool *ret_ready_only, onnxd_error *err)
{
    struct json_reader r;
    struct json_text key;
    bool ready = false;
    json_reader_init(&r, body, n, err);
    if (n > 0 && json_enter_object(&r))
        while (json_next_key(&r, &key)) {
            if (json_text_is(&key, "ready"))
                json_read_bool(&r, &ready);
            else
                json_fail(&r, ONNXD_ERR_NOT_FOUND, "unknown field; expected ready");
        }
    onnxd_status status = json_finish(&r);
    if (status == ONNXD_OK) *ret_ready_only = ready;
    return status;
}

/* ---- load and unload ------------------------------------------------------------------------------- */

struct loading {
    struct arena *arena;
    struct v2_load_request *request;
};

/* Relative, and every part of it a plain name. */
static bool is_safe_path(const onnxd_string *path)
{
    size_t part = 0;
    for (size_t i = 0; i <= path->len; i++) {
        if (i < path->len && path->data[i] != '/') {
            if (path->data[i] == 0 || path->data[i] == '\\') return false;
            continue;
        }
        size_t n = i - part;
        if (n == 0 || (path->data[part] == '.' && (n == 1 || (n == 2 && path->data[part + 1] == '.'))))
            return false;
        part = i + 1;
    }
    return true;
}

static bool read_file(struct json_reader *r, const onnxd_string *path, struct loading *l)
{
    onnxd_string text;
    size_t n = 0;
    if (!is_safe_path(path))
        return json_fail(r, ONNXD_ERR_FORMAT, "expected a relative path such as file:1/model.onnx");
    if (l->request->n_files == MAX_FILES)
        return json_fail(r, ONNXD_ERR_LIMIT, "more than %d files", MAX_FILES);
    if (!v2_string_read(r, l->arena, &text)) return false;
    char *bytes = arena_alloc(l->arena, text.len / 4 * 3);
    if (bytes == NULL)
        return json_fail(r, ONNXD_ERR_LIMIT, "no room for a file of %zu bytes", text.len / 4 * 3);
    if (!base64_decode(text.data, text.len, bytes, &n))
        return json_fail(r, ONNXD_ERR_FORMAT, "expected base64");
    l->request->files[l->request->n_files++] = (struct v2_load_file){*path, bytes, n};
    return true;
}

static bool take_parameter(struct json_reader *r, const struct json_text *key, void *context)
{
    struct loading *l = context;
    if (json_text_is(key, "config")) return v2_string_read(r, l->arena, &l->request->config);
    if (json_text_is(key, "unload_dependents")) return json_read_bool(r, &l->request->unload_dependents);
    char *name = arena_alloc(l->arena, key->n_raw);
    if (name == NULL) return json_fail(r, ONNXD_ERR_LIMIT, "no room for this request");
    size_t n = json_text_decode(key, name);
    if (n < 5 || memcmp(name, "file:", 5) != 0)
        return json_fail(r, ONNXD_ERR_NOT_FOUND,
                         "unknown parameter; expected config or file:<version>/model.onnx");
    onnxd_string path = {name + 5, n - 5};
    return read_file(r, &path, l);
}

onnxd_status v2_load_request_read(const char *body, size_t n, struct arena *arena,
                                  struct v2_load_request *ret, onnxd_error *err)
{
    struct v2_load_request request = {0};
    struct loading l = {arena, &request};
    struct json_reader r;
    struct json_text key;
    bool given = false;
    request.files = arena_alloc_array(arena, MAX_FILES, sizeof *request.files);
    if (request.files == NULL) return error_set(err, ONNXD_ERR_LIMIT, "no room for this request");
    json_reader_init(&r, body, n, err);
    if (n > 0 && json_enter_object(&r))
        while (json_next_key(&r, &key)) {
            if (!json_text_is(&key, "parameters"))
                json_fail(&r, ONNXD_ERR_NOT_FOUND, "unknown field; expected parameters");
            else if (given)
                json_fail(&r, ONNXD_ERR_FORMAT, "given twice");
            else
                v2_parameters_read(&r, take_parameter, &l);
            given = true;
        }
    onnxd_status status = json_finish(&r);
    if (status == ONNXD_OK) *ret = request;
    return status;
}

/* ---- statistics ------------------------------------------------------------------------------------ */

static void write_duration(struct json_writer *w, const char *name, struct v2_duration duration)
{
    json_key(w, name);
    json_begin_object(w);
    json_key(w, "count");
    json_u64(w, duration.count);
    json_key(w, "ns");
    json_u64(w, duration.ns);
    json_end_object(w);
}

static void write_model_stats(struct json_writer *w, const struct v2_stats *s)
{
    json_begin_object(w);
    json_key(w, "name");
    json_string(w, s->name);
    json_key(w, "version");
    json_string(w, s->version);
    json_key(w, "last_inference");
    json_u64(w, s->last_inference_ms);
    json_key(w, "inference_count");
    json_u64(w, s->inference_count);
    json_key(w, "execution_count");
    json_u64(w, s->execution_count);
    json_key(w, "inference_stats");
    json_begin_object(w);
    write_duration(w, "success", s->success);
    write_duration(w, "fail", s->fail);
    write_duration(w, "queue", s->queue);
    write_duration(w, "compute_input", s->compute_input);
    write_duration(w, "compute_infer", s->compute_infer);
    write_duration(w, "compute_output", s->compute_output);
    json_end_object(w);
    json_key(w, "batch_stats");
    json_begin_array(w);
    for (uint32_t i = 0; i < s->n_batches; i++) {
        json_begin_object(w);
        json_key(w, "batch_size");
        json_u64(w, s->batches[i].batch_size);
        write_duration(w, "compute_input", s->batches[i].compute_input);
        write_duration(w, "compute_infer", s->batches[i].compute_infer);
        write_duration(w, "compute_output", s->batches[i].compute_output);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

void v2_stats_write(const struct v2_stats *stats, uint32_t n, struct buf *buf)
{
    struct json_writer w = writer(buf);
    json_begin_object(&w);
    json_key(&w, "model_stats");
    json_begin_array(&w);
    for (uint32_t i = 0; i < n; i++) write_model_stats(&w, &stats[i]);
    json_end_array(&w);
    json_end_object(&w);
}
