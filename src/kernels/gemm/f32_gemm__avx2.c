/* f32_gemm for AVX2 and FMA: tiles of 6 rows by 16 columns, 12 of the 16 registers accumulate. */
#include "kernels/simd/simd__avx2.h"

#define GEMM_ROWS   6
#define GEMM_VECS   2
#define GEMM_NARROW 4
#include "kernels/gemm/f32_gemm_body.h"
