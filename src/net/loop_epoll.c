#include "net/loop_kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "net/net_socket.h"

/* Streams are registered once, edge-triggered for reading and writing, and never changed again: the cost
 * of a request is its share of one epoll_wait, one recv and one send. */
#define MAX_EVENTS    512
#define SCRATCH_BYTES (1u << 20) /* what one wake-up reads at most, beside streams with room of their own */
#define READ_BYTES    (64u << 10)

/* What an event points to tells its kind by its first member's place: tagged pointers keep it to a test. */
#define TAG_STREAM   0u
#define TAG_LISTENER 1u
#define TAG_WAKE     2u
#define TAG_MASK     3u

struct loop_epoll {
    struct loop loop;
    int epoll_fd;
    struct loop_stream queued; /* ring of streams to read without waiting */
    struct epoll_event events[MAX_EVENTS];
    int n_events, next_event;      /* those of an earlier wait that are not handled yet */
    struct loop_listener *resting; /* list of those to watch again */
    uint64_t rest_until_ns;
    uint64_t step;
    char *scratch;
    size_t scratch_used;
};

static struct loop_epoll *inner(struct loop *loop)
{
    return (struct loop_epoll *)loop;
}

static void queue_stream(struct loop_epoll *epoll, struct loop_stream *stream)
{
    if (stream->is_queued) return;
    stream->is_queued = true;
    stream->next = &epoll->queued;
    stream->prev = epoll->queued.prev;
    epoll->queued.prev->next = stream;
    epoll->queued.prev = stream;
}

