#include "protocol/v2_tensor.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "protocol/tensor_json.h"

static const struct {
    const char *name;
    onnxd_type type;
} datatypes[] = {{"FP32", ONNXD_FLOAT32},  {"INT64", ONNXD_INT64},   {"BOOL", ONNXD_BOOL},
                 {"UINT8", ONNXD_UINT8},   {"UINT16", ONNXD_UINT16}, {"UINT32", ONNXD_UINT32},
                 {"UINT64", ONNXD_UINT64}, {"INT8", ONNXD_INT8},     {"INT16", ONNXD_INT16},
                 {"INT32", ONNXD_INT32},   {"FP16", ONNXD_FLOAT16},  {"BF16", ONNXD_BFLOAT16},
                 {"FP64", ONNXD_FLOAT64},  {"BYTES", ONNXD_STRING}};

#define N_DATATYPES (sizeof datatypes / sizeof datatypes[0])

const char *v2_datatype(onnxd_type type)
{
    for (size_t i = 0; i < N_DATATYPES; i++)
        if (datatypes[i].type == type) return datatypes[i].name;
    return NULL;
}

onnxd_type v2_datatype_parse(const struct json_text *text)
{
    for (size_t i = 0; i < N_DATATYPES; i++)
        if (json_text_is(text, datatypes[i].name)) return datatypes[i].type;
    return ONNXD_UNDEFINED;
}

bool v2_string_read(struct json_reader *r, struct arena *arena, onnxd_string *ret)
{
    struct json_text text;
    if (!json_read_string(r, &text)) return false;
    *ret = (onnxd_string){text.raw, text.n_raw};
    if (!text.escaped) return true;
    char *decoded = arena_alloc(arena, text.n_raw);
    if (decoded == NULL) return json_fail(r, ONNXD_ERR_LIMIT, "no room for the strings of this request");
    *ret = (onnxd_string){decoded, json_text_decode(&text, decoded)};
    return true;
}

bool v2_parameters_read(struct json_reader *r,
                        bool (*take)(struct json_reader *r, const struct json_text *key, void *context),
                        void *context)
{
    struct json_text key;
    if (!json_enter_object(r)) return false;
    while (json_next_key(r, &key))
        if (!take(r, &key, context)) return false;
    return r->status == ONNXD_OK;
}

static bool take_parameter(struct json_reader *r, const struct json_text *key, void *context)
{
    struct v2_tensor *t = context;
    if (json_text_is(key, "binary_data_size")) {
        t->has_binary = true;
        return json_read_u64(r, &t->binary_bytes);
    }
    if (json_text_is(key, "binary_data")) return json_read_bool(r, &t->wants_binary);
    if (json_text_is(key, "classification"))
        return json_fail(r, ONNXD_ERR_UNSUPPORTED, "the classification extension is not offered");
    return json_skip(r);
}

static bool read_shape(struct json_reader *r, struct v2_tensor *t)
{
    if (!json_enter_array(r)) return false;
    t->tensor.rank = 0;
    t->n_elements = 1;
    while (json_next_element(r)) {
        int64_t dim;
        if (!json_read_i64(r, &dim)) return false;
        if (t->tensor.rank == ONNXD_MAX_RANK)
            return json_fail(r, ONNXD_ERR_LIMIT, "expected at most %d dimensions", ONNXD_MAX_RANK);
        if (dim < 0 || !checked_mul_size(t->n_elements, (size_t)dim, &t->n_elements))
            return json_fail(r, ONNXD_ERR_SHAPE, "expected a size of 0 or more that fits memory, got %lld",
                             (long long)dim);
        t->tensor.dims[t->tensor.rank++] = dim;
    }
    return r->status == ONNXD_OK;
}

static bool read_data(struct json_reader *r, struct arena *arena, struct v2_tensor *t)
{
    if (t->tensor.type == ONNXD_FLOAT16 || t->tensor.type == ONNXD_BFLOAT16)
        return json_fail(r, ONNXD_ERR_UNSUPPORTED, "%s has no JSON form; send it as binary data",
                         v2_datatype(t->tensor.type));
    /* Every element takes at least two bytes of text, with its comma or bracket. */
    if (t->n_elements > (size_t)(r->end - r->at) / 2 + 1)
        return json_fail(r, ONNXD_ERR_SHAPE, "expected %zu elements for this shape, more than the body holds",
                         t->n_elements);
    size_t n_bytes;
    void *data = NULL;
    if (checked_mul_size(t->n_elements, onnxd_type_size(t->tensor.type), &n_bytes))
        data = arena_alloc(arena, n_bytes);
    if (data == NULL)
        return json_fail(r, ONNXD_ERR_LIMIT, "no room for a tensor of %zu elements", t->n_elements);
    t->tensor.data = data;
    return tensor_json_read(r, t->tensor.type, t->tensor.dims, t->tensor.rank, data, arena);
}

