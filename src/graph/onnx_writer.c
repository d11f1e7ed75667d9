#include "graph/onnx_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "onnx/onnx.pb-c.h"

void onnx_writer_init(struct onnx_writer *w, const char *graph_name, int64_t opset)
{
    *w = (struct onnx_writer){.opset = opset};
    arena_init(&w->arena, 0);
    w->graph_name = arena_strdup(&w->arena, graph_name);
    w->failed = w->graph_name == NULL;
}

void onnx_writer_done(struct onnx_writer *w)
{
    arena_done(&w->arena);
    free(w->nodes.items);
    free(w->tensors.items);
    free(w->inputs.items);
    free(w->outputs.items);
    free(w->metadata.items);
    *w = (struct onnx_writer){0};
}

/* Zeroed memory that lives as long as the writer, or NULL with the failure noted. */
static void *get(struct onnx_writer *w, size_t n, size_t size)
{
    void *memory = w->failed ? NULL : arena_alloc_array(&w->arena, n, size);
    if (memory == NULL) w->failed = true;
    return memory;
}

static char *copy_text(struct onnx_writer *w, const char *text)
{
    char *copy = w->failed ? NULL : arena_strdup(&w->arena, text);
    if (copy == NULL) w->failed = true;
    return copy;
}

static void append(struct onnx_writer *w, struct onnx_list *list, void *item)
{
    if (w->failed) return;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        void **grown = realloc(list->items, capacity * sizeof *grown);
        if (grown == NULL) {
            w->failed = true;
            return;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->n++] = item;
}

static Onnx__TensorShapeProto *make_shape(struct onnx_writer *w, uint32_t rank, const int64_t *dims,
                                          const char *dim_name)
{
    Onnx__TensorShapeProto *shape = get(w, 1, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **list = get(w, rank, sizeof *list);
    Onnx__TensorShapeProto__Dimension *dim = get(w, rank, sizeof *dim);
    char *name = dim_name == NULL ? NULL : copy_text(w, dim_name);
    if (w->failed) return NULL;
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = rank;
    shape->dim = list;
    for (uint32_t i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&dim[i]);
        list[i] = &dim[i];
        if (dims[i] >= 0) {
            dim[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim[i].dim_value = dims[i];
        } else if (name != NULL) {
            dim[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim[i].dim_param = name;
        }
    }
    return shape;
}

static void add_value(struct onnx_writer *w, struct onnx_list *list, const char *name, onnxd_type type,
                      uint32_t rank, const int64_t *dims, const char *dim_name)
{
    Onnx__ValueInfoProto *value = get(w, 1, sizeof *value);
    Onnx__TypeProto *type_proto = get(w, 1, sizeof *type_proto);
    Onnx__TypeProto__Tensor *tensor = get(w, 1, sizeof *tensor);
    char *copy = copy_text(w, name);
    Onnx__TensorShapeProto *shape = make_shape(w, rank, dims, dim_name);
    if (w->failed) return;
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)type;
    tensor->shape = shape;
    onnx__type_proto__init(type_proto);
    type_proto->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type_proto->tensor_type = tensor;
    onnx__value_info_proto__init(value);
    value->name = copy;
    value->type = type_proto;
    append(w, list, value);
}

void onnx_writer_input(struct onnx_writer *w, const char *name, onnxd_type type, uint32_t rank,
                       const int64_t *dims, const char *dim_name)
{
    add_value(w, &w->inputs, name, type, rank, dims, dim_name);
}

void onnx_writer_output(struct onnx_writer *w, const char *name, onnxd_type type, uint32_t rank,
                        const int64_t *dims, const char *dim_name)
{
    add_value(w, &w->outputs, name, type, rank, dims, dim_name);
}

void onnx_writer_tensor(struct onnx_writer *w, const char *name, onnxd_type type, uint32_t rank,
                        const int64_t *dims, const void *data)
{
    size_t n_bytes = onnxd_type_size(type);
    for (uint32_t i = 0; i < rank; i++)
        if (dims[i] < 0 || !checked_mul_size(n_bytes, (size_t)dims[i], &n_bytes)) w->failed = true;
    Onnx__TensorProto *tensor = get(w, 1, sizeof *tensor);
    int64_t *dims_copy = get(w, rank, sizeof *dims_copy);
    char *copy = copy_text(w, name);
    uint8_t *bytes = get(w, n_bytes, 1);
    if (w->failed) return;
    if (rank > 0) memcpy(dims_copy, dims, rank * sizeof *dims);
    if (n_bytes > 0) memcpy(bytes, data, n_bytes);
    onnx__tensor_proto__init(tensor);
    tensor->name = copy;
    tensor->n_dims = rank;
    tensor->dims = dims_copy;
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)type;
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){.len = n_bytes, .data = bytes};
    append(w, &w->tensors, tensor);
}