static void unqueue_stream(struct loop_stream *stream)
{
    if (!stream->is_queued) return;
    stream->is_queued = false;
    stream->prev->next = stream->next;
    stream->next->prev = stream->prev;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static onnxd_status epoll_listen(struct loop *loop, struct loop_listener *listener, onnxd_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = (uintptr_t)listener | TAG_LISTENER;
    if (epoll_ctl(inner(loop)->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) != 0)
        return error_set(err, ONNXD_ERR_IO, "event loop: cannot watch a listening socket: %s",
                         strerror(errno));
    listener->active = true;
    return ONNXD_OK;
}

static void forget_events(struct loop_epoll *epoll, uint64_t tagged)
{
    for (int i = epoll->next_event; i < epoll->n_events; i++)
        if (epoll->events[i].data.u64 == tagged) epoll->events[i].data.u64 = 0;
}

static void epoll_unlisten(struct loop *loop, struct loop_listener *listener)
{
    struct loop_epoll *epoll = inner(loop);
    epoll_ctl(epoll->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
    forget_events(epoll, (uintptr_t)listener | TAG_LISTENER);
    for (struct loop_listener **at = &epoll->resting; *at != NULL; at = &(*at)->next_resting)
        if (*at == listener) {
            *at = listener->next_resting;
            break;
        }
    listener->active = false;
}

static onnxd_status epoll_add(struct loop *loop, struct loop_stream *stream, onnxd_error *err)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    event.data.u64 = (uintptr_t)stream | TAG_STREAM;
    if (epoll_ctl(inner(loop)->epoll_fd, EPOLL_CTL_ADD, stream->fd, &event) != 0)
        return error_set(err, ONNXD_ERR_IO, "event loop: cannot watch a connection: %s", strerror(errno));
    stream->open = true;
    return ONNXD_OK;
}

static void epoll_remove(struct loop *loop, struct loop_stream *stream)
{
    unqueue_stream(stream);
    forget_events(inner(loop), (uintptr_t)stream | TAG_STREAM);
    stream->open = false;
    close(stream->fd); /* which also takes it out of the epoll set */
    stream->fd = -1;
}

static void epoll_resume(struct loop *loop, struct loop_stream *stream)
{
    if (stream->readable) queue_stream(inner(loop), stream);
}

static ssize_t epoll_send(struct loop *loop, struct loop_stream *stream, const struct iovec *iov, int n_iov)
{
    (void)loop;
    return net_send(stream->fd, iov, n_iov);
}

static void epoll_shut(struct loop *loop, struct loop_stream *stream)
{
    (void)loop;
    shutdown(stream->fd, SHUT_WR);
}

/* One read. What is left unread keeps the stream queued. */
static void read_stream(struct loop_epoll *epoll, struct loop_stream *stream)
{
    const struct loop_callbacks *callbacks = &epoll->loop.callbacks;
    if (stream->paused) return; /* stays readable; loop_resume queues it */
    if (stream->last_step == epoll->step) {
        queue_stream(epoll, stream);
        return;
    }
    stream->last_step = epoll->step;
    struct loop_room room = callbacks->room(callbacks->context, stream);
    bool own = room.at == NULL;
    if (own) {
        room.at = epoll->scratch + epoll->scratch_used;
        room.n = SCRATCH_BYTES - epoll->scratch_used;
        if (room.n > READ_BYTES) room.n = READ_BYTES;
    }
    ssize_t got = recv(stream->fd, room.at, room.n, MSG_DONTWAIT);
    if (got > 0) {
        if (own) epoll->scratch_used += (size_t)got;
        /* A short read emptied the socket, and the next bytes make a new edge. */
        stream->readable = (size_t)got == room.n || stream->hung_up;
        if (stream->readable) queue_stream(epoll, stream);
        callbacks->data(callbacks->context, stream, room.at, (size_t)got);
    } else if (got == 0) {
        stream->readable = false;
        callbacks->ended(callbacks->context, stream, 0);
    } else if (errno == EAGAIN) {
        stream->readable = false;
    } else if (errno == EINTR) {
        queue_stream(epoll, stream);
    } else {
        stream->readable = false;
        callbacks->ended(callbacks->context, stream, errno);
    }
}

static void accept_some(struct loop_epoll *epoll, struct loop_listener *listener)
{
    const struct loop_callbacks *callbacks = &epoll->loop.callbacks;
    for (int i = 0; i < LOOP_MAX_ACCEPTS && listener->active; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            callbacks->accepted(callbacks->context, listener, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (loop_accept_must_rest(errno)) {
            epoll_ctl(epoll->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
            listener->next_resting = epoll->resting;
            epoll->resting = listener;
            epoll->rest_until_ns = now_ns() + LOOP_ACCEPT_REST_NS;
        }
        return;
    }
}

static void end_rest(struct loop_epoll *epoll)
{
    if (epoll->resting == NULL || now_ns() < epoll->rest_until_ns) return;
    while (epoll->resting != NULL) {
        struct loop_listener *listener = epoll->resting;
        struct epoll_event event = {.events = EPOLLIN};
        event.data.u64 = (uintptr_t)listener | TAG_LISTENER;
        if (epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) != 0) {
            epoll->rest_until_ns = now_ns() + LOOP_ACCEPT_REST_NS;
            return;
        }
        epoll->resting = listener->next_resting;
    }
}

static void handle_event(struct loop_epoll *epoll, const struct epoll_event *event)
{
    void *owner = (void *)(uintptr_t)(event->data.u64 & ~(uint64_t)TAG_MASK);
    switch (event->data.u64 & TAG_MASK) {
    case TAG_WAKE: loop_run_tasks(&epoll->loop); return;
    case TAG_LISTENER: accept_some(epoll, owner); return;
    default: break;
    }
    struct loop_stream *stream = owner;
    if (stream == NULL) return; /* removed since the wait */
    const struct loop_callbacks *callbacks = &epoll->loop.callbacks;
    if (event->events & EPOLLOUT) callbacks->writable(callbacks->context, stream);
    if (!stream->open || !(event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) stream->hung_up = true;
    stream->readable = true;
    unqueue_stream(stream);
    read_stream(epoll, stream);
}

static bool scratch_is_full(const struct loop_epoll *epoll)
{
    return SCRATCH_BYTES - epoll->scratch_used < READ_BYTES;
}

static void read_queued(struct loop_epoll *epoll)
{
    /* Only those queued now: a read that leaves bytes queues its stream again, for the next step. */
    struct loop_stream *last = epoll->queued.prev;
    while (epoll->queued.next != &epoll->queued && !scratch_is_full(epoll)) {
        struct loop_stream *stream = epoll->queued.next;
        unqueue_stream(stream);
        read_stream(epoll, stream);
        if (stream == last) break;
    }
}

static void wait_for_events(struct loop_epoll *epoll, uint64_t timeout_ns)
{
    if (epoll->queued.next != &epoll->queued) timeout_ns = 0;
    if (epoll->resting != NULL && timeout_ns > LOOP_ACCEPT_REST_NS) timeout_ns = LOOP_ACCEPT_REST_NS;
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    int n;
    if (timeout_ns != 0 && timeout_ns < 1000000u)
        n = epoll_pwait2(epoll->epoll_fd, epoll->events, MAX_EVENTS, &timeout, NULL);
    else
        n = epoll_wait(epoll->epoll_fd, epoll->events, MAX_EVENTS,
                       timeout_ns == LOOP_FOREVER                ? -1
                       : timeout_ns > UINT64_C(3600000000000000) ? 3600000
                                                                 : (int)((timeout_ns + 999999) / 1000000));
    epoll->next_event = 0;
    epoll->n_events = n > 0 ? n : 0;
}

static void epoll_step(struct loop *loop, uint64_t timeout_ns)
{
    struct loop_epoll *epoll = inner(loop);
    if (epoll->next_event == epoll->n_events) wait_for_events(epoll, timeout_ns);
    if (epoll->resting != NULL) end_rest(epoll);
    epoll->step++;
    read_queued(epoll);
    while (epoll->next_event < epoll->n_events && !scratch_is_full(epoll))
        handle_event(epoll, &epoll->events[epoll->next_event++]);
}

static void epoll_release(struct loop *loop)
{
    inner(loop)->scratch_used = 0;
}

static void epoll_free(struct loop *loop)
{
    struct loop_epoll *epoll = inner(loop);
    if (epoll->epoll_fd >= 0) close(epoll->epoll_fd);
    loop_done(loop);
    free(epoll->scratch);
    free(epoll);
}

static const struct loop_ops epoll_ops = {
    .name = "epoll",
    .free = epoll_free,
    .listen = epoll_listen,
    .unlisten = epoll_unlisten,
    .add = epoll_add,
    .remove = epoll_remove,
    .resume = epoll_resume,
    .send = epoll_send,
    .shut = epoll_shut,
    .step = epoll_step,
    .release = epoll_release,
};

onnxd_status loop_epoll_create(const struct loop_callbacks *callbacks, struct loop **ret_loop,
                               onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    struct loop_epoll *epoll = calloc(1, sizeof *epoll);
    if (epoll == NULL) return error_set(err, ONNXD_ERR_NOMEM, "event loop: out of memory");
    epoll->epoll_fd = -1;
    epoll->queued.next = epoll->queued.prev = &epoll->queued;
    epoll->scratch = malloc(SCRATCH_BYTES);
    if (epoll->scratch == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "event loop: out of memory");
        goto fail;
    }
    status = loop_init(&epoll->loop, &epoll_ops, callbacks, err);
    if (status != ONNXD_OK) goto fail;
    epoll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = TAG_WAKE;
    if (epoll->epoll_fd < 0 || epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, epoll->loop.wake_fd, &event) != 0) {
        status = error_set(err, ONNXD_ERR_IO, "event loop: epoll: %s", strerror(errno));
        goto fail;
    }
    *ret_loop = &epoll->loop;
    return ONNXD_OK;
fail:
    epoll_free(&epoll->loop);
    return status;
}
