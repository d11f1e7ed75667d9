/* kernels/gemm/activate_scalar.h - the activations of a struct f32_gemm for one element, in plain C. */
#ifndef KERNELS_ACTIVATE_SCALAR_H
#define KERNELS_ACTIVATE_SCALAR_H

SIMD_INLINE float activate_scalar(const struct f32_gemm *g, float x)
{
    switch (g->act) {
    case F32_ACT_RELU: return x < 0.0f ? 0.0f : x;
    case F32_ACT_SIGMOID: return vf_sigmoid(x);
    case F32_ACT_TANH: return vf_tanh(x);
    case F32_ACT_LEAKY_RELU: return x < 0.0f ? g->alpha * x : x;
    default: return x;
    }
}

#endif
