#include <stdlib.h>

#include "base/error.h"
#include "ctr/ctr_shape.h"

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
