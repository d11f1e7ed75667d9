/* base/buf.h - a growing byte buffer that is born with a maximum.
 *
 * Appending past the maximum, or when memory runs out, fails and leaves the content as it was; the
 * buffer then remembers it in `failed`, so that a writer may append many pieces and ask once.
 *
 * Ownership: buf_done frees; the bytes stay valid until the next append.
 * Threads:   one at a time. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buf {
    char *data; /* NULL until the first append */
    size_t n;   /* bytes used */
    size_t capacity;
    size_t max;
    bool failed;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_done(struct buf *buf);

static inline void buf_reset(struct buf *buf) /* empties it, keeps the memory */
{
    buf->n = 0;
    buf->failed = false;
}

static inline void buf_restore(struct buf *buf, size_t n) /* back to the n bytes it had before appending */
{
    buf->n = n;
    buf->failed = false;
}

/* Room for `extra` more bytes behind data + n, or false. */
bool buf_reserve(struct buf *buf, size_t extra);

/* Gives memory back when more than `keep` bytes are held and none are used. */
void buf_shrink(struct buf *buf, size_t keep);

bool buf_append(struct buf *buf, const void *bytes, size_t n);
bool buf_append_text(struct buf *buf, const char *text);
/* For a terminal: control characters, which a file's author may have put into a name, become '?'. */
bool buf_append_shown(struct buf *buf, const char *text);
__attribute__((format(printf, 2, 3))) bool buf_printf(struct buf *buf, const char *format, ...);

static inline bool buf_append_char(struct buf *buf, char c)
{
    if (buf->n == buf->capacity && !buf_reserve(buf, 1)) return false;
    buf->data[buf->n++] = c;
    return true;
}

/* Removes the first n bytes. */
static inline void buf_consume(struct buf *buf, size_t n)
{
    if (n < buf->n) memmove(buf->data, buf->data + n, buf->n - n);
    buf->n -= n;
}

#endif
