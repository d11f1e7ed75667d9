#include "ops/row_dims.h"

#include <stdio.h>

enum { NAME_BYTES = 16 };

static const char *attribute_name(char *name, uint32_t j)
{
    snprintf(name, NAME_BYTES, "dims%u", j);
    return name;
}

bool row_dims_set(struct graph *graph, struct node *node, uint32_t j, const struct value_info *info)
{
    char name[NAME_BYTES];
    int64_t dims[ONNXD_MAX_RANK];
    for (int32_t i = 1; i < info->rank; i++) dims[i - 1] = info->dims[i].n;
    return node_set_ints(graph, node, attribute_name(name, j), dims, (size_t)info->rank - 1);
}

onnxd_status row_dims_shapes(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    for (uint32_t j = 0; j < s->n_out; j++) {
        char name[NAME_BYTES];
        size_t n;
        const int64_t *row = node_attribute_ints(s->node, attribute_name(name, j), &n);
        struct dim dims[ONNXD_MAX_RANK];
        if (s->in[0]->rank < 1) continue;
        dims[0] = s->in[0]->dims[0];
        for (size_t i = 0; i < n; i++) dims[i + 1] = dim_constant(row[i]);
        shapes_set(s, j, ONNXD_FLOAT32, (int32_t)n + 1, dims);
    }
    return ONNXD_OK;
}

size_t row_elements(const onnxd_tensor *tensor)
{
    size_t n = 1;
    for (uint32_t i = 1; i < tensor->rank; i++) n *= (size_t)tensor->dims[i];
    return n;
}
