#include "load/load_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "load/load_worker.h"
#include "net/net_socket.h"

#define SCRATCH_BYTES (256u << 10)
#define MAX_OUT_BYTES (64u << 20)
#define RETRY_NS      (20 * NS_PER_MS) /* before a connection that failed is tried again */

onnxd_status load_wire_init(struct load_wire *wire, onnxd_error *err)
{
    wire->scratch = malloc(SCRATCH_BYTES);
    wire->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (wire->scratch != NULL && wire->epoll_fd >= 0) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_NOMEM, "a load thread could not be set up: %s", strerror(errno));
}

void load_wire_done(struct load_wire *wire)
{
    if (wire->epoll_fd > 0) close(wire->epoll_fd);
    free(wire->scratch);
    free(wire->plain);
    *wire = (struct load_wire){0};
}

bool load_conn_init(struct load_conn *c, struct load_lane *lane)
{
    *c = (struct load_conn){.lane = lane, .fd = -1};
    buf_init(&c->in, LOAD_MAX_HEAD_BYTES + SCRATCH_BYTES);
    buf_init(&c->out, MAX_OUT_BYTES);
    c->sent = calloc(lane->wire->pipeline, sizeof *c->sent);
    return c->sent != NULL;
}

void load_conn_done(struct load_conn *c)
{
    if (c->fd >= 0 && c->lane != NULL) close(c->fd);
    tls_session_free(c->tls);
    buf_done(&c->in);
    buf_done(&c->out);
    free(c->sent);
}

/* ---- opening and closing --------------------------------------------------------------------------- */

static void watch(struct load_conn *c, int operation)
{
    bool write = c->state == LOAD_CONNECTING || c->wants_write;
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(c->lane->wire->epoll_fd, operation, c->fd, &event);
}

static void want_write(struct load_conn *c, bool wanted)
{
    if (c->wants_write == wanted) return;
    c->wants_write = wanted;
    watch(c, EPOLL_CTL_MOD);
}

void load_conn_open(struct load_conn *c)
{
    onnxd_error ignored;
    struct load_recorder *r = c->lane->wire->recorder;
    int fd;
    r->record->n_connects++;
    if (net_connect(&c->lane->endpoint->address, &fd, &ignored) != ONNXD_OK) {
        uint64_t now_ns = monotonic_ns();
        if (!r->open)
            load_recorder_fault(r, LOAD_FAULT_CONNECT, c->lane->endpoint->targets[0], now_ns, now_ns);
        c->retry_ns = now_ns + RETRY_NS;
        return;
    }
    c->fd = fd;
    c->state = LOAD_CONNECTING;
    watch(c, EPOLL_CTL_ADD);
}

void load_conn_drop(struct load_conn *c, enum load_fault fault, uint64_t now_ns)
{
    struct load_recorder *r = c->lane->wire->recorder;
    bool early = c->state != LOAD_READY;
    if (early) fault = LOAD_FAULT_CONNECT;
    if (early && c->n_sent == 0) load_recorder_fault(r, fault, c->lane->endpoint->targets[0], now_ns, now_ns);
    for (; c->n_sent > 0; c->n_sent--) {
        load_recorder_fault(r, fault, c->sent[c->first].target, c->sent[c->first].due_ns, now_ns);
        c->first = (c->first + 1) % c->lane->wire->pipeline;
        (*c->lane->n_under_way)--;
    }
    c->retry_ns = fault != LOAD_FAULT_READ ? now_ns + RETRY_NS : now_ns;
    close(c->fd);
    tls_session_free(c->tls);
    c->tls = NULL;
    c->fd = -1;
    c->state = LOAD_DOWN;
    c->wants_write = false;
    c->reply = (struct load_reply){0};
    buf_reset(&c->in);
    buf_reset(&c->out);
}

/* ---- sending --------------------------------------------------------------------------------------- */

/* Keeps what lies behind the first `done` bytes. */
static bool keep_rest(struct load_conn *c, const struct iovec *iov, int n_iov, size_t done)
{
    for (int i = 0; i < n_iov; i++) {
        size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
        done -= skip;
        if (!buf_append(&c->out, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip)) return false;
    }
    return true;
}

