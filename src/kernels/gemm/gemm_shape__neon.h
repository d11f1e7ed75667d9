/* Tiles of 6 rows by 16 columns for NEON: 24 of the 32 registers accumulate. */
#define GEMM_ROWS   6
#define GEMM_VECS   4
#define GEMM_NARROW 2 /* columns up to which dot products beat a panel */
