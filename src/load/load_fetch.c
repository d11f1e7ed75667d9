#include "load/load_fetch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define READ_BYTES 65536

struct fetch {
    struct http_client client; /* works on memory: its socket stays closed */
    struct tls_session *tls;
    const char *where; /* the server, for messages */
    int fd;
    uint64_t end_ns;
    struct buf *body;
    uint16_t status;
    bool done;
    char bytes[READ_BYTES], plain[2 * READ_BYTES];
};

static onnxd_status wait_for(const struct fetch *f, short events, onnxd_error *err)
{
    for (;;) {
        uint64_t now_ns = monotonic_ns();
        int left_ms = now_ns < f->end_ns ? (int)((f->end_ns - now_ns) / NS_PER_MS) + 1 : 0;
        struct pollfd poll_fd = {.fd = f->fd, .events = events};
        int n = left_ms > 0 ? poll(&poll_fd, 1, left_ms) : 0;
        if (n > 0) return ONNXD_OK;
        if (n == 0) return error_set(err, ONNXD_ERR_TIMEOUT, "%s: no answer in time", f->where);
        if (errno != EINTR) return error_set(err, ONNXD_ERR_IO, "%s: %s", f->where, strerror(errno));
    }
}

static onnxd_status connect_to(struct fetch *f, const struct load_endpoint *endpoint, onnxd_error *err)
{
    int error = 0;
    socklen_t n = sizeof error;
    onnxd_status status = net_connect(&endpoint->address, &f->fd, err);
    if (status == ONNXD_OK) status = wait_for(f, POLLOUT, err);
    if (status != ONNXD_OK) return status;
    getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error != 0) return error_set(err, ONNXD_ERR_IO, "%s: cannot connect: %s", f->where, strerror(error));
    if (endpoint->tls == NULL) return ONNXD_OK;
    f->tls = tls_session_connect(endpoint->tls, endpoint->url.host);
    return f->tls != NULL ? ONNXD_OK : error_set(err, ONNXD_ERR_NOMEM, "%s: TLS cannot be started", f->where);
}

static void on_response(void *context, const struct http_client_response *response)
{
    struct fetch *f = context;
    f->status = response->status;
    f->done = true;
    buf_append(f->body, response->body.p, response->body.n);
}

/* The request's bytes as far as they are not sent, through TLS once it is ready. */
static onnxd_status send_some(struct fetch *f, onnxd_error *err)
{
    const char *bytes = f->client.out.data + f->client.n_sent;
    size_t n = f->client.out.n - f->client.n_sent;
    if (f->tls != NULL) {
        struct iovec iov = {(void *)(uintptr_t)bytes, n};
        if (tls_is_ready(f->tls) && n > 0) {
            if (!tls_send(f->tls, &iov, 1)) return error_set(err, ONNXD_ERR_IO, "%s: TLS failed", f->where);
            f->client.n_sent = f->client.out.n;
        }
        n = tls_pending(f->tls, &bytes);
    }
    ssize_t wrote = n > 0 ? send(f->fd, bytes, n, MSG_NOSIGNAL) : 0;
    if (wrote < 0 && errno != EAGAIN && errno != EINTR)
        return error_set(err, ONNXD_ERR_IO, "%s: %s", f->where, strerror(errno));
    if (wrote > 0 && f->tls != NULL) tls_sent(f->tls, (size_t)wrote);
    if (wrote > 0 && f->tls == NULL) f->client.n_sent += (size_t)wrote;
    return ONNXD_OK;
}

static onnxd_status receive_some(struct fetch *f, onnxd_error *err)
{
    ssize_t got = recv(f->fd, f->bytes, f->tls != NULL ? READ_BYTES / 2 : READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return ONNXD_OK;
    if (got < 0) return error_set(err, ONNXD_ERR_IO, "%s: %s", f->where, strerror(errno));
    if (f->tls == NULL || got == 0)
        return http_client_input(&f->client, f->bytes, (size_t)got, on_response, f, err);
    size_t n_plain = 0;
    if (tls_plain_room(f->tls, (size_t)got) > sizeof f->plain)
        return error_set(err, ONNXD_ERR_FORMAT, "%s: TLS records beyond all measure", f->where);
    enum tls_result result = tls_receive(f->tls, f->bytes, (size_t)got, f->plain, &n_plain);
    if (result == TLS_BROKEN) {
        const char *why = tls_refusal(f->tls);
        return error_set(err, ONNXD_ERR_IO, "%s: TLS failed: %s", f->where,
                         why != NULL ? why : "no agreement with the server");
    }
    if (n_plain == 0) return ONNXD_OK;
    return http_client_input(&f->client, f->plain, n_plain, on_response, f, err);
}

static onnxd_status exchange(struct fetch *f, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    while (!f->done && status == ONNXD_OK) {
        const char *ignored;
        status = send_some(f, err);
        bool waits = f->tls != NULL ? tls_pending(f->tls, &ignored) > 0 ||
                                          (tls_is_ready(f->tls) && http_client_wants_write(&f->client))
                                    : http_client_wants_write(&f->client);
        if (status == ONNXD_OK) status = wait_for(f, waits ? POLLIN | POLLOUT : POLLIN, err);
        if (status == ONNXD_OK) status = receive_some(f, err);
    }
    return status;
}

onnxd_status load_fetch(const struct load_url *url, enum http_method method, const char *path,
                        const struct load_options *options, uint64_t timeout_ns, struct buf *ret_body,
                        onnxd_error *err)
{
    struct load_target target = {.url = *url, .weight = 1};
    struct load_endpoints endpoints;
    onnxd_status status = load_endpoints_init(&endpoints, &target, 1, options, err);
    if (status != ONNXD_OK) return status;
    struct fetch *f = calloc(1, sizeof *f);
    size_t before = ret_body->n;
    if (f == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for a request");
        goto out;
    }
    f->fd = -1;
    f->where = url->authority;
    f->end_ns = monotonic_ns() + timeout_ns;
    f->body = ret_body;
    status = http_client_init(&f->client, &(struct http_client_options){.max_body_bytes = ret_body->max},
                              err);
    struct http_client_request request = {.method = method, .host = url->authority, .path = path};
    if (status == ONNXD_OK) status = http_client_queue(&f->client, &request, err);
    if (status == ONNXD_OK) status = connect_to(f, &endpoints.items[0], err);
    if (status == ONNXD_OK) status = exchange(f, err);
    if (status == ONNXD_OK && ret_body->failed)
        status = error_set(err, ONNXD_ERR_LIMIT, "%s%s: the answer is too long", url->authority, path);
    if (status == ONNXD_OK && f->status != 200)
        status = error_set(err, ONNXD_ERR_NOT_FOUND, "%s%s: status %u: %.*s", url->authority, path, f->status,
                           (int)(ret_body->n - before < 160 ? ret_body->n - before : 160),
                           ret_body->data + before);
    if (f->fd >= 0) close(f->fd);
    tls_session_free(f->tls);
    http_client_done(&f->client);
out:
    free(f);
    load_endpoints_done(&endpoints);
    return status;
}
