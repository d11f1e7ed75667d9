/* bench/core_peak_body.h - the loops of core_peak.h, for the instruction set included before. */
#include "bench/core_peak.h"

void ISA(core_fma)(size_t n, float *sink)
{
    vf sums[CORE_FMA_CHAINS], factor = vf_set1(0.999f), addend = vf_set1(0.001f);
    SIMD_UNROLL
    for (int i = 0; i < CORE_FMA_CHAINS; i++) sums[i] = vf_set1((float)i);
    for (size_t k = 0; k < n; k++) {
        SIMD_UNROLL
        for (int i = 0; i < CORE_FMA_CHAINS; i++) sums[i] = vf_fma(sums[i], factor, addend);
    }
    SIMD_UNROLL
    for (int i = 0; i < CORE_FMA_CHAINS; i++) vf_store(sink + i * VF_LANES, sums[i]);
}

void ISA(core_read)(const float *from, size_t n, float *sink)
{
    enum { STREAMS = 8 };
    vf sums[STREAMS];
    SIMD_UNROLL
    for (int i = 0; i < STREAMS; i++) sums[i] = vf_zero();
    for (size_t k = 0; k + STREAMS * VF_LANES <= n; k += STREAMS * VF_LANES) {
        SIMD_UNROLL
        for (int i = 0; i < STREAMS; i++) sums[i] = vf_add(sums[i], vf_load(from + k + i * VF_LANES));
    }
    SIMD_UNROLL
    for (int i = 1; i < STREAMS; i++) sums[0] = vf_add(sums[0], sums[i]);
    vf_store(sink, sums[0]);
}
