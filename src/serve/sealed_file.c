#include "serve/sealed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define SEALED (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

onnxd_status sealed_file_create(const void *bytes, size_t n, int *ret_fd, onnxd_error *err)
{
    size_t at = 0;
    int fd = memfd_create("onnxd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    while (fd >= 0 && at < n) {
        ssize_t wrote = write(fd, (const char *)bytes + at, n - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        at += (size_t)wrote;
    }
    if (fd < 0 || at < n || fcntl(fd, F_ADD_SEALS, SEALED) != 0) {
        int code = errno;
        if (fd >= 0) close(fd);
        return error_set(err, ONNXD_ERR_IO, "a file in memory: %s", strerror(code));
    }
    *ret_fd = fd;
    return ONNXD_OK;
}

onnxd_status sealed_file_map(int fd, char **ret_bytes, size_t *ret_n, onnxd_error *err)
{
    struct stat info;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALED) != SEALED || fstat(fd, &info) != 0 || info.st_size <= 0)
        return error_set(err, ONNXD_ERR_FORMAT, "descriptor %d is no sealed file in memory", fd);
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return error_set(err, ONNXD_ERR_NOMEM, "a file in memory: %s", strerror(errno));
    *ret_bytes = bytes;
    *ret_n = (size_t)info.st_size;
    return ONNXD_OK;
}
