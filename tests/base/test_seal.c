#include "support/test.h"

#include "base/seal.h"

static const struct seal seal = {"ONNXDXYZ", 3, "a file of the test"};

static void make(struct buf *out, const struct seal *with)
{
    buf_init(out, 1000);
    buf_append(out, "before", 6); /* a seal may begin anywhere in a buffer */
    size_t start = seal_begin(with, out);
    bytes_put_u32(out, 42);
    bytes_put_string(out, "content", 7);
    seal_end(out, start);
    assert_false(out->failed);
}

static void what_was_sealed_opens(void **state)
{
    (void)state;
    struct buf out;
    struct byte_reader in;
    onnxd_error err;
    uint32_t n = 0;
    make(&out, &seal);
    assert_ok(seal_open(&seal, out.data + 6, out.n - 6, &in, &err), err);
    assert_int_equal(bytes_get_u32(&in), 42);
    const char *text = bytes_get_string(&in, &n);
    assert_int_equal(n, 7);
    assert_memory_equal(text, "content", 7);
    assert_true(in.at == in.end && !in.failed);
    buf_done(&out);
}

static void what_is_not_whole_does_not_open(void **state)
{
    (void)state;
    struct buf out;
    struct byte_reader in = {0};
    onnxd_error err;
    make(&out, &seal);
    unsigned char *bytes = (unsigned char *)out.data + 6;
    size_t n = out.n - 6;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(seal_open(&seal, bytes, i, &in, &err), ONNXD_ERR_FORMAT);
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            assert_int_equal(seal_open(&seal, bytes, n, &in, &err), ONNXD_ERR_FORMAT);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
    assert_null(in.at);
    assert_fails(seal_open(&seal, bytes, n - 1, &in, &err), ONNXD_ERR_FORMAT, err, "damaged");
    assert_fails(seal_open(&seal, bytes, 12, &in, &err), ONNXD_ERR_FORMAT, err, "cut short after 12 bytes");
    assert_fails(seal_open(&seal, bytes, 0, &in, &err), ONNXD_ERR_FORMAT, err, "not a file of the test");
    buf_done(&out);
}

static void other_kinds_and_versions_are_named(void **state)
{
    (void)state;
    struct seal older = seal, other = seal;
    older.version = 2;
    other.magic[7] = 'A';
    struct buf out;
    struct byte_reader in;
    onnxd_error err;
    make(&out, &older);
    assert_fails(seal_open(&seal, out.data + 6, out.n - 6, &in, &err), ONNXD_ERR_FORMAT, err,
                 "a file of the test of version 2; this program reads version 3");
    buf_done(&out);
    make(&out, &other);
    assert_fails(seal_open(&seal, out.data + 6, out.n - 6, &in, &err), ONNXD_ERR_FORMAT, err,
                 "not a file of the test");
    buf_done(&out);
}

static void a_buffer_that_is_full_stays_failed(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 30);
    size_t start = seal_begin(&seal, &out);
    for (int i = 0; i < 10; i++) bytes_put_u64(&out, 1);
    seal_end(&out, start);
    assert_true(out.failed);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(what_is_not_whole_does_not_open),
        cmocka_unit_test(other_kinds_and_versions_are_named),
        cmocka_unit_test(a_buffer_that_is_full_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
