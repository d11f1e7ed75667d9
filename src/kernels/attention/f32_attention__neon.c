/* f32_attention for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/gemm/gemm_shape__neon.h"
#include "kernels/attention/f32_attention_body.h"
