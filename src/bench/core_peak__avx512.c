/* The loops of core_peak.h for avx512. */
#include "kernels/simd/simd__avx512.h"

#include "bench/core_peak_body.h"
