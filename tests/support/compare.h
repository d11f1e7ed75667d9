/* support/compare.h - compares an answer with the expected one and words the first difference.
 *
 * Element type and shape must be equal; floats |got - want| <= absolute + relative * |want| with NaN
 * equal to NaN and infinities equal by sign; everything else exactly. Containers item by item.
 *
 * Threads: pure functions. */
#ifndef SUPPORT_COMPARE_H
#define SUPPORT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "onnxd/tensor.h"

struct tolerance {
    double absolute, relative;
};

/* The rule of the ONNX backend tests as this project applies it. */
#define TOLERANCE_CONFORMANCE ((struct tolerance){1e-7 + 1e-5, 1e-3})

/* True when equal within the tolerance; otherwise text says where and how they differ. */
bool compare_values(const onnxd_tensor *got, const onnxd_tensor *want, struct tolerance tolerance, char *text,
                    size_t text_size);

#endif
