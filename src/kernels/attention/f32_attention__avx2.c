/* f32_attention for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/gemm/gemm_shape__avx2.h"
#include "kernels/attention/f32_attention_body.h"
