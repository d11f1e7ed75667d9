#include "net/http_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "net/timer_wheel.h"
#include "net/tls.h"

#define MAX_LISTENERS 8

struct http_server {
    struct http_host *host;
    struct loop *loop;
    struct clock clock;
    struct loop_listener listeners[MAX_LISTENERS];
    uint32_t n_listeners;
    struct arena plain; /* what TLS brought in this wake-up */
    bool draining;
};

/* ---- TLS: a session stands between the loop and the host -------------------------------------------- */

static struct tls_session *tls_of(struct http_conn *conn)
{
    return *http_conn_user(conn);
}

/* Sends what the session has for the peer. False when the connection broke. */
static bool flush_tls(struct http_server *server, struct http_conn *conn)
{
    struct iovec iov;
    const char *bytes;
    size_t n = tls_pending(tls_of(conn), &bytes);
    if (n == 0) return true;
    iov.iov_base = (char *)(uintptr_t)bytes;
    iov.iov_len = n;
    ssize_t sent = loop_send(server->loop, http_conn_stream(conn), &iov, 1);
    if (sent < 0) return false;
    tls_sent(tls_of(conn), (size_t)sent);
    return true;
}

static bool tls_is_blocked(struct http_conn *conn)
{
    const char *bytes;
    return tls_pending(tls_of(conn), &bytes) > 0;
}

static void tls_data(struct http_server *server, struct http_conn *conn, const char *bytes, size_t n)
{
    size_t n_plain = 0;
    char *plain = arena_alloc(&server->plain, tls_plain_room(tls_of(conn), n));
    enum tls_result result = TLS_BROKEN;
    if (plain != NULL) result = tls_receive(tls_of(conn), bytes, n, plain, &n_plain);
    if (!flush_tls(server, conn)) result = TLS_BROKEN; /* the handshake's answers, or an alert */
    if (n_plain > 0) http_host_input(server->host, conn, plain, n_plain);
    if (result != TLS_GOES_ON) http_host_ended(server->host, conn, result == TLS_ENDED ? 0 : EPROTO);
}

static ssize_t tls_send_bytes(struct http_server *server, struct http_conn *conn, const struct iovec *iov,
                              int n_iov)
{
    size_t n = 0;
    if (tls_is_blocked(conn)) return 0;
    if (!tls_send(tls_of(conn), iov, n_iov) || !flush_tls(server, conn)) return -EPIPE;
    for (int i = 0; i < n_iov; i++) n += iov[i].iov_len;
    return (ssize_t)n;
}

/* ---- from the loop to the host ---------------------------------------------------------------------- */

static void accepted(void *context, struct loop_listener *listener, int fd)
{
    struct http_server *server = context;
    struct tls_context *tls = listener->owner;
    struct http_conn *conn = http_host_open(server->host);
    if (conn == NULL) {
        close(fd);
        return;
    }
    struct loop_stream *stream = http_conn_stream(conn);
    stream->fd = fd;
    if (tls != NULL) *http_conn_user(conn) = tls_session_create(tls);
    bool ok = tls == NULL || tls_of(conn) != NULL;
    if (ok && loop_add(server->loop, stream, NULL) == ONNXD_OK) return;
    close(fd);
    stream->fd = -1;
    http_host_ended(server->host, conn, EIO);
}

static struct loop_room room(void *context, struct loop_stream *stream)
{
    struct http_server *server = context;
    struct http_conn *conn = http_conn_of(stream);
    if (tls_of(conn) != NULL) return (struct loop_room){0};
    return http_host_room(server->host, conn);
}

static void data(void *context, struct loop_stream *stream, char *bytes, size_t n)
{
    struct http_server *server = context;
    struct http_conn *conn = http_conn_of(stream);
    if (tls_of(conn) != NULL)
        tls_data(server, conn, bytes, n);
    else
        http_host_input(server->host, conn, bytes, n);
}

static void ended(void *context, struct loop_stream *stream, int error)
{
    struct http_server *server = context;
    http_host_ended(server->host, http_conn_of(stream), error);
}

static void writable(void *context, struct loop_stream *stream)
{
    struct http_server *server = context;
    struct http_conn *conn = http_conn_of(stream);
    if (tls_of(conn) != NULL && tls_is_blocked(conn)) {
        if (!flush_tls(server, conn)) http_host_ended(server->host, conn, EPIPE);
        if (!stream->open || tls_is_blocked(conn)) return;
    }
    http_host_writable(server->host, conn);
}

/* ---- from the host to the loop ---------------------------------------------------------------------- */

