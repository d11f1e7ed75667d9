/* f32 reductions for plain C, the reference. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/reduce/f32_reduce_body.h"
