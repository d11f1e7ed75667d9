/* kernels/gemm/gemm_tiles.h - the register tile of gemm_tile.h for any number of rows, out of line.
 *
 * For products whose B is not packed: f32_matmul and attention. C[rows, cols] is made of as few and even
 * tiles as gemm_tile.h has; t describes the first (a, c and c0 at row 0). */
#ifndef KERNELS_GEMM_TILES_H
#define KERNELS_GEMM_TILES_H

#include "kernels/gemm/gemm_kernels.h"

struct gemm_tile;

/* cols is at most the panel's columns, F32_TILE_COLS. Where b_padded is not 0, B's rows may be read up to a
 * whole number of vectors. */
typedef void f32_tiles_fn(const struct gemm_tile *t, size_t rows, int b_padded);

f32_tiles_fn f32_tiles__avx2, f32_tiles__avx512, f32_tiles__neon;

#endif
