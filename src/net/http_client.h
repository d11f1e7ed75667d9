/* net/http_client.h - the client side of an HTTP/1.1 connection.
 *
 * Two layers. The codec (http_client_queue, http_client_input) works on memory: requests are written
 * into `out`, responses are found in the bytes that come back and handed over in order. The rest moves
 * those bytes over a non-blocking socket that the caller watches as it likes.
 *
 *     http_client_init(&client, &options);
 *     http_client_connect(&client, &address, &err);
 *     http_client_queue(&client, &request, &err);
 *     http_client_write(&client, &err);                     // when http_client_wants_write
 *     http_client_read(&client, on_response, context, &err);  // when the socket is readable
 *
 * or, for one request at a time without an event loop:
 *
 *     http_client_call(&client, &request, timeout_ns, on_response, context, &err);
 *
 * Several requests may be queued before answers come (pipelining). Nothing is allocated for a request
 * once the buffers have grown.
 * Errors:  after any error the connection is of no use: http_client_close, then connect again.
 * Threads: one at a time. */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "net/http_message.h"
#include "net/net_socket.h"
#include "onnxd/status.h"

struct http_parser;

struct http_client_options { /* {0} selects every default */
    uint32_t max_head_bytes; /* of a response; 0 means 64 KiB */
    uint64_t max_body_bytes; /* of a response; 0 means 64 MiB */
    uint32_t max_pipelined;  /* requests without an answer; 0 means 1024 */
};

struct http_client_request {
    enum http_method method;
    const char *host;         /* the Host header */
    const char *path;         /* with its query, percent-encoded */
    const char *content_type; /* NULL: application/json, when there is a body */
    const char *headers;      /* further whole header lines, each with its CRLF; NULL: none */
    const void *body;
    size_t n_body;
};

struct http_client_response { /* views, valid during the callback */
    uint16_t status;
    bool keep_alive;
    struct http_view headers[HTTP_N_HEADERS];
    struct http_view body;
};

typedef void (*http_client_response_fn)(void *context, const struct http_client_response *response);

struct http_client {
    int fd; /* -1: not connected */
    struct http_client_options options;
    struct http_parser *parser;
    struct buf out; /* requests not sent yet, from n_sent on */
    size_t n_sent;
    struct buf in;
    size_t n_fed;
    uint64_t *is_head; /* bit set over the requests under way, in a ring: the answer to HEAD has no body */
    uint32_t n_waiting;
    uint32_t first_waiting;
    bool ended; /* the last response said that no other follows, or the peer closed */
};

ONNXD_MUST_USE onnxd_status http_client_init(struct http_client *client,
                                             const struct http_client_options *options, onnxd_error *err);
void http_client_done(struct http_client *client); /* closes and frees; takes a zeroed one */

/* Begins to connect, forgetting what an earlier connection left. */
ONNXD_MUST_USE onnxd_status http_client_connect(struct http_client *client, const struct net_address *address,
                                                onnxd_error *err);
void http_client_close(struct http_client *client);

/* Writes a request into `out`. ONNXD_ERR_BUSY: max_pipelined are under way; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status http_client_queue(struct http_client *client,
                                              const struct http_client_request *request, onnxd_error *err);

/* Queues a request prepared by http_client_format, a GET or POST, with one copy. */
ONNXD_MUST_USE onnxd_status http_client_queue_raw(struct http_client *client, const void *bytes, size_t n,
                                                  onnxd_error *err);

/* Appends a request's bytes to *out. False when memory runs out. */
bool http_client_format(struct buf *out, const struct http_client_request *request);

static inline bool http_client_wants_write(const struct http_client *client)
{
    return client->n_sent < client->out.n;
}

/* Sends what the kernel takes; not all is no error. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status http_client_write(struct http_client *client, onnxd_error *err);

/* Reads once and hands over the responses that are complete. ONNXD_ERR_IO: broken, or closed with answers
 * outstanding; ONNXD_ERR_FORMAT: not HTTP/1.1, or an answer that nobody asked for; ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status http_client_read(struct http_client *client, http_client_response_fn fn,
                                             void *context, onnxd_error *err);

/* The same for bytes that came another way. n == 0: the peer sends nothing more. */
ONNXD_MUST_USE onnxd_status http_client_input(struct http_client *client, const void *bytes, size_t n,
                                              http_client_response_fn fn, void *context, onnxd_error *err);

/* Queues, sends and waits for every answer under way. ONNXD_ERR_TIMEOUT and the errors above. */
ONNXD_MUST_USE onnxd_status http_client_call(struct http_client *client,
                                             const struct http_client_request *request, uint64_t timeout_ns,
                                             http_client_response_fn fn, void *context, onnxd_error *err);

#endif
