/* base/sha256.h - SHA-256 (FIPS 180-4), to tell whether a file is the one that was meant.
 *
 * Threads: no state. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>

#include "onnxd/status.h"

#define SHA256_HEX_BYTES 65 /* 64 digits in lower case and a NUL */

void sha256_hex(const void *bytes, size_t n, char ret_hex[SHA256_HEX_BYTES]);

/* Of a file, whatever its size. ONNXD_ERR_NOT_FOUND, ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status sha256_file_hex(const char *path, char ret_hex[SHA256_HEX_BYTES],
                                            onnxd_error *err);

#endif
