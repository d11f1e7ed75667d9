/* features/sha256.h - SHA-256 of a file (by OpenSSL), to tell whether it is the one that was meant.
 *
 * Threads: no state. */
#ifndef FEATURES_SHA256_H
#define FEATURES_SHA256_H

#include "onnxd/status.h"

#define SHA256_HEX_BYTES 65 /* 64 digits in lower case and a NUL */

/* Whatever the file's size. ONNXD_ERR_NOT_FOUND, ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status sha256_file_hex(const char *path, char ret_hex[SHA256_HEX_BYTES],
                                            onnxd_error *err);

#endif
