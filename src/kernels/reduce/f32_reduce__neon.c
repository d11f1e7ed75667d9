/* f32 reductions for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/reduce/f32_reduce_body.h"
