#include "engine/ort_values.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "ops/op.h"
#include "tensor/dtype.h"

/* Containers in containers; ONNX's own types go two deep. */
enum { MAX_NESTING = 4 };

/* ---- in ------------------------------------------------------------------------------------------ */

static onnxd_status fill_strings(const struct ort *ort, const onnxd_tensor *tensor, struct ort_value *value,
                                 onnxd_error *err)
{
    const onnxd_string *strings = tensor->data;
    size_t n = (size_t)onnxd_tensor_n_elements(tensor);
    for (size_t i = 0; i < n; i++) {
        char *place = NULL;
        onnxd_status status = ort_check(ort, ort->string_buffer(value, i, strings[i].len, &place), err);
        if (status != ONNXD_OK) return status;
        if (strings[i].len > 0) memcpy(place, strings[i].data, strings[i].len);
    }
    return ONNXD_OK;
}

static onnxd_status value_of_strings(const struct ort *ort, const onnxd_tensor *tensor,
                                     struct ort_value **ret_value, onnxd_error *err)
{
    onnxd_status status = ort_check(
        ort, ort->create_tensor(ort->allocator, tensor->dims, tensor->rank, ONNXD_STRING, ret_value), err);
    return status == ONNXD_OK ? fill_strings(ort, tensor, *ret_value, err) : status;
}

static onnxd_status value_of_sequence(const struct ort *ort, const onnxd_sequence *sequence,
                                      struct ort_value **ret_value, onnxd_error *err)
{
    struct ort_value **items = calloc(sequence->n + 1, sizeof *items);
    if (items == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a sequence");
    onnxd_status status = ONNXD_OK;
    for (size_t i = 0; i < sequence->n && status == ONNXD_OK; i++)
        status = type_is_container(sequence->items[i].type)
                     ? error_set(err, ONNXD_ERR_UNSUPPORTED,
                                 "engine 'onnxruntime' takes sequences of tensors only")
                     : ort_value_of_tensor(ort, &sequence->items[i], &items[i], err);
    if (status == ONNXD_OK)
        status = ort_check(ort,
                           ort->create_container((const struct ort_value *const *)items, sequence->n,
                                                 ORT_SEQUENCE, ret_value),
                           err);
    for (size_t i = 0; i < sequence->n; i++)
        if (items[i] != NULL) ort->release_value(items[i]); /* the sequence holds its own references */
    free(items);
    return status;
}

static onnxd_status value_of_numbers(const struct ort *ort, const onnxd_tensor *tensor,
                                     struct ort_value **ret_value, onnxd_error *err)
{
    static char nothing[64]; /* stands for the data of a tensor without elements */
    size_t n_bytes = onnxd_tensor_n_bytes(tensor);
    return ort_check(ort,
                     ort->create_tensor_with_data(ort->memory, n_bytes > 0 ? tensor->data : nothing, n_bytes,
                                                  tensor->dims, tensor->rank, (int)tensor->type, ret_value),
                     err);
}

onnxd_status ort_value_of_tensor(const struct ort *ort, const onnxd_tensor *tensor,
                                 struct ort_value **ret_value, onnxd_error *err)
{
    struct ort_value *value = NULL;
    onnxd_status status;
    bool is_other = type_is_container(tensor->type) || tensor->type == ONNXD_INT4 ||
                    tensor->type == ONNXD_UINT4;
    if (tensor->type == ONNXD_STRING)
        status = value_of_strings(ort, tensor, &value, err);
    else if (tensor->type == ONNXD_SEQUENCE)
        status = value_of_sequence(ort, tensor->data, &value, err);
    else if (is_other)
        status = error_set(err, ONNXD_ERR_UNSUPPORTED, "engine 'onnxruntime' takes no %s",
                           onnxd_type_name(tensor->type));
    else
        status = value_of_numbers(ort, tensor, &value, err);
    if (status == ONNXD_OK)
        *ret_value = value;
    else if (value != NULL)
        ort->release_value(value);
    return status;
}

/* ---- out ----------------------------------------------------------------------------------------- */

static onnxd_status no_room(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_LIMIT, "the outputs pass the session's memory limit");
}

static onnxd_status read_strings(const struct ort *ort, struct ort_value *value, struct arena *arena,
                                 onnxd_tensor *tensor, onnxd_error *err)
{
    size_t n = (size_t)onnxd_tensor_n_elements(tensor), n_bytes = 0;
    onnxd_status status = ort_check(ort, ort->strings_bytes(value, &n_bytes), err);
    if (status != ONNXD_OK) return status;
    char *bytes = arena_alloc(arena, n_bytes + 1);
    size_t *offsets = arena_alloc_array(arena, n + 1, sizeof *offsets);
    onnxd_string *strings = arena_alloc_array(arena, n + 1, sizeof *strings);
    if (bytes == NULL || offsets == NULL || strings == NULL) return no_room(err);
    if (n > 0) status = ort_check(ort, ort->strings_content(value, bytes, n_bytes, offsets, n), err);
    if (status != ONNXD_OK) return status;
    offsets[n] = n_bytes;
    for (size_t i = 0; i < n; i++)
        strings[i] = (onnxd_string){bytes + offsets[i], offsets[i + 1] - offsets[i]};
    tensor->data = strings;
    return ONNXD_OK;
}

