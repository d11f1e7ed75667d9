/* Conversions for AVX-512. */
#include "kernels/simd/simd__avx512.h"

#include "kernels/convert/convert_body.h"

SIMD_INLINE vf f16_load(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
SIMD_INLINE void f16_store(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

#include "kernels/convert/convert_f16_body.h"
