#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/dtype.h"

int64_t shape_n_elements(const int64_t *dims, uint32_t rank)
{
    int64_t n = 1;
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) return -1;
        if (dims[i] == 0)
            empty = true;
        else if (!checked_mul_i64(n, dims[i], &n) || n > SHAPE_MAX_ELEMENTS)
            return -1;
    }
    return empty ? 0 : n;
}

bool shape_n_bytes(onnxd_type type, const int64_t *dims, uint32_t rank, size_t *ret_bytes)
{
    int64_t n = shape_n_elements(dims, rank);
    size_t size = type_size(type);
    return n >= 0 && size > 0 && checked_mul_size((size_t)n, size, ret_bytes);
}

bool shape_normalize_axis(int64_t axis, uint32_t rank, uint32_t *ret_axis)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank) return false;
    *ret_axis = (uint32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

void shape_strides(const int64_t *dims, uint32_t rank, int64_t *strides)
{
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0;) {
        strides[i] = stride;
        stride *= dims[i];
    }
}

bool shape_broadcast(const int64_t *a, uint32_t a_rank, const int64_t *b, uint32_t b_rank, int64_t *ret_dims,
                     uint32_t *ret_rank)
{
    uint32_t rank = a_rank > b_rank ? a_rank : b_rank;
    for (uint32_t i = 0; i < rank; i++) {
        int64_t da = i + a_rank >= rank ? a[i + a_rank - rank] : 1;
        int64_t db = i + b_rank >= rank ? b[i + b_rank - rank] : 1;
        if (da != db && da != 1 && db != 1) return false;
        ret_dims[i] = da == 1 ? db : da;
    }
    *ret_rank = rank;
    return true;
}

void shape_broadcast_strides(const int64_t *dims, uint32_t rank, uint32_t out_rank, int64_t *strides)
{
    int64_t own[ONNXD_MAX_RANK];
    shape_strides(dims, rank, own);
    for (uint32_t i = 0; i < out_rank; i++) {
        bool missing = i + rank < out_rank;
        uint32_t k = i + rank - out_rank;
        strides[i] = missing || dims[k] == 1 ? 0 : own[k];
    }
}

bool shape_equal(const int64_t *a, uint32_t a_rank, const int64_t *b, uint32_t b_rank)
{
    return a_rank == b_rank && memcmp(a, b, a_rank * sizeof *a) == 0;
}

const char *shape_text(const int64_t *dims, uint32_t rank, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (uint32_t i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
    if (n < size) snprintf(text + n, size - n, "]");
    return text;
}
