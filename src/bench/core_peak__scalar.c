/* The loops of core_peak.h for scalar. */
#include "kernels/simd/simd__scalar.h"

#include "bench/core_peak_body.h"
