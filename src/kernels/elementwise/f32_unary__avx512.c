/* f32 unary functions for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/elementwise/f32_unary_body.h"
