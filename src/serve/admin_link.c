#include "serve/admin_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "serve/admin_wire.h"

#define MAX_WAITING 64u

struct order_list {
    struct repository_job *first, **end;
};

struct admin_link {
    int fd, wake_fd;
    struct repository *repository;
    pthread_mutex_t lock;
    struct order_list fresh; /* yet to be asked */
    struct order_list asked; /* the thread's own */
    uint32_t n_waiting;      /* in both */
    uint64_t last_id;
    bool stopping, is_cut; /* is_cut: the supervisor has gone */
    bool started;
    pthread_t thread;
};

static void add(struct order_list *list, struct repository_job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

/* Takes the job of this number; 0: the first. */
static struct repository_job *take(struct order_list *list, uint64_t id)
{
    for (struct repository_job **at = &list->first; *at != NULL; at = &(*at)->next) {
        struct repository_job *job = *at;
        if (id != 0 && job->id != id) continue;
        *at = job->next;
        if (list->end == &job->next) list->end = at;
        return job;
    }
    return NULL;
}

/* ---- orders of this process ------------------------------------------------------------------------- */

static void end_job(struct admin_link *link, struct repository_job *job, onnxd_status status)
{
    pthread_mutex_lock(&link->lock);
    link->n_waiting--;
    pthread_mutex_unlock(&link->lock);
    job->status = status;
    job->done(job);
}

static void ask(struct admin_link *link, struct repository_job *job)
{
    int fd = -1;
    onnxd_status status = admin_order_to_fd(job->order, &fd, &job->err);
    struct admin_message message = {.kind = ADMIN_ASK, .id = job->id = ++link->last_id};
    if (status == ONNXD_OK && (link->is_cut || !admin_wire_send(link->fd, &message, fd)))
        status = error_set(&job->err, ONNXD_ERR_BUSY, "the supervising process does not answer");
    if (fd >= 0) close(fd);
    admin_order_unref(job->order); /* the supervisor has it now */
    job->order = NULL;
    if (status == ONNXD_OK)
        add(&link->asked, job);
    else
        end_job(link, job, status);
}

static void ask_fresh(struct admin_link *link)
{
    for (;;) {
        pthread_mutex_lock(&link->lock);
        struct repository_job *job = take(&link->fresh, 0);
        pthread_mutex_unlock(&link->lock);
        if (job == NULL) return;
        ask(link, job);
    }
}

static void take_answer(struct admin_link *link, const struct admin_message *message)
{
    struct repository_job *job = message->id != 0 ? take(&link->asked, message->id) : NULL;
    if (job == NULL) return;
    snprintf(job->err.message, sizeof job->err.message, "%s", message->text);
    end_job(link, job, (onnxd_status)message->status);
}

/* Nobody will answer what was asked. */
static void cut(struct admin_link *link)
{
    struct repository_job *job;
    link->is_cut = true;
    while ((job = take(&link->asked, 0)) != NULL)
        end_job(link, job, error_set(&job->err, ONNXD_ERR_CANCELLED, "the supervising process has ended"));
}

/* ---- steps of anybody's orders ---------------------------------------------------------------------- */

/* On the repository's thread. */
static void on_step_done(struct repository_job *job)
{
    struct admin_link *link = job->context;
    struct admin_message message = {.kind = job->verb == REPOSITORY_PREPARE ? ADMIN_PREPARED
                                                                            : ADMIN_COMMITTED,
                                    .status = job->status,
                                    .id = job->id,
                                    .has_files = job->has_files};
    snprintf(message.text, sizeof message.text, "%s", job->status != ONNXD_OK ? job->err.message : "");
    if (job->verb != REPOSITORY_ABORT)
        (void)admin_wire_send(link->fd, &message, -1); /* without a supervisor there is nobody to tell */
    repository_job_free(job);
}

/* Gives a step to the repository; what cannot be given fails there and then. `fd`: -1, or the order. */
static void begin_step(struct admin_link *link, enum repository_verb verb, uint64_t id, int fd)
{
    struct repository_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        struct admin_message message = {.kind = verb == REPOSITORY_PREPARE ? ADMIN_PREPARED : ADMIN_COMMITTED,
                                        .status = ONNXD_ERR_NOMEM,
                                        .id = id,
                                        .text = "out of memory"};
        (void)admin_wire_send(link->fd, &message, -1);
        return;
    }
    job->verb = verb;
    job->id = id;
    job->done = on_step_done;
    job->context = link;
    onnxd_error err = {.message = ""};
    onnxd_status status = ONNXD_OK;
    if (verb == REPOSITORY_PREPARE || verb == REPOSITORY_PERFORM)
        status = admin_order_from_fd(fd, &job->order, &err);
    if (status == ONNXD_OK) status = repository_submit(link->repository, job, &err);
    if (status == ONNXD_OK) return; /* it is the repository's, and may be done already */
    job->status = status;
    job->err = err;
    on_step_done(job);
}

