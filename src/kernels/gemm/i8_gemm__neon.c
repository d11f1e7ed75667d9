/* i8_gemm for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/gemm/i8_gemm_body.h"
