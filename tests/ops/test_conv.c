/* Conv and MaxPool of one to three axes against their definitions; ConvTranspose as the adjoint of Conv. */
#include "ops/op_test.h"

#include <math.h>

enum { MAX_ELEMENTS = 1 << 15 };

struct convolution {
    uint32_t n;
    int64_t group, x[5], w[5], y[5], kernel[3], strides[3], dilations[3], pads[6];
};

static struct convolution random_convolution(struct rng *rng)
{
    struct convolution c = {.n = 1 + (uint32_t)rng_below(rng, 3), .group = 1 + (int64_t)rng_below(rng, 3)};
    c.x[0] = 1 + (int64_t)rng_below(rng, 2);
    c.w[1] = 1 + (int64_t)rng_below(rng, 4);
    c.x[1] = c.w[1] * c.group;
    c.w[0] = c.group * (1 + (int64_t)rng_below(rng, 4));
    for (uint32_t i = 0; i < c.n; i++) {
        c.kernel[i] = c.w[2 + i] = 1 + (int64_t)rng_below(rng, 4);
        c.strides[i] = 1 + (int64_t)rng_below(rng, 3);
        c.dilations[i] = 1 + (int64_t)rng_below(rng, 2);
        c.pads[i] = (int64_t)rng_below(rng, 3);
        c.pads[c.n + i] = (int64_t)rng_below(rng, 3);
        int64_t reach = (c.kernel[i] - 1) * c.dilations[i] + 1;
        c.x[2 + i] = reach + (int64_t)rng_below(rng, c.n == 1 ? 40 : 6);
        c.y[2 + i] = (c.x[2 + i] + c.pads[i] + c.pads[c.n + i] - reach) / c.strides[i] + 1;
    }
    c.y[0] = c.x[0];
    c.y[1] = c.w[0];
    return c;
}

static int64_t volume(const int64_t *dims, uint32_t n)
{
    int64_t v = 1;
    for (uint32_t i = 0; i < n; i++) v *= dims[i];
    return v;
}

/* Element of a plane that output position p sees through tap k; -1: padding. */
static int64_t seen(const struct convolution *c, int64_t p, int64_t k)
{
    int64_t at = 0, unit = 1;
    for (uint32_t i = c->n; i-- > 0;) {
        int64_t in = p % c->y[2 + i] * c->strides[i] - c->pads[i] + k % c->kernel[i] * c->dilations[i];
        if (in < 0 || in >= c->x[2 + i]) return -1;
        at += in * unit;
        unit *= c->x[2 + i];
        p /= c->y[2 + i];
        k /= c->kernel[i];
    }
    return at;
}

static void reference(const struct convolution *c, const float *x, const float *w, const float *b, double *y)
{
    int64_t positions = volume(c->y + 2, c->n), taps = volume(c->kernel, c->n),
            plane = volume(c->x + 2, c->n);
    int64_t maps = c->w[0] / c->group;
    for (int64_t i = 0; i < c->y[0] * c->y[1] * positions; i++) {
        int64_t m = i / positions % c->y[1], image = i / positions / c->y[1];
        y[i] = b != NULL ? (double)b[m] : 0;
        for (int64_t ch = 0; ch < c->w[1]; ch++)
            for (int64_t k = 0; k < taps; k++) {
                int64_t at = seen(c, i % positions, k), channel = m / maps * c->w[1] + ch;
                if (at >= 0)
                    y[i] += (double)w[(m * c->w[1] + ch) * taps + k] *
                            (double)x[(image * c->x[1] + channel) * plane + at];
            }
    }
}

static void set_attributes(struct op_test *t, const struct convolution *c)
{
    op_test_ints(t, "strides", c->strides, c->n);
    op_test_ints(t, "dilations", c->dilations, c->n);
    op_test_ints(t, "pads", c->pads, 2 * (size_t)c->n);
}

static float x[MAX_ELEMENTS], w[MAX_ELEMENTS], b[64];
static double want[MAX_ELEMENTS];

static void fill(struct rng *rng)
{
    for (int i = 0; i < MAX_ELEMENTS; i++) {
        x[i] = rng_f32(rng) - 0.5f;
        w[i] = rng_f32(rng) - 0.5f;
    }
    for (int i = 0; i < 64; i++) b[i] = rng_f32(rng);
}

