#include "ctr/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"

enum { UNPACK_BYTES = 1 << 17 };

static onnxd_status pull(void *context, void *out, size_t room, size_t *ret_n, onnxd_error *err)
{
    struct text_file *file = context;
    int n = gzread(file->gzip, out, room < INT_MAX ? (unsigned)room : INT_MAX), code = Z_OK;
    const char *why = n <= 0 ? gzerror(file->gzip, &code) : "";
    if (n < 0 || (n == 0 && code != Z_OK && code != Z_STREAM_END)) {
        if (code == Z_ERRNO) return error_set(err, ONNXD_ERR_IO, "%.200s: %s", file->name, strerror(errno));
        const char *colon = strrchr(why, ':'); /* zlib puts the path in front */
        return error_set(err, ONNXD_ERR_FORMAT, "%.200s: line %llu: damaged gzip data:%s", file->name,
                         (unsigned long long)file->lines.line + 1, colon != NULL ? colon + 1 : why);
    }
    *ret_n = (size_t)n;
    return ONNXD_OK;
}

onnxd_status text_file_open(struct text_file *file, const char *path, size_t max_line_bytes, onnxd_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct stat st;
    *file = (struct text_file){.name = standard ? "standard input" : path};
    int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno == ENOENT ? ONNXD_ERR_NOT_FOUND : ONNXD_ERR_IO, "%.200s: %s", file->name,
                         strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return error_set(err, ONNXD_ERR_IO, "%.200s: %s", file->name, strerror(EISDIR));
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) file->total_bytes = (uint64_t)st.st_size;
    gzFile gzip = gzdopen(fd, "r");
    if (gzip == NULL) {
        close(fd);
        return error_set(err, ONNXD_ERR_NOMEM, "%.200s: no memory for reading", file->name);
    }
    gzbuffer(gzip, UNPACK_BYTES);
    file->gzip = gzip;
    line_reader_open_source(&file->lines, file->name, (struct line_source){pull, file}, max_line_bytes);
    return ONNXD_OK;
}

void text_file_close(struct text_file *file)
{
    if (file->gzip == NULL) return;
    gzclose(file->gzip);
    line_reader_close(&file->lines);
    *file = (struct text_file){0};
}

uint64_t text_file_at(const struct text_file *file)
{
    z_off_t at = file->gzip != NULL ? gzoffset(file->gzip) : 0;
    return at > 0 ? (uint64_t)at : 0;
}
