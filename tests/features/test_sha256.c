/* SHA-256 of files against the examples of FIPS 180-4, and one longer than a block of reading. */
#include "features/sha256.h"

#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static void checksums_are_the_published_ones(void **state)
{
    (void)state;
    static char million[1000000];
    memset(million, 'a', sizeof million);
    const struct {
        const char *text;
        size_t n;
        const char *hex;
    } cases[] = {
        {"", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {million, sizeof million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    char path[] = "/tmp/onnxd_test_XXXXXX", hex[SHA256_HEX_BYTES];
    onnxd_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(file_replace(path, cases[i].text, cases[i].n, &err), err);
        assert_ok(sha256_file_hex(path, hex, &err), err);
        assert_string_equal(hex, cases[i].hex);
    }
    assert_int_equal(remove(path), 0);
    assert_fails(sha256_file_hex(path, hex, &err), ONNXD_ERR_NOT_FOUND, err, path);
    assert_fails(sha256_file_hex("/tmp", hex, &err), ONNXD_ERR_IO, err, "/tmp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checksums_are_the_published_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
