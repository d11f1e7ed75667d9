/* support/onnx_data.h - reads the ONNX test data files (input_N.pb, output_N.pb) and initializers.
 *
 * A reader of its own, so that the engine's is not tested with itself. A file does not say whether it
 * holds a tensor, a sequence or an optional: the graph's declared type does.
 *
 * Ownership: everything lies in the caller's arena.
 * Errors:    ONNXD_ERR_FORMAT and a sentence.
 * Threads:   one at a time for each arena. */
#ifndef SUPPORT_ONNX_DATA_H
#define SUPPORT_ONNX_DATA_H

#include <onnx/onnx.pb-c.h>

#include "base/arena.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

/* A TensorProto as a tensor. */
ONNXD_MUST_USE onnxd_status onnx_data_tensor(struct arena *arena, const Onnx__TensorProto *proto,
                                             onnxd_tensor *ret_tensor, onnxd_error *err);

/* A serialised value of the declared type. bfloat16 payloads may be stored as uint16. */
ONNXD_MUST_USE onnxd_status onnx_data_value(struct arena *arena, const void *bytes, size_t n_bytes,
                                            const Onnx__TypeProto *type, onnxd_tensor *ret_value,
                                            onnxd_error *err);

#endif
