/* kernels/simd/simd_transpose8.h - simd_transpose in 8 x 8 blocks, for both x86 instruction sets. */
#define SIMD_BLOCK ((size_t)8)

SIMD_INLINE void simd_transpose(float *dst, size_t ldd, const float *src, size_t lds, size_t rows,
                                size_t cols)
{
    __m256 r[8], s[8];
    if (rows >= 8 && cols >= 8) {
        SIMD_UNROLL
        for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(src + i * lds);
    } else {
        __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(cols >= 8 ? 8 : (int)cols), lane);
        SIMD_UNROLL
        for (size_t i = 0; i < 8; i++)
            r[i] = i < rows ? _mm256_maskload_ps(src + i * lds, mask) : _mm256_setzero_ps();
    }
    SIMD_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    SIMD_UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);
    }
    SIMD_UNROLL
    for (size_t i = 0; i < 4; i++) {
        s[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        s[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    SIMD_UNROLL
    for (size_t i = 0; i < 8; i++)
        if (i < cols) _mm256_storeu_ps(dst + i * ldd, s[i]);
}
