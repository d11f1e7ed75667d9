#include "protocol/predict_body.h"

#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/row_json.h"

static void read_request(struct json_reader *r, const struct protocol_schema *schema,
                         struct protocol_rows *rows, bool *many)
{
    struct json_text key;
    if (!row_json_check_schema(r, schema) || !json_enter_object(r)) return;
    bool any = json_next_key(r, &key);
    if (r->status != ONNXD_OK) return;
    *many = any && json_text_is(&key, "instances");
    if (!*many) {
        row_json_read_members(r, schema, any ? &key : NULL, rows);
        return;
    }
    if (!row_json_read_array(r, schema, false, rows)) return;
    if (json_next_key(r, &key)) json_fail(r, ONNXD_ERR_NOT_FOUND, "unknown field beside instances");
}

onnxd_status predict_request_read(const struct protocol_schema *schema, const char *body, size_t n,
                                  struct protocol_rows *rows, bool *ret_many, onnxd_error *err)
{
    struct json_reader r;
    uint32_t first = rows->n;
    bool many = false;
    json_reader_init(&r, body, n, err);
    read_request(&r, schema, rows, &many);
    onnxd_status status = json_finish(&r);
    if (status != ONNXD_OK)
        rows->n = first;
    else
        *ret_many = many;
    return status;
}

onnxd_status predict_answer_write(const struct protocol_schema *schema, const onnxd_tensor *outputs,
                                  uint32_t n_rows_run, uint32_t first_row, uint32_t n_rows, bool many,
                                  double latency_ms, struct buf *buf, onnxd_error *err)
{
    onnxd_status status = row_json_check_outputs(schema, outputs, n_rows_run, err);
    if (status != ONNXD_OK) return status;
    size_t before = buf->n;
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    if (many) {
        json_key(&w, "predictions");
        json_begin_array(&w);
        for (uint32_t i = 0; i < n_rows; i++) row_json_write(&w, schema, outputs, first_row + i);
        json_end_array(&w);
    } else {
        json_key(&w, row_json_is_scalar(schema, outputs) ? "ctr" : "prediction");
        row_json_write(&w, schema, outputs, first_row);
    }
    json_key(&w, "latency_ms");
    json_fixed(&w, latency_ms, 3);
    json_end_object(&w);
    status = json_writer_finish(&w, err);
    if (status != ONNXD_OK) buf_restore(buf, before);
    return status;
}

void error_body_write(struct buf *buf, const char *message)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "error");
    json_string(&w, message);
    json_end_object(&w);
}
