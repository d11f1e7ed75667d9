/* The register tiles of products with an unpacked B, for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/gemm/gemm_shape__avx512.h"
#include "kernels/gemm/f32_tiles_body.h"
