#include "kernels/kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"

#define FIELD(name, type, isa_) .name = name##__##isa_,
#define UNARY(name, isa_)       [F32_UNARY_##name] = f32_##name##__##isa_,
#define BINARY(name, isa_) \
    [F32_BINARY_##name] = {f32_##name##_vv__##isa_, f32_##name##_vs__##isa_, f32_##name##_sv__##isa_},
#define INNER(name, isa_)   [F32_REDUCE_##name] = f32_reduce_inner_##name##__##isa_,
#define OUTER(name, isa_)   [F32_REDUCE_##name] = f32_reduce_outer_##name##__##isa_,
#define HAS_BF16_scalar     0
#define HAS_BF16_avx512bf16 1
/* One table from every list; the bf16 products have instruction sets of their own. */
/* clang-format off */
#define TABLE(isa_, bf16_)                                  \
    {                                                       \
        .isa = #isa_,                                       \
        .has_bf16 = HAS_BF16_##bf16_,                       \
        GEMM_KERNELS(FIELD, isa_)                           \
        BF16_KERNELS(FIELD, bf16_)                          \
        REDUCE_KERNELS(FIELD, isa_)                         \
        ATTENTION_KERNELS(FIELD, isa_)                      \
        CONVERT_KERNELS(FIELD, isa_)                        \
        .f32_unary = {F32_UNARY_LIST(UNARY, isa_)},         \
        .f32_binary = {F32_BINARY_LIST(BINARY, isa_)},      \
        .f32_reduce_inner = {F32_REDUCE_LIST(INNER, isa_)}, \
        .f32_reduce_outer = {F32_REDUCE_LIST(OUTER, isa_)}, \
    }
/* clang-format on */

static const struct kernels scalar_kernels = TABLE(scalar, scalar);
#if defined(__aarch64__)
static const struct kernels neon_kernels = TABLE(neon, scalar);
#endif
#if defined(__x86_64__)
static const struct kernels avx2_kernels = TABLE(avx2, scalar);
static const struct kernels avx512_kernels = TABLE(avx512, scalar);
static const struct kernels avx512bf16_kernels = TABLE(avx512, avx512bf16);

static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

/* These builtins check the operating system's part (XGETBV) too. */
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static _Atomic(const struct kernels *) chosen;

const struct kernels *kernels_of(const char *isa)
{
    if (strcmp(isa, "scalar") == 0) return &scalar_kernels;
#if defined(__x86_64__)
    if (strcmp(isa, "avx2") == 0 && has_avx2()) return &avx2_kernels;
    if (strcmp(isa, "avx512") == 0 && has_avx512())
        return __builtin_cpu_supports("avx512bf16") ? &avx512bf16_kernels : &avx512_kernels;
#endif
#if defined(__aarch64__)
    if (strcmp(isa, "neon") == 0) return &neon_kernels;
#endif
    return NULL;
}

static const struct kernels *best(void)
{
    static const char *const by_speed[] = {"avx512", "avx2", "neon"};
    for (size_t i = 0; i < sizeof by_speed / sizeof by_speed[0]; i++) {
        const struct kernels *kernels = kernels_of(by_speed[i]);
        if (kernels != NULL) return kernels;
    }
    return &scalar_kernels;
}

onnxd_status kernels_init(onnxd_error *err)
{
    const char *isa = getenv("ONNXD_ISA");
    if (isa == NULL || isa[0] == 0) {
        kernels_get();
        return ONNXD_OK;
    }
    const struct kernels *kernels = kernels_of(isa);
    if (kernels == NULL) {
        static const char *const names[] = {"avx2", "avx512", "neon"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(isa, names[i]) == 0)
                return error_set(err, ONNXD_ERR_UNSUPPORTED,
                                 "ONNXD_ISA=%s: this CPU or build lacks it; the best here is %s", isa,
                                 best()->isa);
        return error_set(err, ONNXD_ERR_ARGUMENT, "ONNXD_ISA=%s: expected scalar, avx2, avx512 or neon", isa);
    }
    atomic_store_explicit(&chosen, kernels, memory_order_release);
    return ONNXD_OK;
}

const struct kernels *kernels_get(void)
{
    const struct kernels *kernels = atomic_load_explicit(&chosen, memory_order_acquire);
    if (kernels != NULL) return kernels;
    /* Two threads that come here at once find the same answer: the environment and CPU do not change. */
    const char *isa = getenv("ONNXD_ISA");
    kernels = isa != NULL ? kernels_of(isa) : NULL;
    if (kernels == NULL) kernels = best();
    atomic_store_explicit(&chosen, kernels, memory_order_release);
    return kernels;
}
