/* Tiles of 8 rows by 32 columns for AVX-512: 16 of the 32 registers accumulate. */
#define GEMM_ROWS   8
#define GEMM_VECS   2
#define GEMM_NARROW 8 /* columns up to which dot products beat a panel */
