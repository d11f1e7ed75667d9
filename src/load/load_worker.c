#include "load/load_worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "stats/sample.h"

#define MAX_BACKLOG (1u << 22)
#define SWEEP_NS    (20 * NS_PER_MS)
#define MAX_EVENTS  256
#define MAX_IOV     64

/* ---- free connections and waiting requests --------------------------------------------------------- */

static void set_free(struct load_lane *lane, struct load_conn *c)
{
    if (c->is_free) return;
    c->is_free = true;
    c->next_free = lane->free_conns;
    lane->free_conns = c;
}

static struct load_conn *take_free(struct load_lane *lane)
{
    struct load_conn *c = lane->free_conns;
    while (c != NULL && c->fd < 0 && !lane->worker->options->new_connections) { /* it went down meanwhile */
        c->is_free = false;
        c = c->next_free;
    }
    lane->free_conns = c != NULL ? c->next_free : NULL;
    if (c != NULL) c->is_free = false;
    return c;
}

static bool push_backlog(struct load_lane *lane, struct load_due due)
{
    if (lane->backlog_n == lane->backlog_size) {
        uint32_t size = lane->backlog_size == 0 ? 1024 : lane->backlog_size * 2;
        struct load_due *grown = size <= MAX_BACKLOG ? malloc(size * sizeof *grown) : NULL;
        if (grown == NULL) return false;
        for (uint32_t i = 0; i < lane->backlog_n; i++)
            grown[i] = lane->backlog[(lane->backlog_first + i) % lane->backlog_size];
        free(lane->backlog);
        lane->backlog = grown;
        lane->backlog_size = size;
        lane->backlog_first = 0;
    }
    lane->backlog[(lane->backlog_first + lane->backlog_n++) % lane->backlog_size] = due;
    lane->worker->n_waiting++;
    return true;
}

static struct load_due pop_backlog(struct load_lane *lane) /* backlog_n > 0 */
{
    struct load_due due = lane->backlog[lane->backlog_first];
    lane->backlog_first = (lane->backlog_first + 1) % lane->backlog_size;
    lane->backlog_n--;
    lane->worker->n_waiting--;
    return due;
}

/* ---- sending --------------------------------------------------------------------------------------- */

static const struct load_request *next_request(struct load_worker *w, uint32_t target)
{
    const struct load_corpus *corpus = &w->targets[target].corpus;
    const struct load_request *request = &corpus->requests[w->next_request[target]];
    if (++w->next_request[target] == corpus->n) w->next_request[target] = 0;
    return request;
}

/* Sends n requests, all due at due_ns, to one target or (LOAD_ANY) by turns. n is at most what `sent` has
 * room for. */
#define LOAD_ANY UINT32_MAX
static void send_requests(struct load_conn *c, uint32_t n, uint32_t target, uint64_t due_ns, uint64_t now_ns)
{
    struct load_worker *w = c->lane->worker;
    struct iovec iov[MAX_IOV];
    while (n > 0) {
        int n_iov = 0;
        size_t total = 0;
        for (; n > 0 && n_iov < MAX_IOV; n--, n_iov++) {
            uint32_t to = target != LOAD_ANY ? target : load_mix_next(&c->lane->mix);
            const struct load_request *request = next_request(w, to);
            iov[n_iov] = (struct iovec){(void *)(uintptr_t)request->bytes, request->n};
            total += request->n;
            c->sent[(c->first + c->n_sent++) % w->wire.pipeline] = (struct load_sent){due_ns, now_ns, to};
            w->n_under_way++;
        }
        w->recorder.record->bytes_written += total;
        if (!load_conn_send(c, iov, n_iov, total)) {
            load_conn_drop(c, LOAD_FAULT_WRITE, now_ns);
            return;
        }
    }
}

static void send_due(struct load_conn *c, struct load_due due, uint64_t now_ns)
{
    if (c->fd < 0) load_conn_open(c);
    if (c->fd < 0) {
        load_recorder_fault(&c->lane->worker->recorder, LOAD_FAULT_CONNECT, due.target, due.due_ns, now_ns);
        set_free(c->lane, c);
        return;
    }
    send_requests(c, 1, due.target, due.due_ns, now_ns);
}

/* A connection is ready for more: closed loop, `n` further requests; open loop, the longest waiting. */
static void feed(struct load_conn *c, uint32_t n, uint64_t now_ns)
{
    struct load_worker *w = c->lane->worker;
    if (!w->recorder.open) {
        if (now_ns < w->recorder.end_ns) send_requests(c, n, LOAD_ANY, now_ns, now_ns);
    } else if (c->lane->backlog_n == 0) {
        set_free(c->lane, c);
    } else {
        send_due(c, pop_backlog(c->lane), now_ns);
    }
}

