/* ops/indices.h - index inputs, int64 or int32, negative ones counting from the end.
 *
 * Threads: pure functions. */
#ifndef OPS_INDICES_H
#define OPS_INDICES_H

#include "ops/op.h"

static inline int64_t index_at(const onnxd_tensor *indices, int64_t i)
{
    return indices->type == ONNXD_INT64 ? ((const int64_t *)indices->data)[i]
                                        : ((const int32_t *)indices->data)[i];
}

/* Entry 0..size-1 that element i names; false when it is outside. */
static inline bool index_in(const onnxd_tensor *indices, int64_t i, int64_t size, int64_t *ret_index)
{
    int64_t index = index_at(indices, i);
    if (index < 0) index += size;
    *ret_index = index;
    return index >= 0 && index < size;
}

/* ONNXD_ERR_RANGE naming element i and the size of the table. */
static inline onnxd_status bad_index(const struct op_run *run, const onnxd_tensor *indices, int64_t i,
                                     int64_t size, onnxd_error *err)
{
    return op_error(err, run->node, ONNXD_ERR_RANGE, "index %lld is outside a table of %lld",
                    (long long)index_at(indices, i), (long long)size);
}

#endif
