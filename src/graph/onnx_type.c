#include "graph/onnx_type.h"

#include <string.h>

#include "base/error.h"

static uint32_t symbol_named(struct graph *symbols, const char *name)
{
    for (uint32_t i = 1; i < symbols->n_symbols; i++)
        if (strcmp(symbols->symbols[i], name) == 0) return i;
    return graph_add_symbol(symbols, name);
}

static struct dim read_dimension(const Onnx__TensorShapeProto__Dimension *d, struct graph *symbols)
{
    if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && d->dim_value >= 0)
        return dim_constant(d->dim_value);
    bool named = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
                 d->dim_param != NULL && d->dim_param[0] != 0;
    uint32_t symbol = named ? symbol_named(symbols, d->dim_param) : graph_add_symbol(symbols, NULL);
    return symbol == DIM_UNKNOWN ? dim_unknown() : (struct dim){1, symbol};
}

static onnxd_status read_shape(const Onnx__TensorShapeProto *shape, struct graph *symbols,
                               struct value_info *info, onnxd_error *err)
{
    if (shape == NULL) return ONNXD_OK;
    if (shape->n_dim > ONNXD_MAX_RANK)
        return error_set(err, ONNXD_ERR_LIMIT, "rank %zu, at most %d", shape->n_dim, ONNXD_MAX_RANK);
    info->rank = (int32_t)shape->n_dim;
    for (size_t i = 0; i < shape->n_dim; i++) info->dims[i] = read_dimension(shape->dim[i], symbols);
    return ONNXD_OK;
}

/* The element type inside containers, however deep. */
static onnxd_type innermost(const Onnx__TypeProto *proto)
{
    while (proto != NULL) {
        switch (proto->value_case) {
        case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE: return (onnxd_type)proto->tensor_type->elem_type;
        case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE: proto = proto->sequence_type->elem_type; break;
        case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE: proto = proto->optional_type->elem_type; break;
        case ONNX__TYPE_PROTO__VALUE_MAP_TYPE: proto = proto->map_type->value_type; break;
        default: return ONNXD_UNDEFINED;
        }
    }
    return ONNXD_UNDEFINED;
}

onnxd_status onnx_type_read(const Onnx__TypeProto *proto, struct graph *symbols, struct value_info *ret_info,
                            onnxd_error *err)
{
    struct value_info info = value_info_unknown();
    onnxd_status status = ONNXD_OK;
    if (proto != NULL) {
        switch (proto->value_case) {
        case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
            info.type = (onnxd_type)proto->tensor_type->elem_type;
            status = read_shape(proto->tensor_type->shape, symbols, &info, err);
            break;
        case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE: info.type = ONNXD_SEQUENCE; break;
        case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE: info.type = ONNXD_OPTIONAL; break;
        case ONNX__TYPE_PROTO__VALUE_MAP_TYPE: info.type = ONNXD_MAP; break;
        default: break;
        }
        if (info.type >= ONNXD_SEQUENCE) {
            info.rank = 0;
            info.item_type = innermost(proto);
        }
    }
    if (status == ONNXD_OK) *ret_info = info;
    return status;
}
