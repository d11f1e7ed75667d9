#include "load/load_worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "load/load_reply.h"
#include "stats/sample.h"

#define SCRATCH_BYTES (256u << 10)
#define MAX_BACKLOG   (1u << 22)
#define SWEEP_NS      (20 * NS_PER_MS)
#define RETRY_NS      (20 * NS_PER_MS) /* before a connection that failed is tried again */
#define LATE_NS       NS_PER_MS
#define MAX_EVENTS    256
#define MAX_OUT_BYTES (64u << 20)

struct load_sent {
    uint64_t due_ns, sent_ns;
};

struct load_conn {
    int fd; /* -1: down */
    bool connecting, wants_write, is_free;
    struct load_reply reply;
    struct buf in;          /* the start of a head or line, until the rest comes */
    struct buf out;         /* what the kernel did not take */
    struct load_sent *sent; /* [pipeline], a ring */
    uint32_t first, n_sent;
    uint64_t retry_ns;
    struct load_conn *next_free;
};

/* ---- recording ------------------------------------------------------------------------------------- */

static bool is_measured(const struct load_worker *w, uint64_t at_ns)
{
    return at_ns >= w->start_ns && at_ns < w->end_ns;
}

/* The interval a time falls into, or NULL when it is outside the measured time. */
static struct load_course *course_at(struct load_worker *w, uint64_t now_ns)
{
    if (now_ns < w->start_ns) return NULL;
    uint64_t i = (now_ns - w->start_ns) / w->interval_ns;
    if (i > atomic_load_explicit(&w->n_whole, memory_order_relaxed))
        atomic_store_explicit(&w->n_whole, i < w->n_intervals ? (uint32_t)i : w->n_intervals,
                              memory_order_release);
    return i < w->n_intervals ? &w->course[i] : NULL;
}

/* An open loop measures the requests that were due within the time, a closed one those that ended in it. */
static bool counts(const struct load_worker *w, uint64_t due_ns, uint64_t now_ns)
{
    return is_measured(w, load_is_open(w->options) ? due_ns : now_ns);
}

static void record_reply(struct load_worker *w, const struct load_sent *sent, uint16_t status,
                         uint64_t now_ns)
{
    uint64_t n_done = atomic_load_explicit(&w->n_done_now, memory_order_relaxed); /* written here alone */
    atomic_store_explicit(&w->n_done_now, n_done + 1, memory_order_relaxed);
    struct load_course *course = course_at(w, now_ns);
    if (course != NULL) {
        course->n++;
        course->n_errors += status >= 400;
        histogram_record(&course->response, now_ns - sent->due_ns);
    }
    if (!counts(w, sent->due_ns, now_ns)) return;
    struct load_record *r = w->record;
    w->last_reply_ns = now_ns;
    r->n_done++;
    r->status[status]++;
    histogram_record(&r->response, now_ns - sent->due_ns);
    if (load_is_open(w->options)) histogram_record(&r->service, now_ns - sent->sent_ns);
}

static void record_fault(struct load_worker *w, enum load_fault fault, uint64_t due_ns, uint64_t now_ns)
{
    struct load_course *course = course_at(w, now_ns);
    if (course != NULL) course->n_errors++;
    if (counts(w, due_ns, now_ns)) w->record->faults[fault]++;
}

/* ---- connections ----------------------------------------------------------------------------------- */

static void watch(struct load_worker *w, struct load_conn *c, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (c->connecting || c->wants_write ? EPOLLOUT : 0u),
                                .data.ptr = c};
    epoll_ctl(w->epoll_fd, operation, c->fd, &event);
}

static void set_free(struct load_worker *w, struct load_conn *c)
{
    if (c->is_free) return;
    c->is_free = true;
    c->next_free = w->free_conns;
    w->free_conns = c;
}

static struct load_conn *take_free(struct load_worker *w)
{
    struct load_conn *c = w->free_conns;
    while (c != NULL && c->fd < 0 && !w->options->new_connections) { /* it went down while it was free */
        c->is_free = false;
        c = c->next_free;
    }
    w->free_conns = c != NULL ? c->next_free : NULL;
    if (c != NULL) c->is_free = false;
    return c;
}

static void open_conn(struct load_worker *w, struct load_conn *c)
{
    onnxd_error ignored;
    int fd;
    w->record->n_connects++;
    if (net_connect(w->address, &fd, &ignored) != ONNXD_OK) {
        uint64_t now_ns = monotonic_ns();
        if (!load_is_open(w->options)) record_fault(w, LOAD_FAULT_CONNECT, now_ns, now_ns);
        c->retry_ns = now_ns + RETRY_NS;
        return;
    }
    c->fd = fd;
    c->connecting = true;
    watch(w, c, EPOLL_CTL_ADD);
}

