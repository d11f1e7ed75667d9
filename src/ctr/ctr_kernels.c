#include "ctr/ctr_kernels.h"

#include <string.h>

#include "kernels/kernels.h"

#define FIELD(name_, type, isa_) .name_ = ctr_##name_##__##isa_,
static const struct ctr_kernels tables[] = {
#if defined(__x86_64__)
    {.isa = "avx512", CTR_KERNELS(FIELD, avx512)},
    {.isa = "avx2", CTR_KERNELS(FIELD, avx2)},
#endif
#if defined(__aarch64__)
    {.isa = "neon", CTR_KERNELS(FIELD, neon)},
#endif
    {.isa = "scalar", CTR_KERNELS(FIELD, scalar)},
};
#undef FIELD

const struct ctr_kernels *ctr_kernels_of(const char *isa)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (strcmp(tables[i].isa, isa) == 0) return &tables[i];
    return NULL;
}

const struct ctr_kernels *ctr_kernels_get(void)
{
    return ctr_kernels_of(kernels_get()->isa);
}
