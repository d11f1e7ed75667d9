/* net/loop.h - waits for sockets and says what they brought.
 *
 * One interface over the ways the kernel offers: epoll, which tells what is ready, and io_uring, which tells
 * what is done. A step waits, then calls back for each socket that brought something. The bytes given to
 * `data` stay valid and may be written to until loop_release, so a caller can gather the bytes of many
 * streams, work on them together, and send all answers before it lets them go. What is sent may leave with
 * the next step only.
 *
 *     loop_step(loop, timeout_ns);    // accepted, data, ended, writable are called
 *     ...work, loop_send...
 *     loop_release(loop);
 *
 * Ownership: a stream is embedded in its owner and keeps its address from loop_add to loop_remove,
 *            which closes the descriptor. Listening descriptors stay the caller's.
 * Errors:    sends and reads report errno values through `ended` and loop_send.
 * Threads:   one at a time, except loop_post. The first step binds a loop to its thread: from then on another
 * may only free it, and remove what is in it, once that thread has made its last step. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "onnxd/status.h"

#define LOOP_FOREVER UINT64_MAX

struct loop;

struct loop_stream { /* zero it before loop_add */
    int fd;
    bool open;      /* between loop_add and loop_remove */
    bool paused;    /* set by the owner: nothing is given until loop_resume */
    bool readable;  /* something was left unread */
    bool hung_up;   /* the peer's end is known and not read yet */
    bool is_queued; /* in the list of streams to read without waiting */
    struct loop_stream *next, *prev;
    uint64_t last_step;      /* that read it: one read a step */
    struct uring_side *side; /* the io_uring loop's */
};

struct loop_listener { /* a listening descriptor; embedded like a stream */
    int fd;
    bool active;
    void *owner;                        /* the user's */
    struct loop_listener *next_resting; /* out of descriptors: watched again after a pause */
    struct uring_side *side;            /* the io_uring loop's */
};

struct loop_room {
    char *at; /* NULL: the loop finds room itself */
    size_t n;
};

struct loop_callbacks {
    void *context;
    void (*accepted)(void *context, struct loop_listener *listener, int fd);
    /* Where a stream's next bytes should go; a loop that has them already does not ask. */
    struct loop_room (*room)(void *context, struct loop_stream *stream);
    void (*data)(void *context, struct loop_stream *stream, char *bytes, size_t n);
    /* The peer sends no more: error is 0, or an errno value when the connection broke. */
    void (*ended)(void *context, struct loop_stream *stream, int error);
    /* Room to send again, after loop_send took less than it was given. */
    void (*writable)(void *context, struct loop_stream *stream);
};

struct loop_task { /* embedded in its owner, who keeps it until it has run */
    void (*run)(struct loop_task *task);
    struct loop_task *next;
};

/* LOOP_AUTO: the one that serves best by measurement, epoll; docs/network.md has the figures. */
enum loop_kind { LOOP_AUTO, LOOP_EPOLL, LOOP_URING };

/* ONNXD_ERR_UNSUPPORTED: the kernel does not offer this kind; ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status loop_create(enum loop_kind kind, const struct loop_callbacks *callbacks,
                                        struct loop **ret_loop, onnxd_error *err);
void loop_free(struct loop *loop); /* takes NULL; streams must have been removed */
const char *loop_name(const struct loop *loop);

ONNXD_MUST_USE onnxd_status loop_listen(struct loop *loop, struct loop_listener *listener, onnxd_error *err);
void loop_unlisten(struct loop *loop, struct loop_listener *listener);

/* Takes over stream->fd, a connected non-blocking socket. */
ONNXD_MUST_USE onnxd_status loop_add(struct loop *loop, struct loop_stream *stream, onnxd_error *err);
void loop_remove(struct loop *loop, struct loop_stream *stream);

/* Reads again from a stream that was paused. */
void loop_resume(struct loop *loop, struct loop_stream *stream);

/* Sends what the kernel, or the loop for it, takes: bytes taken (fewer than given: `writable` follows), or
 * -errno. What was taken is a copy. */
ssize_t loop_send(struct loop *loop, struct loop_stream *stream, const struct iovec *iov, int n_iov);

/* Says to the peer that nothing more will come, once all that was sent is through. */
void loop_shut(struct loop *loop, struct loop_stream *stream);

/* Waits for at most timeout_ns (not at all when streams are queued), then calls back. */
void loop_step(struct loop *loop, uint64_t timeout_ns);
void loop_release(struct loop *loop);

/* Runs a task in the next step. Any thread. */
void loop_post(struct loop *loop, struct loop_task *task);

#endif
