/* net/loop_kinds.h - what an implementation of net/loop.h provides.
 *
 * An implementation starts its own struct with a struct loop, fills `ops`, and watches
 * loop->wake_fd, for which it calls loop_run_tasks. */
#ifndef NET_LOOP_KINDS_H
#define NET_LOOP_KINDS_H

#include <pthread.h>

#include "net/loop.h"

#define LOOP_MAX_ACCEPTS    64                  /* of one listener in a step */
#define LOOP_ACCEPT_REST_NS UINT64_C(100000000) /* pause after the process ran out of descriptors */

struct loop_ops {
    const char *name;
    void (*free)(struct loop *loop);
    onnxd_status (*listen)(struct loop *loop, struct loop_listener *listener, onnxd_error *err);
    void (*unlisten)(struct loop *loop, struct loop_listener *listener);
    onnxd_status (*add)(struct loop *loop, struct loop_stream *stream, onnxd_error *err);
    void (*remove)(struct loop *loop, struct loop_stream *stream);
    void (*resume)(struct loop *loop, struct loop_stream *stream);
    ssize_t (*send)(struct loop *loop, struct loop_stream *stream, const struct iovec *iov, int n_iov);
    void (*shut)(struct loop *loop, struct loop_stream *stream);
    void (*step)(struct loop *loop, uint64_t timeout_ns);
    void (*release)(struct loop *loop);
};

struct loop {
    const struct loop_ops *ops;
    struct loop_callbacks callbacks;
    int wake_fd; /* eventfd that loop_post writes to */
    pthread_mutex_t tasks_lock;
    struct loop_task *tasks, **tasks_end;
};

/* Fills and empties the common part. */
ONNXD_MUST_USE onnxd_status loop_init(struct loop *loop, const struct loop_ops *ops,
                                      const struct loop_callbacks *callbacks, onnxd_error *err);
void loop_done(struct loop *loop);

/* wake_fd was readable: empties it and runs what was posted. */
void loop_run_tasks(struct loop *loop);

ONNXD_MUST_USE onnxd_status loop_epoll_create(const struct loop_callbacks *callbacks, struct loop **ret_loop,
                                              onnxd_error *err);

/* Where the build found no liburing this says so, ONNXD_ERR_UNSUPPORTED. */
ONNXD_MUST_USE onnxd_status loop_uring_create(const struct loop_callbacks *callbacks, struct loop **ret_loop,
                                              onnxd_error *err);

/* Whether an accept that failed means that there are no descriptors or no memory for now. */
bool loop_accept_must_rest(int error);

#endif
