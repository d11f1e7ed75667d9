/* net/http_server.h - an HTTP/1.1 server on one thread: a host (net/http_host.h) on a loop (net/loop.h).
 *
 *     http_server_create(&options, &handler, &server, &err);
 *     http_server_listen(server, fd, &err);           // a listening descriptor from net_listen
 *     while (!http_server_is_drained(server)) http_server_step(server, LOOP_FOREVER);
 *     http_server_free(server);
 *
 * Handlers answer with http_host_answer(http_server_host(server), ...).
 *
 * Several threads serve one port by having a server and a listening descriptor each.
 * Threads: one at a time, except http_server_post. */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "net/http_host.h"
#include "net/loop.h"

struct http_server;

struct http_server_options {
    struct http_limits limits;
    enum loop_kind loop;
    const struct http_cors *cors; /* borrowed; NULL: off */
};

ONNXD_MUST_USE onnxd_status http_server_create(const struct http_server_options *options,
                                               const struct http_handler *handler,
                                               struct http_server **ret_server, onnxd_error *err);

/* Closes all connections and the listening descriptors it took over. Takes NULL. */
void http_server_free(struct http_server *server);

struct http_host *http_server_host(struct http_server *server);
const char *http_server_loop_name(const struct http_server *server);

/* Takes over a listening descriptor, up to 8. ONNXD_ERR_LIMIT, ONNXD_ERR_IO (the descriptor stays the
 * caller's). */
ONNXD_MUST_USE onnxd_status http_server_listen(struct http_server *server, int fd, onnxd_error *err);

/* The same for connections that speak TLS. `tls` is borrowed; NULL: they do not. */
struct tls_context;
ONNXD_MUST_USE onnxd_status http_server_listen_tls(struct http_server *server, int fd,
                                                   struct tls_context *tls, onnxd_error *err);

/* Waits for at most max_wait_ns, then handles one wake-up. */
void http_server_step(struct http_server *server, uint64_t max_wait_ns);

/* Runs a task at the start of a wake-up. Any thread. */
void http_server_post(struct http_server *server, struct loop_task *task);

/* Stops accepting; answers what is under way; closes idle connections after grace_ns. */
void http_server_drain(struct http_server *server, uint64_t grace_ns);
bool http_server_is_drained(const struct http_server *server);

#endif
