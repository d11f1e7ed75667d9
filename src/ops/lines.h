/* ops/lines.h - a tensor as lines along one axis: element (o, i, j) of [outer, n, inner].
 *
 * Threads: plain values. */
#ifndef OPS_LINES_H
#define OPS_LINES_H

#include <stdint.h>

#include "onnxd/tensor.h"

struct lines {
    int64_t outer, n, inner;
};

/* axis < rank; a scalar (rank 0) is one line of one element. */
static inline struct lines lines_of(const onnxd_tensor *tensor, uint32_t axis)
{
    struct lines l = {1, tensor->rank > 0 ? tensor->dims[axis] : 1, 1};
    for (uint32_t i = 0; i < axis; i++) l.outer *= tensor->dims[i];
    for (uint32_t i = axis + 1; i < tensor->rank; i++) l.inner *= tensor->dims[i];
    return l;
}

#endif
