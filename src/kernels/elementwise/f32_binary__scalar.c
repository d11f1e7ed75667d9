/* f32 binary functions for plain C, the reference. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/elementwise/f32_binary_body.h"