struct members { /* of a tensor object, each at most once */
    bool name, shape, datatype, parameters;
    struct json_reader data; /* where data stood when it came before shape and datatype */
    bool data_waits;
};

static bool once(struct json_reader *r, bool *seen)
{
    if (*seen) return json_fail(r, ONNXD_ERR_FORMAT, "given twice");
    *seen = true;
    return true;
}

static bool read_datatype(struct json_reader *r, struct v2_tensor *t)
{
    struct json_text text;
    if (!json_read_string(r, &text)) return false;
    t->tensor.type = v2_datatype_parse(&text);
    if (t->tensor.type != ONNXD_UNDEFINED) return true;
    return json_fail(r, ONNXD_ERR_TYPE,
                     "unknown datatype; expected BOOL, UINT8..64, INT8..64, FP16, BF16, FP32, FP64 or BYTES");
}

static bool read_member(struct json_reader *r, const struct json_text *key, bool named_only,
                        struct arena *arena, struct members *m, struct v2_tensor *t)
{
    if (json_text_is(key, "name")) return once(r, &m->name) && v2_string_read(r, arena, &t->name);
    if (json_text_is(key, "parameters"))
        return once(r, &m->parameters) && v2_parameters_read(r, take_parameter, t);
    if (named_only) return json_fail(r, ONNXD_ERR_NOT_FOUND, "unknown field; expected name or parameters");
    if (json_text_is(key, "shape")) return once(r, &m->shape) && read_shape(r, t);
    if (json_text_is(key, "datatype")) return once(r, &m->datatype) && read_datatype(r, t);
    if (!json_text_is(key, "data"))
        return json_fail(r, ONNXD_ERR_NOT_FOUND,
                         "unknown field; expected name, shape, datatype, parameters or data");
    if (!once(r, &t->has_data)) return false;
    if (m->shape && m->datatype) return read_data(r, arena, t);
    m->data = *r;
    m->data_waits = true;
    return json_skip(r);
}

bool v2_tensor_read(struct json_reader *r, bool named_only, struct arena *arena, struct v2_tensor *ret)
{
    struct members m;
    m.name = m.shape = m.datatype = m.parameters = m.data_waits = false;
    struct json_text key;
    *ret = (struct v2_tensor){0};
    if (!json_enter_object(r)) return false;
    while (json_next_key(r, &key))
        if (!read_member(r, &key, named_only, arena, &m, ret)) return false;
    if (r->status != ONNXD_OK) return false;
    if (!m.name) return json_fail(r, ONNXD_ERR_FORMAT, "name is missing");
    if (named_only) return true;
    if (!m.shape) return json_fail(r, ONNXD_ERR_FORMAT, "shape is missing");
    if (!m.datatype) return json_fail(r, ONNXD_ERR_FORMAT, "datatype is missing");
    if (ret->has_data && ret->has_binary)
        return json_fail(r, ONNXD_ERR_FORMAT, "expected data or binary_data_size, not both");
    if (!ret->has_data && !ret->has_binary) return json_fail(r, ONNXD_ERR_FORMAT, "data is missing");
    if (!m.data_waits || read_data(&m.data, arena, ret)) return true;
    r->status = m.data.status; /* the message is written already, with its path */
    return false;
}

/* ---- binary content -------------------------------------------------------------------------------- */

static onnxd_status attach_strings(struct v2_tensor *t, const char *at, const char *end, struct arena *arena,
                                   onnxd_error *err)
{
    int name_len = (int)(t->name.len > 80 ? 80 : t->name.len);
    if (t->n_elements > (size_t)(end - at) / 4)
        return error_set(err, ONNXD_ERR_SHAPE,
                         "tensor '%.*s': expected %zu strings, the binary data hold fewer", name_len,
                         t->name.data, t->n_elements);
    onnxd_string *strings = arena_alloc_array(arena, t->n_elements, sizeof *strings);
    if (strings == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "tensor '%.*s': no room for %zu strings", name_len,
                         t->name.data, t->n_elements);
    for (size_t i = 0; i < t->n_elements; i++) {
        uint32_t len = 0;
        if (end - at >= 4) memcpy(&len, at, 4);
        if (end - at < 4 || len > (size_t)(end - at) - 4)
            return error_set(err, ONNXD_ERR_FORMAT, "tensor '%.*s': string %zu ends behind its binary data",
                             name_len, t->name.data, i);
        strings[i] = (onnxd_string){at + 4, len};
        at += 4 + len;
    }
    if (at != end)
        return error_set(err, ONNXD_ERR_SHAPE, "tensor '%.*s': %zu bytes left behind %zu strings", name_len,
                         t->name.data, (size_t)(end - at), t->n_elements);
    t->tensor.data = strings;
    return ONNXD_OK;
}

