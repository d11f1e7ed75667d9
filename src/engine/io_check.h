/* engine/io_check.h - do these tensors fit what a model declares? */
#ifndef ENGINE_IO_CHECK_H
#define ENGINE_IO_CHECK_H

#include "onnxd/model.h"

/* Types, ranks, declared sizes, equal sizes for equal dimension names, and data that are there.
 * ONNXD_ERR_TYPE, ONNXD_ERR_SHAPE, ONNXD_ERR_LIMIT, ONNXD_ERR_ARGUMENT name the input. */
ONNXD_MUST_USE onnxd_status io_check(const onnxd_io_info *infos, const onnxd_tensor *in, uint32_t n_in,
                                     onnxd_error *err);

#endif
