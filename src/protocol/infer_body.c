#include "protocol/infer_body.h"

#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/row_json.h"
#include "protocol/tensor_json.h"

onnxd_status infer_request_read(const struct protocol_schema *schema, const char *body, size_t n,
                                struct protocol_rows *rows, onnxd_error *err)
{
    struct json_reader r;
    struct json_text key;
    uint32_t first = rows->n;
    bool given = false;
    json_reader_init(&r, body, n, err);
    if (row_json_check_schema(&r, schema)) json_enter_object(&r);
    while (json_next_key(&r, &key)) {
        if (!json_text_is(&key, "inputs"))
            json_fail(&r, ONNXD_ERR_NOT_FOUND, "unknown field; expected inputs");
        else if (given)
            json_fail(&r, ONNXD_ERR_FORMAT, "given twice");
        else
            row_json_read_array(&r, schema, true, rows);
        given = true;
    }
    if (!given) json_fail(&r, ONNXD_ERR_FORMAT, "inputs is missing");
    onnxd_status status = json_finish(&r);
    if (status != ONNXD_OK) rows->n = first;
    return status;
}

static void write_rows(struct json_writer *w, const onnxd_tensor *tensor, uint32_t first_row, uint32_t n_rows)
{
    size_t bytes = onnxd_type_size(tensor->type);
    for (uint32_t d = 1; d < tensor->rank; d++) bytes *= (size_t)tensor->dims[d];
    /* A scalar per row is still an array of one, so that every answer has the same form. */
    int64_t one = 1;
    bool scalar = tensor->rank == 1;
    json_begin_array(w);
    for (uint32_t i = 0; i < n_rows; i++)
        tensor_json_write(w, tensor->type, scalar ? &one : tensor->dims + 1, scalar ? 1 : tensor->rank - 1,
                          (const char *)tensor->data + (size_t)(first_row + i) * bytes);
    json_end_array(w);
}

onnxd_status infer_answer_write(const struct protocol_schema *schema, const onnxd_tensor *outputs,
                                uint32_t n_rows_run, uint32_t first_row, uint32_t n_rows, double duration_ms,
                                struct buf *buf, onnxd_error *err)
{
    onnxd_status status = row_json_check_outputs(schema, outputs, n_rows_run, err);
    if (status != ONNXD_OK) return status;
    size_t before = buf->n;
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "outputs");
    if (schema->n_outputs == 1) {
        write_rows(&w, &outputs[0], first_row, n_rows);
    } else {
        json_begin_object(&w);
        for (uint32_t i = 0; i < schema->n_outputs; i++) {
            json_key_n(&w, schema->outputs[i].info->name, schema->outputs[i].name_len);
            write_rows(&w, &outputs[i], first_row, n_rows);
        }
        json_end_object(&w);
    }
    json_key(&w, "duration_ms");
    json_fixed(&w, duration_ms, 3);
    json_end_object(&w);
    status = json_writer_finish(&w, err);
    if (status != ONNXD_OK) buf_restore(buf, before);
    return status;
}
