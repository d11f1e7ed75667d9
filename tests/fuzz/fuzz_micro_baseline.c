/* Any bytes as a saved micro suite; what is read is compared with itself. */
#include <stdint.h>
#include <stdlib.h>

#include "bench/micro_baseline.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct bootstrap_options few = {.n_resamples = 20};
    struct micro_baseline baseline;
    struct micro_comparison c;
    struct rng rng = rng_seed(n);
    onnxd_error err;
    if (micro_baseline_parse((const char *)bytes, n, &baseline, &err) != ONNXD_OK) return 0;
    for (uint32_t i = 0; i < baseline.n_results; i++) {
        const struct micro_result *r = &baseline.results[i];
        if (micro_compare(r, r, baseline.noise, few, &rng, &c, &err) != ONNXD_OK || c.change > MICRO_SLOWER)
            abort();
    }
    micro_baseline_done(&baseline);
    return 0;
}