static void conv_matches_its_definition(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    fill(&rng);
    for (int round = 0; round < 400; round++) {
        struct convolution c = random_convolution(&rng);
        struct op_test t;
        onnxd_error err;
        int64_t n = volume(c.y, c.n + 2), m = c.w[0];
        bool biased = round % 2 == 0;
        if (volume(c.x, c.n + 2) > MAX_ELEMENTS || n > MAX_ELEMENTS) continue;
        op_test_start(&t, "Conv", 11);
        set_attributes(&t, &c);
        op_test_int(&t, "group", c.group);
        op_test_input(&t, ONNXD_FLOAT32, c.n + 2, c.x, x);
        op_test_input(&t, ONNXD_FLOAT32, c.n + 2, c.w, w);
        if (biased) op_test_input(&t, ONNXD_FLOAT32, 1, &m, b);
        reference(&c, x, w, biased ? b : NULL, want);
        assert_ok(op_test_run(&t, 1, &err), err);
        op_test_expect(&t.out[0], want, n, 1e-4);
        op_test_end(&t);
    }
}

/* <conv(x, w), y> = <x, transposed(y, w)> for all x and y. */
static void transposed_is_the_adjoint(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed() + 1);
    fill(&rng);
    for (int round = 0; round < 200; round++) {
        struct convolution c = random_convolution(&rng);
        struct op_test t;
        onnxd_error err;
        int64_t extra[3];
        for (uint32_t i = 0; i < c.n; i++) /* what the division by the stride dropped */
            extra[i] = (c.x[2 + i] + c.pads[i] + c.pads[c.n + i] - (c.kernel[i] - 1) * c.dilations[i] - 1) %
                       c.strides[i];
        int64_t n_x = volume(c.x, c.n + 2), n_y = volume(c.y, c.n + 2);
        if (n_x > MAX_ELEMENTS || n_y > MAX_ELEMENTS) continue;
        float *y = calloc((size_t)n_y, sizeof *y);
        assert_non_null(y);
        double left = 0, right = 0, size = 1;
        reference(&c, x, w, NULL, want);
        for (int64_t i = 0; i < n_y; i++) {
            y[i] = rng_f32(&rng) - 0.5f;
            left += want[i] * (double)y[i];
            size += fabs(want[i] * (double)y[i]);
        }
        op_test_start(&t, "ConvTranspose", 11);
        set_attributes(&t, &c);
        op_test_int(&t, "group", c.group);
        op_test_ints(&t, "output_padding", extra, c.n);
        op_test_input(&t, ONNXD_FLOAT32, c.n + 2, c.y, y);
        op_test_input(&t, ONNXD_FLOAT32, c.n + 2, c.w, w);
        assert_ok(op_test_run(&t, 1, &err), err);
        assert_int_equal(onnxd_tensor_n_elements(&t.out[0]), n_x);
        for (int64_t i = 0; i < n_x; i++) right += (double)((const float *)t.out[0].data)[i] * (double)x[i];
        if (fabs(left - right) > 1e-5 * size) fail_msg("products are %.9g and %.9g", left, right);
        op_test_end(&t);
        free(y);
    }
}

static void max_pool_finds_the_largest_and_its_place(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed() + 2);
    fill(&rng);
    for (int round = 0; round < 200; round++) {
        struct convolution c = random_convolution(&rng);
        struct op_test t;
        onnxd_error err;
        c.y[1] = c.x[1];
        int64_t positions = volume(c.y + 2, c.n), taps = volume(c.kernel, c.n), plane = volume(c.x + 2, c.n);
        if (volume(c.x, c.n + 2) > MAX_ELEMENTS || volume(c.y, c.n + 2) > MAX_ELEMENTS) continue;
        op_test_start(&t, "MaxPool", 12);
        set_attributes(&t, &c);
        op_test_ints(&t, "kernel_shape", c.kernel, c.n);
        op_test_input(&t, ONNXD_FLOAT32, c.n + 2, c.x, x);
        assert_ok(op_test_run(&t, 2, &err), err);
        const float *y = t.out[0].data;
        const int64_t *where = t.out[1].data;
        for (int64_t i = 0; i < volume(c.y, c.n + 2); i++) {
            int64_t first = i / positions * plane, best = -1;
            for (int64_t k = 0; k < taps; k++) {
                int64_t at = seen(&c, i % positions, k);
                if (at >= 0 && (best < 0 || x[first + at] > x[first + best])) best = at;
            }
            if (best < 0) continue; /* a window wholly in padding */
            assert_int_equal(where[i], first + best);
            assert_true(y[i] == x[first + best]);
        }
        op_test_end(&t);
    }
}

