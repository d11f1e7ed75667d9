#include "base/seal.h"

#include "base/error.h"
#include "base/map.h"

enum { MAGIC_BYTES = 8, HEAD_BYTES = MAGIC_BYTES + 4, HASH_BYTES = 8 };

#define HASH_SEED 0x6f6e6e78647365u

size_t seal_begin(const struct seal *seal, struct buf *out)
{
    size_t start = out->n;
    buf_append(out, seal->magic, MAGIC_BYTES);
    bytes_put_u32(out, seal->version);
    return start;
}

void seal_end(struct buf *out, size_t start)
{
    if (!out->failed) bytes_put_u64(out, hash_bytes(out->data + start, out->n - start, HASH_SEED));
}

onnxd_status seal_open(const struct seal *seal, const void *bytes, size_t n, struct byte_reader *ret_in,
                       onnxd_error *err)
{
    const unsigned char *at = bytes;
    if (n < MAGIC_BYTES || memcmp(at, seal->magic, MAGIC_BYTES) != 0)
        return error_set(err, ONNXD_ERR_FORMAT, "not %s", seal->kind);
    if (n < HEAD_BYTES + HASH_BYTES)
        return error_set(err, ONNXD_ERR_FORMAT, "damaged: cut short after %zu bytes", n);
    struct byte_reader in = {.at = at + MAGIC_BYTES, .end = at + n - HASH_BYTES};
    struct byte_reader tail = {.at = at + n - HASH_BYTES, .end = at + n};
    uint32_t version = bytes_get_u32(&in);
    if (version != seal->version)
        return error_set(err, ONNXD_ERR_FORMAT, "%s of version %u; this program reads version %u", seal->kind,
                         version, seal->version);
    if (bytes_get_u64(&tail) != hash_bytes(bytes, n - HASH_BYTES, HASH_SEED))
        return error_set(err, ONNXD_ERR_FORMAT, "damaged: its bytes do not have the hash at its end");
    *ret_in = in;
    return ONNXD_OK;
}
