#include "serve/gunzip.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/error.h"

#define GZIP_WINDOW  (16 + MAX_WBITS) /* a gzip head, as opposed to zlib's */
#define FIRST_FACTOR 4u

struct gunzip {
    z_stream stream;
};

void gunzip_free(struct gunzip *decoder)
{
    if (decoder == NULL) return;
    inflateEnd(&decoder->stream);
    free(decoder);
}

static bool prepare(struct gunzip **decoder)
{
    if (*decoder != NULL) return inflateReset(&(*decoder)->stream) == Z_OK;
    struct gunzip *made = calloc(1, sizeof *made);
    if (made == NULL || inflateInit2(&made->stream, GZIP_WINDOW) != Z_OK) {
        free(made);
        return false;
    }
    *decoder = made;
    return true;
}

/* One try with room for n_out bytes. Z_BUF_ERROR: not enough. */
static int unpack(struct gunzip *decoder, struct http_view packed, unsigned char *out, size_t n_out,
                  size_t *ret_n)
{
    z_stream *stream = &decoder->stream;
    stream->next_in = (unsigned char *)(uintptr_t)packed.p;
    stream->avail_in = (uInt)packed.n;
    stream->next_out = out;
    stream->avail_out = (uInt)n_out;
    int code = inflate(stream, Z_FINISH);
    *ret_n = n_out - stream->avail_out;
    if (code == Z_STREAM_END) return stream->avail_in == 0 ? Z_OK : Z_DATA_ERROR;
    if ((code == Z_BUF_ERROR || code == Z_OK) && stream->avail_out == 0) return Z_BUF_ERROR;
    return Z_DATA_ERROR; /* cut short, or not gzip */
}

onnxd_status gunzip_body(struct gunzip **decoder, struct http_view packed, size_t max_bytes,
                         struct arena *arena, struct http_view *ret, onnxd_error *err)
{
    if (packed.n > UINT32_MAX / 2 || max_bytes > UINT32_MAX / 2)
        return error_set(err, ONNXD_ERR_LIMIT, "the gzip body is too large");
    size_t room = packed.n * FIRST_FACTOR + 64, n = 0;
    for (;;) {
        if (room > max_bytes + 1) room = max_bytes + 1;
        unsigned char *out = arena_alloc(arena, room);
        if (out == NULL || !prepare(decoder)) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
        int code = unpack(*decoder, packed, out, room, &n);
        if (n > max_bytes)
            return error_set(err, ONNXD_ERR_LIMIT, "the unpacked body is larger than max-body-bytes = %zu",
                             max_bytes);
        if (code == Z_OK) {
            *ret = (struct http_view){(const char *)out, n};
            return ONNXD_OK;
        }
        if (code != Z_BUF_ERROR)
            return error_set(err, ONNXD_ERR_FORMAT, "Content-Encoding: the body is not whole and valid gzip");
        room *= 4;
    }
}
