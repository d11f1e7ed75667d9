/* base/bytes.h - little-endian numbers in byte strings, for binary files of our own.
 *
 * Writing goes to a struct buf, whose `failed` remembers a shortage. A reader never passes its end: a read
 * that would returns 0 and sets `failed`, so that a caller may read many fields and ask once, but must ask
 * before it trusts a count.
 *
 *     struct byte_reader reader = {.at = bytes, .end = bytes + n};
 *     uint32_t n_items = bytes_get_count(&reader, 12);   // at most what 12-byte items fit in the rest
 *     if (reader.failed) ...
 *
 * Threads: one at a time. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

struct byte_reader {
    const unsigned char *at, *end;
    bool failed;
};

static inline void bytes_put_u64(struct buf *out, uint64_t x)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++) b[i] = (unsigned char)(x >> 8 * i);
    buf_append(out, b, sizeof b);
}

static inline void bytes_put_u32(struct buf *out, uint32_t x)
{
    unsigned char b[4];
    for (int i = 0; i < 4; i++) b[i] = (unsigned char)(x >> 8 * i);
    buf_append(out, b, sizeof b);
}

static inline void bytes_put_f64(struct buf *out, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bytes_put_u64(out, bits);
}

static inline void bytes_put_f32(struct buf *out, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bytes_put_u32(out, bits);
}

/* A count and that many bytes. */
static inline void bytes_put_string(struct buf *out, const void *bytes, uint32_t n)
{
    bytes_put_u32(out, n);
    buf_append(out, bytes, n);
}

static inline uint64_t bytes_get_number(struct byte_reader *in, int n_bytes)
{
    if (in->failed || in->end - in->at < n_bytes) {
        in->failed = true;
        return 0;
    }
    uint64_t x = 0;
    for (int i = 0; i < n_bytes; i++) x |= (uint64_t)in->at[i] << 8 * i;
    in->at += n_bytes;
    return x;
}

static inline uint64_t bytes_get_u64(struct byte_reader *in)
{
    return bytes_get_number(in, 8);
}

static inline uint32_t bytes_get_u32(struct byte_reader *in)
{
    return (uint32_t)bytes_get_number(in, 4);
}

static inline double bytes_get_f64(struct byte_reader *in)
{
    uint64_t bits = bytes_get_u64(in);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float bytes_get_f32(struct byte_reader *in)
{
    uint32_t bits = bytes_get_u32(in);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A count of items of at least item_bytes (> 0) each that the rest can still hold. */
static inline uint32_t bytes_get_count(struct byte_reader *in, size_t item_bytes)
{
    uint32_t n = bytes_get_u32(in);
    if (in->failed || n > (size_t)(in->end - in->at) / item_bytes) {
        in->failed = true;
        return 0;
    }
    return n;
}

/* The view of a counted string, or NULL and 0. */
static inline const char *bytes_get_string(struct byte_reader *in, uint32_t *ret_n)
{
    uint32_t n = bytes_get_count(in, 1);
    const char *text = (const char *)in->at;
    *ret_n = n;
    if (in->failed) return NULL;
    in->at += n;
    return text;
}

#endif
