/* f32 softmax and layer normalisation for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/reduce/f32_normalize_body.h"
