#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/loop_uring.h"

#define END_WAIT_NS (UINT64_C(10) * NS_PER_MS)

void uring_arm_accept(struct loop_uring *uring, struct uring_side *side)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (sqe == NULL) {
        uring_make_due(uring, side);
        return;
    }
    io_uring_prep_multishot_accept(sqe, side->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    sqe->user_data = uring_tagged(side, URING_ACCEPT);
    side->is_armed = true;
    side->n_pending++;
}

onnxd_status uring_listen(struct loop *loop, struct loop_listener *listener, onnxd_error *err)
{
    struct uring_side *side = calloc(1, sizeof *side);
    if (side == NULL) return error_set(err, ONNXD_ERR_NOMEM, "event loop: out of memory");
    side->listener = listener;
    side->fd = listener->fd;
    side->send_epoch = UINT64_MAX;
    listener->side = side;
    listener->active = true;
    uring_arm_accept(uring_of(loop), side);
    return ONNXD_OK;
}

static void rest(struct loop_uring *uring, struct uring_side *side)
{
    side->is_due = true;
    side->next_due = uring->resting;
    uring->resting = side;
    uring->rest_until_ns = monotonic_ns() + LOOP_ACCEPT_REST_NS;
}

void uring_end_rest(struct loop_uring *uring)
{
    if (uring->resting == NULL || monotonic_ns() < uring->rest_until_ns) return;
    struct uring_side *side = uring->resting;
    uring->resting = NULL;
    while (side != NULL) {
        struct uring_side *next = side->next_due;
        side->is_due = false;
        if (side->listener != NULL) uring_arm_accept(uring, side);
        side = next;
    }
}

void uring_accepted(struct loop_uring *uring, struct uring_side *side, const struct uring_event *event)
{
    struct loop_listener *listener = side->listener;
    if (!(event->flags & IORING_CQE_F_MORE)) {
        side->is_armed = false;
        side->n_pending--;
    }
    if (event->result >= 0 && listener != NULL)
        uring->loop.callbacks.accepted(uring->loop.callbacks.context, listener, event->result);
    else if (event->result >= 0)
        close(event->result);
    if (side->is_armed || side->listener == NULL || side->is_cancelled) return;
    if (event->result < 0 && loop_accept_must_rest(-event->result))
        rest(uring, side);
    else
        uring_arm_accept(uring, side);
}

/* Waits for the accept's end, so that the socket is the caller's alone again and no connection that the
 * kernel has accepted is lost: they are handed over here. */
static void end_accept(struct loop_uring *uring, struct uring_side *side)
{
    side->is_cancelled = true;
    uring_cancel(uring, uring_tagged(side, URING_ACCEPT));
    for (int i = 0; side->is_armed && i < 100; i++) {
        uring_enter(uring, i == 0 ? 0 : END_WAIT_NS);
        for (size_t at = uring->next_event; at + sizeof(struct uring_event) <= uring->events.n;
             at += sizeof(struct uring_event)) {
            struct uring_event event;
            memcpy(&event, uring->events.data + at, sizeof event);
            if (event.tagged != uring_tagged(side, URING_ACCEPT)) continue;
            memset(uring->events.data + at, 0, sizeof event);
            uring_accepted(uring, side, &event);
        }
    }
}

void uring_unlisten(struct loop *loop, struct loop_listener *listener)
{
    struct loop_uring *uring = uring_of(loop);
    struct uring_side *side = listener->side;
    if (side->is_armed && uring->is_enabled && uring_is_here(uring)) end_accept(uring, side);
    side->listener = NULL;
    listener->side = NULL;
    listener->active = false;
    side->next_gone = uring->gone;
    uring->gone = side;
}
