/* f32 unary functions for plain C, the reference. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/elementwise/f32_unary_body.h"