static ssize_t send_bytes(void *context, struct http_conn *conn, const struct iovec *iov, int n_iov)
{
    struct http_server *server = context;
    if (tls_of(conn) != NULL) return tls_send_bytes(server, conn, iov, n_iov);
    return loop_send(server->loop, http_conn_stream(conn), iov, n_iov);
}

static void shut(void *context, struct http_conn *conn)
{
    struct http_server *server = context;
    if (tls_of(conn) != NULL) {
        tls_finish(tls_of(conn));
        if (!flush_tls(server, conn) || tls_is_blocked(conn)) return; /* the peer is slow: closing does it */
    }
    loop_shut(server->loop, http_conn_stream(conn));
}

static void pause_reading(void *context, struct http_conn *conn, bool pause)
{
    struct http_server *server = context;
    struct loop_stream *stream = http_conn_stream(conn);
    stream->paused = pause;
    if (!pause) loop_resume(server->loop, stream);
}

static void close_conn(void *context, struct http_conn *conn)
{
    struct http_server *server = context;
    tls_session_free(tls_of(conn));
    *http_conn_user(conn) = NULL;
    loop_remove(server->loop, http_conn_stream(conn));
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status http_server_create(const struct http_server_options *options, const struct http_handler *handler,
                                struct http_server **ret_server, onnxd_error *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL) return error_set(err, ONNXD_ERR_NOMEM, "http server: out of memory");
    server->clock = clock_real();
    arena_init(&server->plain, 0);
    struct loop_callbacks callbacks = {.context = server,
                                       .accepted = accepted,
                                       .room = room,
                                       .data = data,
                                       .ended = ended,
                                       .writable = writable};
    struct http_transport transport = {
        .context = server, .send = send_bytes, .shut = shut, .pause = pause_reading, .close = close_conn};
    onnxd_status status = loop_create(options->loop, &callbacks, &server->loop, err);
    if (status == ONNXD_OK)
        status = http_host_create(&options->limits, handler, &transport, &server->clock, &server->host, err);
    if (status != ONNXD_OK) {
        http_server_free(server);
        return status;
    }
    http_host_set_cors(server->host, options->cors);
    *ret_server = server;
    return ONNXD_OK;
}

static void stop_listening(struct http_server *server)
{
    for (uint32_t i = 0; i < server->n_listeners; i++) {
        loop_unlisten(server->loop, &server->listeners[i]);
        close(server->listeners[i].fd);
    }
    server->n_listeners = 0;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL) return;
    http_host_free(server->host);
    if (server->loop != NULL) stop_listening(server);
    loop_free(server->loop);
    arena_done(&server->plain);
    free(server);
}

struct http_host *http_server_host(struct http_server *server)
{
    return server->host;
}

const char *http_server_loop_name(const struct http_server *server)
{
    return loop_name(server->loop);
}

onnxd_status http_server_listen(struct http_server *server, int fd, onnxd_error *err)
{
    return http_server_listen_tls(server, fd, NULL, err);
}

onnxd_status http_server_listen_tls(struct http_server *server, int fd, struct tls_context *tls,
                                    onnxd_error *err)
{
    if (server->n_listeners == MAX_LISTENERS)
        return error_set(err, ONNXD_ERR_LIMIT, "http server: at most %d listening sockets", MAX_LISTENERS);
    struct loop_listener *listener = &server->listeners[server->n_listeners];
    *listener = (struct loop_listener){.fd = fd, .owner = tls};
    onnxd_status status = loop_listen(server->loop, listener, err);
    if (status == ONNXD_OK) server->n_listeners++;
    return status;
}

void http_server_step(struct http_server *server, uint64_t max_wait_ns)
{
    uint64_t next_ns = http_host_next_ns(server->host), wait_ns = max_wait_ns;
    if (next_ns == 0) {
        wait_ns = 0;
    } else if (next_ns != TIMER_NEVER) {
        uint64_t now_ns = clock_now_ns(&server->clock);
        uint64_t until_ns = next_ns > now_ns ? next_ns - now_ns : 0;
        if (until_ns < wait_ns) wait_ns = until_ns;
    }
    loop_step(server->loop, wait_ns);
    http_host_wake(server->host);
    loop_release(server->loop);
    if (server->plain.used_bytes > 0) arena_reset(&server->plain);
}

void http_server_post(struct http_server *server, struct loop_task *task)
{
    loop_post(server->loop, task);
}

void http_server_drain(struct http_server *server, uint64_t grace_ns)
{
    if (server->draining) return;
    server->draining = true;
    loop_step(server->loop, 0); /* connections that were made and not accepted yet */
    http_host_wake(server->host);
    loop_release(server->loop);
    stop_listening(server);
    http_host_drain(server->host, grace_ns);
}

bool http_server_is_drained(const struct http_server *server)
{
    return server->draining && http_host_n_open(server->host) == 0;
}
