/* tensor/shape.h - arithmetic on concrete shapes, overflow checked.
 *
 * Shapes are int64 dims[rank], rank 0..ONNXD_MAX_RANK, every dimension >= 0.
 * Threads: pure functions. */
#ifndef TENSOR_SHAPE_H
#define TENSOR_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnxd/tensor.h"

/* The largest number of elements a tensor may have; keeps every later product in range. */
#define SHAPE_MAX_ELEMENTS ((int64_t)1 << 40)

/* Product of the dimensions, or -1 when one is negative or the product passes SHAPE_MAX_ELEMENTS. */
int64_t shape_n_elements(const int64_t *dims, uint32_t rank);

/* Elements times element size of `type`; false past SHAPE_MAX_ELEMENTS or for a type without size. */
bool shape_n_bytes(onnxd_type type, const int64_t *dims, uint32_t rank, size_t *ret_bytes);

/* Turns an axis in -rank..rank-1 into 0..rank-1; false outside. */
bool shape_normalize_axis(int64_t axis, uint32_t rank, uint32_t *ret_axis);

/* Row-major strides in elements; strides[rank - 1] is 1. */
void shape_strides(const int64_t *dims, uint32_t rank, int64_t *strides);

/* Numpy-style broadcast of two shapes; false when they do not fit. ret_dims may alias neither. */
bool shape_broadcast(const int64_t *a, uint32_t a_rank, const int64_t *b, uint32_t b_rank, int64_t *ret_dims,
                     uint32_t *ret_rank);

/* Strides with which a tensor of `dims` is read when broadcast to out_rank dimensions: 0 on broadcast axes.
 */
void shape_broadcast_strides(const int64_t *dims, uint32_t rank, uint32_t out_rank, int64_t *strides);

bool shape_equal(const int64_t *a, uint32_t a_rank, const int64_t *b, uint32_t b_rank);

/* "[2, 3]" into text; returns text. Cut at size. */
const char *shape_text(const int64_t *dims, uint32_t rank, char *text, size_t size);

#endif
