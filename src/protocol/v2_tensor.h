/* protocol/v2_tensor.h - the tensor objects of the Open Inference Protocol v2, read and written.
 *
 *     {"name":"x","shape":[2,3],"datatype":"FP32","data":[...]}
 *     {"name":"x","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}
 *
 * Binary content follows the JSON part of the body, tensor after tensor, little-endian, without padding;
 * BYTES elements are a 32-bit length and the bytes, BOOL is one byte, 0 or 1.
 *
 * Ownership: names, strings and binary content point into the body where they can, else into the arena.
 * Threads:   no state. */
#ifndef PROTOCOL_V2_TENSOR_H
#define PROTOCOL_V2_TENSOR_H

#include "base/arena.h"
#include "base/buf.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "onnxd/tensor.h"

/* "FP32", "INT64", "BYTES", ...; NULL for types the protocol does not know. */
const char *v2_datatype(onnxd_type type);
onnxd_type v2_datatype_parse(const struct json_text *text); /* ONNXD_UNDEFINED: unknown */

struct v2_tensor {
    onnxd_string name;
    onnxd_tensor tensor; /* type, rank, dims; data once it was read or attached */
    size_t n_elements;
    uint64_t binary_bytes; /* parameters.binary_data_size */
    bool has_data, has_binary;
    bool wants_binary; /* parameters.binary_data, of a requested output */
};

/* Reads one object. With `named_only` it is a requested output: name and parameters alone. Otherwise
 * name, shape and datatype must be there, and either data or binary_data_size. The error path is the
 * reader's. `arena` bounds the memory; no shape makes it larger than the body could fill. */
bool v2_tensor_read(struct json_reader *r, bool named_only, struct arena *arena, struct v2_tensor *ret);

/* Gives a tensor with has_binary its content, from *at on, and moves *at behind it. ONNXD_ERR_SHAPE when
 * the size does not fit the shape or the body, ONNXD_ERR_FORMAT, ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status v2_tensor_attach(struct v2_tensor *t, const char **at, const char *end,
                                             struct arena *arena, onnxd_error *err);

/* Bytes of a tensor in binary form. */
size_t v2_binary_bytes(const onnxd_tensor *tensor);

/* Appends the object; a binary one tells its size and needs v2_binary_append behind the JSON part. */
void v2_tensor_write(struct json_writer *w, const char *name, const onnxd_tensor *tensor, bool binary);
bool v2_binary_append(struct buf *buf, const onnxd_tensor *tensor);

/* A member named "parameters": an object whose members other than those asked for are passed over.
 * `take` returns false after a failure; it must read or skip the value. */
bool v2_parameters_read(struct json_reader *r,
                        bool (*take)(struct json_reader *r, const struct json_text *key, void *context),
                        void *context);

/* A JSON string, decoded where it must be. */
bool v2_string_read(struct json_reader *r, struct arena *arena, onnxd_string *ret);

#endif
