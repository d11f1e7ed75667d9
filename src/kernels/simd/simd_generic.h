/* kernels/simd/simd_generic.h - parts of the vocabulary for instruction sets without an instruction of their
 * own for them. Included by their vector headers. */

/* In two steps, so that neither factor leaves the range of normal numbers. */
SIMD_INLINE vf vf_scale2(vf x, vf n)
{
    vi i = vf_to_vi(n), half = vi_sra1(i), rest = vi_sub(i, half);
    vf s1 = vf_from_bits(vi_shl23(vi_add(half, vi_set1(127))));
    vf s2 = vf_from_bits(vi_shl23(vi_add(rest, vi_set1(127))));
    return vf_mul(vf_mul(x, s1), s2);
}

SIMD_INLINE size_t simd_nonzeros(float *value, uint32_t *index, const float *x, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) { /* without a branch: zeros come at random */
        value[found] = x[i];
        index[found] = (uint32_t)i;
        found += x[i] != 0.0f;
    }
    return found;
}
