/* kernels/simd/simd_base.h - what every instruction set's vector header shares.
 *
 * A kernel is written once against a small vocabulary and compiled once for each instruction set:
 *     vf  a vector of VF_LANES floats       vi  as many 32-bit integers
 *     vm  a lane mask from a comparison     vt  "the first n lanes", for tails
 * Rules of the vocabulary
 * - vf_load_t and vf_store_t touch only the lanes of their vt; absent lanes load as 0.
 * - vf_min(a, b) and vf_max(a, b) give b when either is NaN or both are zero, so a NaN passes when it
 *   stands on the right; the *_nan forms give NaN when either is NaN.
 * - vf_fma(a, b, c) = a * b + c and vf_fnma(a, b, c) = c - a * b, in one rounding where the CPU has it.
 * - vf_keep(v, t, other) = v in the lanes of t, other elsewhere.
 * - simd_nonzeros lists the elements of x that are not 0 (NaN is not) and returns how many; it may write up
 *   to VF_LANES entries past those.
 * - simd_transpose writes the transpose of a block of at most SIMD_BLOCK x SIMD_BLOCK: rows 0..cols-1 of
 *   dst get SIMD_BLOCK floats each, absent source rows reading as 0.
 * - vf_scale2(x, n) = x * 2^n for integral n in -252..254, through denormals and into infinity. */
#ifndef KERNELS_SIMD_BASE_H
#define KERNELS_SIMD_BASE_H

#include <stddef.h>
#include <stdint.h>

#define SIMD_INLINE static inline __attribute__((always_inline))

/* Arrays of accumulators stay in registers only when the loops over them are unrolled completely. */
#if defined(__clang__)
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 32")
#endif

/* Keeps a loaded vector in its register: compilers else read it again from memory at each use, and loads
 * are what is short. SIMD_REGISTER is the constraint of the instruction set. */
#define SIMD_PIN(v) __asm__("" : SIMD_REGISTER(v))

#define SIMD_JOIN_(name, isa) name##__##isa
#define SIMD_JOIN(name, isa)  SIMD_JOIN_(name, isa)
#define ISA(name)             SIMD_JOIN(name, SIMD_ISA) /* f32_gemm -> f32_gemm__avx512 */

#endif
