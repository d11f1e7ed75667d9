#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "net/loop_uring.h"

static void arm(struct loop_uring *uring, struct uring_side *side)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (sqe == NULL) { /* so much was queued before the first step */
        uring_make_due(uring, side);
        return;
    }
    io_uring_prep_recv_multishot(sqe, side->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = uring_tagged(side, URING_RECEIVE);
    side->is_armed = true;
    side->is_cancelled = false;
    side->n_pending++;
}

onnxd_status uring_add(struct loop *loop, struct loop_stream *stream, onnxd_error *err)
{
    struct uring_side *side = calloc(1, sizeof *side);
    if (side == NULL) return error_set(err, ONNXD_ERR_NOMEM, "event loop: out of memory");
    side->stream = stream;
    side->fd = stream->fd;
    side->file = -1;
    side->send_epoch = UINT64_MAX;
    side->held_end = &side->held;
    buf_init(&side->unsent, 2 * URING_COPY_MOST);
    stream->side = side;
    stream->open = true;
    arm(uring_of(loop), side);
    return ONNXD_OK;
}

static int no_descriptor = -1;

/* Blocks that an owner may still be looking at are kept until release. */
static void spend(struct loop_uring *uring, struct held_block *block)
{
    block->next = uring->spent;
    uring->spent = block;
}

void uring_remove(struct loop *loop, struct loop_stream *stream)
{
    struct loop_uring *uring = uring_of(loop);
    struct uring_side *side = stream->side;
    struct io_uring_sqe *sqe;
    if (uring_is_here(uring)) {
        if (side->is_armed && !side->is_cancelled) uring_cancel(uring, uring_tagged(side, URING_RECEIVE));
        if (side->awaits_room) uring_cancel(uring, uring_tagged(side, URING_ROOM));
        if (side->file >= 0 && uring_set_file(uring, side->file, &no_descriptor))
            uring->free_files[uring->n_free_files++] = (uint16_t)side->file;
    }
    if (uring_is_here(uring) && (sqe = uring_sqe(uring)) != NULL) {
        io_uring_prep_close(sqe, side->fd); /* in its turn: behind what was sent */
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = URING_NOTHING;
        uring->is_closing = true;
    } else {
        close(side->fd);
    }
    for (struct held_block *block = side->held, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    side->held = NULL;
    buf_done(&side->unsent);
    side->stream = NULL;
    side->next_gone = uring->gone;
    uring->gone = side;
    stream->side = NULL;
    stream->open = false;
    stream->fd = -1;
}

void uring_resume(struct loop *loop, struct loop_stream *stream)
{
    struct uring_side *side = stream->side;
    if (side->held != NULL || side->has_ended || !side->is_armed) uring_make_due(uring_of(loop), side);
}

static void tell_end(struct loop_uring *uring, struct uring_side *side)
{
    if (side->is_end_told) return;
    side->is_end_told = true;
    uring->loop.callbacks.ended(uring->loop.callbacks.context, side->stream, side->end_error);
}

bool uring_serve_due(struct loop_uring *uring, struct uring_side *side)
{
    const struct loop_callbacks *callbacks = &uring->loop.callbacks;
    bool told = false;
    if (side->listener != NULL && !side->is_armed) uring_arm_accept(uring, side);
    if (side->stream == NULL) return false;
    if (side->wants_room && !side->awaits_room && side->unsent.n == 0) {
        side->wants_room = false;
        told = true;
        callbacks->writable(callbacks->context, side->stream);
    }
    while (side->stream != NULL && !side->stream->paused && side->held != NULL) {
        struct held_block *block = side->held;
        side->held = block->next;
        if (side->held == NULL) side->held_end = &side->held;
        spend(uring, block);
        told = true;
        callbacks->data(callbacks->context, side->stream, block->bytes, block->n);
    }
    if (side->stream == NULL || side->stream->paused) return told;
    if (side->has_ended) {
        tell_end(uring, side);
        return true;
    }
    if (!side->is_armed) arm(uring, side);
    return told;
}

/* Bytes for a paused stream: they wait here, and no more are asked for. */
static void hold(struct loop_uring *uring, struct uring_side *side, const char *bytes, size_t n)
{
    struct held_block *block = malloc(sizeof *block + n);
    if (side->is_armed && !side->is_cancelled) {
        side->is_cancelled = true;
        uring_cancel(uring, uring_tagged(side, URING_RECEIVE));
    }
    if (block == NULL) {
        side->has_ended = true;
        side->end_error = ENOMEM;
        return;
    }
    block->next = NULL;
    block->n = n;
    memcpy(block->bytes, bytes, n);
    *side->held_end = block;
    side->held_end = &block->next;
}

static void give(struct loop_uring *uring, struct uring_side *side, char *bytes, size_t n)
{
    if (side->stream->paused || side->held != NULL || side->has_ended)
        hold(uring, side, bytes, n);
    else
        uring->loop.callbacks.data(uring->loop.callbacks.context, side->stream, bytes, n);
}

static bool is_passing(int32_t result) /* the receive ended, and another may go on */
{
    return result == -ENOBUFS || result == -ECANCELED || result == -EAGAIN || result == -EINTR;
}

void uring_received(struct loop_uring *uring, struct uring_side *side, const struct uring_event *event)
{
    char *bytes = NULL;
    if (event->flags & IORING_CQE_F_BUFFER) {
        uint32_t id = event->flags >> IORING_CQE_BUFFER_SHIFT;
        bytes = uring->buffers + (size_t)id * URING_STRIDE;
        uring->lent[uring->n_lent++] = (uint16_t)id;
    }
    if (!(event->flags & IORING_CQE_F_MORE)) {
        side->is_armed = side->is_cancelled = false;
        side->n_pending--;
    }
    if (event->result == -ENOBUFS) uring->is_short_of_them = true;
    if (side->stream == NULL) return;
    if (event->result > 0 && bytes != NULL) {
        give(uring, side, bytes, (size_t)event->result);
    } else if (!is_passing(event->result)) {
        side->has_ended = true;
        side->end_error = -event->result;
        if (!side->stream->paused && side->held == NULL) tell_end(uring, side);
        return;
    }
    if (side->stream != NULL && !side->is_armed && !side->stream->paused && !side->has_ended)
        uring_make_due(uring, side);
}
