/* engine/ort_values.h - tensors between onnxd's views and ONNX Runtime's values.
 *
 * Numbers travel without a copy in both directions; strings are copied, and so are sequences and maps.
 * Maps only come out (classifiers end in them).
 *
 * Threads: pure but for the arena and the values. */
#ifndef ENGINE_ORT_VALUES_H
#define ENGINE_ORT_VALUES_H

#include "base/arena.h"
#include "engine/ort_library.h"
#include "onnxd/tensor.h"

/* A value over the tensor's data, which must outlive it. ONNXD_ERR_UNSUPPORTED for maps, optionals and 4-bit
 * types. The caller releases *ret_value. */
ONNXD_MUST_USE onnxd_status ort_value_of_tensor(const struct ort *ort, const onnxd_tensor *tensor,
                                                struct ort_value **ret_value, onnxd_error *err);

/* A view of the value; strings and containers are laid into `arena`, numbers stay in the value. */
ONNXD_MUST_USE onnxd_status ort_tensor_of_value(const struct ort *ort, struct ort_value *value,
                                                struct arena *arena, onnxd_tensor *ret_tensor,
                                                onnxd_error *err);

#endif
