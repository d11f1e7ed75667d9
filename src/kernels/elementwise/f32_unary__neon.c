/* f32 unary functions for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/elementwise/f32_unary_body.h"
