#include "ctr/ctr_shape.h"

#include <stdlib.h>

#include "base/error.h"

static onnxd_status check(const struct ctr_shape *shape, onnxd_error *err)
{
    uint64_t n_rows = 0, n_values = ctr_shape_value_at(shape, shape->n_fields + shape->n_factors);
    for (uint32_t i = 0; i < shape->n_fields + shape->n_factors; i++) n_rows += shape->fields[i].n_ids;
    if (n_rows > UINT32_MAX / 2 || n_values > 1 << 20)
        return error_set(err, ONNXD_ERR_LIMIT, "model: %llu ids and %llu inputs are too many",
                         (unsigned long long)n_rows, (unsigned long long)n_values);
    return ONNXD_OK;
}

/* The fields, then the fields of the crosses again. */
static bool lay_fields(struct ctr_shape *shape, const struct ctr_field *fields)
{
    struct ctr_field *at;
    for (uint32_t i = 0; i < shape->net.n_crosses; i++) shape->n_factors += shape->net.crosses[i].n;
    at = shape->fields = arena_alloc_array(&shape->arena, shape->n_fields + shape->n_factors, sizeof *fields);
    if (at == NULL) return false;
    for (uint32_t i = 0; i < shape->n_fields; i++, at++) {
        *at = fields[i];
        at->name = arena_strdup(&shape->arena, fields[i].name);
        if (at->name == NULL) return false;
    }
    for (uint32_t i = 0; i < shape->net.n_crosses; i++)
        for (uint32_t j = 0; j < shape->net.crosses[i].n; j++)
            *at++ = shape->fields[shape->net.crosses[i].fields[j]];
    return true;
}

static void count(struct ctr_shape *shape)
{
    for (uint32_t i = 0; i < shape->n_fields + shape->n_factors; i++) {
        struct ctr_field *field = &shape->fields[i];
        field->first_row = shape->n_rows;
        field->first_place = shape->n_places;
        shape->n_rows += field->n_ids;
        shape->n_places += field->n_slots;
        if (i < shape->n_fields) shape->first_dense = shape->n_places;
    }
    shape->n_columns = shape->first_dense + shape->n_dense;
}

onnxd_status ctr_shape_make(struct ctr_shape *ret_shape, const struct ctr_field *fields, uint32_t n_fields,
                            uint32_t n_dense, const struct ctr_network *network, onnxd_error *err)
{
    struct ctr_shape shape = {.net = *network, .n_fields = n_fields, .n_dense = n_dense};
    if (n_fields == 0 && n_dense == 0) return error_set(err, ONNXD_ERR_RANGE, "model: no features");
    onnxd_status status = ctr_network_check(network, n_fields, err);
    if (status != ONNXD_OK) return status;
    arena_init(&shape.arena, 0);
    if (!lay_fields(&shape, fields))
        status = error_set(err, ONNXD_ERR_NOMEM, "model: no memory for %u fields", n_fields);
    if (status == ONNXD_OK) status = check(&shape, err);
    if (status != ONNXD_OK) {
        arena_done(&shape.arena);
        return status;
    }
    count(&shape);
    *ret_shape = shape;
    return ONNXD_OK;
}

onnxd_status ctr_shape_init(struct ctr_shape *ret_shape, const struct feature_set *set,
                            const struct ctr_network *network, onnxd_error *err)
{
    uint32_t n_features = feature_set_n_features(set), n_fields = 0, n_dense = 0;
    struct ctr_field *fields = calloc(n_features + 1, sizeof *fields);
    if (fields == NULL) return error_set(err, ONNXD_ERR_NOMEM, "model: no memory for its fields");
    for (uint32_t i = 0; i < n_features; i++) {
        const struct feature_info *info = feature_set_info(set, i);
        if (info->kind == FEATURE_NUMBER) {
            n_dense++;
            continue;
        }
        fields[n_fields++] = (struct ctr_field){
            .name = info->name,
            .first_column = info->first_column,
            .n_slots = info->n_columns,
            .n_ids = info->n_ids,
            .padding_id = info->kind == FEATURE_CATEGORIES ? info->padding_id : FEATURE_NO_ID};
    }
    onnxd_status status = ctr_shape_make(ret_shape, fields, n_fields, n_dense, network, err);
    free(fields);
    return status;
}

void ctr_shape_done(struct ctr_shape *shape)
{
    arena_done(&shape->arena);
    *shape = (struct ctr_shape){0};
}

void ctr_shape_save(const struct ctr_shape *shape, struct buf *out)
{
    bytes_put_u32(out, shape->n_fields);
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        const struct ctr_field *f = &shape->fields[i];
        bytes_put_u32(out, f->first_column);
        bytes_put_u32(out, f->n_slots);
        bytes_put_u32(out, f->n_ids);
        bytes_put_u32(out, f->padding_id);
    }
    bytes_put_u32(out, shape->n_dense);
    ctr_network_save(&shape->net, out);
}
