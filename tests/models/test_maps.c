/* Operators of ai.onnx.ml that take maps. */
#include "support/test.h"

#include "onnxd/onnxd.h"

struct fixture {
    onnxd_model *model;
    onnxd_session *session;
    onnxd_tensor out;
    onnxd_error err;
};

static onnxd_status run(struct fixture *f, const char *name, onnxd_map *map)
{
    char file[128];
    onnxd_tensor in = {.type = ONNXD_MAP, .data = map};
    *f = (struct fixture){0};
    snprintf(file, sizeof file, "tests/models/maps/%s.onnx", name);
    assert_ok(onnxd_model_load(project_path(file), NULL, &f->model, &f->err), f->err);
    assert_ok(onnxd_session_create(f->model, NULL, &f->session, &f->err), f->err);
    return onnxd_session_run(f->session, &in, 1, &f->out, 1, &f->err);
}

static void done(struct fixture *f)
{
    onnxd_session_free(f->session);
    onnxd_model_unref(f->model);
}

static onnxd_tensor list(onnxd_type type, int64_t n, void *data)
{
    return (onnxd_tensor){.type = type, .rank = 1, .dims = {n}, .data = data};
}

static void a_dictionary_becomes_a_row_of_its_vocabulary(void **state)
{
    (void)state;
    struct fixture f;
    onnxd_string keys[] = {{"c", 1}, {"unknown", 7}, {"a", 1}};
    float values[] = {3.5f, 9, 1.5f};
    onnxd_map map = {list(ONNXD_STRING, 3, keys), list(ONNXD_FLOAT32, 3, values)};
    assert_ok(run(&f, "dict_vectorizer", &map), f.err);
    const float *y = f.out.data;
    assert_int_equal(f.out.dims[1], 3);
    assert_true(y[0] == 1.5f && y[1] == 0 && y[2] == 3.5f);
    done(&f);
}

static void a_dense_map_is_read_in_the_order_of_its_keys(void **state)
{
    (void)state;
    struct fixture f;
    int64_t keys[] = {7, -2, 5};
    float values[] = {70.9f, -2, 50};
    onnxd_map map = {list(ONNXD_INT64, 3, keys), list(ONNXD_FLOAT32, 3, values)};
    assert_ok(run(&f, "cast_map_dense", &map), f.err);
    const int64_t *y = f.out.data;
    assert_int_equal(f.out.type, ONNXD_INT64);
    assert_int_equal(y[0], -2);
    assert_int_equal(y[1], 50);
    assert_int_equal(y[2], 70);
    done(&f);
}

static void a_sparse_map_has_zeros_between_its_keys(void **state)
{
    (void)state;
    struct fixture f;
    int64_t keys[] = {4, 1};
    onnxd_string values[] = {{"0.25", 4}, {"-3", 2}};
    onnxd_map map = {list(ONNXD_INT64, 2, keys), list(ONNXD_STRING, 2, values)};
    assert_ok(run(&f, "cast_map_sparse", &map), f.err);
    const float want[] = {0, -3, 0, 0, 0.25f, 0}, *y = f.out.data;
    assert_int_equal(f.out.dims[1], 6);
    for (int i = 0; i < 6; i++) assert_true(y[i] == want[i]);
    done(&f);
    keys[0] = 6; /* past max_map */
    assert_fails(run(&f, "cast_map_sparse", &map), ONNXD_ERR_RANGE, f.err, "key 6");
    done(&f);
    keys[0] = 4;
    values[0] = (onnxd_string){"1,5", 3};
    assert_fails(run(&f, "cast_map_sparse", &map), ONNXD_ERR_RANGE, f.err, "'1,5' is not a number");
    done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dictionary_becomes_a_row_of_its_vocabulary),
        cmocka_unit_test(a_dense_map_is_read_in_the_order_of_its_keys),
        cmocka_unit_test(a_sparse_map_has_zeros_between_its_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
