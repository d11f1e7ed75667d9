/* The kernels of training for plain C. */
#include "kernels/simd/simd__scalar.h"

#include "ctr/ctr_kernels_body.h"
