/* evolve/remote_link.h - many HTTP requests in flight over a few connections, one thread, no event loop.
 *
 *     remote_link_init(&link, "http://127.0.0.1:3000", 4, &err);
 *     remote_link_queue(&link, number, &http, on_answer, context, item, &err);   // as often as wanted
 *     remote_link_exchange(&link, &err);                                         // until every answer is
 * there
 *
 * Requests of one connection are answered in the order queued. An answer other than 200, or one that
 * on_answer refuses, makes the exchange fail with its text once all answers are in; a lost connection makes
 * the link broken for good.
 *
 * Ownership: remote_link_done frees. Threads: one at a time. */
#ifndef EVOLVE_REMOTE_LINK_H
#define EVOLVE_REMOTE_LINK_H

#include "net/http_client.h"

/* Takes a 200. What it returns other than ONNXD_OK, with err set, fails the exchange. */
typedef onnxd_status (*remote_answer_fn)(void *context, uint32_t item,
                                         const struct http_client_response *response, onnxd_error *err);

struct remote_connection;

struct remote_link {
    char host[256];
    uint16_t port;
    uint32_t n_connections;
    struct remote_connection *connections;
    struct pollfd *polls;
    uint32_t n_waiting;
    bool broken;         /* answers were lost: the connections are of no use */
    onnxd_status status; /* of the answers so far */
    onnxd_error err;
};

/* Connects. url: "http://HOST:PORT". ONNXD_ERR_ARGUMENT (url), ONNXD_ERR_NOT_FOUND (host), ONNXD_ERR_NOMEM.
 */
ONNXD_MUST_USE onnxd_status remote_link_init(struct remote_link *link, const char *url,
                                             uint32_t n_connections, onnxd_error *err);
void remote_link_done(struct remote_link *link); /* takes a zeroed one */

/* Queues a request on connection number % n_connections; http->host is filled in. on_answer may be NULL. */
ONNXD_MUST_USE onnxd_status remote_link_queue(struct remote_link *link, uint32_t number,
                                              const struct http_client_request *http,
                                              remote_answer_fn on_answer, void *context, uint32_t item,
                                              onnxd_error *err);

/* Sends and reads until every answer is there. ONNXD_ERR_IO, _TIMEOUT (30 s without a byte), _FORMAT (an
 * answer that is not 200), or what an on_answer said. */
ONNXD_MUST_USE onnxd_status remote_link_exchange(struct remote_link *link, onnxd_error *err);

#endif
