/* kernels/elementwise/f32_binary_body.h - every operation of F32_BINARY_LIST for one instruction set. */
#include "kernels/elementwise/elementwise_kernels.h"

SIMD_INLINE vf op_add(vf a, vf b)
{
    return vf_add(a, b);
}
SIMD_INLINE vf op_sub(vf a, vf b)
{
    return vf_sub(a, b);
}
SIMD_INLINE vf op_mul(vf a, vf b)
{
    return vf_mul(a, b);
}
SIMD_INLINE vf op_div(vf a, vf b)
{
    return vf_div(a, b);
}
SIMD_INLINE vf op_min(vf a, vf b)
{
    return vf_min_nan(a, b);
}
SIMD_INLINE vf op_max(vf a, vf b)
{
    return vf_max_nan(a, b);
}
SIMD_INLINE vf op_prelu(vf a, vf b)
{
    return vf_select(vf_lt(a, vf_zero()), vf_mul(a, b), a);
}
SIMD_INLINE vf op_pow(vf a, vf b)
{
    float x[VF_LANES], y[VF_LANES];
    vf_store(x, a);
    vf_store(y, b);
    for (size_t i = 0; i < VF_LANES; i++) x[i] = __builtin_powf(x[i], y[i]);
    return vf_load(x);
}

#define LOOP(full, part)                                                   \
    for (; rows > 0; rows--, y += ldy, a += lda, b += ldb) {               \
        size_t j = 0;                                                      \
        for (; j + VF_LANES <= cols; j += VF_LANES) vf_store(y + j, full); \
        if (j < cols) {                                                    \
            vt tail = vt_first(cols - j);                                  \
            vf_store_t(y + j, tail, part);                                 \
        }                                                                  \
    }

#define BINARY(name)                                                                             \
    void ISA(name)(float *y, size_t ldy, const float *a, size_t lda, const float *b, size_t ldb, \
                   size_t rows, size_t cols)

#define X(name, arg)                                                                                 \
    BINARY(f32_##name##_vv){                                                                         \
        LOOP(op_##name(vf_load(a + j), vf_load(b + j)),                                              \
             op_##name(vf_load_t(a + j, tail), vf_load_t(b + j, tail)))} BINARY(f32_##name##_vs)     \
    {                                                                                                \
        if (cols == 0) return;                                                                       \
        LOOP(op_##name(vf_load(a + j), vf_set1(*b)), op_##name(vf_load_t(a + j, tail), vf_set1(*b))) \
    }                                                                                                \
    BINARY(f32_##name##_sv)                                                                          \
    {                                                                                                \
        if (cols == 0) return;                                                                       \
        LOOP(op_##name(vf_set1(*a), vf_load(b + j)), op_##name(vf_set1(*a), vf_load_t(b + j, tail))) \
    }
F32_BINARY_LIST(X, 0)
#undef X