/* Cuts a copy of the text at its blanks. */
static char **split_names(struct onnx_writer *w, const char *text, size_t *ret_n)
{
    char *copy = copy_text(w, text);
    size_t n = *text != 0;
    for (const char *c = text; *c != 0; c++) n += *c == ' ';
    char **names = get(w, n, sizeof *names);
    if (w->failed) return NULL;
    for (size_t i = 0; i < n; i++) {
        names[i] = copy;
        copy += strcspn(copy, " ");
        *copy++ = 0;
        if (strcmp(names[i], "-") == 0) names[i][0] = 0;
    }
    *ret_n = n;
    return names;
}

void onnx_writer_node(struct onnx_writer *w, const char *op, const char *name, const char *inputs,
                      const char *outputs)
{
    Onnx__NodeProto *node = get(w, 1, sizeof *node);
    if (w->failed) return;
    onnx__node_proto__init(node);
    node->op_type = copy_text(w, op);
    node->name = copy_text(w, name);
    node->input = split_names(w, inputs, &node->n_input);
    node->output = split_names(w, outputs, &node->n_output);
    append(w, &w->nodes, node);
}

/* A new attribute of the latest node. */
static Onnx__AttributeProto *add_attribute(struct onnx_writer *w, const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attribute = get(w, 1, sizeof *attribute);
    char *copy = copy_text(w, name);
    if (w->failed || w->nodes.n == 0) {
        w->failed = true;
        return NULL;
    }
    Onnx__NodeProto *node = w->nodes.items[w->nodes.n - 1];
    Onnx__AttributeProto **list = get(w, node->n_attribute + 1, sizeof *list);
    if (w->failed) return NULL;
    for (size_t i = 0; i < node->n_attribute; i++) list[i] = node->attribute[i];
    onnx__attribute_proto__init(attribute);
    attribute->name = copy;
    attribute->has_type = 1;
    attribute->type = type;
    list[node->n_attribute++] = attribute;
    node->attribute = list;
    return attribute;
}

void onnx_writer_attr_int(struct onnx_writer *w, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = add_attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (attribute == NULL) return;
    attribute->has_i = 1;
    attribute->i = value;
}

void onnx_writer_attr_float(struct onnx_writer *w, const char *name, float value)
{
    Onnx__AttributeProto *attribute = add_attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (attribute == NULL) return;
    attribute->has_f = 1;
    attribute->f = value;
}

void onnx_writer_attr_ints(struct onnx_writer *w, const char *name, const int64_t *values, size_t n)
{
    int64_t *copy = get(w, n, sizeof *copy);
    Onnx__AttributeProto *attribute = add_attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    if (attribute == NULL) return;
    if (n > 0) memcpy(copy, values, n * sizeof *copy);
    attribute->n_ints = n;
    attribute->ints = copy;
}

void onnx_writer_attr_string(struct onnx_writer *w, const char *name, const char *value)
{
    char *copy = copy_text(w, value);
    Onnx__AttributeProto *attribute = add_attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    if (attribute == NULL) return;
    attribute->has_s = 1;
    attribute->s = (ProtobufCBinaryData){.len = strlen(copy), .data = (uint8_t *)copy};
}

void onnx_writer_metadata(struct onnx_writer *w, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = get(w, 1, sizeof *entry);
    if (w->failed) return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = copy_text(w, key);
    entry->value = copy_text(w, value);
    append(w, &w->metadata, entry);
}

onnxd_status onnx_writer_finish(struct onnx_writer *w, struct buf *out, onnxd_error *err)
{
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
    char *name = copy_text(w, w->graph_name == NULL ? "" : w->graph_name);
    char *producer = copy_text(w, "onnxd"), *version = copy_text(w, ONNXD_VERSION),
         *domain = copy_text(w, "");
    if (w->failed) return error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory to write the model");
    graph.name = name;
    graph.n_node = w->nodes.n;
    graph.node = (Onnx__NodeProto **)w->nodes.items;
    graph.n_initializer = w->tensors.n;
    graph.initializer = (Onnx__TensorProto **)w->tensors.items;
    graph.n_input = w->inputs.n;
    graph.input = (Onnx__ValueInfoProto **)w->inputs.items;
    graph.n_output = w->outputs.n;
    graph.output = (Onnx__ValueInfoProto **)w->outputs.items;
    opset.domain = domain;
    opset.has_version = 1;
    opset.version = w->opset;
    model.has_ir_version = 1;
    model.ir_version = 8;
    model.n_opset_import = 1;
    model.opset_import = opsets;
    model.producer_name = producer;
    model.producer_version = version;
    model.graph = &graph;
    model.n_metadata_props = w->metadata.n;
    model.metadata_props = (Onnx__StringStringEntryProto **)w->metadata.items;
    size_t n = onnx__model_proto__get_packed_size(&model);
    if (!buf_reserve(out, n))
        return error_set(err, ONNXD_ERR_LIMIT, "onnx: a model of %zu bytes does not fit its buffer", n);
    onnx__model_proto__pack(&model, (uint8_t *)out->data + out->n);
    out->n += n;
    return ONNXD_OK;
}
