#include "protocol/v1_body.h"

#include <stdio.h>

#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/row_json.h"
#include "protocol/tensor_json.h"

static void read_request(struct json_reader *r, const struct protocol_schema *schema,
                         struct protocol_rows *rows, bool *columns)
{
    struct json_text key, signature;
    bool rows_given = false, signature_given = false;
    if (!row_json_check_schema(r, schema) || !json_enter_object(r)) return;
    while (json_next_key(r, &key)) {
        bool by_rows = json_text_is(&key, "instances"), by_columns = json_text_is(&key, "inputs");
        if (by_rows || by_columns) {
            if (rows_given)
                json_fail(r, ONNXD_ERR_FORMAT, "expected either instances or inputs, once");
            else if (by_rows)
                row_json_read_array(r, schema, false, rows);
            else
                row_json_read_columns(r, schema, rows);
            rows_given = true;
            *columns = by_columns;
        } else if (json_text_is(&key, "signature_name") && !signature_given) {
            signature_given = true;
            json_read_string(r, &signature);
        } else {
            json_fail(r, ONNXD_ERR_NOT_FOUND, "unknown field; expected instances, inputs or signature_name");
        }
    }
    if (!rows_given) json_fail(r, ONNXD_ERR_FORMAT, "instances (or inputs) is missing");
}

onnxd_status v1_request_read(const struct protocol_schema *schema, const char *body, size_t n,
                             struct protocol_rows *rows, bool *ret_columns, onnxd_error *err)
{
    struct json_reader r;
    uint32_t first = rows->n;
    bool columns = false;
    json_reader_init(&r, body, n, err);
    read_request(&r, schema, rows, &columns);
    onnxd_status status = json_finish(&r);
    if (status != ONNXD_OK)
        rows->n = first;
    else
        *ret_columns = columns;
    return status;
}

/* ---- answers --------------------------------------------------------------------------------------- */

static void write_tensor_row(struct json_writer *w, const onnxd_tensor *t, uint32_t row)
{
    size_t bytes = onnxd_type_size(t->type);
    for (uint32_t d = 1; d < t->rank; d++) bytes *= (size_t)t->dims[d];
    tensor_json_write(w, t->type, t->dims + 1, t->rank - 1, (const char *)t->data + row * bytes);
}

