#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/loop_uring.h"
#include "net/net_socket.h"

static void await_room(struct loop_uring *uring, struct uring_side *side)
{
    struct io_uring_sqe *sqe;
    if (side->awaits_room || (sqe = uring_sqe(uring)) == NULL) return;
    io_uring_prep_poll_add(sqe, side->fd, POLLOUT);
    sqe->user_data = uring_tagged(side, URING_ROOM);
    side->awaits_room = true;
    side->n_pending++;
}

static ssize_t send_now(struct loop_uring *uring, struct uring_side *side, const struct iovec *iov, int n_iov,
                        size_t n)
{
    ssize_t sent = net_send(side->fd, iov, n_iov);
    if (sent < 0 || (size_t)sent == n) return sent;
    side->wants_room = true;
    await_room(uring, side);
    return sent;
}

static void copy_pieces(char *at, const struct iovec *iov, int n_iov)
{
    for (int i = 0; i < n_iov; i++) {
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
}

/* A second send before the first has left: behind it if its bytes are the last ones, else in the next step.
 */
static ssize_t extend(struct loop_uring *uring, struct uring_side *side, const struct iovec *iov, int n_iov,
                      size_t n)
{
    if (side->send_at + side->send_n == uring->sends + uring->n_sends &&
        side->send_n + n <= URING_COPY_MOST && uring->n_sends + n <= URING_SEND_BYTES) {
        copy_pieces(side->send_at + side->send_n, iov, n_iov);
        side->send_n += n;
        side->send_sqe->len = (uint32_t)side->send_n;
        uring->n_sends += n;
        return (ssize_t)n;
    }
    side->wants_room = true;
    uring_make_due(uring, side);
    return 0;
}

ssize_t uring_send(struct loop *loop, struct loop_stream *stream, const struct iovec *iov, int n_iov)
{
    struct loop_uring *uring = uring_of(loop);
    struct uring_side *side = stream->side;
    size_t n = 0;
    for (int i = 0; i < n_iov; i++) n += iov[i].iov_len;
    if (side->unsent.n > 0 || side->awaits_room) {
        side->wants_room = true;
        return 0;
    }
    if (side->send_epoch == uring->epoch) return extend(uring, side, iov, n_iov, n);
    if (side->file < 0 && side->has_sent && uring->n_free_files > 0) {
        int32_t file = uring->free_files[uring->n_free_files - 1];
        if (uring_set_file(uring, file, &side->fd)) {
            uring->n_free_files--;
            side->file = file;
        }
    }
    side->has_sent = true;
    struct io_uring_sqe *sqe = NULL;
    if (n > 0 && n <= URING_COPY_MOST && uring->n_sends + n <= URING_SEND_BYTES) sqe = uring_sqe(uring);
    if (sqe == NULL) return send_now(uring, side, iov, n_iov, n);
    side->send_epoch = uring->epoch; /* uring_sqe may have begun another */
    side->send_sqe = sqe;
    side->send_at = uring->sends + uring->n_sends;
    side->send_n = n;
    copy_pieces(side->send_at, iov, n_iov);
    uring->n_sends += n;
    /* With MSG_WAITALL less than all is a failure, which is told; with MSG_DONTWAIT nothing waits for it. */
    io_uring_prep_send(sqe, side->file >= 0 ? side->file : side->fd, side->send_at, n,
                       MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
    sqe->flags |= side->file >= 0 ? IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE : IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = uring_tagged(side, URING_SEND);
    return (ssize_t)n;
}

void uring_send_fell_short(struct loop_uring *uring, struct uring_side *side, int32_t result)
{
    if (side->stream == NULL) return;
    size_t sent = result > 0 ? (size_t)result : 0;
    if (sent >= side->send_n) return;
    bool is_full = result >= 0 || result == -EAGAIN || result == -EINTR;
    if (is_full && buf_append(&side->unsent, side->send_at + sent, side->send_n - sent)) result = 0;
    uring_push_event(uring, uring_tagged(side, URING_SEND), result > 0 ? -ENOMEM : result, 0);
}

void uring_send_failed(struct loop_uring *uring, struct uring_side *side, int32_t result)
{
    if (side->stream == NULL) return;
    if (result == 0)
        await_room(uring, side);
    else
        uring->loop.callbacks.ended(uring->loop.callbacks.context, side->stream, -result);
}

/* Sends what an earlier send left over. False when the connection broke. */
static bool send_unsent(struct loop_uring *uring, struct uring_side *side)
{
    struct iovec iov = {side->unsent.data, side->unsent.n};
    ssize_t sent = net_send(side->fd, &iov, 1);
    if (sent < 0) {
        uring->loop.callbacks.ended(uring->loop.callbacks.context, side->stream, (int)-sent);
        return false;
    }
    buf_consume(&side->unsent, (size_t)sent);
    if (side->unsent.n > 0) {
        await_room(uring, side);
        return false;
    }
    buf_done(&side->unsent);
    if (side->shut_later) shutdown(side->fd, SHUT_WR);
    return true;
}

void uring_has_room(struct loop_uring *uring, struct uring_side *side)
{
    side->awaits_room = false;
    side->n_pending--;
    if (side->stream == NULL) return;
    if (side->unsent.n > 0 && !send_unsent(uring, side)) return;
    if (!side->wants_room) return;
    side->wants_room = false;
    uring->loop.callbacks.writable(uring->loop.callbacks.context, side->stream);
}

void uring_shut(struct loop *loop, struct loop_stream *stream)
{
    struct loop_uring *uring = uring_of(loop);
    struct uring_side *side = stream->side;
    if (side->send_epoch == uring->epoch) uring_submit(uring); /* what was sent comes first */
    if (side->unsent.n > 0)
        side->shut_later = true;
    else
        shutdown(side->fd, SHUT_WR);
}
