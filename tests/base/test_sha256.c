/* SHA-256 against the examples of FIPS 180-4 and lengths about the padding's edges. */
#include "base/sha256.h"

#include "support/test.h"

static void test_published_examples(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[SHA256_HEX_BYTES];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        sha256_hex(cases[i].text, strlen(cases[i].text), hex);
        assert_string_equal(hex, cases[i].hex);
    }
    static char million[1000000];
    memset(million, 'a', sizeof million);
    sha256_hex(million, sizeof million, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Figures of coreutils' sha256sum for n times 'x'. */
static void test_lengths_at_the_edges(void **state)
{
    static const struct {
        size_t n;
        const char *start;
    } cases[] = {{1, "2d711642b726b044"},   {55, "d5e285683cd4efc0"},  {56, "04c26261370ee754"},
                 {57, "ae14a2563ccf969d"},  {63, "75220b47218278e6"},  {64, "7ce100971f64e700"},
                 {65, "9537c5fdf120482f"},  {119, "000b48d4edf0fa7b"}, {120, "13f05a0b594787f5"},
                 {127, "70156a14adbabf98"}, {128, "24da1b81d0b16df6"}, {129, "0ec9eb33e74510bc"}};
    char text[130], hex[SHA256_HEX_BYTES];
    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sha256_hex(text, cases[i].n, hex);
        if (strncmp(hex, cases[i].start, 16) != 0) fail_msg("%zu bytes: %s", cases[i].n, hex);
    }
}

static void test_files(void **state)
{
    char hex[SHA256_HEX_BYTES];
    onnxd_error err;
    (void)state;
    assert_ok(sha256_file_hex("/dev/null", hex, &err), err);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_fails(sha256_file_hex("/nowhere/x", hex, &err), ONNXD_ERR_NOT_FOUND, err, "/nowhere/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_examples),
        cmocka_unit_test(test_lengths_at_the_edges),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
