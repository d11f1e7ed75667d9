#include "protocol/v2_response.h"

#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"

#define MAX_OUTPUTS 256

onnxd_tensor v2_slice_rows(const onnxd_tensor *tensor, uint32_t first, uint32_t n)
{
    onnxd_tensor slice = *tensor;
    size_t row_bytes = onnxd_type_size(tensor->type);
    for (uint32_t d = 1; d < tensor->rank; d++) row_bytes *= (size_t)tensor->dims[d];
    slice.dims[0] = n;
    slice.data = (char *)tensor->data + first * row_bytes;
    return slice;
}

static onnxd_status check_types(const struct protocol_schema *schema, const struct v2_request *request,
                                const onnxd_tensor *outputs, onnxd_error *err)
{
    for (uint32_t i = 0; i < request->n_outputs; i++) {
        const onnxd_tensor *t = &outputs[request->outputs[i].output];
        const char *name = schema->outputs[request->outputs[i].output].info->name;
        if (v2_datatype(t->type) == NULL)
            return error_set(err, ONNXD_ERR_UNSUPPORTED, "output '%s': the protocol has no type %s", name,
                             onnxd_type_name(t->type));
        if ((t->type == ONNXD_FLOAT16 || t->type == ONNXD_BFLOAT16) && !request->outputs[i].binary)
            return error_set(err, ONNXD_ERR_UNSUPPORTED,
                             "output '%s': %s has no JSON form; ask for binary_data", name,
                             v2_datatype(t->type));
    }
    return ONNXD_OK;
}

onnxd_status v2_response_write(const struct protocol_schema *schema, const struct v2_request *request,
                               const char *model_name, const char *model_version, const onnxd_tensor *outputs,
                               struct buf *buf, size_t *ret_header_bytes, onnxd_error *err)
{
    onnxd_status status = check_types(schema, request, outputs, err);
    if (status != ONNXD_OK) return status;
    size_t before = buf->n;
    bool any_binary = false;
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "model_name");
    json_string(&w, model_name);
    if (model_version != NULL) {
        json_key(&w, "model_version");
        json_string(&w, model_version);
    }
    if (request->id.data != NULL) {
        json_key(&w, "id");
        json_string_n(&w, request->id.data, request->id.len);
    }
    json_key(&w, "outputs");
    json_begin_array(&w);
    for (uint32_t i = 0; i < request->n_outputs; i++) {
        const struct v2_output_wish *wish = &request->outputs[i];
        v2_tensor_write(&w, schema->outputs[wish->output].info->name, &outputs[wish->output], wish->binary);
        any_binary |= wish->binary;
    }
    json_end_array(&w);
    json_end_object(&w);
    size_t n_json = buf->n - before;
    for (uint32_t i = 0; i < request->n_outputs; i++)
        if (request->outputs[i].binary) v2_binary_append(buf, &outputs[request->outputs[i].output]);
    status = json_writer_finish(&w, err);
    if (status != ONNXD_OK) {
        buf_restore(buf, before);
        return status;
    }
    *ret_header_bytes = any_binary ? n_json : V2_ALL_JSON;
    return ONNXD_OK;
}

static void read_outputs(struct json_reader *r, struct arena *arena, struct v2_response *ret)
{
    if (!json_enter_array(r)) return;
    while (json_next_element(r)) {
        if (ret->n_outputs == MAX_OUTPUTS) {
            json_fail(r, ONNXD_ERR_LIMIT, "more than %d outputs", MAX_OUTPUTS);
            return;
        }
        if (!v2_tensor_read(r, false, arena, &ret->outputs[ret->n_outputs])) return;
        ret->n_outputs++;
    }
}

static onnxd_status read_response(const char *body, size_t n_json, struct arena *arena,
                                  struct v2_response *ret, onnxd_error *err)
{
    struct json_reader r;
    struct json_text key;
    bool outputs = false;
    json_reader_init(&r, body, n_json, err);
    if (!json_enter_object(&r)) return r.status;
    while (json_next_key(&r, &key)) {
        if (json_text_is(&key, "model_name")) {
            v2_string_read(&r, arena, &ret->model_name);
        } else if (json_text_is(&key, "model_version")) {
            v2_string_read(&r, arena, &ret->model_version);
        } else if (json_text_is(&key, "id")) {
            v2_string_read(&r, arena, &ret->id);
        } else if (json_text_is(&key, "outputs") && !outputs) {
            outputs = true;
            read_outputs(&r, arena, ret);
        } else {
            json_skip(&r); /* servers add fields of their own */
        }
    }
    if (!outputs) json_fail(&r, ONNXD_ERR_FORMAT, "outputs is missing");
    return json_finish(&r);
}

onnxd_status v2_response_read(const char *body, size_t n, size_t header_bytes, struct arena *arena,
                              struct v2_response *ret, onnxd_error *err)
{
    struct v2_response response = {0};
    size_t n_json = header_bytes == V2_ALL_JSON ? n : header_bytes;
    if (n_json > n)
        return error_set(err, ONNXD_ERR_FORMAT,
                         "Inference-Header-Content-Length is %zu, but the body has %zu bytes", n_json, n);
    response.outputs = arena_alloc_array(arena, MAX_OUTPUTS, sizeof *response.outputs);
    if (response.outputs == NULL) return error_set(err, ONNXD_ERR_LIMIT, "no room for this response");
    onnxd_status status = read_response(body, n_json, arena, &response, err);
    const char *at = body + n_json, *end = body + n;
    for (uint32_t i = 0; i < response.n_outputs && status == ONNXD_OK; i++)
        if (response.outputs[i].has_binary)
            status = v2_tensor_attach(&response.outputs[i], &at, end, arena, err);
    if (status == ONNXD_OK && at != end)
        status = error_set(err, ONNXD_ERR_FORMAT, "%zu bytes are left behind the binary data of the outputs",
                           (size_t)(end - at));
    if (status == ONNXD_OK) *ret = response;
    return status;
}
