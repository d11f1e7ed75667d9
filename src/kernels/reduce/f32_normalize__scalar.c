/* f32 softmax and layer normalisation for plain C, the reference. */
#include "kernels/simd/simd__scalar.h"

#include "kernels/reduce/f32_normalize_body.h"
