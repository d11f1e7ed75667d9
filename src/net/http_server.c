#include "net/http_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "net/timer_wheel.h"

#define MAX_LISTENERS 8

struct http_server {
    struct http_host *host;
    struct loop *loop;
    struct clock clock;
    struct loop_listener listeners[MAX_LISTENERS];
    uint32_t n_listeners;
    bool draining;
};

/* ---- from the loop to the host ---------------------------------------------------------------------- */

static void accepted(void *context, struct loop_listener *listener, int fd)
{
    (void)listener;
    struct http_server *server = context;
    struct http_conn *conn = http_host_open(server->host);
    if (conn == NULL) {
        close(fd);
        return;
    }
    struct loop_stream *stream = http_conn_stream(conn);
    stream->fd = fd;
    if (loop_add(server->loop, stream, NULL) == ONNXD_OK) return;
    close(fd);
    stream->fd = -1;
    http_host_ended(server->host, conn, EIO);
}

static struct loop_room room(void *context, struct loop_stream *stream)
{
    struct http_server *server = context;
    return http_host_room(server->host, http_conn_of(stream));
}

static void data(void *context, struct loop_stream *stream, char *bytes, size_t n)
{
    struct http_server *server = context;
    http_host_input(server->host, http_conn_of(stream), bytes, n);
}

static void ended(void *context, struct loop_stream *stream, int error)
{
    struct http_server *server = context;
    http_host_ended(server->host, http_conn_of(stream), error);
}

static void writable(void *context, struct loop_stream *stream)
{
    struct http_server *server = context;
    http_host_writable(server->host, http_conn_of(stream));
}

/* ---- from the host to the loop ---------------------------------------------------------------------- */

static ssize_t send_bytes(void *context, struct http_conn *conn, const struct iovec *iov, int n_iov)
{
    struct http_server *server = context;
    return loop_send(server->loop, http_conn_stream(conn), iov, n_iov);
}

static void shut(void *context, struct http_conn *conn)
{
    struct http_server *server = context;
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
    loop_remove(server->loop, http_conn_stream(conn));
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status http_server_create(const struct http_server_options *options, const struct http_handler *handler,
                                struct http_server **ret_server, onnxd_error *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL) return error_set(err, ONNXD_ERR_NOMEM, "http server: out of memory");
    server->clock = clock_real();
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
    if (server->n_listeners == MAX_LISTENERS)
        return error_set(err, ONNXD_ERR_LIMIT, "http server: at most %d listening sockets", MAX_LISTENERS);
    struct loop_listener *listener = &server->listeners[server->n_listeners];
    *listener = (struct loop_listener){.fd = fd, .owner = server};
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
