#include "serve/api_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define MAX_FILE_BYTES (1u << 20)
#define SHORTEST       8u

struct api_key { /* padded with zeros, so that every comparison looks at the same number of bytes */
    unsigned char bytes[API_KEY_BYTES];
    size_t n;
};

struct api_keys {
    uint32_t n;
    struct api_key keys[];
};

static onnxd_status add_line(struct api_keys *keys, const char *line, size_t n, uint32_t number,
                             onnxd_error *err)
{
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
    if (n == 0 || line[0] == '#') return ONNXD_OK;
    bool ok = n >= SHORTEST && n <= API_KEY_BYTES;
    for (size_t i = 0; ok && i < n; i++) ok = line[i] > 0x20 && line[i] < 0x7f;
    if (!ok)
        return error_set(err, ONNXD_ERR_FORMAT, "API keys: line %u: expected %u to %u visible characters",
                         number, SHORTEST, API_KEY_BYTES);
    struct api_key *key = &keys->keys[keys->n++];
    memcpy(key->bytes, line, n);
    key->n = n;
    return ONNXD_OK;
}

onnxd_status api_keys_read(const char *path, struct api_keys **ret_keys, onnxd_error *err)
{
    char *text = NULL;
    size_t n;
    onnxd_status status = file_read(path, MAX_FILE_BYTES, &text, &n, err);
    if (status != ONNXD_OK) {
        error_prefix(err, "API keys: ");
        return status;
    }
    uint32_t n_lines = 1, number = 0;
    for (size_t i = 0; i < n; i++) n_lines += text[i] == '\n';
    struct api_keys *keys = calloc(1, sizeof *keys + n_lines * sizeof *keys->keys);
    if (keys == NULL) status = error_set(err, ONNXD_ERR_NOMEM, "API keys: out of memory");
    for (const char *line = text; status == ONNXD_OK && line < text + n;) {
        const char *end = memchr(line, '\n', (size_t)(text + n - line));
        if (end == NULL) end = text + n;
        status = add_line(keys, line, (size_t)(end - line), ++number, err);
        line = end + 1;
    }
    if (status == ONNXD_OK && keys->n == 0)
        status = error_set(err, ONNXD_ERR_FORMAT, "API keys: '%s' has no key", path);
    explicit_bzero(text, n);
    free(text);
    if (status != ONNXD_OK)
        api_keys_free(keys);
    else
        *ret_keys = keys;
    return status;
}

void api_keys_free(struct api_keys *keys)
{
    if (keys != NULL) explicit_bzero(keys->keys, keys->n * sizeof *keys->keys);
    free(keys);
}

bool api_keys_allow(const struct api_keys *keys, const struct http_request *request)
{
    static const char scheme[] = "Bearer ";
    struct http_view given = request->headers[HTTP_HEADER_X_API_KEY];
    struct http_view authorization = request->headers[HTTP_HEADER_AUTHORIZATION];
    size_t n_scheme = sizeof scheme - 1;
    if (given.n == 0 && authorization.n > n_scheme && strncasecmp(authorization.p, scheme, n_scheme) == 0)
        given = (struct http_view){authorization.p + n_scheme, authorization.n - n_scheme};
    if (given.n == 0 || given.n > API_KEY_BYTES) return false;
    unsigned char padded[API_KEY_BYTES] = {0};
    memcpy(padded, given.p, given.n);
    unsigned found = 0;
    for (uint32_t k = 0; k < keys->n; k++) {
        volatile unsigned difference = keys->keys[k].n != given.n;
        for (size_t i = 0; i < API_KEY_BYTES; i++)
            difference |= (unsigned)(padded[i] ^ keys->keys[k].bytes[i]);
        found |= difference == 0;
    }
    return found != 0;
}
