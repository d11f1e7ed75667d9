/* protocol/tensor_json.h - tensor elements between JSON and memory, all element types.
 *
 * Floats take any finite number in range (FP16 and BF16 are rounded to nearest even); integers take whole
 * numbers in range (4.0 is whole); bool takes true and false; string takes strings. Anything else is an
 * error at its path. Arrays may be nested along the dimensions or flat in row-major order. */
#ifndef PROTOCOL_TENSOR_JSON_H
#define PROTOCOL_TENSOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "onnxd/tensor.h"

/* Whether elements of this type can be read and written. */
bool tensor_json_supports(onnxd_type type);

/* Reads product(dims) elements into out. A single one may be bare or in an array. Strings point
 * into the text, or into `strings` where they held escapes; it may be NULL for other types. */
bool tensor_json_read(struct json_reader *r, onnxd_type type, const int64_t *dims, uint32_t rank, void *out,
                      struct arena *strings);

/* n elements, commas between them, without brackets. */
void tensor_json_write_elements(struct json_writer *w, onnxd_type type, const void *data, size_t n);

/* Nested along the dimensions; rank 0: a bare value. */
void tensor_json_write(struct json_writer *w, onnxd_type type, const int64_t *dims, uint32_t rank,
                       const void *data);

#endif
