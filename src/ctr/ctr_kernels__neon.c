/* The kernels of training for NEON. */
#include "kernels/simd/simd__neon.h"

#include "ctr/ctr_kernels_body.h"
