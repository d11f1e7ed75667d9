/* f32 reductions for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/reduce/f32_reduce_body.h"
