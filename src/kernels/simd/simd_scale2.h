/* kernels/simd/simd_scale2.h - vf_scale2 for instruction sets without one, in two steps so that neither
 * factor leaves the range of normal numbers. Included by their vector headers. */
SIMD_INLINE vf vf_scale2(vf x, vf n)
{
    vi i = vf_to_vi(n), half = vi_sra1(i), rest = vi_sub(i, half);
    vf s1 = vf_from_bits(vi_shl23(vi_add(half, vi_set1(127))));
    vf s2 = vf_from_bits(vi_shl23(vi_add(rest, vi_set1(127))));
    return vf_mul(vf_mul(x, s1), s2);
}
