/* The loops of core_peak.h for avx2. */
#include "kernels/simd/simd__avx2.h"

#include "bench/core_peak_body.h"
