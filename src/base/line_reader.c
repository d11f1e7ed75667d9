#include "base/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { FIRST_BYTES = 1 << 16 };

static onnxd_status fail(const struct line_reader *reader, int error, onnxd_error *err)
{
    return error_set(err, error == ENOENT ? ONNXD_ERR_NOT_FOUND : ONNXD_ERR_IO, "%s: %s", reader->name,
                     strerror(error));
}

onnxd_status line_reader_open(struct line_reader *reader, const char *path, size_t max_bytes,
                              onnxd_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct line_reader r = {.name = standard ? "standard input" : path, .max_bytes = max_bytes};
    struct stat st;
    r.fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (r.fd < 0) return fail(&r, errno, err);
    if (fstat(r.fd, &st) == 0 && S_ISREG(st.st_mode)) r.total_bytes = (uint64_t)st.st_size;
    *reader = r;
    return ONNXD_OK;
}

void line_reader_open_source(struct line_reader *reader, const char *name, struct line_source source,
                             size_t max_bytes)
{
    *reader = (struct line_reader){.name = name, .fd = -1, .source = source, .max_bytes = max_bytes};
}

void line_reader_close(struct line_reader *reader)
{
    if (reader->fd > STDIN_FILENO) close(reader->fd);
    free(reader->bytes);
    *reader = (struct line_reader){.fd = -1};
}

/* Moves what is held to the front, or doubles the memory when it is full. */
static onnxd_status make_room(struct line_reader *r, onnxd_error *err)
{
    if (r->start > 0) {
        memmove(r->bytes, r->bytes + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->end < r->capacity) return ONNXD_OK;
    size_t most = r->max_bytes + 2; /* the line's end, too */
    if (r->capacity >= most)
        return error_set(err, ONNXD_ERR_LIMIT, "%s: line %llu is longer than %zu bytes", r->name,
                         (unsigned long long)r->line + 1, r->max_bytes);
    size_t capacity = r->capacity == 0 ? FIRST_BYTES : r->capacity * 2;
    if (capacity > most) capacity = most;
    char *bigger = realloc(r->bytes, capacity);
    if (bigger == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for a line of %zu bytes", r->name, capacity);
    r->bytes = bigger;
    r->capacity = capacity;
    return ONNXD_OK;
}

static onnxd_status fill(struct line_reader *r, onnxd_error *err)
{
    onnxd_status status = make_room(r, err);
    if (status != ONNXD_OK) return status;
    if (r->source.pull != NULL) {
        size_t n = 0;
        status = r->source.pull(r->source.context, r->bytes + r->end, r->capacity - r->end, &n, err);
        if (status != ONNXD_OK) return status;
        r->at_end = n == 0;
        r->end += n;
        return ONNXD_OK;
    }
    ssize_t got;
    do got = read(r->fd, r->bytes + r->end, r->capacity - r->end);
    while (got < 0 && errno == EINTR);
    if (got < 0) return fail(r, errno, err);
    r->at_end = got == 0;
    r->end += (size_t)got;
    return ONNXD_OK;
}

onnxd_status line_reader_next(struct line_reader *r, const char **ret_line, size_t *ret_n, onnxd_error *err)
{
    size_t scanned = 0;
    const char *end = NULL;
    for (;;) {
        size_t held = r->end - r->start;
        if (held > scanned) end = memchr(r->bytes + r->start + scanned, '\n', held - scanned);
        if (end != NULL || r->at_end) break;
        scanned = held;
        onnxd_status status = fill(r, err);
        if (status != ONNXD_OK) return status;
    }
    const char *line = r->bytes + r->start;
    size_t n = end != NULL ? (size_t)(end - line) : r->end - r->start;
    size_t taken = n + (end != NULL);
    r->start += taken;
    r->n_taken += taken;
    if (taken == 0) {
        *ret_line = NULL;
        *ret_n = 0;
        return ONNXD_OK;
    }
    if (n > 0 && line[n - 1] == '\r') n--;
    if (n > r->max_bytes)
        return error_set(err, ONNXD_ERR_LIMIT, "%s: line %llu is longer than %zu bytes", r->name,
                         (unsigned long long)r->line + 1, r->max_bytes);
    if (r->line == 0 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        n -= 3;
    }
    r->line++;
    *ret_line = line;
    *ret_n = n;
    return ONNXD_OK;
}

onnxd_status line_reader_block(struct line_reader *r, size_t n, const char **ret_bytes, size_t *ret_n,
                               onnxd_error *err)
{
    while (r->end - r->start < n && !r->at_end) {
        onnxd_status status = fill(r, err);
        if (status != ONNXD_OK) return status;
    }
    size_t held = r->end - r->start;
    if (n > held) n = held;
    *ret_bytes = r->bytes + r->start;
    *ret_n = n;
    r->start += n;
    r->n_taken += n;
    return ONNXD_OK;
}
