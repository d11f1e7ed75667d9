#include "graph/onnx_attribute.h"

#include <string.h>

#include "base/error.h"
#include "graph/onnx_tensor.h"
#include "graph/onnx_type.h"

const Onnx__AttributeProto *onnx_attribute_resolve(const Onnx__AttributeProto *proto,
                                                   struct onnx_scope **scope)
{
    while (proto->ref_attr_name != NULL && proto->ref_attr_name[0] != 0) {
        const Onnx__NodeProto *call = (*scope)->call;
        const Onnx__AttributeProto *found = NULL;
        for (size_t i = 0; call != NULL && i < call->n_attribute && found == NULL; i++)
            if (call->attribute[i]->name != NULL &&
                strcmp(call->attribute[i]->name, proto->ref_attr_name) == 0)
                found = call->attribute[i];
        if (found == NULL) return NULL;
        proto = found;
        *scope = (*scope)->call_scope;
    }
    return proto;
}

/* The kind: said since IR version 2, found by what is present before. */
static Onnx__AttributeProto__AttributeType kind_of(const Onnx__AttributeProto *a)
{
    if (a->has_type && a->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) return a->type;
    if (a->has_f) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    if (a->has_i) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (a->has_s) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    if (a->t != NULL) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    if (a->g != NULL) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    if (a->n_floats > 0) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    if (a->n_strings > 0) return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
    return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
}

static bool copy_string(struct arena *arena, const ProtobufCBinaryData *from, onnxd_string *to)
{
    char *copy = arena_strndup(arena, (const char *)from->data, from->len);
    *to = (onnxd_string){copy, from->len};
    return copy != NULL;
}

static bool copy_list(struct arena *arena, const void *from, size_t n, size_t size, const void **to)
{
    *to = arena_memdup(arena, from, n * size);
    return *to != NULL;
}

static bool copy_strings(struct arena *arena, const Onnx__AttributeProto *proto, struct attribute *a)
{
    onnxd_string *strings = arena_alloc_array(arena, proto->n_strings, sizeof *strings);
    bool ok = strings != NULL;
    for (size_t i = 0; ok && i < proto->n_strings; i++)
        ok = copy_string(arena, &proto->strings[i], &strings[i]);
    a->n = proto->n_strings;
    a->strings = strings;
    return ok;
}

onnxd_status onnx_attribute_read(const Onnx__AttributeProto *proto, const char *folder, struct graph *symbols,
                                 struct arena *arena, struct attribute *ret, onnxd_error *err)
{
    struct attribute a = {0};
    onnxd_status status = ONNXD_OK;
    bool room = true;
    switch (kind_of(proto)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        a.kind = ATTRIBUTE_FLOAT;
        a.f = proto->f;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        a.kind = ATTRIBUTE_INT;
        a.i = proto->i;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        a.kind = ATTRIBUTE_STRING;
        room = copy_string(arena, &proto->s, &a.s);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR: {
        onnxd_tensor *tensor = NULL;
        a.kind = ATTRIBUTE_TENSOR;
        if (proto->t != NULL)
            status = onnx_tensor_read(proto->t, folder, arena, &tensor, err);
        else if (proto->sparse_tensor != NULL)
            status = onnx_sparse_tensor_read(proto->sparse_tensor, folder, arena, &tensor, err);
        else
            status = error_set(err, ONNXD_ERR_MODEL, "attribute '%.100s' holds no tensor", proto->name);
        a.tensor = tensor;
        break;
    }
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH: a.kind = ATTRIBUTE_GRAPH; break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        a.kind = ATTRIBUTE_FLOATS;
        a.n = proto->n_floats;
        room = copy_list(arena, proto->floats, a.n, sizeof *a.floats, (const void **)&a.floats);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        a.kind = ATTRIBUTE_INTS;
        a.n = proto->n_ints;
        room = copy_list(arena, proto->ints, a.n, sizeof *a.ints, (const void **)&a.ints);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        a.kind = ATTRIBUTE_STRINGS;
        room = copy_strings(arena, proto, &a);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO: {
        struct value_info *type = arena_alloc_zeroed(arena, sizeof *type);
        a.kind = ATTRIBUTE_TYPE;
        room = type != NULL;
        if (room) status = onnx_type_read(proto->tp, symbols, type, err);
        a.type = type;
        break;
    }
    default:
        status = error_set(err, ONNXD_ERR_UNSUPPORTED, "attribute '%.100s': its kind %d is not supported",
                           proto->name, (int)proto->type);
    }
    if (!room)
        status = error_set(err, ONNXD_ERR_LIMIT, "attribute '%.100s' does not fit the memory limit",
                           proto->name);
    if (status == ONNXD_OK) *ret = a;
    return status;
}
