/* Tiles of 6 rows by 16 columns for AVX2: 12 of the 16 registers accumulate. */
#define GEMM_ROWS   6
#define GEMM_VECS   2
#define GEMM_NARROW 4 /* columns up to which dot products beat a panel */