static onnxd_status read_shape(const struct ort *ort, const struct ort_tensor_info *info,
                               onnxd_tensor *tensor, onnxd_error *err)
{
    int type = 0;
    size_t rank = 0;
    onnxd_status status = ort_check(ort, ort->element_type(info, &type), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->n_dims(info, &rank), err);
    if (status != ONNXD_OK) return status;
    *tensor = (onnxd_tensor){.type = (onnxd_type)type, .rank = (uint32_t)rank};
    if (rank > ONNXD_MAX_RANK)
        return error_set(err, ONNXD_ERR_LIMIT, "an output has %zu dimensions, at most %d are allowed", rank,
                         ONNXD_MAX_RANK);
    bool usable = type == ONNXD_STRING ||
                  (onnxd_type_size((onnxd_type)type) > 0 && type != ONNXD_INT4 && type != ONNXD_UINT4);
    if (!usable)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "an output has element type %d, which is not supported",
                         type);
    return rank > 0 ? ort_check(ort, ort->dims(info, tensor->dims, rank), err) : ONNXD_OK;
}

static onnxd_status read_tensor(const struct ort *ort, struct ort_value *value, struct arena *arena,
                                onnxd_tensor *tensor, onnxd_error *err)
{
    struct ort_tensor_info *info = NULL;
    onnxd_status status = ort_check(ort, ort->tensor_info(value, &info), err);
    if (status != ONNXD_OK) return status;
    status = read_shape(ort, info, tensor, err);
    ort->release_tensor_info(info);
    if (status != ONNXD_OK) return status;
    if (tensor->type == ONNXD_STRING) return read_strings(ort, value, arena, tensor, err);
    return ort_check(ort, ort->tensor_data(value, &tensor->data), err);
}

static onnxd_status read_value(const struct ort *ort, struct ort_value *value, struct arena *arena,
                               unsigned depth, onnxd_tensor *tensor, onnxd_error *err);

/* Item i of a container; it is a value of its own whose numbers are copied before it goes. */
static onnxd_status read_item(const struct ort *ort, const struct ort_value *value, size_t i,
                              struct arena *arena, unsigned depth, onnxd_tensor *tensor, onnxd_error *err)
{
    struct ort_value *item = NULL;
    onnxd_tensor view;
    onnxd_status status = ort_check(ort, ort->get_item(value, (int)i, ort->allocator, &item), err);
    if (status == ONNXD_OK) status = read_value(ort, item, arena, depth + 1, &view, err);
    if (status == ONNXD_OK) status = op_copy_tensor(arena, &view, tensor, err);
    if (item != NULL) ort->release_value(item);
    return status;
}

static onnxd_status read_sequence(const struct ort *ort, struct ort_value *value, struct arena *arena,
                                  unsigned depth, onnxd_tensor *tensor, onnxd_error *err)
{
    size_t n = 0;
    onnxd_status status = ort_check(ort, ort->count_items(value, &n), err);
    if (status != ONNXD_OK) return status;
    if (n > INT32_MAX) return error_set(err, ONNXD_ERR_LIMIT, "an output is a sequence of %zu items", n);
    onnxd_sequence *sequence = arena_alloc_zeroed(arena, sizeof *sequence);
    onnxd_tensor *items = arena_alloc_array(arena, n + 1, sizeof *items);
    if (sequence == NULL || items == NULL) return no_room(err);
    for (size_t i = 0; i < n && status == ONNXD_OK; i++)
        status = read_item(ort, value, i, arena, depth, &items[i], err);
    *sequence = (onnxd_sequence){
        .n = n, .items = items, .item_type = n > 0 ? items[0].type : ONNXD_UNDEFINED};
    *tensor = (onnxd_tensor){.type = ONNXD_SEQUENCE, .data = sequence};
    return status;
}

static onnxd_status read_map(const struct ort *ort, struct ort_value *value, struct arena *arena,
                             unsigned depth, onnxd_tensor *tensor, onnxd_error *err)
{
    onnxd_map *map = arena_alloc_zeroed(arena, sizeof *map);
    if (map == NULL) return no_room(err);
    onnxd_status status = read_item(ort, value, 0, arena, depth, &map->keys, err);
    if (status == ONNXD_OK) status = read_item(ort, value, 1, arena, depth, &map->values, err);
    *tensor = (onnxd_tensor){.type = ONNXD_MAP, .data = map};
    return status;
}

static onnxd_status read_nothing(struct arena *arena, onnxd_tensor *tensor, onnxd_error *err)
{
    onnxd_optional *empty = arena_alloc_zeroed(arena, sizeof *empty);
    if (empty == NULL) return no_room(err);
    *tensor = (onnxd_tensor){.type = ONNXD_OPTIONAL, .data = empty};
    return ONNXD_OK;
}

static onnxd_status read_value(const struct ort *ort, struct ort_value *value, struct arena *arena,
                               unsigned depth, onnxd_tensor *tensor, onnxd_error *err)
{
    int kind = ORT_UNKNOWN, has_value = 0;
    if (depth > MAX_NESTING) return error_set(err, ONNXD_ERR_LIMIT, "an output is nested too deeply");
    onnxd_status status = ort_check(ort, ort->has_value(value, &has_value), err);
    if (status == ONNXD_OK && !has_value) return read_nothing(arena, tensor, err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->kind_of_value(value, &kind), err);
    if (status != ONNXD_OK) return status;
    switch (kind) {
    case ORT_TENSOR: return read_tensor(ort, value, arena, tensor, err);
    case ORT_SEQUENCE: return read_sequence(ort, value, arena, depth, tensor, err);
    case ORT_MAP: return read_map(ort, value, arena, depth, tensor, err);
    default:
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "an output is of a kind that is not supported (%d)",
                         kind);
    }
}

onnxd_status ort_tensor_of_value(const struct ort *ort, struct ort_value *value, struct arena *arena,
                                 onnxd_tensor *ret_tensor, onnxd_error *err)
{
    return read_value(ort, value, arena, 0, ret_tensor, err);
}
