#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max = max_bytes};
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->n = buf->capacity = 0;
}

bool buf_reserve(struct buf *buf, size_t extra)
{
    if (extra <= buf->capacity - buf->n) return true;
    if (extra > buf->max || buf->n > buf->max - extra) {
        buf->failed = true;
        return false;
    }
    size_t capacity = buf->capacity < 256 ? 256 : buf->capacity;
    while (capacity - buf->n < extra) capacity = capacity > buf->max / 2 ? buf->max : capacity * 2;
    if (capacity > buf->max) capacity = buf->max;
    char *data = realloc(buf->data, capacity);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void buf_shrink(struct buf *buf, size_t keep)
{
    if (buf->n == 0 && buf->capacity > keep) buf_done(buf);
}

bool buf_append(struct buf *buf, const void *bytes, size_t n)
{
    if (!buf_reserve(buf, n)) return false;
    if (n > 0) memcpy(buf->data + buf->n, bytes, n);
    buf->n += n;
    return true;
}

bool buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

bool buf_append_shown(struct buf *buf, const char *text)
{
    size_t start = buf->n;
    if (!buf_append_text(buf, text)) return false;
    for (size_t i = start; i < buf->n; i++)
        if ((unsigned char)buf->data[i] < 0x20 || buf->data[i] == 0x7f) buf->data[i] = '?';
    return true;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    bool ok = false;
    int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && buf_reserve(buf, (size_t)n + 1)) {
        vsnprintf(buf->data + buf->n, (size_t)n + 1, format, again);
        buf->n += (size_t)n;
        ok = true;
    }
    va_end(again);
    va_end(args);
    return ok;
}
