/* Conversions for AVX2 and F16C. */
#include "kernels/simd/simd__avx2.h"

#include "kernels/convert/convert_body.h"

SIMD_INLINE vf f16_load(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
SIMD_INLINE void f16_store(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

#include "kernels/convert/convert_f16_body.h"
