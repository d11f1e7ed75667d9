/* kernels/gemm/gemm_transpose.h - B[n, k] into a panel [k][width], block by block.
 *
 * Included after one of the simd__*.h headers. */
#ifndef KERNELS_GEMM_TRANSPOSE_H
#define KERNELS_GEMM_TRANSPOSE_H

/* dst[p * width + j] = b[j * ldb + p] for j < cols, p < k, and 0 up to `width`, a multiple of SIMD_BLOCK. */
SIMD_INLINE void transpose_panel(float *dst, size_t width, const float *b, size_t ldb, size_t cols, size_t k)
{
    for (size_t j = 0; j < width; j += SIMD_BLOCK) {
        size_t rows = j < cols ? cols - j : 0;
        for (size_t p = 0; p < k; p += SIMD_BLOCK)
            simd_transpose(dst + p * width + j, width, b + (rows > 0 ? j * ldb + p : 0), ldb, rows, k - p);
    }
}

#endif