static onnxd_status attach_elements(struct v2_tensor *t, const char *at, size_t n_bytes, struct arena *arena,
                                    onnxd_error *err)
{
    int name_len = (int)(t->name.len > 80 ? 80 : t->name.len);
    size_t size = onnxd_type_size(t->tensor.type), expected = 0;
    if (!checked_mul_size(t->n_elements, size, &expected) || expected != n_bytes)
        return error_set(err, ONNXD_ERR_SHAPE,
                         "tensor '%.*s': expected %zu bytes of binary data for this shape, got %zu", name_len,
                         t->name.data, expected, n_bytes);
    for (size_t i = 0; t->tensor.type == ONNXD_BOOL && i < n_bytes; i++)
        if (at[i] != 0 && at[i] != 1)
            return error_set(err, ONNXD_ERR_RANGE, "tensor '%.*s': element %zu: a BOOL must be 0 or 1",
                             name_len, t->name.data, i);
    void *copy = NULL;
    if ((uintptr_t)at % size != 0) {
        copy = arena_memdup(arena, at, n_bytes);
        if (copy == NULL)
            return error_set(err, ONNXD_ERR_LIMIT, "tensor '%.*s': no room for %zu bytes", name_len,
                             t->name.data, n_bytes);
    }
    /* Models read their inputs only; the view's type has no const. */
    t->tensor.data = copy != NULL ? copy : (void *)(uintptr_t)at;
    return ONNXD_OK;
}

onnxd_status v2_tensor_attach(struct v2_tensor *t, const char **at, const char *end, struct arena *arena,
                              onnxd_error *err)
{
    if (t->binary_bytes > (uint64_t)(end - *at))
        return error_set(err, ONNXD_ERR_SHAPE,
                         "tensor '%.*s': binary_data_size is %llu, but %zu bytes are left",
                         (int)(t->name.len > 80 ? 80 : t->name.len), t->name.data,
                         (unsigned long long)t->binary_bytes, (size_t)(end - *at));
    const char *stop = *at + t->binary_bytes;
    onnxd_status status = t->tensor.type == ONNXD_STRING
                              ? attach_strings(t, *at, stop, arena, err)
                              : attach_elements(t, *at, t->binary_bytes, arena, err);
    if (status == ONNXD_OK) *at = stop;
    return status;
}

size_t v2_binary_bytes(const onnxd_tensor *tensor)
{
    if (tensor->type != ONNXD_STRING) return onnxd_tensor_n_bytes(tensor);
    size_t n = 0;
    const onnxd_string *strings = tensor->data;
    for (int64_t i = 0; i < onnxd_tensor_n_elements(tensor); i++) n += 4 + strings[i].len;
    return n;
}

void v2_tensor_write(struct json_writer *w, const char *name, const onnxd_tensor *tensor, bool binary)
{
    json_begin_object(w);
    json_key(w, "name");
    json_string(w, name);
    json_key(w, "datatype");
    json_string(w, v2_datatype(tensor->type));
    json_key(w, "shape");
    json_begin_array(w);
    for (uint32_t d = 0; d < tensor->rank; d++) json_i64(w, tensor->dims[d]);
    json_end_array(w);
    if (binary) {
        json_key(w, "parameters");
        json_begin_object(w);
        json_key(w, "binary_data_size");
        json_u64(w, v2_binary_bytes(tensor));
        json_end_object(w);
    } else {
        json_key(w, "data");
        json_begin_array(w);
        tensor_json_write_elements(w, tensor->type, tensor->data, (size_t)onnxd_tensor_n_elements(tensor));
        json_end_array(w);
    }
    json_end_object(w);
}

bool v2_binary_append(struct buf *buf, const onnxd_tensor *tensor)
{
    if (tensor->type != ONNXD_STRING) return buf_append(buf, tensor->data, onnxd_tensor_n_bytes(tensor));
    const onnxd_string *strings = tensor->data;
    bool ok = true;
    for (int64_t i = 0; ok && i < onnxd_tensor_n_elements(tensor); i++) {
        uint32_t len = (uint32_t)strings[i].len;
        ok = buf_append(buf, &len, 4) && buf_append(buf, strings[i].data, len);
    }
    return ok;
}
