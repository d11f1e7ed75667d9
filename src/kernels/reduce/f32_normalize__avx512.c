/* f32 softmax and layer normalisation for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/reduce/f32_normalize_body.h"
