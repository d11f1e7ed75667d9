/* The kernels of training for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "ctr/ctr_kernels_body.h"
