#include "kernels_test.h"

#include <stdlib.h>

static void a_bad_isa_is_named(void **state)
{
    (void)state;
    onnxd_error err;
    setenv("ONNXD_ISA", "sse9", 1);
    assert_fails(kernels_init(&err), ONNXD_ERR_ARGUMENT, err, "ONNXD_ISA=sse9: expected scalar, avx2");
    setenv("ONNXD_ISA", kernels_of("neon") == NULL ? "neon" : "avx2", 1);
    assert_fails(kernels_init(&err), ONNXD_ERR_UNSUPPORTED, err, "this CPU or build lacks it");
    unsetenv("ONNXD_ISA");
}

static void each_available_isa_can_be_forced(void **state)
{
    (void)state;
    onnxd_error err;
    for_each_kernels(kernels)
    {
        setenv("ONNXD_ISA", kernels->isa, 1);
        assert_ok(kernels_init(&err), err);
        assert_string_equal(kernels_get()->isa, kernels->isa);
    }
    unsetenv("ONNXD_ISA");
}

static void tables_have_no_hole(void **state)
{
    (void)state;
    for_each_kernels(kernels)
    {
        /* After the name and has_bf16 a table holds nothing but function pointers. */
        void *const *slots = (void *const *)(const void *)kernels;
        for (size_t i = 2; i < sizeof *kernels / sizeof *slots; i++)
            if (slots[i] == NULL) fail_msg("%s: entry %zu is NULL", kernels->isa, i);
    }
    assert_null(kernels_of("nothing"));
    assert_non_null(kernels_of("scalar"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_isa_is_named),
        cmocka_unit_test(each_available_isa_can_be_forced),
        cmocka_unit_test(tables_have_no_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