/* Closes; what was under way has failed. The sweep opens it again. */
static void drop_conn(struct load_worker *w, struct load_conn *c, enum load_fault fault, uint64_t now_ns)
{
    if (c->connecting) fault = LOAD_FAULT_CONNECT;
    if (c->connecting && c->n_sent == 0) record_fault(w, fault, now_ns, now_ns);
    for (; c->n_sent > 0; c->n_sent--) {
        record_fault(w, fault, c->sent[c->first].due_ns, now_ns);
        c->first = (c->first + 1) % w->options->pipeline;
        w->n_under_way--;
    }
    c->retry_ns = c->connecting || fault != LOAD_FAULT_READ ? now_ns + RETRY_NS : now_ns;
    close(c->fd);
    c->fd = -1;
    c->connecting = c->wants_write = false;
    c->reply = (struct load_reply){0};
    buf_reset(&c->in);
    buf_reset(&c->out);
}

/* ---- sending --------------------------------------------------------------------------------------- */

static const struct load_request *next_request(struct load_worker *w)
{
    const struct load_request *request = &w->corpus->requests[w->next_request];
    if (++w->next_request == w->corpus->n) w->next_request = 0;
    return request;
}

static bool keep_rest(struct load_worker *w, struct load_conn *c, const struct iovec *iov, int n_iov,
                      size_t done)
{
    for (int i = 0; i < n_iov; i++) {
        size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
        done -= skip;
        if (!buf_append(&c->out, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip)) return false;
    }
    if (c->out.n > 0 && !c->wants_write) {
        c->wants_write = true;
        watch(w, c, EPOLL_CTL_MOD);
    }
    return true;
}

/* Sends n requests, all due at due_ns. n is at most what `sent` has room for. */
static void send_requests(struct load_worker *w, struct load_conn *c, uint32_t n, uint64_t due_ns,
                          uint64_t now_ns)
{
    struct iovec iov[64];
    while (n > 0) {
        int n_iov = 0;
        size_t total = 0, done = 0;
        for (; n > 0 && n_iov < 64; n--, n_iov++) {
            const struct load_request *request = next_request(w);
            iov[n_iov] = (struct iovec){(void *)(uintptr_t)request->bytes, request->n};
            total += request->n;
            c->sent[(c->first + c->n_sent++) % w->options->pipeline] = (struct load_sent){due_ns, now_ns};
            w->n_under_way++;
        }
        w->record->bytes_written += total;
        if (c->out.n == 0 && !c->connecting) {
            ssize_t wrote = n_iov == 1
                                ? send(c->fd, iov[0].iov_base, total, MSG_NOSIGNAL)
                                : sendmsg(c->fd,
                                          &(struct msghdr){.msg_iov = iov, .msg_iovlen = (size_t)n_iov},
                                          MSG_NOSIGNAL);
            if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
                drop_conn(w, c, LOAD_FAULT_WRITE, now_ns);
                return;
            }
            done = wrote > 0 ? (size_t)wrote : 0;
        }
        if (done < total && !keep_rest(w, c, iov, n_iov, done)) {
            drop_conn(w, c, LOAD_FAULT_WRITE, now_ns);
            return;
        }
    }
}

static void send_due(struct load_worker *w, struct load_conn *c, uint64_t due_ns, uint64_t now_ns)
{
    if (c->fd < 0) open_conn(w, c);
    if (c->fd < 0) {
        record_fault(w, LOAD_FAULT_CONNECT, due_ns, now_ns);
        set_free(w, c);
        return;
    }
    send_requests(w, c, 1, due_ns, now_ns);
}

/* A connection is ready for more: closed loop, `n` further requests; open loop, the longest waiting. */
static void feed(struct load_worker *w, struct load_conn *c, uint32_t n, uint64_t now_ns)
{
    if (!load_is_open(w->options)) {
        if (now_ns < w->end_ns) send_requests(w, c, n, now_ns, now_ns);
        return;
    }
    if (w->backlog_n == 0) {
        set_free(w, c);
        return;
    }
    uint64_t due_ns = w->backlog[w->backlog_first];
    w->backlog_first = (w->backlog_first + 1) % w->backlog_size;
    w->backlog_n--;
    send_due(w, c, due_ns, now_ns);
}

