#include "features/sha256.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/line_reader.h"

enum { FILE_BLOCK_BYTES = 1 << 16, SHA256_BYTES = 32 };

static onnxd_status digest(struct line_reader *reader, EVP_MD_CTX *context, unsigned char *ret_bytes,
                           onnxd_error *err)
{
    const char *bytes;
    size_t n = 0;
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    do {
        onnxd_status status = line_reader_block(reader, FILE_BLOCK_BYTES, &bytes, &n, err);
        if (status != ONNXD_OK) return status;
        done = done && EVP_DigestUpdate(context, bytes, n) == 1;
    } while (done && n > 0);
    done = done && EVP_DigestFinal_ex(context, ret_bytes, NULL) == 1;
    return done ? ONNXD_OK : error_set(err, ONNXD_ERR_NOMEM, "no memory for a checksum");
}

onnxd_status sha256_file_hex(const char *path, char ret_hex[SHA256_HEX_BYTES], onnxd_error *err)
{
    unsigned char bytes[SHA256_BYTES];
    struct line_reader reader;
    onnxd_status status = line_reader_open(&reader, path, FILE_BLOCK_BYTES, err);
    if (status != ONNXD_OK) return status;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    status = digest(&reader, context, bytes, err);
    EVP_MD_CTX_free(context);
    line_reader_close(&reader);
    if (status != ONNXD_OK) return status;
    for (int i = 0; i < 2 * SHA256_BYTES; i++)
        ret_hex[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
    ret_hex[2 * SHA256_BYTES] = 0;
    return ONNXD_OK;
}
