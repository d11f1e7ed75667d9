/* net/http_cors.h - which pages of other origins a browser may let read our answers (the CORS protocol of the
 * Fetch standard).
 *
 * A server without it answers as if it had never heard of origins, and browsers keep foreign pages out. With
 * it, the host adds the headers that let the named origins in to every answer, refusals included, and the
 * handler answers preflight requests, which carry no keys.
 *
 * Threads: immutable after creation. */
#ifndef NET_HTTP_CORS_H
#define NET_HTTP_CORS_H

#include "net/http_message.h"
#include "onnxd/status.h"

struct http_cors;

/* Origins as browsers send them, "https://example.org" or "http://localhost:8080", or "*" for all. Copied.
 * ONNXD_ERR_ARGUMENT names the one that is none. */
ONNXD_MUST_USE onnxd_status http_cors_create(const char *const *origins, uint32_t n_origins,
                                             struct http_cors **ret_cors, onnxd_error *err);
void http_cors_free(struct http_cors *cors); /* takes NULL */

/* Header lines for the answer to a request with this Origin (empty: none was given), and whether it is let
 * in. */
const char *http_cors_lines(const struct http_cors *cors, struct http_view origin, bool *ret_allowed);

/* Further lines for the answer to a preflight request that is let in. */
const char *http_cors_preflight_lines(void);

#endif