/* A connection for each request: the old one has gone. Opening the next is part of the response time. */
static void renew(struct load_worker *w, struct load_conn *c, uint64_t now_ns)
{
    if (!load_is_open(w->options) && now_ns < w->end_ns) open_conn(w, c);
    if (c->fd >= 0 || load_is_open(w->options)) feed(w, c, 1, now_ns);
}

static bool push_backlog(struct load_worker *w, uint64_t due_ns)
{
    if (w->backlog_n == w->backlog_size) {
        uint32_t size = w->backlog_size == 0 ? 1024 : w->backlog_size * 2;
        uint64_t *grown = size <= MAX_BACKLOG ? malloc(size * sizeof *grown) : NULL;
        if (grown == NULL) return false;
        for (uint32_t i = 0; i < w->backlog_n; i++)
            grown[i] = w->backlog[(w->backlog_first + i) % w->backlog_size];
        free(w->backlog);
        w->backlog = grown;
        w->backlog_size = size;
        w->backlog_first = 0;
    }
    w->backlog[(w->backlog_first + w->backlog_n++) % w->backlog_size] = due_ns;
    return true;
}

/* A connection was free; what is late now is the client's own doing. */
static void record_lateness(struct load_worker *w, uint64_t due_ns, uint64_t now_ns)
{
    if (!is_measured(w, due_ns)) return;
    histogram_record(&w->record->lateness, now_ns - due_ns);
    w->record->n_late += now_ns - due_ns > LATE_NS;
}

/* Open loop: hands out what has fallen due and plans the next. */
static void send_arrivals(struct load_worker *w, uint64_t now_ns)
{
    while (w->next_due_ns <= now_ns && w->next_due_ns < w->end_ns) {
        uint64_t due_ns = w->next_due_ns;
        w->record->n_due += is_measured(w, due_ns);
        struct load_conn *c = take_free(w);
        if (c != NULL) {
            record_lateness(w, due_ns, now_ns);
            send_due(w, c, due_ns, now_ns);
        } else {
            w->record->n_waited += is_measured(w, due_ns);
            if (!push_backlog(w, due_ns)) record_fault(w, LOAD_FAULT_UNSENT, due_ns, now_ns);
        }
        double rate = load_rate_at(w->options, (int64_t)(due_ns - w->start_ns)) / w->n_workers;
        double gap = rate > 0 ? (w->options->poisson ? sample_poisson_gap(&w->rng, rate) : 1 / rate) : 0.001;
        w->next_due_ns = due_ns + (uint64_t)(gap * 1e9 + 0.5);
    }
}

/* ---- receiving ------------------------------------------------------------------------------------- */

/* Takes the replies in bytes[0..n); returns how many bytes are dealt with, or SIZE_MAX: the connection is
 * gone. */
static size_t take_replies(struct load_worker *w, struct load_conn *c, const char *bytes, size_t n,
                           uint64_t now_ns)
{
    size_t at = 0;
    uint32_t n_done = 0;
    bool closes = false;
    while (at < n && !closes) {
        size_t used = 0;
        enum load_scan scan = load_reply_scan(&c->reply, bytes + at, n - at, &used);
        at += used;
        if (scan == LOAD_MORE) break;
        if (scan == LOAD_BAD || c->n_sent == 0) {
            drop_conn(w, c, LOAD_FAULT_REPLY, now_ns);
            return SIZE_MAX;
        }
        record_reply(w, &c->sent[c->first], c->reply.status, now_ns);
        c->first = (c->first + 1) % w->options->pipeline;
        c->n_sent--;
        w->n_under_way--;
        n_done++;
        closes = c->reply.closes;
        c->reply = (struct load_reply){0};
    }
    if (closes) { /* expected when every request asks for a connection of its own */
        drop_conn(w, c, LOAD_FAULT_READ, now_ns);
        if (w->options->new_connections) renew(w, c, now_ns);
        return SIZE_MAX;
    }
    if (n_done > 0) {
        feed(w, c, n_done, now_ns);
        if (c->fd < 0) return SIZE_MAX;
    }
    return at;
}

static void on_end(struct load_worker *w, struct load_conn *c, uint64_t now_ns)
{
    if (c->n_sent > 0 && load_reply_end(&c->reply)) {
        record_reply(w, &c->sent[c->first], c->reply.status, now_ns);
        c->first = (c->first + 1) % w->options->pipeline;
        c->n_sent--;
        w->n_under_way--;
    }
    drop_conn(w, c, LOAD_FAULT_READ, now_ns);
}

