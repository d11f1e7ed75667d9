/* ops/elements.h - arithmetic for every element type through four lanes.
 *
 * Operators compute in a lane: float for the narrow floats, double, int64 for every integer and bool that
 * fits, uint64. A tensor whose type is its lane's own is used as it lies; others are converted block by
 * block, so that an operator is written once per lane and not once per type. float16 and bfloat16 are
 * rounded once, on the way out; integers wrap.
 *
 * Threads: pure functions. */
#ifndef OPS_ELEMENTS_H
#define OPS_ELEMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/tensor.h"

enum lane { LANE_F32, LANE_F64, LANE_I64, LANE_U64, LANE_NONE /* strings, complex, containers */ };

/* In front of a loop whose iterations do not depend on each other even where an output lies exactly on an
 * input, which compilers must otherwise fear. */
#if defined(__clang__)
#define LOOP_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define LOOP_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Elements converted at a time; sizes the buffers of callers. */
#define ELEMENTS_BLOCK 256

/* Room for one block of any lane. */
union lane_block {
    float f32[ELEMENTS_BLOCK];
    double f64[ELEMENTS_BLOCK];
    int64_t i64[ELEMENTS_BLOCK];
    uint64_t u64[ELEMENTS_BLOCK];
};

enum lane lane_of(onnxd_type type);
/* Elements of this type lie in memory as the lane computes with them. */
bool lane_is_native(enum lane lane, onnxd_type type);

/* src: base of the tensor; reads n elements from element `first` on, `stride` elements apart (may be 0 or
 * negative), converted as a cast would, into dst: [n] of the lane's type. */
void elements_load(enum lane lane, onnxd_type type, const void *src, int64_t first, int64_t stride, int64_t n,
                   void *dst);

/* Writes n elements of the lane's type to dst from element `first` on, converted as a cast would. */
void elements_store(enum lane lane, onnxd_type type, void *dst, int64_t first, int64_t n, const void *src);

/* One element; for parameters, not for loops. */
double element_f64(const onnxd_tensor *tensor, int64_t i);
int64_t element_i64(const onnxd_tensor *tensor, int64_t i);

/* What a C cast leaves undefined is the type's least value, as x86 has it. */
static inline int64_t i64_of_f64(double d)
{
    return d >= -0x1p63 && d < 0x1p63 ? (int64_t)d : INT64_MIN;
}
static inline int32_t i32_of_f64(double d)
{
    return d > -0x1p31 - 1 && d < 0x1p31 ? (int32_t)d : INT32_MIN;
}

#endif
