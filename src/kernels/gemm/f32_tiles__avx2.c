/* The register tiles of products with an unpacked B, for AVX2 and FMA. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/gemm/gemm_shape__avx2.h"
#include "kernels/gemm/f32_tiles_body.h"
