/* Hostile and mistaken nodes: a clear error at once, whatever sizes and indices are asked for. */
#include "ops/op_test.h"

#include <math.h>

#define HUGE_SIZE ((int64_t)1 << 62)

static struct op_test t;
static onnxd_error err;

static int teardown(void **state)
{
    (void)state;
    op_test_end(&t);
    return 0;
}

static void add_i64(uint32_t n, int64_t *values)
{
    int64_t dims = n;
    op_test_input(&t, ONNXD_INT64, 1, &dims, values);
}

static void a_range_of_2_62_elements(void **state)
{
    (void)state;
    int64_t start = 0, limit = HUGE_SIZE, delta = 1;
    op_test_start(&t, "Range", 11);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &start);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &limit);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &delta);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_LIMIT, err, "elements");
    delta = 0;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "delta is 0");
}

static void a_range_backwards_over_all_integers(void **state)
{
    (void)state;
    int64_t start = INT64_MAX, limit = INT64_MIN, delta = INT64_MIN;
    op_test_start(&t, "Range", 11);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &start);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &limit);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &delta);
    assert_ok(op_test_run(&t, 1, &err), err);
    assert_int_equal(t.out[0].dims[0], 2);
    assert_true(((const int64_t *)t.out[0].data)[1] == -1);
}

static void a_terabyte_of_tiles(void **state)
{
    (void)state;
    float x[4] = {0};
    int64_t repeats[2] = {1 << 20, 1 << 20};
    op_test_start(&t, "Tile", 13);
    op_test_input(&t, ONNXD_FLOAT32, 2, (int64_t[]){2, 2}, x);
    add_i64(2, repeats);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_LIMIT, err, "");
    repeats[0] = HUGE_SIZE, repeats[1] = 8;
    assert_true(op_test_run(&t, 1, &err) != ONNXD_OK);
    repeats[0] = -1;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "repeats holds -1");
}

static void a_terabyte_of_pixels(void **state)
{
    (void)state;
    float x[4] = {0}, scales[4] = {1, 1, 1e6f, 1e6f};
    op_test_start(&t, "Resize", 13);
    op_test_string(&t, "mode", "linear");
    op_test_input(&t, ONNXD_FLOAT32, 4, (int64_t[]){1, 1, 2, 2}, x);
    t.given[t.node.n_in++] = NULL;
    op_test_input(&t, ONNXD_FLOAT32, 1, (int64_t[]){4}, scales);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_LIMIT, err, "");
    scales[2] = 1e30f;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "scales holds");
    scales[2] = NAN;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "scales holds");
}

static void an_index_outside_its_table(void **state)
{
    (void)state;
    float x[6] = {0};
    int64_t indices[2] = {2, -4};
    op_test_start(&t, "Gather", 13);
    op_test_input(&t, ONNXD_FLOAT32, 2, (int64_t[]){3, 2}, x);
    add_i64(2, indices);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "index -4 is outside a table of 3");
    indices[1] = INT64_MIN;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "outside a table of 3");
}

static void a_slice_with_extreme_numbers(void **state)
{
    (void)state;
    float x[5] = {1, 2, 3, 4, 5};
    int64_t start = INT64_MAX, end = INT64_MIN, axis = 0, step = INT64_MIN;
    const double want[] = {5};
    op_test_start(&t, "Slice", 13);
    op_test_input(&t, ONNXD_FLOAT32, 1, (int64_t[]){5}, x);
    add_i64(1, &start);
    add_i64(1, &end);
    add_i64(1, &axis);
    add_i64(1, &step);
    assert_ok(op_test_run(&t, 1, &err), err);
    op_test_expect(&t.out[0], want, 1, 0);
    step = 0;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "steps holds 0");
}

static void pads_that_overflow(void **state)
{
    (void)state;
    float x[2] = {1, 2};
    int64_t pads[2] = {HUGE_SIZE, HUGE_SIZE};
    op_test_start(&t, "Pad", 13);
    op_test_input(&t, ONNXD_FLOAT32, 1, (int64_t[]){2}, x);
    add_i64(2, pads);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_LIMIT, err, "pads");
    pads[0] = -3, pads[1] = 0;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_SHAPE, err, "-1 elements");
}

static void division_of_integers_by_zero(void **state)
{
    (void)state;
    int32_t a[2] = {INT32_MIN, 7}, b[2] = {-1, 0};
    op_test_start(&t, "Div", 14);
    op_test_input(&t, ONNXD_INT32, 1, (int64_t[]){2}, a);
    op_test_input(&t, ONNXD_INT32, 1, (int64_t[]){2}, b);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "division by zero at element 1");
    b[1] = 2;
    assert_ok(op_test_run(&t, 1, &err), err);
    assert_int_equal(((const int32_t *)t.out[0].data)[0], INT32_MIN);
    assert_int_equal(((const int32_t *)t.out[0].data)[1], 3);
}

