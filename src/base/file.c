#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

onnxd_status file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_n, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    char *bytes = NULL;
    size_t n = 0, size = 0;
    struct stat st;
    int fd = open(path,
                  O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer is told, not waited for */
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

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes += written;
        n -= (size_t)written;
    }
    return true;
}

/* Writes `tmp`, then renames it over `path`. False with errno set. */
static bool replace(const char *path, const char *tmp, const void *bytes, size_t n)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    bool done = write_all(fd, bytes, n) && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && done) {
        done = false;
        error = errno;
    }
    if (done && rename(tmp, path) == 0) return true;
    if (done) error = errno;
    unlink(tmp);
    errno = error;
    return false;
}

/* Another name of an open descriptor; the file behind it is somebody's output and must stay. */
static bool is_descriptor(const char *path)
{
    return strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/", 6) == 0;
}

/* What is no file of its own, such as a terminal or a pipe, is written as it stands. */
static bool write_through(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return false;
    bool done = write_all(fd, bytes, n);
    int error = errno;
    close(fd);
    errno = error;
    return done;
}

onnxd_status file_replace(const char *path, const void *bytes, size_t n, onnxd_error *err)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) return error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(EISDIR));
    if (exists && (!S_ISREG(st.st_mode) || is_descriptor(path)))
        return write_through(path, bytes, n) ? ONNXD_OK
                                             : error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(errno));
    char *real = exists ? realpath(path, NULL) : NULL; /* a link goes on pointing at the file */
    const char *target = real != NULL ? real : path;
    size_t length = strlen(target);
    onnxd_status status = ONNXD_OK;
    char *tmp = malloc(length + 5);
    if (tmp == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "%s: no memory", path);
        goto out;
    }
    memcpy(tmp, target, length);
    memcpy(tmp + length, ".tmp", 5);
    if (!replace(target, tmp, bytes, n))
        status = error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(errno));
out:
    free(tmp);
    free(real);
    return status;
}

onnxd_status file_make_folder(const char *path, onnxd_error *err)
{
    struct stat info;
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return ONNXD_OK;
    return error_set(err, ONNXD_ERR_IO, "%s: cannot make the folder: %s", path, strerror(errno));
}

onnxd_status file_lock_folder(const char *path, int *ret_fd, onnxd_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(fd);
        return error_set(err, ONNXD_ERR_BUSY, "%s: another process is at work in this folder", path);
    }
    *ret_fd = fd;
    return ONNXD_OK;
}