static bool may_try_later(ssize_t result)
{
    return result >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool flush_tls(struct load_conn *c)
{
    const char *bytes;
    size_t n = tls_pending(c->tls, &bytes);
    ssize_t wrote = n > 0 ? send(c->fd, bytes, n, MSG_NOSIGNAL) : 0;
    if (!may_try_later(wrote)) return false;
    if (wrote > 0) tls_sent(c->tls, (size_t)wrote);
    want_write(c, wrote < (ssize_t)n);
    return true;
}

static bool flush_plain(struct load_conn *c)
{
    ssize_t wrote = c->out.n > 0 ? send(c->fd, c->out.data, c->out.n, MSG_NOSIGNAL) : 0;
    if (!may_try_later(wrote)) return false;
    if (wrote > 0) buf_consume(&c->out, (size_t)wrote);
    want_write(c, c->out.n > 0);
    return true;
}

bool load_conn_send(struct load_conn *c, const struct iovec *iov, int n_iov, size_t total)
{
    if (c->state != LOAD_READY) return keep_rest(c, iov, n_iov, 0);
    if (c->tls != NULL) return tls_send(c->tls, iov, n_iov) && flush_tls(c);
    ssize_t wrote = 0;
    if (c->out.n == 0) {
        wrote = n_iov == 1 ? send(c->fd, iov[0].iov_base, total, MSG_NOSIGNAL)
                           : sendmsg(c->fd,
                                     &(struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)iov,
                                                      .msg_iovlen = (size_t)n_iov},
                                     MSG_NOSIGNAL);
        if (!may_try_later(wrote)) return false;
        if (wrote == (ssize_t)total) return true;
    }
    if (!keep_rest(c, iov, n_iov, wrote > 0 ? (size_t)wrote : 0)) return false;
    want_write(c, true);
    return true;
}

/* Requests that were given before it could send go first. */
static bool send_kept(struct load_conn *c)
{
    if (c->tls == NULL) return flush_plain(c);
    struct iovec iov = {c->out.data, c->out.n};
    bool ok = c->out.n == 0 || tls_send(c->tls, &iov, 1);
    buf_reset(&c->out);
    return ok && flush_tls(c);
}

/* ---- receiving ------------------------------------------------------------------------------------- */

/* Takes the replies in bytes[0..n); returns how many bytes are dealt with, or SIZE_MAX: the connection is
 * gone. */
static size_t take_replies(struct load_conn *c, const char *bytes, size_t n, uint64_t now_ns)
{
    struct load_wire *wire = c->lane->wire;
    size_t at = 0;
    uint32_t n_done = 0;
    bool closes = false;
    while (at < n && !closes) {
        size_t used = 0;
        enum load_scan scan = load_reply_scan(&c->reply, bytes + at, n - at, &used);
        at += used;
        if (scan == LOAD_MORE) break;
        if (scan == LOAD_BAD || c->n_sent == 0) {
            load_conn_drop(c, LOAD_FAULT_REPLY, now_ns);
            return SIZE_MAX;
        }
        load_recorder_reply(wire->recorder, &c->sent[c->first], c->reply.status, now_ns);
        if (++c->first == wire->pipeline) c->first = 0;
        c->n_sent--;
        n_done++;
        closes = c->reply.closes;
        c->reply = (struct load_reply){0};
    }
    *c->lane->n_under_way -= n_done;
    if (closes) { /* expected when every request asks for a connection of its own */
        load_conn_drop(c, LOAD_FAULT_READ, now_ns);
        load_conn_on_close(c, now_ns);
        return SIZE_MAX;
    }
    if (n_done > 0) {
        load_conn_on_replies(c, n_done, now_ns);
        if (c->fd < 0) return SIZE_MAX;
    }
    return at;
}

static void take_bytes(struct load_conn *c, const char *bytes, size_t n, uint64_t now_ns)
{
    if (c->in.n == 0) { /* nearly always: whole replies, straight from where they were received */
        size_t used = take_replies(c, bytes, n, now_ns);
        if (used == SIZE_MAX || used == n) return;
        if (!buf_append(&c->in, bytes + used, n - used)) load_conn_drop(c, LOAD_FAULT_REPLY, now_ns);
        return;
    }
    if (!buf_append(&c->in, bytes, n)) {
        load_conn_drop(c, LOAD_FAULT_REPLY, now_ns);
        return;
    }
    size_t used = take_replies(c, c->in.data, c->in.n, now_ns);
    if (used != SIZE_MAX) buf_consume(&c->in, used);
}