static void integers_of_two_types_are_not_added(void **state)
{
    (void)state;
    int32_t a = 1;
    int64_t b = 1;
    op_test_start(&t, "Add", 14);
    op_test_input(&t, ONNXD_INT32, 0, NULL, &a);
    op_test_input(&t, ONNXD_INT64, 0, NULL, &b);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_TYPE, err, "input 1 has type int64, expected int32");
}

static void a_convolution_with_a_kernel_of_wrong_kind(void **state)
{
    (void)state;
    float x[9] = {0}, w[1] = {1};
    op_test_start(&t, "Conv", 11);
    op_test_int(&t, "kernel_shape", 1);
    op_test_input(&t, ONNXD_FLOAT32, 4, (int64_t[]){1, 1, 3, 3}, x);
    op_test_input(&t, ONNXD_FLOAT32, 4, (int64_t[]){1, 1, 1, 1}, w);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_MODEL, err, "'kernel_shape' is an int, expected a list");
}

static void windows_larger_than_the_image(void **state)
{
    (void)state;
    float x[9] = {0};
    const int64_t kernel[2] = {4, 1}, strides[2] = {0, 1};
    op_test_start(&t, "MaxPool", 11);
    op_test_ints(&t, "kernel_shape", kernel, 2);
    op_test_input(&t, ONNXD_FLOAT32, 4, (int64_t[]){1, 1, 3, 3}, x);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_SHAPE, err, "does not fit size 3");
    op_test_ints(&t, "strides", strides, 2);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_MODEL, err, "'strides' holds 0");
}

static void k_beyond_the_axis(void **state)
{
    (void)state;
    float x[3] = {3, NAN, 1};
    int64_t k = 4;
    op_test_start(&t, "TopK", 11);
    op_test_input(&t, ONNXD_FLOAT32, 1, (int64_t[]){3}, x);
    add_i64(1, &k);
    assert_fails(op_test_run(&t, 2, &err), ONNXD_ERR_RANGE, err, "k is 4");
    k = 3;
    assert_ok(op_test_run(&t, 2, &err), err);
    assert_int_equal(((const int64_t *)t.out[1].data)[0], 1); /* NaN counts as the largest */
    assert_int_equal(((const int64_t *)t.out[1].data)[2], 2);
}

static void a_region_too_large_to_sample(void **state)
{
    (void)state;
    float x[4] = {1, 2, 3, 4}, roi[4] = {0, 0, 1e9f, 1e9f};
    int64_t batch = 0;
    op_test_start(&t, "RoiAlign", 16);
    op_test_input(&t, ONNXD_FLOAT32, 4, (int64_t[]){1, 1, 2, 2}, x);
    op_test_input(&t, ONNXD_FLOAT32, 2, (int64_t[]){1, 4}, roi);
    add_i64(1, &batch);
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_LIMIT, err, "too large to be sampled");
    roi[2] = roi[3] = NAN;
    assert_true(op_test_run(&t, 1, &err) != ONNXD_OK);
    batch = 1;
    assert_fails(op_test_run(&t, 1, &err), ONNXD_ERR_RANGE, err, "index 1 is outside a table of 1");
}

static void sequence_lengths_beyond_the_steps(void **state)
{
    (void)state;
    float x[2] = {0}, w[4] = {0}, r[4] = {0};
    int32_t length = 3;
    op_test_start(&t, "LSTM", 14);
    op_test_int(&t, "hidden_size", 1);
    op_test_input(&t, ONNXD_FLOAT32, 3, (int64_t[]){2, 1, 1}, x);
    op_test_input(&t, ONNXD_FLOAT32, 3, (int64_t[]){1, 4, 1}, w);
    op_test_input(&t, ONNXD_FLOAT32, 3, (int64_t[]){1, 4, 1}, r);
    t.given[t.node.n_in++] = NULL;
    op_test_input(&t, ONNXD_INT32, 1, (int64_t[]){1}, &length);
    assert_fails(op_test_run(&t, 3, &err), ONNXD_ERR_RANGE, err, "sequence_lens holds 3");
    length = 2;
    assert_ok(op_test_run(&t, 3, &err), err);
}

#define CASE(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_range_of_2_62_elements),
        CASE(a_range_backwards_over_all_integers),
        CASE(a_terabyte_of_tiles),
        CASE(a_terabyte_of_pixels),
        CASE(an_index_outside_its_table),
        CASE(a_slice_with_extreme_numbers),
        CASE(pads_that_overflow),
        CASE(division_of_integers_by_zero),
        CASE(integers_of_two_types_are_not_added),
        CASE(a_convolution_with_a_kernel_of_wrong_kind),
        CASE(windows_larger_than_the_image),
        CASE(k_beyond_the_axis),
        CASE(a_region_too_large_to_sample),
        CASE(sequence_lengths_beyond_the_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
