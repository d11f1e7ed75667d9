/* f32 reductions for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/reduce/f32_reduce_body.h"
