/* f32_gemm for AVX-512: tiles of 8 rows by 32 columns, 16 of the 32 registers accumulate. */
#include "kernels/simd/simd__avx512.h"

#define GEMM_ROWS   8
#define GEMM_VECS   2
#define GEMM_NARROW 8
#include "kernels/gemm/f32_gemm_body.h"
