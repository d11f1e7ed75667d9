#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

onnxd_status file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_n, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    char *bytes = NULL;
    size_t n = 0, size = 0;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        status = error_set(err, errno == ENOENT ? ONNXD_ERR_NOT_FOUND : ONNXD_ERR_IO, "%s: %s", path,
                           strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        status = error_set(err, ONNXD_ERR_IO, "%s: not a regular file", path);
        goto out;
    }
    size = (size_t)st.st_size;
    if (size > max_bytes) {
        status = error_set(err, ONNXD_ERR_LIMIT, "%s: %zu bytes, at most %zu are allowed", path, size,
                           max_bytes);
        goto out;
    }
    bytes = malloc(size + 1);
    if (bytes == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for %zu bytes", path, size);
        goto out;
    }
    while (n < size) {
        ssize_t got = read(fd, bytes + n, size - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (got == 0) break; /* shrank while being read */
        n += (size_t)got;
    }
    bytes[n] = 0;
    *ret_bytes = bytes;
    *ret_n = n;
    bytes = NULL;
out:
    free(bytes);
    if (fd >= 0) close(fd);
    return status;
}

onnxd_status file_replace(const char *path, const void *bytes, size_t n, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    const char *p = bytes;
    size_t path_len = strlen(path);
    int fd = -1;
    char *tmp = malloc(path_len + 5);
    if (tmp == NULL) return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory", path);
    memcpy(tmp, path, path_len);
    memcpy(tmp + path_len, ".tmp", 5);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) goto failed;
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) goto failed;
        p += written;
        n -= (size_t)written;
    }
    if (fsync(fd) != 0) goto failed;
    if (close(fd) != 0) {
        fd = -1;
        goto failed;
    }
    fd = -1;
    if (rename(tmp, path) == 0) goto out;
failed:
    status = error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    unlink(tmp);
out:
    free(tmp);
    return status;
}

onnxd_status file_make_folder(const char *path, onnxd_error *err)
{
    struct stat info;
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return ONNXD_OK;
    return error_set(err, ONNXD_ERR_IO, "%s: cannot make the folder: %s", path, strerror(errno));
}
