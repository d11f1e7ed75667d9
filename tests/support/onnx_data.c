#include "support/onnx_data.h"

#include <string.h>

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

enum { MAX_NESTED = 8 };

/* ---- tensors ------------------------------------------------------------------------------------- */

/* Copies n elements of a repeated field into elements of `size` bytes, little-endian. */
static onnxd_status copy_field(void *to, size_t size, const void *field, size_t field_size, size_t n_field,
                               size_t n, onnxd_error *err)
{
    if (n_field != n)
        return error_set(err, ONNXD_ERR_FORMAT, "tensor has %zu values, its shape says %zu", n_field, n);
    for (size_t i = 0; i < n; i++) memcpy((char *)to + i * size, (const char *)field + i * field_size, size);
    return ONNXD_OK;
}

static onnxd_status copy_strings(struct arena *arena, const Onnx__TensorProto *proto, onnxd_string *to,
                                 size_t n, onnxd_error *err)
{
    if (proto->n_string_data != n)
        return error_set(err, ONNXD_ERR_FORMAT, "tensor has %zu strings, its shape says %zu",
                         proto->n_string_data, n);
    for (size_t i = 0; i < n; i++) {
        to[i].len = proto->string_data[i].len;
        to[i].data = arena_memdup(arena, proto->string_data[i].data, to[i].len);
        if (to[i].data == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a string");
    }
    return ONNXD_OK;
}

static onnxd_status copy_elements(const Onnx__TensorProto *proto, onnxd_type type, void *to, size_t n,
                                  onnxd_error *err)
{
    size_t size = type_size(type);
    if (proto->has_raw_data)
        return copy_field(to, 1, proto->raw_data.data, 1, proto->raw_data.len, n * size, err);
    switch (type) {
    case ONNXD_FLOAT32: return copy_field(to, 4, proto->float_data, 4, proto->n_float_data, n, err);
    case ONNXD_COMPLEX64: return copy_field(to, 4, proto->float_data, 4, proto->n_float_data, 2 * n, err);
    case ONNXD_FLOAT64: return copy_field(to, 8, proto->double_data, 8, proto->n_double_data, n, err);
    case ONNXD_COMPLEX128: return copy_field(to, 8, proto->double_data, 8, proto->n_double_data, 2 * n, err);
    case ONNXD_INT64: return copy_field(to, 8, proto->int64_data, 8, proto->n_int64_data, n, err);
    case ONNXD_UINT32:
    case ONNXD_UINT64: return copy_field(to, size, proto->uint64_data, 8, proto->n_uint64_data, n, err);
    default: return copy_field(to, size, proto->int32_data, 4, proto->n_int32_data, n, err);
    }
}

onnxd_status onnx_data_tensor(struct arena *arena, const Onnx__TensorProto *proto, onnxd_tensor *ret_tensor,
                              onnxd_error *err)
{
    onnxd_tensor tensor = {.type = (onnxd_type)proto->data_type, .rank = (uint32_t)proto->n_dims};
    size_t n_bytes;
    if (proto->n_dims > ONNXD_MAX_RANK)
        return error_set(err, ONNXD_ERR_FORMAT, "tensor of rank %zu", proto->n_dims);
    if (proto->n_dims > 0) memcpy(tensor.dims, proto->dims, proto->n_dims * sizeof *proto->dims);
    if (!shape_n_bytes(tensor.type, tensor.dims, tensor.rank, &n_bytes))
        return error_set(err, ONNXD_ERR_FORMAT, "tensor of type %d with a wild shape", (int)tensor.type);
    tensor.data = arena_alloc(arena, n_bytes);
    if (tensor.data == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for %zu bytes", n_bytes);
    size_t n = (size_t)onnxd_tensor_n_elements(&tensor);
    onnxd_status status = tensor.type == ONNXD_STRING
                              ? copy_strings(arena, proto, tensor.data, n, err)
                              : copy_elements(proto, tensor.type, tensor.data, n, err);
    if (status == ONNXD_OK) *ret_tensor = tensor;
    return status;
}

static onnxd_status read_tensor(struct arena *arena, const void *bytes, size_t n_bytes, onnxd_type declared,
                                onnxd_tensor *ret_tensor, onnxd_error *err)
{
    Onnx__TensorProto *proto = onnx__tensor_proto__unpack(NULL, n_bytes, bytes);
    if (proto == NULL) return error_set(err, ONNXD_ERR_FORMAT, "not a TensorProto");
    onnxd_status status = onnx_data_tensor(arena, proto, ret_tensor, err);
    onnx__tensor_proto__free_unpacked(proto, NULL);
    if (status == ONNXD_OK && declared == ONNXD_BFLOAT16 && ret_tensor->type == ONNXD_UINT16)
        ret_tensor->type = ONNXD_BFLOAT16;
    return status;
}

/* ---- SequenceProto and OptionalProto: their definition (onnx-data.proto) is not packaged ----------- */

/* Both: string name = 1; int32 elem_type = 2; then one field for each kind of value, of these numbers. */
enum { SEQUENCE_TENSORS = 3, SEQUENCE_SEQUENCES = 5, OPTIONAL_TENSOR = 3, OPTIONAL_SEQUENCE = 5 };

struct wire {
    const uint8_t *at, *end;
};

static bool read_varint(struct wire *wire, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* The next field; a message is left in *ret_body. False at the end or when malformed. */
static bool read_field(struct wire *wire, uint32_t *ret_number, struct wire *ret_body)
{
    uint64_t key, n;
    if (!read_varint(wire, &key) || !read_varint(wire, &n)) return false;
    *ret_number = (uint32_t)(key >> 3);
    *ret_body = (struct wire){wire->at, wire->at};
    if ((key & 7) == 0) return true;
    if ((key & 7) != 2 || n > (uint64_t)(wire->end - wire->at)) return false;
    ret_body->end = wire->at + n;
    wire->at += n;
    return true;
}

static onnxd_status read_value(struct arena *arena, struct wire wire, const Onnx__TypeProto *type, int depth,
                               onnxd_tensor *ret_value, onnxd_error *err);

static onnxd_type type_of(const Onnx__TypeProto *type)
{
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE: return (onnxd_type)type->tensor_type->elem_type;
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE: return ONNXD_SEQUENCE;
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE: return ONNXD_OPTIONAL;
    default: return ONNXD_MAP;
    }
}

static onnxd_status read_sequence(struct arena *arena, struct wire wire, const Onnx__TypeProto *item,
                                  int depth, onnxd_tensor *ret_value, onnxd_error *err)
{
    uint32_t number;
    struct wire body, again = wire;
    size_t n = 0;
    while (read_field(&again, &number, &body))
        n += number == SEQUENCE_TENSORS || number == SEQUENCE_SEQUENCES;
    onnxd_sequence *sequence = arena_alloc_zeroed(arena, sizeof *sequence);
    onnxd_tensor *items = arena_alloc_array(arena, n, sizeof *items);
    if (sequence == NULL || items == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory");
    *sequence = (onnxd_sequence){.items = items, .item_type = type_of(item)};
    while (read_field(&wire, &number, &body)) {
        if (number != SEQUENCE_TENSORS && number != SEQUENCE_SEQUENCES) continue;
        onnxd_status status = read_value(arena, body, item, depth + 1, &items[sequence->n++], err);
        if (status != ONNXD_OK) return status;
    }
    if (wire.at != wire.end) return error_set(err, ONNXD_ERR_FORMAT, "not a SequenceProto");
    *ret_value = (onnxd_tensor){.type = ONNXD_SEQUENCE, .data = sequence};
    return ONNXD_OK;
}

static onnxd_status read_optional(struct arena *arena, struct wire wire, const Onnx__TypeProto *item,
                                  int depth, onnxd_tensor *ret_value, onnxd_error *err)
{
    uint32_t number;
    struct wire body;
    onnxd_optional *optional = arena_alloc_zeroed(arena, sizeof *optional);
    onnxd_tensor *value = arena_alloc_zeroed(arena, sizeof *value);
    if (optional == NULL || value == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory");
    optional->item_type = type_of(item);
    while (read_field(&wire, &number, &body)) {
        if (number != OPTIONAL_TENSOR && number != OPTIONAL_SEQUENCE) continue;
        onnxd_status status = read_value(arena, body, item, depth + 1, value, err);
        if (status != ONNXD_OK) return status;
        optional->value = value;
    }
    if (wire.at != wire.end) return error_set(err, ONNXD_ERR_FORMAT, "not an OptionalProto");
    *ret_value = (onnxd_tensor){.type = ONNXD_OPTIONAL, .data = optional};
    return ONNXD_OK;
}

static onnxd_status read_value(struct arena *arena, struct wire wire, const Onnx__TypeProto *type, int depth,
                               onnxd_tensor *ret_value, onnxd_error *err)
{
    if (depth > MAX_NESTED) return error_set(err, ONNXD_ERR_FORMAT, "nested too deeply");
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return read_tensor(arena, wire.at, (size_t)(wire.end - wire.at),
                           (onnxd_type)type->tensor_type->elem_type, ret_value, err);
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return read_sequence(arena, wire, type->sequence_type->elem_type, depth, ret_value, err);
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return read_optional(arena, wire, type->optional_type->elem_type, depth, ret_value, err);
    default: return error_set(err, ONNXD_ERR_FORMAT, "declared type of kind %d", (int)type->value_case);
    }
}

onnxd_status onnx_data_value(struct arena *arena, const void *bytes, size_t n_bytes,
                             const Onnx__TypeProto *type, onnxd_tensor *ret_value, onnxd_error *err)
{
    struct wire wire = {bytes, (const uint8_t *)bytes + n_bytes};
    return read_value(arena, wire, type, 0, ret_value, err);
}
