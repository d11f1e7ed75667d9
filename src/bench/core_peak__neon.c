/* The loops of core_peak.h for neon. */
#include "kernels/simd/simd__neon.h"

#include "bench/core_peak_body.h"
