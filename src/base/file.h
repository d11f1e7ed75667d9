/* base/file.h - reading and writing whole files, with limits; folders. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

/* Reads a regular file of at most max_bytes into memory with one NUL byte behind it. The caller frees
 * *ret_bytes. ONNXD_ERR_IO names the path and the reason, ONNXD_ERR_LIMIT the size. */
ONNXD_MUST_USE onnxd_status file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_n,
                                      onnxd_error *err);

/* Replaces the file at once or not at all: writes PATH.tmp, syncs it, renames it over PATH. Links are
 * followed; what is no regular file, such as /dev/stdout or a pipe, is written to and stays. ONNXD_ERR_IO,
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status file_replace(const char *path, const void *bytes, size_t n, onnxd_error *err);

/* Makes the folder unless it exists. ONNXD_ERR_IO names the path and the reason. */
ONNXD_MUST_USE onnxd_status file_make_folder(const char *path, onnxd_error *err);

/* Keeps other processes that ask for the folder out until *ret_fd is closed, at the latest by the process's
 * end. ONNXD_ERR_BUSY: another one has it. File systems that know no locks let everybody in. */
ONNXD_MUST_USE onnxd_status file_lock_folder(const char *path, int *ret_fd, onnxd_error *err);

#endif