static void take_message(struct admin_link *link, const struct admin_message *message, int fd)
{
    switch ((enum admin_kind)message->kind) {
    case ADMIN_PREPARE: begin_step(link, REPOSITORY_PREPARE, message->id, fd); break;
    case ADMIN_COMMIT: begin_step(link, REPOSITORY_COMMIT, message->id, -1); break;
    case ADMIN_ABORT: begin_step(link, REPOSITORY_ABORT, message->id, -1); break;
    case ADMIN_PERFORM: begin_step(link, REPOSITORY_PERFORM, message->id, fd); break;
    case ADMIN_ANSWER: take_answer(link, message); break;
    case ADMIN_ASK:
    case ADMIN_PREPARED:
    case ADMIN_COMMITTED: break; /* are sent the other way */
    }
    if (fd >= 0) close(fd);
}

/* ---- the thread ------------------------------------------------------------------------------------- */

static void read_messages(struct admin_link *link)
{
    struct admin_message message;
    enum admin_received received;
    int fd;
    while ((received = admin_wire_receive(link->fd, &message, &fd)) == ADMIN_RECEIVED)
        take_message(link, &message, fd);
    if (received == ADMIN_GONE) cut(link);
}

static bool is_stopping(struct admin_link *link)
{
    pthread_mutex_lock(&link->lock);
    bool stopping = link->stopping;
    pthread_mutex_unlock(&link->lock);
    return stopping;
}

static void *run(void *context)
{
    struct admin_link *link = context;
    while (!is_stopping(link)) {
        struct pollfd fds[2] = {{.fd = link->wake_fd, .events = POLLIN},
                                {.fd = link->is_cut ? -1 : link->fd, .events = POLLIN}};
        uint64_t n;
        if (poll(fds, 2, -1) < 0 && errno != EINTR) break;
        if (fds[0].revents != 0) (void)!read(link->wake_fd, &n, sizeof n);
        ask_fresh(link);
        if (fds[1].revents != 0) read_messages(link);
    }
    return NULL;
}

static void wake(struct admin_link *link)
{
    uint64_t one = 1;
    (void)!write(link->wake_fd, &one, sizeof one); /* when it is full, the thread is awake */
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status admin_link_create(int fd, struct repository *repository, struct admin_link **ret_link,
                               onnxd_error *err)
{
    struct admin_link *link = calloc(1, sizeof *link);
    if (link == NULL) return error_set(err, ONNXD_ERR_NOMEM, "admin link: out of memory");
    pthread_mutex_init(&link->lock, NULL);
    link->fd = fd;
    link->repository = repository;
    link->fresh.end = &link->fresh.first;
    link->asked.end = &link->asked.first;
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->wake_fd < 0 || pthread_create(&link->thread, NULL, run, link) != 0) {
        admin_link_free(link);
        return error_set(err, ONNXD_ERR_IO, "admin link: cannot start its thread");
    }
    link->started = true;
    *ret_link = link;
    return ONNXD_OK;
}

onnxd_status admin_link_submit(struct admin_link *link, struct repository_job *job, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    pthread_mutex_lock(&link->lock);
    if (link->n_waiting >= MAX_WAITING) {
        status = error_set(err, ONNXD_ERR_BUSY, "%u requests to the repository wait already", MAX_WAITING);
    } else {
        link->n_waiting++;
        add(&link->fresh, job);
    }
    pthread_mutex_unlock(&link->lock);
    if (status == ONNXD_OK) wake(link);
    return status;
}

void admin_link_stop(struct admin_link *link)
{
    if (link == NULL || !link->started) return;
    pthread_mutex_lock(&link->lock);
    link->stopping = true;
    pthread_mutex_unlock(&link->lock);
    wake(link);
    pthread_join(link->thread, NULL);
    link->started = false;
}

void admin_link_free(struct admin_link *link)
{
    struct repository_job *job;
    if (link == NULL) return;
    while ((job = take(&link->fresh, 0)) != NULL || (job = take(&link->asked, 0)) != NULL)
        repository_job_free(job);
    if (link->wake_fd >= 0) close(link->wake_fd);
    pthread_mutex_destroy(&link->lock);
    free(link);
}