void load_conn_on_ready(struct load_conn *c, uint64_t now_ns)
{
    feed(c, c->lane->worker->wire.pipeline, now_ns);
}

void load_conn_on_replies(struct load_conn *c, uint32_t n, uint64_t now_ns)
{
    feed(c, n, now_ns);
}

/* A connection for each request: opening the next is part of the response time. Otherwise the sweep does it.
 */
void load_conn_on_close(struct load_conn *c, uint64_t now_ns)
{
    const struct load_worker *w = c->lane->worker;
    if (!w->options->new_connections) return;
    if (!w->recorder.open && now_ns < w->recorder.end_ns) load_conn_open(c);
    if (c->fd >= 0 || w->recorder.open) feed(c, 1, now_ns);
}

/* Open loop: hands out what has fallen due and plans the next. */
static void send_arrivals(struct load_worker *w, uint64_t now_ns)
{
    struct load_recorder *r = &w->recorder;
    while (w->next_due_ns <= now_ns && w->next_due_ns < r->end_ns) {
        struct load_due due = {w->next_due_ns, load_mix_next(&w->mix)};
        struct load_lane *lane = &w->lanes[w->endpoints->of_target[due.target]];
        struct load_conn *c = take_free(lane);
        load_recorder_due(r, due.due_ns, now_ns, c == NULL);
        if (c != NULL)
            send_due(c, due, now_ns);
        else if (!push_backlog(lane, due))
            load_recorder_fault(r, LOAD_FAULT_UNSENT, due.target, due.due_ns, now_ns);
        double rate = load_rate_at(w->options, (int64_t)(due.due_ns - r->start_ns)) / w->n_workers;
        double gap = rate > 0 ? (w->options->poisson ? sample_poisson_gap(&w->rng, rate) : 1 / rate) : 0.001;
        w->next_due_ns = due.due_ns + (uint64_t)(gap * 1e9 + 0.5);
    }
}

/* ---- the loop -------------------------------------------------------------------------------------- */

/* Time-outs, and connections that are down. */
static void sweep_lane(struct load_lane *lane, bool over, uint64_t now_ns)
{
    const struct load_options *o = lane->worker->options;
    bool on_demand = o->new_connections && load_is_open(o);
    for (uint32_t i = 0; i < lane->n_conns; i++) {
        struct load_conn *c = &lane->conns[i];
        if (c->fd >= 0 && c->n_sent > 0 && now_ns - c->sent[c->first].sent_ns > o->timeout_ns)
            load_conn_drop(c, LOAD_FAULT_TIMEOUT, now_ns);
        if (c->fd < 0 && on_demand)
            set_free(lane, c);
        else if (c->fd < 0 && now_ns >= c->retry_ns && !over)
            load_conn_open(c);
    }
}

static void sweep(struct load_worker *w, uint64_t now_ns)
{
    bool over = now_ns >= w->recorder.end_ns && w->n_waiting == 0;
    for (uint32_t i = 0; i < w->endpoints->n; i++) sweep_lane(&w->lanes[i], over, now_ns);
    w->next_sweep_ns = now_ns + SWEEP_NS;
}

/* Waits for events until wake_ns. Kernels before 5.11 lack epoll_pwait2; ppoll has the same resolution. */
static int wait_until(struct load_worker *w, struct epoll_event *events, uint64_t wake_ns, uint64_t now_ns)
{
    uint64_t left_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
    left_ns = left_ns > w->options->spin_ns ? left_ns - w->options->spin_ns : 0;
    if (w->options->busy && w->recorder.open) left_ns = 0;
    struct timespec timeout = {(time_t)(left_ns / NS_PER_S), (long)(left_ns % NS_PER_S)};
    int n = epoll_pwait2(w->wire.epoll_fd, events, MAX_EVENTS, &timeout, NULL);
    if (n >= 0 || errno != ENOSYS) return n;
    struct pollfd poll_fd = {.fd = w->wire.epoll_fd, .events = POLLIN};
    if (ppoll(&poll_fd, 1, &timeout, NULL) <= 0) return 0;
    return epoll_wait(w->wire.epoll_fd, events, MAX_EVENTS, 0);
}

