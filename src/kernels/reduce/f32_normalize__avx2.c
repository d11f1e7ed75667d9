/* f32 softmax and layer normalisation for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/reduce/f32_normalize_body.h"
