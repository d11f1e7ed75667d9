/* A planned run allocates nothing: this program's allocator counts. */
#include "support/test.h"

#include <stdlib.h>

#include "support/models.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);

static unsigned n_allocations;

void *__wrap_malloc(size_t n)
{
    n_allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    n_allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    n_allocations++;
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    n_allocations++;
    return __real_aligned_alloc(align, n);
}

static void a_run_allocates_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"deepfm", "wdl", "autoint"};
    static const int64_t batches[] = {1, 8, 64, 1, 64};
    for (size_t m = 0; m < 3; m++) {
        struct stored stored;
        onnxd_error err;
        onnxd_model *model = NULL;
        onnxd_session *session = NULL;
        stored_read(names[m], &stored);
        n_allocations = 0;
        assert_ok(onnxd_model_load(stored_model_path(names[m]), NULL, &model, &err), err);
        assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
        assert_true(n_allocations > 0); /* the counter works */
        for (int warm = 1; warm >= 0; warm--) {
            n_allocations = 0;
            for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
                onnxd_tensor in = {ONNXD_FLOAT32, 2, {batches[i], STORED_COLUMNS}, stored.in}, out;
                assert_ok(onnxd_session_run(session, &in, 1, &out, 1, &err), err);
            }
        }
        assert_int_equal(n_allocations, 0);
        onnxd_session_free(session);
        onnxd_model_unref(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
