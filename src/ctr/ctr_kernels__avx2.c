/* The kernels of training for AVX2. */
#include "kernels/simd/simd__avx2.h"

#include "ctr/ctr_kernels_body.h"
