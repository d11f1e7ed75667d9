/* i8_gemm for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/gemm/i8_gemm_body.h"
