#include "protocol/v2_request.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "protocol/v2_tensor.h"

struct reading {
    const struct protocol_schema *schema;
    struct arena *arena;
    struct v2_request *request;
    struct v2_tensor *inputs; /* [n_inputs] in the model's order; name.data NULL: not given */
    uint32_t *order;          /* [n_inputs] the order in which they were given */
    uint32_t n_given;
    bool binary_output; /* parameters.binary_data_output */
    bool named_outputs;
};

/* ---- checks against the model ---------------------------------------------------------------------- */

static bool check_shape(struct json_reader *r, const onnxd_io_info *info, const onnxd_tensor *got)
{
    if (got->type != info->type)
        return json_fail(r, ONNXD_ERR_TYPE, "input '%s': expected datatype %s, got %s", info->name,
                         v2_datatype(info->type) != NULL ? v2_datatype(info->type)
                                                         : onnxd_type_name(info->type),
                         v2_datatype(got->type));
    if (info->rank >= 0 && got->rank != (uint32_t)info->rank)
        return json_fail(r, ONNXD_ERR_SHAPE, "input '%s': expected %d dimensions, got %u", info->name,
                         info->rank, got->rank);
    for (int32_t d = 0; d < info->rank; d++)
        if (info->dims[d] >= 0 && got->dims[d] != info->dims[d])
            return json_fail(r, ONNXD_ERR_SHAPE, "input '%s': expected %lld in dimension %d, got %lld",
                             info->name, (long long)info->dims[d], d, (long long)got->dims[d]);
    return true;
}

