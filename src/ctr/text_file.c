#include "ctr/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"

enum { BLOCK_BYTES = 1 << 17, GZIP_WINDOW = 16 + MAX_WBITS };

enum kind { UNKNOWN, PLAIN, GZIP, PADDING /* zeros behind the last member */ };

struct text_source {
    int fd;
    enum kind kind;
    bool in_member; /* GZIP: one has begun and not ended */
    bool at_end;
    z_stream z;       /* GZIP; next_in..avail_in is what was read and not yet taken, of any kind */
    uint64_t n_bytes; /* read */
    unsigned char block[BLOCK_BYTES];
};

static onnxd_status io_error(const char *name, onnxd_error *err)
{
    return error_set(err, errno == ENOENT ? ONNXD_ERR_NOT_FOUND : ONNXD_ERR_IO, "%.200s: %s", name,
                     strerror(errno));
}

static onnxd_status damaged(const struct text_file *file, const char *why, onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_FORMAT, "%.200s: line %llu: damaged gzip data: %s", file->name,
                     (unsigned long long)file->lines.line + 1, why);
}

/* Reads on until `least` bytes lie there, or all that are left. */
static onnxd_status fill(struct text_file *file, size_t least, onnxd_error *err)
{
    struct text_source *s = file->source;
    while (s->z.avail_in < least && !s->at_end) {
        memmove(s->block, s->z.next_in, s->z.avail_in);
        s->z.next_in = s->block;
        ssize_t n = read(s->fd, s->block + s->z.avail_in, BLOCK_BYTES - s->z.avail_in);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_error(file->name, err);
        s->at_end = n == 0;
        s->z.avail_in += (uInt)n;
        s->n_bytes += (uint64_t)n;
    }
    return ONNXD_OK;
}

static bool begins_member(const struct text_source *s)
{
    return s->z.avail_in >= 2 && s->z.next_in[0] == 0x1f && s->z.next_in[1] == 0x8b;
}

/* What the next bytes are, between members and at the file's start. Behind a member only another one or
 * zeros may stand, as tapes pad them: all else was meant to be read and would be lost. */
static onnxd_status look(struct text_file *file, onnxd_error *err)
{
    struct text_source *s = file->source;
    onnxd_status status = fill(file, 2, err);
    if (status != ONNXD_OK) return status;
    if (begins_member(s)) {
        int code = s->kind == UNKNOWN ? inflateInit2(&s->z, GZIP_WINDOW) : inflateReset(&s->z);
        if (code != Z_OK)
            return error_set(err, ONNXD_ERR_NOMEM, "%.200s: no memory for unpacking", file->name);
        s->kind = GZIP;
        s->in_member = true;
    } else if (s->kind == UNKNOWN) {
        s->kind = PLAIN;
    } else if (s->z.avail_in > 0) {
        if (s->z.next_in[0] != 0) return damaged(file, "something else follows it", err);
        s->kind = PADDING;
    }
    return ONNXD_OK;
}

static onnxd_status unpack(struct text_file *file, void *out, size_t room, size_t *ret_n, onnxd_error *err)
{
    struct text_source *s = file->source;
    s->z.next_out = out;
    s->z.avail_out = (uInt)room;
    while (s->z.avail_out == room) {
        onnxd_status status = fill(file, 1, err);
        if (status != ONNXD_OK) return status;
        if (s->z.avail_in == 0) return damaged(file, "unexpected end of file", err);
        int code = inflate(&s->z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR)
            return error_set(err, ONNXD_ERR_NOMEM, "%.200s: no memory for unpacking", file->name);
        if (code != Z_OK && code != Z_STREAM_END)
            return damaged(file, s->z.msg != NULL ? s->z.msg : "unexpected end of file", err);
        s->in_member = code == Z_OK;
        if (!s->in_member) break;
    }
    *ret_n = room - s->z.avail_out;
    return ONNXD_OK;
}

static onnxd_status copy(struct text_file *file, void *out, size_t room, size_t *ret_n, onnxd_error *err)
{
    struct text_source *s = file->source;
    onnxd_status status = fill(file, 1, err);
    size_t n = s->z.avail_in < room ? s->z.avail_in : room;
    if (status != ONNXD_OK) return status;
    memcpy(out, s->z.next_in, n);
    s->z.next_in += n;
    s->z.avail_in -= (uInt)n;
    *ret_n = n;
    return ONNXD_OK;
}

static onnxd_status skip_padding(struct text_file *file, onnxd_error *err)
{
    struct text_source *s = file->source;
    for (;;) {
        onnxd_status status = fill(file, 1, err);
        if (status != ONNXD_OK || s->z.avail_in == 0) return status;
        for (; s->z.avail_in > 0; s->z.avail_in--)
            if (*s->z.next_in++ != 0) return damaged(file, "something else follows it", err);
    }
}

/* For the line reader: some of the text, nothing at its end. */
static onnxd_status pull(void *context, void *out, size_t room, size_t *ret_n, onnxd_error *err)
{
    struct text_file *file = context;
    struct text_source *s = file->source;
    size_t n = 0;
    onnxd_status status = ONNXD_OK;
    if (room > BLOCK_BYTES) room = BLOCK_BYTES;
    while (status == ONNXD_OK && n == 0) {
        if (s->kind == UNKNOWN || (s->kind == GZIP && !s->in_member)) {
            status = look(file, err);
            if (status == ONNXD_OK && s->kind == GZIP && !s->in_member) break; /* the last member has ended */
        } else if (s->kind == PADDING) {
            status = skip_padding(file, err);
            break;
        } else if (s->kind == GZIP) {
            status = unpack(file, out, room, &n, err);
        } else {
            status = copy(file, out, room, &n, err);
            break;
        }
    }
    if (status == ONNXD_OK) *ret_n = n;
    return status;
}

onnxd_status text_file_measure(const char *path, struct text_measure *ret, onnxd_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    struct stat st;
    if ((standard ? fstat(STDIN_FILENO, &st) : stat(path, &st)) != 0) return io_error(name, err);
    if (S_ISDIR(st.st_mode)) return error_set(err, ONNXD_ERR_IO, "%.200s: %s", name, strerror(EISDIR));
    if (!standard && access(path, R_OK) != 0) return io_error(name, err);
    *ret = (struct text_measure){.total_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0,
                                 .once = standard || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)};
    return ONNXD_OK;
}

onnxd_status text_file_open(struct text_file *file, const char *path, size_t max_line_bytes, onnxd_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct text_measure measure;
    *file = (struct text_file){.name = standard ? "standard input" : path};
    onnxd_status status = text_file_measure(path, &measure, err);
    if (status != ONNXD_OK) return status;
    int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error(file->name, err);
    struct text_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        close(fd);
        return error_set(err, ONNXD_ERR_NOMEM, "%.200s: no memory for reading", file->name);
    }
    source->fd = fd;
    source->z.next_in = source->block;
    file->source = source;
    file->total_bytes = measure.total_bytes;
    line_reader_open_source(&file->lines, file->name, (struct line_source){pull, file}, max_line_bytes);
    return ONNXD_OK;
}

void text_file_close(struct text_file *file)
{
    struct text_source *source = file->source;
    if (source == NULL) return;
    close(source->fd);
    if (source->kind == GZIP || source->kind == PADDING) inflateEnd(&source->z);
    free(source);
    line_reader_close(&file->lines);
    *file = (struct text_file){0};
}

uint64_t text_file_at(const struct text_file *file)
{
    return file->source != NULL ? file->source->n_bytes - file->source->z.avail_in : 0;
}
