/* f32 unary functions for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/elementwise/f32_unary_body.h"
