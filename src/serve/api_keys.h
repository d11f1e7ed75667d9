/* serve/api_keys.h - who may ask: keys from a file, one a line; blank lines and lines starting with '#' say
 * nothing.
 *
 * Threads: immutable once read. */
#ifndef SERVE_API_KEYS_H
#define SERVE_API_KEYS_H

#include "net/http_message.h"
#include "onnxd/status.h"

#define API_KEY_BYTES 256u

struct api_keys;

/* ONNXD_ERR_NOT_FOUND, ONNXD_ERR_IO; ONNXD_ERR_FORMAT names the line: a key has 8..256 visible characters;
 * also when the file has none. */
ONNXD_MUST_USE onnxd_status api_keys_read(const char *path, struct api_keys **ret_keys, onnxd_error *err);
void api_keys_free(struct api_keys *keys); /* takes NULL */

/* Whether one of the keys is given, as "X-API-Key: key" or "Authorization: Bearer key". The time taken
 * says nothing of how much of a key was right. */
bool api_keys_allow(const struct api_keys *keys, const struct http_request *request);

#endif