static bool is_over(const struct load_worker *w, uint64_t now_ns)
{
    if (atomic_load_explicit(&w->stop, memory_order_relaxed)) return true;
    if (now_ns < w->recorder.end_ns) return false;
    if (!w->recorder.open) return true;
    /* Every request that fell due is waited for, or counted as lost. */
    return (w->n_under_way == 0 && w->n_waiting == 0) ||
           now_ns >= w->recorder.end_ns + w->options->timeout_ns;
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
    const struct load_recorder *r = &w->recorder;
    for (;;) {
        uint64_t now_ns = monotonic_ns();
        if (w->cpu_start_ns == 0 && now_ns >= r->start_ns) w->cpu_start_ns = thread_cpu_ns();
        if (r->open)
            send_arrivals(w, now_ns); /* first: a thread that woke up late owes what fell due meanwhile */
        if (is_over(w, now_ns)) break;
        if (now_ns >= w->next_sweep_ns) sweep(w, now_ns);
        uint64_t wake_ns = w->next_sweep_ns;
        if (r->open && w->next_due_ns < r->end_ns && w->next_due_ns < wake_ns) wake_ns = w->next_due_ns;
        if (r->end_ns > now_ns && r->end_ns < wake_ns) wake_ns = r->end_ns;
        int n = wait_until(w, events, wake_ns, now_ns);
        for (int i = 0; i < n; i++) load_conn_event(events[i].data.ptr, events[i].events);
    }
    load_recorder_finish(&w->recorder, thread_cpu_ns() - w->cpu_start_ns);
}

/* What is left when time is up: an open loop owes an answer to all that fell due. */
static void count_rest(struct load_worker *w)
{
    uint64_t now_ns = monotonic_ns();
    if (!w->recorder.open || atomic_load(&w->stop)) return;
    for (uint32_t k = 0; k < w->endpoints->n; k++) {
        struct load_lane *lane = &w->lanes[k];
        while (lane->backlog_n > 0) {
            struct load_due due = pop_backlog(lane);
            load_recorder_fault(&w->recorder, LOAD_FAULT_UNSENT, due.target, due.due_ns, now_ns);
        }
        for (uint32_t i = 0; i < lane->n_conns; i++)
            if (lane->conns[i].fd >= 0 && lane->conns[i].n_sent > 0)
                load_conn_drop(&lane->conns[i], LOAD_FAULT_TIMEOUT, now_ns);
    }
}

/* ---- setting up ------------------------------------------------------------------------------------ */

static onnxd_status prepare_lane(struct load_worker *w, uint32_t k, uint32_t n_conns)
{
    struct load_lane *lane = &w->lanes[k];
    *lane = (struct load_lane){.worker = w,
                               .wire = &w->wire,
                               .endpoint = &w->endpoints->items[k],
                               .n_under_way = &w->n_under_way,
                               .conns = calloc(n_conns, sizeof *lane->conns)};
    for (uint32_t i = 0; i < lane->endpoint->n_targets; i++) {
        uint32_t target = lane->endpoint->targets[i];
        load_mix_add(&lane->mix, target, w->targets[target].weight);
    }
    for (; lane->conns != NULL && lane->n_conns < n_conns; lane->n_conns++)
        if (!load_conn_init(&lane->conns[lane->n_conns], lane)) break;
    if (lane->n_conns < n_conns)
        return error_set(&w->error, ONNXD_ERR_NOMEM, "no memory for %u connections", n_conns);
    return ONNXD_OK;
}

static onnxd_status prepare(struct load_worker *w)
{
    uint32_t shares[LOAD_MAX_TARGETS];
    w->wire = (struct load_wire){.pipeline = w->options->pipeline, .recorder = &w->recorder};
    onnxd_status status = load_wire_init(&w->wire, &w->error);
    load_share_connections(w->endpoints, w->n_conns, shares);
    for (uint32_t k = 0; k < w->endpoints->n && status == ONNXD_OK; k++)
        status = prepare_lane(w, k, shares[k]);
    for (uint32_t i = 0; i < w->n_targets; i++) {
        /* Threads start at different rows. */
        w->next_request[i] = (uint32_t)((uint64_t)w->targets[i].corpus.n * w->index / w->n_workers);
        load_mix_add(&w->mix, i, w->targets[i].weight);
    }
    return status;
}

static void clean_up(struct load_worker *w)
{
    for (uint32_t k = 0; k < w->endpoints->n; k++) {
        struct load_lane *lane = &w->lanes[k];
        for (uint32_t i = 0; lane->conns != NULL && i < lane->n_conns; i++) load_conn_done(&lane->conns[i]);
        free(lane->conns);
        free(lane->backlog);
        lane->conns = NULL;
        lane->backlog = NULL;
    }
    load_wire_done(&w->wire);
}

void *load_worker_run(void *argument)
{
    struct load_worker *w = argument;
    w->status = prepare(w);
    if (w->status == ONNXD_OK) {
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* a timer may fire late by 50 us otherwise */
        /* The threads' arrivals are interleaved, so that all together they are evenly spaced. */
        double rate = load_rate_at(w->options, -1);
        w->next_due_ns = w->recorder.start_ns - w->options->warm_up_ns;
        if (rate > 0) w->next_due_ns += (uint64_t)((double)w->index / rate * 1e9);
        loop(w);
        count_rest(w);
    }
    clean_up(w);
    return NULL;
}
