#include "net/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "net/loop_kinds.h"

onnxd_status loop_create(enum loop_kind kind, const struct loop_callbacks *callbacks, struct loop **ret_loop,
                         onnxd_error *err)
{
    if (kind == LOOP_URING) return loop_uring_create(callbacks, ret_loop, err);
    return loop_epoll_create(callbacks, ret_loop, err);
}

#ifndef ONNXD_LIBURING
onnxd_status loop_uring_create(const struct loop_callbacks *callbacks, struct loop **ret_loop,
                               onnxd_error *err)
{
    (void)callbacks, (void)ret_loop;
    return error_set(err, ONNXD_ERR_UNSUPPORTED, "event loop: this program was built without io_uring");
}
#endif

bool loop_accept_must_rest(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

onnxd_status loop_init(struct loop *loop, const struct loop_ops *ops, const struct loop_callbacks *callbacks,
                       onnxd_error *err)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return error_set(err, ONNXD_ERR_IO, "event loop: eventfd: %s", strerror(errno));
    loop->ops = ops;
    loop->callbacks = *callbacks;
    loop->wake_fd = fd;
    pthread_mutex_init(&loop->tasks_lock, NULL);
    loop->tasks = NULL;
    loop->tasks_end = &loop->tasks;
    return ONNXD_OK;
}

void loop_done(struct loop *loop)
{
    if (loop->ops == NULL) return;
    close(loop->wake_fd);
    pthread_mutex_destroy(&loop->tasks_lock);
}

void loop_free(struct loop *loop)
{
    if (loop != NULL) loop->ops->free(loop);
}

const char *loop_name(const struct loop *loop)
{
    return loop->ops->name;
}

onnxd_status loop_listen(struct loop *loop, struct loop_listener *listener, onnxd_error *err)
{
    return loop->ops->listen(loop, listener, err);
}

void loop_unlisten(struct loop *loop, struct loop_listener *listener)
{
    if (listener->active) loop->ops->unlisten(loop, listener);
}

onnxd_status loop_add(struct loop *loop, struct loop_stream *stream, onnxd_error *err)
{
    return loop->ops->add(loop, stream, err);
}

void loop_remove(struct loop *loop, struct loop_stream *stream)
{
    if (stream->open) loop->ops->remove(loop, stream);
}

void loop_resume(struct loop *loop, struct loop_stream *stream)
{
    stream->paused = false;
    if (stream->open) loop->ops->resume(loop, stream);
}

ssize_t loop_send(struct loop *loop, struct loop_stream *stream, const struct iovec *iov, int n_iov)
{
    return loop->ops->send(loop, stream, iov, n_iov);
}

void loop_shut(struct loop *loop, struct loop_stream *stream)
{
    if (stream->open) loop->ops->shut(loop, stream);
}

void loop_step(struct loop *loop, uint64_t timeout_ns)
{
    loop->ops->step(loop, timeout_ns);
}

void loop_release(struct loop *loop)
{
    loop->ops->release(loop);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&loop->tasks_lock);
    bool was_empty = loop->tasks == NULL;
    *loop->tasks_end = task;
    loop->tasks_end = &task->next;
    pthread_mutex_unlock(&loop->tasks_lock);
    if (!was_empty) return; /* the loop has been told and has not looked yet */
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* cannot fail: the counter is far from its end */
}

void loop_run_tasks(struct loop *loop)
{
    uint64_t count;
    ssize_t got = read(loop->wake_fd, &count, sizeof count);
    (void)got; /* EAGAIN: already emptied */
    pthread_mutex_lock(&loop->tasks_lock);
    struct loop_task *task = loop->tasks;
    loop->tasks = NULL;
    loop->tasks_end = &loop->tasks;
    pthread_mutex_unlock(&loop->tasks_lock);
    while (task != NULL) {
        struct loop_task *next = task->next; /* a task may free itself or be posted again */
        task->run(task);
        task = next;
    }
}
