/* Conversions for NEON. */
#include "kernels/simd/simd__neon.h"

#include "kernels/convert/convert_body.h"

SIMD_INLINE vf f16_load(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
SIMD_INLINE void f16_store(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

#include "kernels/convert/convert_f16_body.h"