static void on_readable(struct load_worker *w, struct load_conn *c)
{
    ssize_t got = recv(c->fd, w->scratch, SCRATCH_BYTES, 0);
    uint64_t now_ns = monotonic_ns();
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        on_end(w, c, now_ns);
        return;
    }
    w->record->bytes_read += (uint64_t)got;
    if (c->in.n == 0) { /* nearly always: whole replies, straight from the scratch buffer */
        size_t used = take_replies(w, c, w->scratch, (size_t)got, now_ns);
        if (used == SIZE_MAX || used == (size_t)got) return;
        if (!buf_append(&c->in, w->scratch + used, (size_t)got - used))
            drop_conn(w, c, LOAD_FAULT_REPLY, now_ns);
        return;
    }
    if (!buf_append(&c->in, w->scratch, (size_t)got)) {
        drop_conn(w, c, LOAD_FAULT_REPLY, now_ns);
        return;
    }
    size_t used = take_replies(w, c, c->in.data, c->in.n, now_ns);
    if (used != SIZE_MAX) buf_consume(&c->in, used);
}

static void on_writable(struct load_worker *w, struct load_conn *c)
{
    uint64_t now_ns = monotonic_ns();
    if (c->connecting) {
        int error = 0;
        socklen_t n = sizeof error;
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
            drop_conn(w, c, LOAD_FAULT_CONNECT, now_ns);
            return;
        }
        c->connecting = false;
        net_set_nodelay(c->fd);
        watch(w, c, EPOLL_CTL_MOD);
        if (c->n_sent == 0) feed(w, c, w->options->pipeline, now_ns);
        if (c->fd < 0) return;
    }
    if (c->out.n > 0) {
        ssize_t wrote = send(c->fd, c->out.data, c->out.n, MSG_NOSIGNAL);
        if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
            drop_conn(w, c, LOAD_FAULT_WRITE, now_ns);
            return;
        }
        if (wrote > 0) buf_consume(&c->out, (size_t)wrote);
    }
    if (c->out.n == 0 && c->wants_write) {
        c->wants_write = false;
        watch(w, c, EPOLL_CTL_MOD);
    }
}

/* ---- the loop -------------------------------------------------------------------------------------- */

/* Time-outs, and connections that are down. */
static void sweep(struct load_worker *w, uint64_t now_ns)
{
    bool over = now_ns >= w->end_ns && w->backlog_n == 0;
    bool on_demand = w->options->new_connections && load_is_open(w->options);
    for (uint32_t i = 0; i < w->n_conns; i++) {
        struct load_conn *c = &w->conns[i];
        if (c->fd >= 0 && c->n_sent > 0 && now_ns - c->sent[c->first].sent_ns > w->options->timeout_ns)
            drop_conn(w, c, LOAD_FAULT_TIMEOUT, now_ns);
        if (c->fd < 0 && on_demand)
            set_free(w, c);
        else if (c->fd < 0 && now_ns >= c->retry_ns && !over)
            open_conn(w, c);
    }
    w->next_sweep_ns = now_ns + SWEEP_NS;
}

/* Waits for events until wake_ns. Kernels before 5.11 lack epoll_pwait2; ppoll has the same resolution. */
static int wait_until(struct load_worker *w, struct epoll_event *events, uint64_t wake_ns, uint64_t now_ns)
{
    uint64_t left_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
    left_ns = left_ns > w->options->spin_ns ? left_ns - w->options->spin_ns : 0;
    struct timespec timeout = {(time_t)(left_ns / NS_PER_S), (long)(left_ns % NS_PER_S)};
    int n = epoll_pwait2(w->epoll_fd, events, MAX_EVENTS, &timeout, NULL);
    if (n >= 0 || errno != ENOSYS) return n;
    struct pollfd poll_fd = {.fd = w->epoll_fd, .events = POLLIN};
    if (ppoll(&poll_fd, 1, &timeout, NULL) <= 0) return 0;
    return epoll_wait(w->epoll_fd, events, MAX_EVENTS, 0);
}

