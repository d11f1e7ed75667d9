/* load/load_fetch.h - one request and its answer, for what a load generator asks a server beside the load.
 *
 * Threads: no state. */
#ifndef LOAD_LOAD_FETCH_H
#define LOAD_LOAD_FETCH_H

#include "base/buf.h"
#include "load/load_target.h"
#include "net/http_client.h"

/* Sends a request to the server of url (its path is not used) and appends the answer's body. `options` says
 * how to trust an https server. ONNXD_ERR_IO (connecting, a broken connection), ONNXD_ERR_TIMEOUT,
 * ONNXD_ERR_LIMIT (the buffer), ONNXD_ERR_FORMAT (not HTTP/1.1); ONNXD_ERR_NOT_FOUND with the server's words
 * for a status other than 200. */
ONNXD_MUST_USE onnxd_status load_fetch(const struct load_url *url, enum http_method method, const char *path,
                                       const struct load_options *options, uint64_t timeout_ns,
                                       struct buf *ret_body, onnxd_error *err);

#endif
