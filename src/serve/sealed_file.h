/* serve/sealed_file.h - a file in memory that nobody can change any more, to be passed to other processes.
 *
 * Threads: any. */
#ifndef SERVE_SEALED_FILE_H
#define SERVE_SEALED_FILE_H

#include <stddef.h>

#include "onnxd/status.h"

/* Holds a copy of the bytes, is closed on exec, and the caller's to close. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status sealed_file_create(const void *bytes, size_t n, int *ret_fd, onnxd_error *err);

/* The bytes of one, until munmap; the descriptor may be closed at once. ONNXD_ERR_FORMAT: not such a file, or
 * an empty one; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status sealed_file_map(int fd, char **ret_bytes, size_t *ret_n, onnxd_error *err);

#endif