static bool is_over(const struct load_worker *w, uint64_t now_ns)
{
    if (atomic_load_explicit(&w->stop, memory_order_relaxed)) return true;
    if (now_ns < w->end_ns) return false;
    if (!load_is_open(w->options)) return true;
    /* Every request that fell due is waited for, or counted as lost. */
    return (w->n_under_way == 0 && w->backlog_n == 0) || now_ns >= w->end_ns + w->options->timeout_ns;
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void loop(struct load_worker *w)
{
    struct epoll_event events[MAX_EVENTS];
    bool open = load_is_open(w->options);
    for (;;) {
        uint64_t now_ns = monotonic_ns();
        if (w->cpu_start_ns == 0 && now_ns >= w->start_ns) w->cpu_start_ns = thread_cpu_ns();
        if (open)
            send_arrivals(w, now_ns); /* first: a thread that woke up late owes what fell due meanwhile */
        if (is_over(w, now_ns)) break;
        if (now_ns >= w->next_sweep_ns) sweep(w, now_ns);
        uint64_t wake_ns = w->next_sweep_ns;
        if (open && w->next_due_ns < w->end_ns && w->next_due_ns < wake_ns) wake_ns = w->next_due_ns;
        if (w->end_ns > now_ns && w->end_ns < wake_ns) wake_ns = w->end_ns;
        int n = wait_until(w, events, wake_ns, now_ns);
        for (int i = 0; i < n; i++) {
            struct load_conn *c = events[i].data.ptr;
            if (c->fd >= 0 && events[i].events & EPOLLOUT) on_writable(w, c);
            if (c->fd >= 0 && !c->connecting && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(w, c);
            else if (c->fd >= 0 && c->connecting && events[i].events & (EPOLLHUP | EPOLLERR))
                on_writable(w, c);
        }
    }
    w->record->cpu_ns = thread_cpu_ns() - w->cpu_start_ns;
    atomic_store(&w->n_whole, w->n_intervals);
}

/* What is left when time is up: an open loop owes an answer to all that fell due. */
static void count_rest(struct load_worker *w)
{
    uint64_t now_ns = monotonic_ns();
    if (!load_is_open(w->options) || atomic_load(&w->stop)) return;
    for (; w->backlog_n > 0; w->backlog_n--) {
        record_fault(w, LOAD_FAULT_UNSENT, w->backlog[w->backlog_first], now_ns);
        w->backlog_first = (w->backlog_first + 1) % w->backlog_size;
    }
    for (uint32_t i = 0; i < w->n_conns; i++)
        if (w->conns[i].fd >= 0 && w->conns[i].n_sent > 0)
            drop_conn(w, &w->conns[i], LOAD_FAULT_TIMEOUT, now_ns);
}

static onnxd_status prepare(struct load_worker *w)
{
    w->conns = calloc(w->n_conns, sizeof *w->conns);
    w->scratch = malloc(SCRATCH_BYTES);
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->conns == NULL || w->scratch == NULL || w->epoll_fd < 0)
        return error_set(&w->error, ONNXD_ERR_NOMEM, "a load thread could not be set up: %s",
                         strerror(errno));
    for (uint32_t i = 0; i < w->n_conns; i++) {
        struct load_conn *c = &w->conns[i];
        c->fd = -1;
        buf_init(&c->in, LOAD_MAX_HEAD_BYTES + SCRATCH_BYTES);
        buf_init(&c->out, MAX_OUT_BYTES);
        c->sent = calloc(w->options->pipeline, sizeof *c->sent);
        if (c->sent == NULL)
            return error_set(&w->error, ONNXD_ERR_NOMEM, "no memory for %u connections", w->n_conns);
    }
    return ONNXD_OK;
}

static void clean_up(struct load_worker *w)
{
    for (uint32_t i = 0; w->conns != NULL && i < w->n_conns; i++) {
        if (w->conns[i].fd >= 0) close(w->conns[i].fd);
        buf_done(&w->conns[i].in);
        buf_done(&w->conns[i].out);
        free(w->conns[i].sent);
    }
    if (w->epoll_fd >= 0) close(w->epoll_fd);
    free(w->conns);
    free(w->scratch);
    free(w->backlog);
    w->conns = NULL;
    w->scratch = NULL;
    w->backlog = NULL;
}

void *load_worker_run(void *argument)
{
    struct load_worker *w = argument;
    w->status = prepare(w);
    if (w->status == ONNXD_OK) {
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* a timer may fire late by 50 us otherwise */
        w->next_request = (uint32_t)((uint64_t)w->corpus->n * w->index / w->n_workers);
        /* The threads' arrivals are interleaved, so that all together they are evenly spaced. */
        double rate = load_rate_at(w->options, -1);
        w->next_due_ns = w->start_ns - w->options->warm_up_ns;
        if (rate > 0) w->next_due_ns += (uint64_t)((double)w->index / rate * 1e9);
        w->next_sweep_ns = 0;
        loop(w);
        count_rest(w);
    }
    clean_up(w);
    return NULL;
}
