/* net/loop_uring.h - what src/net/loop_uring*.c share; of no concern to others.
 *
 * The io_uring loop after the kernel's own advice for network servers: one ring for each thread, used by that
 * thread alone, with completions worked off when it asks for them (SINGLE_ISSUER, DEFER_TASKRUN); one accept
 * for each listener and one receive for each stream that stay armed (multishot); received bytes in buffers
 * that all streams share (a provided-buffer ring), lent to the owner until loop_release.
 *
 *   step:     one io_uring_enter submits what the last wake-up sent, closed or armed anew, and waits;
 *             completions are first copied out of the ring (uring_harvest), then handled in order
 *   release:  lent buffers go back to the ring
 *
 * Sends are copied to an arena and submitted with MSG_DONTWAIT and without a completion for success: by the
 * time io_uring_enter returns they have happened, and only what fell short is told. Its rest moves to the
 * stream's `unsent`, whose room is awaited with a poll. Large answers go by a system call of their own,
 * without a copy.
 *
 * A stream that sends a second time gets a place in the ring's table of files, which spares the kernel
 * looking its descriptor up; those that find none send by descriptor.
 *
 * A uring_side is a stream's or listener's part here. It outlives the owner until its last completion has
 * come. */
#ifndef NET_LOOP_URING_H
#define NET_LOOP_URING_H

#include <liburing.h>

#include "base/buf.h"
#include "net/loop_kinds.h"

#define URING_BUFFERS       1024u /* at most; a power of two */
#define URING_BUFFERS_LEAST 32u   /* at first; the ring goes round all it has, so few stay in the cache */
#define URING_BUFFER_BYTES  (8u << 10)
#define URING_STRIDE        (URING_BUFFER_BYTES + 320u) /* not a power of two: their starts share no cache set */
#define URING_SEND_BYTES    (1u << 20)                  /* of small answers in one submission */
#define URING_FILES         8192u       /* streams that send without the kernel looking their descriptor up */
#define URING_COPY_MOST     (16u << 10) /* larger answers are sent without a copy */

enum uring_op {
    URING_NOTHING,
    URING_RECEIVE,
    URING_ROOM,
    URING_SEND,
    URING_ACCEPT,
    URING_WAKE
}; /* tags, 3 bits */
#define URING_OP_MASK 7u

struct held_block { /* bytes that came while the stream was paused */
    struct held_block *next;
    size_t n;
    char bytes[];
};

struct uring_side {
    struct loop_stream *stream; /* NULL: none, or removed */
    struct loop_listener *listener;
    struct uring_side *next_due, *next_gone;
    int fd;
    uint32_t n_pending; /* operations whose last completion has not been handled */
    bool is_armed;      /* its multishot receive or accept is under way */
    bool is_cancelled;  /* ... and was told to end */
    bool is_due;        /* in the list of those that the next step looks at */
    bool awaits_room;   /* a poll for room to send is under way */
    bool wants_room;    /* the owner waits for `writable` */
    bool shut_later;    /* once unsent is out */
    bool has_ended;     /* nothing more can be received */
    bool is_end_told;
    int end_error;
    bool has_sent;
    int32_t file; /* place in the table of files, or -1 */
    struct held_block *held, **held_end;
    struct buf unsent;
    uint64_t send_epoch; /* the submission that takes the send below */
    struct io_uring_sqe *send_sqe;
    char *send_at;
    size_t send_n;
};

struct uring_event { /* a completion, or a send's fault, not handled yet */
    uint64_t tagged; /* side | enum uring_op; 0: nothing */
    int32_t result;
    uint32_t flags;
};

struct loop_uring {
    struct loop loop;
    struct io_uring ring;
    bool has_ring, is_enabled;
    unsigned enter_flags;
    pthread_t thread; /* that the ring is bound to, once enabled */
    struct io_uring_buf_ring *buffer_ring;
    char *buffers;
    uint16_t lent[URING_BUFFERS];
    uint32_t n_lent;
    uint32_t n_buffers;       /* that the ring has been given */
    bool is_short_of_them;    /* a receive found none */
    struct held_block *spent; /* given to owners in this step; freed by release */
    struct buf events;        /* struct uring_event */
    size_t next_event;
    struct uring_side *due, *gone;
    struct uring_side *resting; /* a listener that is out of descriptors; more come by next_due */
    uint64_t rest_until_ns;
    uint64_t epoch; /* number of the coming submission */
    char *sends;
    size_t n_sends;
    uint16_t *free_files;
    uint32_t n_free_files;
    bool is_closing; /* a close waits for submission */
};

static inline struct loop_uring *uring_of(struct loop *loop)
{
    return (struct loop_uring *)loop;
}

static inline uint64_t uring_tagged(const struct uring_side *side, enum uring_op op)
{
    return (uint64_t)(uintptr_t)side | op;
}

/* ---- loop_uring.c: the ring ---- */

/* An empty submission; never NULL on the loop's thread. NULL: no more can be submitted from here. */
struct io_uring_sqe *uring_sqe(struct loop_uring *uring);

/* Submits what is queued, waits for a completion for at most timeout_ns, takes the completions out. */
void uring_enter(struct loop_uring *uring, uint64_t timeout_ns);

/* Submits what is queued and takes the completions out that it brings by itself. */
void uring_submit(struct loop_uring *uring);

/* Whether the calling thread may submit. Before the first step anybody may queue. */
bool uring_is_here(const struct loop_uring *uring);

void uring_push_event(struct loop_uring *uring, uint64_t tagged, int32_t result, uint32_t flags);
void uring_make_due(struct loop_uring *uring, struct uring_side *side);
void uring_cancel(struct loop_uring *uring, uint64_t tagged);

/* Puts descriptors[0] into the table of files, -1 to take out. It stays in its place until the next
 * submission. */
bool uring_set_file(struct loop_uring *uring, int32_t file, int *descriptor);

/* ---- loop_uring_listen.c ---- */

onnxd_status uring_listen(struct loop *loop, struct loop_listener *listener, onnxd_error *err);
void uring_unlisten(struct loop *loop, struct loop_listener *listener);
void uring_accepted(struct loop_uring *uring, struct uring_side *side, const struct uring_event *event);
void uring_arm_accept(struct loop_uring *uring, struct uring_side *side);
void uring_end_rest(struct loop_uring *uring);

/* ---- loop_uring_stream.c ---- */

onnxd_status uring_add(struct loop *loop, struct loop_stream *stream, onnxd_error *err);
void uring_remove(struct loop *loop, struct loop_stream *stream);
void uring_resume(struct loop *loop, struct loop_stream *stream);
void uring_received(struct loop_uring *uring, struct uring_side *side, const struct uring_event *event);

/* Arms what is to be armed and gives what was held. True when the owner was told something. */
bool uring_serve_due(struct loop_uring *uring, struct uring_side *side);

/* ---- loop_uring_send.c ---- */

ssize_t uring_send(struct loop *loop, struct loop_stream *stream, const struct iovec *iov, int n_iov);
void uring_shut(struct loop *loop, struct loop_stream *stream);

/* A send's completion, which comes only when it fell short; called while its bytes are still in the arena. It
 * keeps the rest of them and makes an event, for uring_send_failed. */
void uring_send_failed(struct loop_uring *uring, struct uring_side *side, int32_t result);
void uring_send_fell_short(struct loop_uring *uring, struct uring_side *side, int32_t result);
void uring_has_room(struct loop_uring *uring, struct uring_side *side);

#endif
