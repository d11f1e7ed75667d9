/* bench/core_peak.h - what one core can do at most, measured: arithmetic in float32 and reading from the
 * second-level cache, with the vectors of one instruction set.
 *
 * Reports set an engine's figures against these, so that a reader sees how much is left.
 * Threads: measure on the thread, and the core, that is meant. */
#ifndef BENCH_CORE_PEAK_H
#define BENCH_CORE_PEAK_H

#include <stddef.h>

struct core_peak {
    double flops_per_s;    /* a multiply-add counts two */
    double l2_bytes_per_s; /* reading 256 KB over and over */
};

/* `isa` as in struct kernels. Takes some 60 ms; the best of several rounds. All zero for an unknown name. */
struct core_peak core_peak_measure(const char *isa);

/* n rounds of 12 vector multiply-adds; 12 * lanes floats go to sink. */
typedef void core_fma_fn(size_t n, float *sink);
/* Reads n floats, a multiple of 128; lanes floats go to sink. */
typedef void core_read_fn(const float *from, size_t n, float *sink);

enum { CORE_FMA_CHAINS = 12, CORE_MAX_LANES = 16 };

core_fma_fn core_fma__scalar, core_fma__avx2, core_fma__avx512, core_fma__neon;
core_read_fn core_read__scalar, core_read__avx2, core_read__avx512, core_read__neon;

#endif
