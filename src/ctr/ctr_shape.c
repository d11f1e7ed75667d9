#include "ctr/ctr_shape.h"

#include <stdlib.h>

#include "base/error.h"

static onnxd_status check(const struct ctr_field *fields, uint32_t n_fields, uint32_t n_dense,
                          uint32_t embedding, const uint32_t *hidden, uint32_t n_hidden, onnxd_error *err)
{
    uint64_t n_rows = 0, n_inputs = (uint64_t)n_fields * embedding + n_dense;
    if (n_fields == 0 && n_dense == 0) return error_set(err, ONNXD_ERR_RANGE, "model: no features");
    if (embedding < 1 || embedding > CTR_MAX_EMBEDDING)
        return error_set(err, ONNXD_ERR_RANGE, "embedding: expected 1 to %d, got %u", CTR_MAX_EMBEDDING,
                         embedding);
    if (n_hidden > CTR_MAX_HIDDEN)
        return error_set(err, ONNXD_ERR_RANGE, "hidden layers: at most %d, got %u", CTR_MAX_HIDDEN, n_hidden);
    for (uint32_t i = 0; i < n_hidden; i++)
        if (hidden[i] < 1 || hidden[i] > CTR_MAX_WIDTH)
            return error_set(err, ONNXD_ERR_RANGE, "hidden layer %u: expected 1 to %d units, got %u", i + 1,
                             CTR_MAX_WIDTH, hidden[i]);
    for (uint32_t i = 0; i < n_fields; i++) n_rows += fields[i].n_ids;
    if (n_rows > UINT32_MAX / 2 || n_inputs > 1 << 20)
        return error_set(err, ONNXD_ERR_LIMIT, "model: %llu ids and %llu inputs are too many",
                         (unsigned long long)n_rows, (unsigned long long)n_inputs);
    return ONNXD_OK;
}

onnxd_status ctr_shape_make(struct ctr_shape *ret_shape, const struct ctr_field *fields, uint32_t n_fields,
                            uint32_t n_dense, uint32_t embedding, const uint32_t *hidden, uint32_t n_hidden,
                            onnxd_error *err)
{
    onnxd_status status = check(fields, n_fields, n_dense, embedding, hidden, n_hidden, err);
    if (status != ONNXD_OK) return status;
    struct ctr_shape shape = {
        .n_fields = n_fields, .n_dense = n_dense, .embedding = embedding, .n_hidden = n_hidden};
    arena_init(&shape.arena, 0);
    shape.fields = arena_alloc_array(&shape.arena, n_fields, sizeof *fields);
    if (shape.fields == NULL) goto no_memory;
    for (uint32_t i = 0; i < n_fields; i++) {
        shape.fields[i] = fields[i];
        shape.fields[i].name = arena_strdup(&shape.arena, fields[i].name);
        if (shape.fields[i].name == NULL) goto no_memory;
        shape.fields[i].first_row = shape.n_rows;
        shape.n_rows += fields[i].n_ids;
        shape.first_dense += fields[i].n_slots;
    }
    shape.n_columns = shape.first_dense + n_dense;
    for (uint32_t i = 0; i < n_hidden; i++) shape.hidden[i] = hidden[i];
    *ret_shape = shape;
    return ONNXD_OK;
no_memory:
    arena_done(&shape.arena);
    return error_set(err, ONNXD_ERR_NOMEM, "model: no memory for %u fields", n_fields);
}

onnxd_status ctr_shape_init(struct ctr_shape *ret_shape, const struct feature_set *set, uint32_t embedding,
                            const uint32_t *hidden, uint32_t n_hidden, onnxd_error *err)
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
    onnxd_status status = ctr_shape_make(ret_shape, fields, n_fields, n_dense, embedding, hidden, n_hidden,
                                         err);
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
    bytes_put_u32(out, shape->embedding);
    bytes_put_u32(out, shape->n_hidden);
    for (uint32_t i = 0; i < shape->n_hidden; i++) bytes_put_u32(out, shape->hidden[i]);
}
