/* f32 binary functions for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/elementwise/f32_binary_body.h"