static void on_end(struct load_conn *c, uint64_t now_ns)
{
    if (c->n_sent > 0 && load_reply_end(&c->reply)) {
        load_recorder_reply(c->lane->wire->recorder, &c->sent[c->first], c->reply.status, now_ns);
        c->first = (c->first + 1) % c->lane->wire->pipeline;
        c->n_sent--;
        (*c->lane->n_under_way)--;
    }
    load_conn_drop(c, LOAD_FAULT_READ, now_ns);
}

static void become_ready(struct load_conn *c, uint64_t now_ns)
{
    c->state = LOAD_READY;
    if (c->n_sent == 0) load_conn_on_ready(c, now_ns);
    if (c->fd >= 0 && !send_kept(c)) load_conn_drop(c, LOAD_FAULT_WRITE, now_ns);
}

/* Encrypted bytes: the handshake's, or replies. */
static void take_encrypted(struct load_conn *c, size_t n, uint64_t now_ns)
{
    struct load_wire *wire = c->lane->wire;
    size_t room = tls_plain_room(c->tls, n), n_plain = 0;
    if (room > wire->n_plain) {
        char *grown = realloc(wire->plain, room);
        if (grown == NULL) {
            load_conn_drop(c, LOAD_FAULT_READ, now_ns);
            return;
        }
        wire->plain = grown;
        wire->n_plain = room;
    }
    enum tls_result result = tls_receive(c->tls, wire->scratch, n, wire->plain, &n_plain);
    if (result == TLS_BROKEN) {
        load_conn_drop(c, LOAD_FAULT_READ, now_ns);
        return;
    }
    bool was_shaking = c->state == LOAD_SHAKING;
    if (!flush_tls(c)) {
        load_conn_drop(c, LOAD_FAULT_WRITE, now_ns);
        return;
    }
    if (was_shaking && tls_is_ready(c->tls)) become_ready(c, now_ns);
    if (c->fd >= 0 && n_plain > 0) take_bytes(c, wire->plain, n_plain, now_ns);
    if (c->fd >= 0 && c->tls != NULL && result == TLS_ENDED) on_end(c, now_ns);
}

static void on_readable(struct load_conn *c)
{
    struct load_wire *wire = c->lane->wire;
    ssize_t got = recv(c->fd, wire->scratch, SCRATCH_BYTES, 0);
    uint64_t now_ns = monotonic_ns();
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        on_end(c, now_ns);
        return;
    }
    wire->recorder->record->bytes_read += (uint64_t)got;
    if (c->tls != NULL)
        take_encrypted(c, (size_t)got, now_ns);
    else
        take_bytes(c, wire->scratch, (size_t)got, now_ns);
}

/* ---- events ---------------------------------------------------------------------------------------- */

static void on_connected(struct load_conn *c, uint64_t now_ns)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
        load_conn_drop(c, LOAD_FAULT_CONNECT, now_ns);
        return;
    }
    net_set_nodelay(c->fd);
    const struct load_endpoint *endpoint = c->lane->endpoint;
    if (endpoint->tls != NULL) {
        c->tls = tls_session_connect(endpoint->tls, endpoint->url.host);
        c->state = LOAD_SHAKING;
        watch(c, EPOLL_CTL_MOD);
        if (c->tls == NULL || !flush_tls(c)) load_conn_drop(c, LOAD_FAULT_CONNECT, now_ns);
        return;
    }
    c->state = LOAD_READY;
    watch(c, EPOLL_CTL_MOD);
    become_ready(c, now_ns);
}

void load_conn_event(struct load_conn *c, uint32_t events)
{
    bool trouble = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (c->fd < 0) return; /* dropped by an earlier event of the same turn */
    if (c->state == LOAD_CONNECTING) {
        if (trouble || (events & EPOLLOUT) != 0) on_connected(c, monotonic_ns());
        if (c->fd < 0 || (events & EPOLLIN) == 0) return;
    } else if ((events & EPOLLOUT) != 0 && !(c->tls != NULL ? flush_tls(c) : flush_plain(c))) {
        load_conn_drop(c, LOAD_FAULT_WRITE, monotonic_ns());
        return;
    }
    if (c->state != LOAD_CONNECTING && (trouble || (events & EPOLLIN) != 0)) on_readable(c);
}
