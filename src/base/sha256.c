#include "base/sha256.h"

#include <stdint.h>
#include <string.h>

#include "base/line_reader.h"

enum { BLOCK_BYTES = 64, FILE_BLOCK_BYTES = 1 << 16 };

struct sha256 {
    uint32_t h[8];
    unsigned char block[BLOCK_BYTES]; /* bytes that do not make a block yet */
    uint64_t n_bytes;
};

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void take_block(struct sha256 *s, const unsigned char *block)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t e = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t a = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t t = v[7] + e + choice + k[i] + w[i];
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t;
        v[0] = t + a + majority;
    }
    for (int i = 0; i < 8; i++) s->h[i] += v[i];
}

static struct sha256 begin(void)
{
    /* The same of the square roots of the first 8 primes. */
    return (struct sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                 0x1f83d9ab, 0x5be0cd19}};
}

static void take(struct sha256 *s, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    size_t held = s->n_bytes % BLOCK_BYTES;
    s->n_bytes += n;
    while (n > 0) {
        if (held == 0 && n >= BLOCK_BYTES) {
            take_block(s, at);
            at += BLOCK_BYTES;
            n -= BLOCK_BYTES;
            continue;
        }
        size_t room = BLOCK_BYTES - held, m = n < room ? n : room;
        memcpy(s->block + held, at, m);
        held += m;
        at += m;
        n -= m;
        if (held < BLOCK_BYTES) break;
        take_block(s, s->block);
        held = 0;
    }
}

static void finish(struct sha256 *s, char *hex)
{
    static const unsigned char padding[BLOCK_BYTES] = {0x80};
    uint64_t n_bits = s->n_bytes * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(n_bits >> (56 - 8 * i));
    take(s, padding, 1 + (BLOCK_BYTES + 55 - s->n_bytes % BLOCK_BYTES) % BLOCK_BYTES);
    take(s, length, sizeof length);
    for (int i = 0; i < 64; i++) hex[i] = "0123456789abcdef"[s->h[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = 0;
}

void sha256_hex(const void *bytes, size_t n, char ret_hex[SHA256_HEX_BYTES])
{
    struct sha256 s = begin();
    take(&s, bytes, n);
    finish(&s, ret_hex);
}

onnxd_status sha256_file_hex(const char *path, char ret_hex[SHA256_HEX_BYTES], onnxd_error *err)
{
    struct sha256 s = begin();
    struct line_reader reader;
    const char *bytes;
    size_t n = 0;
    onnxd_status status = line_reader_open(&reader, path, FILE_BLOCK_BYTES, err);
    if (status != ONNXD_OK) return status;
    do {
        status = line_reader_block(&reader, FILE_BLOCK_BYTES, &bytes, &n, err);
        if (status == ONNXD_OK) take(&s, bytes, n);
    } while (status == ONNXD_OK && n > 0);
    line_reader_close(&reader);
    if (status == ONNXD_OK) finish(&s, ret_hex);
    return status;
}