static void write_rows(struct json_writer *w, const struct protocol_schema *schema,
                       const onnxd_tensor *outputs, uint32_t first_row, uint32_t n_rows)
{
    json_begin_array(w);
    for (uint32_t row = first_row; row < first_row + n_rows; row++) {
        if (schema->n_outputs == 1) {
            write_tensor_row(w, &outputs[0], row);
            continue;
        }
        json_begin_object(w);
        for (uint32_t i = 0; i < schema->n_outputs; i++) {
            json_key(w, schema->outputs[i].info->name);
            write_tensor_row(w, &outputs[i], row);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_columns(struct json_writer *w, const struct protocol_schema *schema,
                          const onnxd_tensor *outputs, uint32_t first_row, uint32_t n_rows)
{
    if (schema->n_outputs > 1) json_begin_object(w);
    for (uint32_t i = 0; i < schema->n_outputs; i++) {
        if (schema->n_outputs > 1) json_key(w, schema->outputs[i].info->name);
        json_begin_array(w);
        for (uint32_t row = first_row; row < first_row + n_rows; row++) write_tensor_row(w, &outputs[i], row);
        json_end_array(w);
    }
    if (schema->n_outputs > 1) json_end_object(w);
}

onnxd_status v1_answer_write(const struct protocol_schema *schema, const onnxd_tensor *outputs,
                             uint32_t n_rows_run, uint32_t first_row, uint32_t n_rows, bool columns,
                             struct buf *buf, onnxd_error *err)
{
    onnxd_status status = row_json_check_outputs(schema, outputs, n_rows_run, err);
    if (status != ONNXD_OK) return status;
    size_t before = buf->n;
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, columns ? "outputs" : "predictions");
    (columns ? write_columns : write_rows)(&w, schema, outputs, first_row, n_rows);
    json_end_object(&w);
    status = json_writer_finish(&w, err);
    if (status != ONNXD_OK) buf_restore(buf, before);
    return status;
}

void v1_status_write(const char *const *versions, const char *const *states, uint32_t n_versions,
                     struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "model_version_status");
    json_begin_array(&w);
    for (uint32_t i = 0; i < n_versions; i++) {
        json_begin_object(&w);
        json_key(&w, "version");
        json_string(&w, versions[i]);
        json_key(&w, "state");
        json_string(&w, states[i]);
        json_key(&w, "status");
        json_begin_object(&w);
        json_key(&w, "error_code");
        json_string(&w, "OK");
        json_key(&w, "error_message");
        json_string(&w, "");
        json_end_object(&w);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
}

/* TensorFlow's names of the element types. */
static const char *dtype_name(onnxd_type type)
{
    switch (type) {
    case ONNXD_FLOAT32: return "DT_FLOAT";
    case ONNXD_FLOAT64: return "DT_DOUBLE";
    case ONNXD_FLOAT16: return "DT_HALF";
    case ONNXD_BFLOAT16: return "DT_BFLOAT16";
    case ONNXD_INT8: return "DT_INT8";
    case ONNXD_INT16: return "DT_INT16";
    case ONNXD_INT32: return "DT_INT32";
    case ONNXD_INT64: return "DT_INT64";
    case ONNXD_UINT8: return "DT_UINT8";
    case ONNXD_UINT16: return "DT_UINT16";
    case ONNXD_UINT32: return "DT_UINT32";
    case ONNXD_UINT64: return "DT_UINT64";
    case ONNXD_BOOL: return "DT_BOOL";
    case ONNXD_STRING: return "DT_STRING";
    default: return "DT_INVALID";
    }
}

static void write_signature(struct json_writer *w, const struct protocol_io *ios, uint32_t n)
{
    json_begin_object(w);
    for (uint32_t i = 0; i < n; i++) {
        const onnxd_io_info *info = ios[i].info;
        json_key(w, info->name);
        json_begin_object(w);
        json_key(w, "dtype");
        json_string(w, dtype_name(info->type));
        json_key(w, "tensor_shape");
        json_begin_object(w);
        json_key(w, "dim");
        json_begin_array(w);
        for (int32_t d = 0; d < info->rank; d++) {
            char size[24];
            snprintf(size, sizeof size, "%lld", (long long)info->dims[d]);
            json_begin_object(w);
            json_key(w, "size");
            json_string(w, size);
            json_key(w, "name");
            json_string(w, "");
            json_end_object(w);
        }
        json_end_array(w);
        json_key(w, "unknown_rank");
        json_bool(w, info->rank < 0);
        json_end_object(w);
        json_key(w, "name");
        json_string(w, info->name);
        json_end_object(w);
    }
    json_end_object(w);
}

void v1_metadata_write(const struct protocol_schema *schema, const char *model_name, const char *version,
                       struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "model_spec");
    json_begin_object(&w);
    json_key(&w, "name");
    json_string(&w, model_name);
    json_key(&w, "signature_name");
    json_string(&w, "");
    json_key(&w, "version");
    json_string(&w, version);
    json_end_object(&w);
    static const char *const path[] = {"metadata", "signature_def", "signature_def", "serving_default"};
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        json_key(&w, path[i]);
        json_begin_object(&w);
    }
    json_key(&w, "inputs");
    write_signature(&w, schema->inputs, schema->n_inputs);
    json_key(&w, "outputs");
    write_signature(&w, schema->outputs, schema->n_outputs);
    json_key(&w, "method_name");
    json_string(&w, "tensorflow/serving/predict");
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) json_end_object(&w);
    json_end_object(&w);
}