static bool fail_unknown(struct json_reader *r, const char *what, const onnxd_string *name,
                         const struct protocol_io *ios, uint32_t n)
{
    char known[160] = "";
    for (uint32_t i = 0; i < n; i++) {
        size_t at = strlen(known);
        if (at + ios[i].name_len + 4 > sizeof known) break;
        strcat(strcat(known, i > 0 ? ", " : ""), ios[i].info->name);
    }
    return json_fail(r, ONNXD_ERR_NOT_FOUND, "no %s '%.*s'; the model has: %s", what,
                     (int)(name->len > 80 ? 80 : name->len), name->data, known);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static bool read_inputs(struct json_reader *r, struct reading *g)
{
    if (!json_enter_array(r)) return false;
    while (json_next_element(r)) {
        struct v2_tensor t;
        if (!v2_tensor_read(r, false, g->arena, &t)) return false;
        uint32_t i = protocol_find_input(g->schema, t.name.data, t.name.len);
        if (i == UINT32_MAX) return fail_unknown(r, "input", &t.name, g->schema->inputs, g->schema->n_inputs);
        if (g->inputs[i].name.data != NULL)
            return json_fail(r, ONNXD_ERR_FORMAT, "input '%s' is given twice",
                             g->schema->inputs[i].info->name);
        if (!check_shape(r, g->schema->inputs[i].info, &t.tensor)) return false;
        g->inputs[i] = t;
        g->order[g->n_given++] = i;
    }
    return r->status == ONNXD_OK;
}

static bool read_outputs(struct json_reader *r, struct reading *g)
{
    if (!json_enter_array(r)) return false;
    g->named_outputs = true;
    while (json_next_element(r)) {
        struct v2_tensor t;
        if (!v2_tensor_read(r, true, g->arena, &t)) return false;
        uint32_t i = protocol_find_output(g->schema, t.name.data, t.name.len);
        if (i == UINT32_MAX)
            return fail_unknown(r, "output", &t.name, g->schema->outputs, g->schema->n_outputs);
        for (uint32_t k = 0; k < g->request->n_outputs; k++)
            if (g->request->outputs[k].output == i)
                return json_fail(r, ONNXD_ERR_FORMAT, "output '%s' is given twice",
                                 g->schema->outputs[i].info->name);
        g->request->outputs[g->request->n_outputs++] = (struct v2_output_wish){i, t.wants_binary};
    }
    return r->status == ONNXD_OK;
}

static bool take_parameter(struct json_reader *r, const struct json_text *key, void *context)
{
    struct reading *g = context;
    if (json_text_is(key, "binary_data_output")) return json_read_bool(r, &g->binary_output);
    if (json_text_is(key, "priority")) return json_read_u64(r, &g->request->priority);
    if (json_text_is(key, "timeout")) return json_read_u64(r, &g->request->timeout_us);
    return json_skip(r);
}

enum { SEEN_ID = 1, SEEN_PARAMETERS = 2, SEEN_INPUTS = 4, SEEN_OUTPUTS = 8 };

static bool read_member(struct json_reader *r, const struct json_text *key, struct reading *g, unsigned *seen)
{
    /* Clients of KServe repeat the model's name and version, which the path has told. */
    if (json_text_is(key, "model_name") || json_text_is(key, "model_version")) return json_skip(r);
    unsigned bit = json_text_is(key, "id")           ? SEEN_ID
                   : json_text_is(key, "parameters") ? SEEN_PARAMETERS
                   : json_text_is(key, "inputs")     ? SEEN_INPUTS
                   : json_text_is(key, "outputs")    ? SEEN_OUTPUTS
                                                     : 0;
    if (*seen & bit) return json_fail(r, ONNXD_ERR_FORMAT, "given twice");
    *seen |= bit;
    switch (bit) {
    case SEEN_ID: return v2_string_read(r, g->arena, &g->request->id);
    case SEEN_PARAMETERS: return v2_parameters_read(r, take_parameter, g);
    case SEEN_INPUTS: return read_inputs(r, g);
    case SEEN_OUTPUTS: return read_outputs(r, g);
    default:
        return json_fail(r, ONNXD_ERR_NOT_FOUND, "unknown field; expected id, parameters, inputs or outputs");
    }
}

static void read_json(struct json_reader *r, struct reading *g)
{
    struct json_text key;
    unsigned seen = 0;
    if (!json_enter_object(r)) return;
    while (json_next_key(r, &key))
        if (!read_member(r, &key, g, &seen)) return;
    for (uint32_t i = 0; i < g->schema->n_inputs; i++)
        if (g->inputs[i].name.data == NULL) {
            json_fail(r, ONNXD_ERR_FORMAT, "input '%s' is missing", g->schema->inputs[i].info->name);
            return;
        }
}

static onnxd_status attach_binary(struct reading *g, const char *at, const char *end, onnxd_error *err)
{
    for (uint32_t i = 0; i < g->n_given; i++) {
        struct v2_tensor *t = &g->inputs[g->order[i]];
        if (!t->has_binary) continue;
        onnxd_status status = v2_tensor_attach(t, &at, end, g->arena, err);
        if (status != ONNXD_OK) return status;
    }
    if (at != end)
        return error_set(err, ONNXD_ERR_FORMAT, "%zu bytes are left behind the binary data of the inputs",
                         (size_t)(end - at));
    return ONNXD_OK;
}

/* The whole body is one tensor; its shape follows from its size. */
static onnxd_status read_raw(struct reading *g, const char *body, size_t n, onnxd_error *err)
{
    const onnxd_io_info *info = g->schema->inputs[0].info;
    struct v2_tensor *t = &g->inputs[0];
    if (g->schema->n_inputs != 1 || info->rank < 0 || v2_datatype(info->type) == NULL)
        return error_set(err, ONNXD_ERR_UNSUPPORTED,
                         "a raw binary body needs a model with one input of known rank and type");
    size_t fixed = info->type == ONNXD_STRING ? 1 : onnxd_type_size(info->type);
    int32_t free_dim = -1;
    for (int32_t d = 0; d < info->rank; d++) {
        bool ok = info->dims[d] >= 0 ? checked_mul_size(fixed, (size_t)info->dims[d], &fixed) : free_dim < 0;
        if (!ok)
            return error_set(err, ONNXD_ERR_UNSUPPORTED,
                             "input '%s': a raw binary body allows one free dimension", info->name);
        if (info->dims[d] < 0) free_dim = d;
        t->tensor.dims[d] = info->dims[d];
    }
    if (info->type == ONNXD_STRING && (free_dim >= 0 || fixed != 1))
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "input '%s': strings need the JSON form", info->name);
    if (free_dim >= 0) {
        if (fixed == 0 || n % fixed != 0)
            return error_set(err, ONNXD_ERR_SHAPE, "input '%s': expected a multiple of %zu bytes, got %zu",
                             info->name, fixed, n);
        t->tensor.dims[free_dim] = (int64_t)(n / fixed);
    }
    t->name = (onnxd_string){info->name, strlen(info->name)};
    t->tensor.type = info->type;
    t->tensor.rank = (uint32_t)info->rank;
    t->n_elements = (size_t)onnxd_tensor_n_elements(&t->tensor);
    t->binary_bytes = n;
    t->has_binary = true;
    g->order[g->n_given++] = 0;
    g->binary_output = true;
    return attach_binary(g, body, body + n, err);
}

