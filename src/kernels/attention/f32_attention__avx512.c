/* f32_attention for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/gemm/gemm_shape__avx512.h"
#include "kernels/attention/f32_attention_body.h"
