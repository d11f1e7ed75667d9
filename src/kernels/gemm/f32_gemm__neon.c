/* f32_gemm for NEON: tiles of 6 rows by 16 columns, 24 of the 32 registers accumulate. */
#include "kernels/simd/simd__neon.h"

#define GEMM_ROWS   6
#define GEMM_VECS   4
#define GEMM_NARROW 2
#include "kernels/gemm/f32_gemm_body.h"