static onnxd_status read_body(struct reading *g, const char *body, size_t n, size_t header_bytes,
                              onnxd_error *err)
{
    if (header_bytes == 0) return read_raw(g, body, n, err);
    size_t n_json = header_bytes == V2_ALL_JSON ? n : header_bytes;
    if (n_json > n)
        return error_set(err, ONNXD_ERR_FORMAT,
                         "Inference-Header-Content-Length is %zu, but the body has %zu bytes", n_json, n);
    struct json_reader r;
    json_reader_init(&r, body, n_json, err);
    read_json(&r, g);
    onnxd_status status = json_finish(&r);
    return status != ONNXD_OK ? status : attach_binary(g, body + n_json, body + n, err);
}

onnxd_status v2_request_read(const struct protocol_schema *schema, const char *body, size_t n,
                             size_t header_bytes, struct arena *arena, struct v2_request *ret,
                             onnxd_error *err)
{
    struct v2_request request = {0};
    struct reading g = {.schema = schema, .arena = arena, .request = &request};
    g.inputs = arena_alloc_array(arena, schema->n_inputs, sizeof *g.inputs);
    g.order = arena_alloc_array(arena, schema->n_inputs, sizeof *g.order);
    request.inputs = arena_alloc_array(arena, schema->n_inputs, sizeof *request.inputs);
    request.outputs = arena_alloc_array(arena, schema->n_outputs, sizeof *request.outputs);
    if (g.inputs == NULL || g.order == NULL || request.inputs == NULL || request.outputs == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "no room for this request");
    onnxd_status status = read_body(&g, body, n, header_bytes, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < schema->n_inputs; i++) request.inputs[i] = g.inputs[i].tensor;
    if (!g.named_outputs || request.n_outputs == 0) {
        request.n_outputs = schema->n_outputs;
        for (uint32_t i = 0; i < schema->n_outputs; i++)
            request.outputs[i] = (struct v2_output_wish){i, false};
    }
    for (uint32_t i = 0; i < request.n_outputs; i++) request.outputs[i].binary |= g.binary_output;
    *ret = request;
    return ONNXD_OK;
}

/* ---- writing --------------------------------------------------------------------------------------- */

onnxd_status v2_request_write(const struct protocol_schema *schema, const onnxd_tensor *inputs,
                              const struct v2_request_options *options, struct buf *buf,
                              size_t *ret_header_bytes, onnxd_error *err)
{
    size_t before = buf->n;
    bool any_binary = options->binary_inputs;
    struct json_writer w;
    json_writer_init(&w, buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    if (options->id != NULL) {
        json_key(&w, "id");
        json_string(&w, options->id);
    }
    if (options->binary_outputs) {
        json_key(&w, "parameters");
        json_begin_object(&w);
        json_key(&w, "binary_data_output");
        json_bool(&w, true);
        json_end_object(&w);
    }
    json_key(&w, "inputs");
    json_begin_array(&w);
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        if (v2_datatype(inputs[i].type) == NULL) {
            buf_restore(buf, before);
            return error_set(err, ONNXD_ERR_TYPE, "input '%s': the protocol has no type %s",
                             schema->inputs[i].info->name, onnxd_type_name(inputs[i].type));
        }
        v2_tensor_write(&w, schema->inputs[i].info->name, &inputs[i], options->binary_inputs);
    }
    json_end_array(&w);
    json_end_object(&w);
    size_t n_json = buf->n - before;
    for (uint32_t i = 0; any_binary && i < schema->n_inputs; i++) v2_binary_append(buf, &inputs[i]);
    onnxd_status status = json_writer_finish(&w, err);
    if (status != ONNXD_OK) {
        buf_restore(buf, before);
        return status;
    }
    *ret_header_bytes = any_binary ? n_json : V2_ALL_JSON;
    return ONNXD_OK;
}
