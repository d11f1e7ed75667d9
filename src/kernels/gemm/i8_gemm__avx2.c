/* i8_gemm for AVX2. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/gemm/i8_gemm_body.h"
