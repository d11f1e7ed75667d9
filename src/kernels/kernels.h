/* kernels/kernels.h - arithmetic on plain pointers, for the instruction set of the CPU it runs on.
 *
 * A struct kernels is a table of functions for one instruction set. kernels_get() is the best one this
 * CPU has, or the one that ONNXD_ISA=scalar|avx2|avx512|neon names, chosen at the first call and fixed
 * from then on. Plans keep the function pointers themselves.
 *
 *     const struct kernels *kernels = kernels_get();
 *     size_t n_floats = kernels->f32_gemm_packed_size(n, k);      // once, at load
 *     kernels->f32_gemm_pack(packed, weights, k, 1, n, k);        // PyTorch's [n, k]
 *     struct f32_gemm step = {.m = 8, .n = n, .k = k, .a = x, .lda = k, .b = packed, ...};
 *     kernels->f32_gemm(&step);                                   // at every run
 *
 * The families' headers, included here, are the manual of the single functions. None allocates, locks or
 * fails; sizes and pointers are the caller's promise.
 *
 * To add a kernel: a line in its family's list, a body written against kernels/simd, and for each
 * instruction set a file that includes both. The list feeds declarations, this table and the tests.
 *
 * Threads: everything here may be called from any thread. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "kernels/attention/attention_kernels.h"
#include "kernels/convert/convert_kernels.h"
#include "kernels/elementwise/elementwise_kernels.h"
#include "kernels/gemm/gemm_kernels.h"
#include "kernels/reduce/reduce_kernels.h"
#include "onnxd/status.h"

struct kernels {
    const char *isa; /* "scalar", "avx2", "avx512" or "neon" */
    int has_bf16;    /* the CPU has instructions for bf16_gemm; else it is plain C, right but slow */
#define FIELD(name, type, arg) type *name;
    GEMM_KERNELS(FIELD, 0)
    REDUCE_KERNELS(FIELD, 0)
    BF16_KERNELS(FIELD, 0)
    ATTENTION_KERNELS(FIELD, 0)
    CONVERT_KERNELS(FIELD, 0)
#undef FIELD
    f32_unary_fn *f32_unary[F32_UNARY_COUNT];
    struct f32_binary_kernels f32_binary[F32_BINARY_COUNT];
    f32_reduce_inner_fn *f32_reduce_inner[F32_REDUCE_COUNT];
    f32_reduce_outer_fn *f32_reduce_outer[F32_REDUCE_COUNT];
};

/* Checks ONNXD_ISA and makes the choice. ONNXD_ERR_ARGUMENT: not a name from the list;
 * ONNXD_ERR_UNSUPPORTED: this CPU or this build has no such instructions. */
ONNXD_MUST_USE onnxd_status kernels_init(onnxd_error *err);

/* The choice; where ONNXD_ISA names nothing usable and kernels_init was not asked, the CPU's best. */
const struct kernels *kernels_get(void);

/* The table called `isa`, or NULL where this CPU or this build lacks it. */
const struct kernels *kernels_of(const char *isa);

#endif
