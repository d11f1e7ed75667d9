/* i8_gemm for plain C. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/gemm/i8_gemm_body.h"
