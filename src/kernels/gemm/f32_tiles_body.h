/* kernels/gemm/f32_tiles_body.h - f32_tiles for one instruction set; GEMM_ROWS and GEMM_VECS as in
 * f32_gemm_body.h. */
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_tiles.h"

SIMD_INLINE void tile_of(const size_t R, const struct gemm_tile *t, int b_padded)
{
    size_t vecs = (t->cols + VF_LANES - 1) / VF_LANES;
    if (t->cols == GEMM_VECS * VF_LANES) {
        tile_run(R, GEMM_VECS, TILE_FULL, t);
        return;
    }
    switch (b_padded ? vecs : vecs + GEMM_VECS) {
    case 1: tile_run(R, 1, TILE_C_TAIL, t); break;
    case 2: tile_run(R, 2, TILE_C_TAIL, t); break;
#if GEMM_VECS > 2
    case 3: tile_run(R, 3, TILE_C_TAIL, t); break;
    case 4: tile_run(R, 4, TILE_C_TAIL, t); break;
#endif
    case GEMM_VECS + 1: tile_run(R, 1, TILE_BC_TAIL, t); break;
    case GEMM_VECS + 2: tile_run(R, 2, TILE_BC_TAIL, t); break;
#if GEMM_VECS > 2
    case GEMM_VECS + 3: tile_run(R, 3, TILE_BC_TAIL, t); break;
    case GEMM_VECS + 4: tile_run(R, 4, TILE_BC_TAIL, t); break;
#endif
    default: break;
    }
}

#define ROWS(R)                                                            \
    static void ISA(f32_tile_##R)(const struct gemm_tile *t, int b_padded) \
    {                                                                      \
        tile_of(R, t, b_padded);                                           \
    }
ROWS(1)
ROWS(2)
ROWS(3)
ROWS(4)
ROWS(5)
ROWS(6)
#if GEMM_ROWS > 6
ROWS(7)
ROWS(8)
#endif
#undef ROWS

typedef void tile_fn(const struct gemm_tile *t, int b_padded);
static tile_fn *const tile_with[GEMM_ROWS + 1] = {
    NULL,
    ISA(f32_tile_1),
    ISA(f32_tile_2),
    ISA(f32_tile_3),
    ISA(f32_tile_4),
    ISA(f32_tile_5),
    ISA(f32_tile_6),
#if GEMM_ROWS > 6
    ISA(f32_tile_7),
    ISA(f32_tile_8),
#endif
};

void ISA(f32_tiles)(const struct gemm_tile *first, size_t rows, int b_padded)
{
    struct gemm_tile t = *first;
    for (size_t n = (rows + GEMM_ROWS - 1) / GEMM_ROWS; n > 0; n--) {
        size_t take = (rows + n - 1) / n;
        tile_with[take](&t, b_padded);
        rows -= take;
        t.a += take * t.a_row;
        t.c += take * t.ldc;
        if (t.c0 != NULL) t.c0 += take * t.ldc0;
    }
}
