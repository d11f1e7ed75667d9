/* f32_matmul for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/gemm/gemm_shape__avx2.h"
#include "kernels/gemm/f32_matmul_body.h"
