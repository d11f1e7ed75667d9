/* graph/onnx_tensor.h - TensorProto to onnxd_tensor.
 *
 * Ownership: the result lies in the arena given; nothing points back into the message.
 * Threads:   pure but for the files it reads. */
#ifndef GRAPH_ONNX_TENSOR_H
#define GRAPH_ONNX_TENSOR_H

#include <onnx/onnx.pb-c.h>

#include "base/arena.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

/* Checks type, dimensions and that the data hold exactly that many elements. External data are read from
 * files inside `folder` (NULL: none allowed); a path that leaves it is refused.
 * ONNXD_ERR_MODEL, ONNXD_ERR_UNSUPPORTED (type), ONNXD_ERR_IO, ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status onnx_tensor_read(const Onnx__TensorProto *proto, const char *folder,
                                             struct arena *arena, onnxd_tensor **ret_tensor,
                                             onnxd_error *err);

/* The dense form of a sparse tensor. */
ONNXD_MUST_USE onnxd_status onnx_sparse_tensor_read(const Onnx__SparseTensorProto *proto, const char *folder,
                                                    struct arena *arena, onnxd_tensor **ret_tensor,
                                                    onnxd_error *err);

#endif
