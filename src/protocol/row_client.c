#include "protocol/row_client.h"

#include <string.h>

#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/tensor_json.h"

/* ---- requests -------------------------------------------------------------------------------------- */

static void write_row(struct json_writer *w, const onnxd_tensor *t, uint32_t row)
{
    size_t bytes = onnxd_type_size(t->type);
    for (uint32_t d = 1; d < t->rank; d++) bytes *= (size_t)t->dims[d];
    tensor_json_write(w, t->type, t->dims + 1, t->rank - 1, (const char *)t->data + row * bytes);
}

static void write_inputs_row(struct json_writer *w, const struct protocol_schema *schema,
                             const onnxd_tensor *inputs, uint32_t row)
{
    json_begin_object(w);
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        json_key_n(w, schema->inputs[i].info->name, schema->inputs[i].name_len);
        write_row(w, &inputs[i], row);
    }
    json_end_object(w);
}

onnxd_status row_request_write(enum row_form form, const struct protocol_schema *schema,
                               const onnxd_tensor *inputs, uint32_t first, uint32_t n, struct buf *buf,
                               onnxd_error *err)
{
    bool one_input = schema->n_inputs == 1;
    if (form == ROW_FORM_PREDICT && n != 1)
        return error_set(err, ONNXD_ERR_ARGUMENT, "expected one row in this form, got %u", n);
    if (form == ROW_FORM_INFER && !one_input)
        return error_set(err, ONNXD_ERR_ARGUMENT, "/infer takes one input, the model has %u",
                         schema->n_inputs);
    size_t before = buf->n;
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    if (form == ROW_FORM_PREDICT) {
        json_key(&w, one_input ? "features" : "inputs");
        if (one_input)
            write_row(&w, &inputs[0], first);
        else
            write_inputs_row(&w, schema, inputs, first);
    } else {
        json_key(&w, form == ROW_FORM_INFER ? "inputs" : "instances");
        json_begin_array(&w);
        for (uint32_t i = 0; i < n; i++) {
            if (one_input)
                write_row(&w, &inputs[0], first + i);
            else
                write_inputs_row(&w, schema, inputs, first + i);
        }
        json_end_array(&w);
    }
    json_end_object(&w);
    onnxd_status status = json_writer_finish(&w, err);
    if (status != ONNXD_OK) buf_restore(buf, before);
    return status;
}

/* ---- answers --------------------------------------------------------------------------------------- */

/* All numbers of a value, whatever its nesting; returns how many there are, of which `max` are stored. The
 * depth is the reader's limit. */
static size_t read_numbers(struct json_reader *r, float *out, size_t max)
{
    float value;
    if (json_peek(r) != JSON_ARRAY) {
        if (!json_read_f32(r, &value)) return 0;
        if (max > 0) *out = value;
        return 1;
    }
    size_t n = 0;
    if (!json_enter_array(r)) return 0;
    while (json_next_element(r)) {
        size_t left = n < max ? max - n : 0;
        n += read_numbers(r, left > 0 ? out + n : out, left);
    }
    return n;
}

static void read_result(struct json_reader *r, bool many, uint32_t n_rows, size_t row_elements, float *out)
{
    if (!many) {
        size_t n = read_numbers(r, out, row_elements);
        if (n != row_elements)
            json_fail(r, ONNXD_ERR_SHAPE, "expected %zu numbers, got %zu", row_elements, n);
        return;
    }
    uint32_t row = 0;
    if (!json_enter_array(r)) return;
    for (; json_next_element(r); row++) {
        bool fits = row < n_rows;
        size_t n = read_numbers(r, fits ? out + row * row_elements : out, fits ? row_elements : 0);
        if (n != row_elements)
            json_fail(r, ONNXD_ERR_SHAPE, "expected %zu numbers, got %zu", row_elements, n);
    }
    if (row != n_rows) json_fail(r, ONNXD_ERR_SHAPE, "expected %u rows, got %u", n_rows, row);
}

static void fail_with_servers_words(struct json_reader *r)
{
    struct json_text text;
    char words[200];
    if (!json_read_string(r, &text)) return;
    if (text.n_raw > sizeof words) text = (struct json_text){text.raw, sizeof words, false};
    size_t n = json_text_decode(&text, words);
    r->depth = 0; /* the path says nothing here */
    json_fail(r, ONNXD_ERR_IO, "the server answered: %.*s", (int)n, words);
}

onnxd_status row_answer_read(enum row_form form, const char *body, size_t n, uint32_t n_rows,
                             size_t row_elements, float *out, onnxd_error *err)
{
    struct json_reader r;
    struct json_text key;
    bool found = false, many = form != ROW_FORM_PREDICT;
    json_reader_init(&r, body, n, err);
    if (json_enter_object(&r))
        while (json_next_key(&r, &key)) {
            bool result = form == ROW_FORM_INFER ? json_text_is(&key, "outputs")
                          : many                 ? json_text_is(&key, "predictions")
                                 : json_text_is(&key, "ctr") || json_text_is(&key, "prediction");
            if (json_text_is(&key, "error"))
                fail_with_servers_words(&r);
            else if (result)
                read_result(&r, many, n_rows, row_elements, out);
            else
                json_skip(&r);
            found |= result;
        }
    if (!found) json_fail(&r, ONNXD_ERR_FORMAT, "the answer holds no prediction");
    return json_finish(&r);
}
