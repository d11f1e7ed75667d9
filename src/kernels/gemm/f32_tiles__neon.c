/* The register tiles of products with an unpacked B, for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/gemm/gemm_shape__neon.h"
#include "kernels/gemm/f32_tiles_body.h"
