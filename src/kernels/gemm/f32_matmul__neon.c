/* f32_matmul for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/gemm/gemm_shape__neon.h"
#include "kernels/gemm/f32_matmul_body.h"