/* Bytes with zero points: sums are exact, so those of their differences from them are the reference. */
static void conv_of_bytes_is_exact(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    static uint8_t bytes[MAX_ELEMENTS];
    static int8_t weights[MAX_ELEMENTS];
    for (int i = 0; i < MAX_ELEMENTS; i++) {
        bytes[i] = (uint8_t)rng_below(&rng, 256);
        weights[i] = (int8_t)((int)rng_below(&rng, 256) - 128);
    }
    for (int round = 0; round < 300; round++) {
        struct convolution c = random_convolution(&rng);
        struct op_test t;
        onnxd_error err;
        uint8_t x_zero = (uint8_t)rng_below(&rng, 256);
        int8_t w_zero = (int8_t)((int)rng_below(&rng, 20) - 10);
        if (round % 2 == 0) /* the path of strides of 1 */
            for (uint32_t i = 0; i < c.n; i++) {
                c.strides[i] = 1;
                c.y[2 + i] = c.x[2 + i] + c.pads[i] + c.pads[c.n + i] - (c.kernel[i] - 1) * c.dilations[i];
            }
        int64_t n = volume(c.y, c.n + 2);
        if (volume(c.x, c.n + 2) > MAX_ELEMENTS || n > MAX_ELEMENTS) continue;
        for (int i = 0; i < MAX_ELEMENTS; i++) {
            x[i] = (float)(bytes[i] - x_zero);
            w[i] = (float)(weights[i] - w_zero);
        }
        op_test_start(&t, "ConvInteger", 10);
        set_attributes(&t, &c);
        op_test_int(&t, "group", c.group);
        op_test_input(&t, ONNXD_UINT8, c.n + 2, c.x, bytes);
        op_test_input(&t, ONNXD_INT8, c.n + 2, c.w, weights);
        op_test_input(&t, ONNXD_UINT8, 0, NULL, &x_zero);
        op_test_input(&t, ONNXD_INT8, 0, NULL, &w_zero);
        assert_ok(op_test_run(&t, 1, &err), err);
        reference(&c, x, w, NULL, want);
        const int32_t *y = t.out[0].data;
        for (int64_t i = 0; i < n; i++)
            if ((double)y[i] != want[i])
                fail_msg("round %d, element %lld: %d, expected %g", round, (long long)i, y[i], want[i]);
        op_test_end(&t);
    }
}

/* Without indices rows are taken whole: windows wider than a vector, NaN, and windows in the padding alone.
 */
static void max_pool_without_places(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    uint32_t n_nan = 0, n_long = 0, n_empty = 0;
    fill(&rng);
    for (int i = 0; i < MAX_ELEMENTS; i += 97) x[i] = NAN;
    for (int round = 0; round < 400; round++) {
        struct convolution c = random_convolution(&rng);
        struct op_test t;
        onnxd_error err;
        uint32_t last = c.n - 1;
        if (round % 3 == 0) {
            c.kernel[last] = 14 + (int64_t)rng_below(&rng, 60);
            c.x[2 + last] = (c.kernel[last] - 1) * c.dilations[last] + 1 + (int64_t)rng_below(&rng, 30);
            c.y[2 + last] = (c.x[2 + last] + c.pads[last] + c.pads[c.n + last] -
                             (c.kernel[last] - 1) * c.dilations[last] - 1) /
                                c.strides[last] +
                            1;
            n_long++;
        }
        c.y[1] = c.x[1];
        int64_t positions = volume(c.y + 2, c.n), taps = volume(c.kernel, c.n), plane = volume(c.x + 2, c.n);
        if (volume(c.x, c.n + 2) > MAX_ELEMENTS || volume(c.y, c.n + 2) > MAX_ELEMENTS) continue;
        op_test_start(&t, "MaxPool", 12);
        set_attributes(&t, &c);
        op_test_ints(&t, "kernel_shape", c.kernel, c.n);
        op_test_input(&t, ONNXD_FLOAT32, c.n + 2, c.x, x);
        assert_ok(op_test_run(&t, 1, &err), err);
        const float *y = t.out[0].data;
        for (int64_t i = 0; i < volume(c.y, c.n + 2); i++) {
            float most = -INFINITY;
            bool any = false;
            for (int64_t k = 0; k < taps; k++) {
                int64_t at = seen(&c, i % positions, k);
                if (at < 0) continue;
                float v = x[i / positions * plane + at];
                any = true;
                if (v > most || isnan(v)) most = v;
            }
            n_nan += isnan(most);
            n_empty += !any;
            if (!(y[i] == most || (isnan(y[i]) && isnan(most))))
                fail_msg("round %d, element %lld: %g, expected %g", round, (long long)i, (double)y[i],
                         (double)most);
        }
        op_test_end(&t);
    }
    assert_true(n_nan > 100 && n_long > 100 && n_empty > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_matches_its_definition),
        cmocka_unit_test(transposed_is_the_adjoint),
        cmocka_unit_test(max_pool_finds_the_largest_and_its_place),
        cmocka_unit_test(max_pool_without_places),
        cmocka_unit_test(conv_of_bytes_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
