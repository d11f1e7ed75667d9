/* f32 binary functions for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/elementwise/f32_binary_body.h"
