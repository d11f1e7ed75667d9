#include "bench/core_peak.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { READ_BYTES = 256 << 10, ROUNDS = 12 };

struct loops {
    const char *isa;
    core_fma_fn *fma;
    core_read_fn *read;
    int lanes;
};

static const struct loops all[] = {
    {"scalar", core_fma__scalar, core_read__scalar, 1},
#if defined(__x86_64__)
    {"avx2", core_fma__avx2, core_read__avx2, 8},
    {"avx512", core_fma__avx512, core_read__avx512, 16},
#else
    {"neon", core_fma__neon, core_read__neon, 4},
#endif
};

static double seconds_since(uint64_t start_ns)
{
    return (double)(monotonic_ns() - start_ns) * 1e-9;
}

struct core_peak core_peak_measure(const char *isa)
{
    struct core_peak peak = {0};
    float sink[CORE_FMA_CHAINS * CORE_MAX_LANES];
    const struct loops *loops = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].isa, isa) == 0) loops = &all[i];
    float *memory = aligned_alloc(64, READ_BYTES);
    if (loops == NULL || memory == NULL) goto out;
    for (size_t i = 0; i < READ_BYTES / sizeof *memory; i++) memory[i] = 1;
    for (int round = 0; round < ROUNDS; round++) {
        enum { N_FMA = 500000, N_READ = 400 };
        uint64_t start_ns = monotonic_ns();
        loops->fma(N_FMA, sink);
        double flops = 2.0 * N_FMA * CORE_FMA_CHAINS * loops->lanes / seconds_since(start_ns);
        start_ns = monotonic_ns();
        for (int i = 0; i < N_READ; i++) loops->read(memory, READ_BYTES / sizeof *memory, sink);
        double bytes = (double)N_READ * READ_BYTES / seconds_since(start_ns);
        if (flops > peak.flops_per_s) peak.flops_per_s = flops;
        if (bytes > peak.l2_bytes_per_s) peak.l2_bytes_per_s = bytes;
    }
out:
    free(memory);
    return peak;
}
