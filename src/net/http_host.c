#include "net/http_host.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/http_conn.h"

#define ANSWERS_KEEP_BYTES (1u << 20)  /* of the answers' buffer, between wake-ups */
#define OUT_PAUSE_BYTES    (64u << 10) /* unsent bytes past which no more requests are read */
#define REFUSED_MOST       256u        /* connections that are being told there are too many */
#define MAX_BODY_LIMIT     (UINT64_C(2) << 30)
#define MAX_HEAD_LIMIT     (1u << 20)
#define READ_SLACK_BYTES   (512u << 10) /* behind a whole message in one buffer: what one read brings */

struct http_limits http_limits_default(void)
{
    return (struct http_limits){
        .max_head_bytes = 16u << 10,
        .max_headers = 100,
        .max_body_bytes = 1u << 20,
        .max_pipelined = 128,
        .max_connections = 10000,
        .max_output_bytes = 64u << 20,
        .idle_timeout_ns = UINT64_C(60) * NS_PER_S,
        .request_timeout_ns = UINT64_C(5) * NS_PER_S,
        .write_timeout_ns = UINT64_C(10) * NS_PER_S,
        .linger_timeout_ns = UINT64_C(2) * NS_PER_S,
    };
}

static onnxd_status check_limits(const struct http_limits *limits, onnxd_error *err)
{
    if (limits->max_head_bytes < 64 || limits->max_head_bytes > MAX_HEAD_LIMIT)
        return error_set(err, ONNXD_ERR_RANGE, "max_head_bytes: expected 64..%u, got %u", MAX_HEAD_LIMIT,
                         limits->max_head_bytes);
    if (limits->max_body_bytes > MAX_BODY_LIMIT)
        return error_set(err, ONNXD_ERR_RANGE, "max_body_bytes: expected at most %llu, got %llu",
                         (unsigned long long)MAX_BODY_LIMIT, (unsigned long long)limits->max_body_bytes);
    if (limits->max_pipelined == 0 || limits->max_connections == 0 || limits->max_headers == 0)
        return error_set(err, ONNXD_ERR_RANGE,
                         "max_pipelined, max_connections and max_headers: expected at least 1");
    return ONNXD_OK;
}

onnxd_status http_host_create(const struct http_limits *limits, const struct http_handler *handler,
                              const struct http_transport *transport, const struct clock *clock,
                              struct http_host **ret_host, onnxd_error *err)
{
    onnxd_status status = check_limits(limits, err);
    if (status != ONNXD_OK) return status;
    struct http_host *host = calloc(1, sizeof *host);
    if (host == NULL) return error_set(err, ONNXD_ERR_NOMEM, "http host: out of memory");
    host->limits = *limits;
    host->parser_limits = (struct http_parser_limits){.max_head_bytes = limits->max_head_bytes,
                                                      .max_headers = limits->max_headers,
                                                      .max_body_bytes = limits->max_body_bytes};
    host->handler = *handler;
    host->transport = *transport;
    host->clock = *clock;
    host->free_slot = SLOT_NONE;
    host->wanted_ns = TIMER_NEVER;
    buf_init(&host->answers, SIZE_MAX / 4);
    buf_init(&host->retired, SIZE_MAX / 4);
    timer_wheel_init(&host->wheel, clock_now_ns(clock));
    *ret_host = host;
    return ONNXD_OK;
}

static void free_closed(struct http_host *host, struct http_conn *conn)
{
    conn->n_done = conn->n_fed = conn->in.n;
    conn_drop_done(host, conn);
    buf_done(&conn->out);
    conn->next_open = host->free_conns;
    host->free_conns = conn;
}

void http_host_free(struct http_host *host)
{
    if (host == NULL) return;
    while (host->open != NULL) conn_close(host, host->open);
    while (host->dirty != NULL) {
        struct http_conn *conn = host->dirty;
        host->dirty = conn->next_dirty;
        free_closed(host, conn);
    }
    while (host->free_conns != NULL) {
        struct http_conn *conn = host->free_conns;
        host->free_conns = conn->next_open;
        free(conn);
    }
    for (uint32_t i = 0; i < host->n_spare; i++) free(host->spare[i].data);
    free(host->slots);
    buf_done(&host->answers);
    host_free_retired(host);
    buf_done(&host->retired);
    free(host);
}

uint64_t http_host_now_ns(struct http_host *host)
{
    if (!host->now_known) {
        host->now_ns = clock_now_ns(&host->clock);
        host->now_known = true;
    }
    return host->now_ns;
}

void conn_mark(struct http_host *host, struct http_conn *conn)
{
    if (conn->is_dirty) return;
    conn->is_dirty = true;
    conn->next_dirty = NULL;
    if (host->dirty == NULL)
        host->dirty = conn;
    else
        host->last_dirty->next_dirty = conn;
    host->last_dirty = conn;
}

void conn_close(struct http_host *host, struct http_conn *conn)
{
    if (conn->state == CONN_CLOSED) return;
    conn->state = CONN_CLOSED;
    host->transport.close(host->transport.context, conn);
    timer_cancel(&host->wheel, &conn->timer);
    host->stats.n_closed++;
    for (uint32_t i = conn->first; i != SLOT_NONE; i = host->slots[i].next)
        host->stats.n_abandoned += host->slots[i].state == SLOT_WAITING;
    slots_drop(host, conn);
    if (conn->resumable) host->n_resumable--;
    conn->resumable = false;
    if (conn->prev_open != NULL)
        conn->prev_open->next_open = conn->next_open;
    else
        host->open = conn->next_open;
    if (conn->next_open != NULL) conn->next_open->prev_open = conn->prev_open;
    if (conn->refused)
        host->n_refused_open--;
    else
        host->n_open--;
    conn_mark(host, conn); /* its memory may be in use until the wake-up ends */
}

static struct http_conn *new_conn(struct http_host *host)
{
    struct http_conn *conn = host->free_conns;
    if (conn != NULL)
        host->free_conns = conn->next_open;
    else if ((conn = malloc(sizeof *conn)) == NULL)
        return NULL;
    memset(conn, 0, sizeof *conn);
    conn->host = host;
    conn->stream.fd = -1;
    conn->first = conn->last = SLOT_NONE;
    buf_init(&conn->in, host->limits.max_head_bytes + host->limits.max_body_bytes + READ_SLACK_BYTES);
    buf_init(&conn->out, host->limits.max_output_bytes);
    http_parser_init(&conn->parser, HTTP_PARSER_REQUEST, &host->parser_limits);
    conn->next_open = host->open;
    if (host->open != NULL) host->open->prev_open = conn;
    host->open = conn;
    return conn;
}

struct http_conn *http_host_open(struct http_host *host)
{
    bool refused = host->n_open >= host->limits.max_connections;
    if (refused && host->n_refused_open >= REFUSED_MOST) {
        host->stats.n_refused++;
        return NULL;
    }
    struct http_conn *conn = new_conn(host);
    if (conn == NULL) return NULL;
    conn->active_ns = conn->written_ns = http_host_now_ns(host);
    conn->refused = refused;
    if (refused) {
        host->n_refused_open++;
        host->stats.n_refused++;
        conn_answer_error(host, conn, 503, "too many connections: max-connections",
                          host->limits.max_connections, (struct http_view){0});
    } else {
        host->n_open++;
        host->stats.n_accepted++;
    }
    conn_mark(host, conn);
    return conn;
}

void http_host_ended(struct http_host *host, struct http_conn *conn, int error)
{
    if (conn->state == CONN_CLOSED) return;
    if (error != 0) {
        host->stats.n_reset++;
        conn_close(host, conn);
        return;
    }
    if (!conn->ended) conn->ended_ns = http_host_now_ns(host);
    conn->ended = true;
    conn_mark(host, conn);
}

/* ---- the end of a wake-up --------------------------------------------------------------------------- */

static uint64_t deadline_of(const struct http_host *host, const struct http_conn *conn)
{
    const struct http_limits *limits = &host->limits;
    if (conn->state == CONN_LINGERING) return conn->active_ns + limits->linger_timeout_ns;
    if (conn->out.n > 0) return conn->written_ns + limits->write_timeout_ns;
    if (conn->state == CONN_OPEN && !conn->paused && conn_is_mid_message(conn))
        return conn->begun_ns + limits->request_timeout_ns;
    if (conn->n_slots > 0) return conn_probe_ns(host, conn); /* whoever holds the tickets has deadlines */
    uint64_t idle_ns = conn->active_ns + limits->idle_timeout_ns;
    return host->draining && host->drain_grace_end_ns < idle_ns ? host->drain_grace_end_ns : idle_ns;
}

void conn_pause(struct http_host *host, struct http_conn *conn, bool pause)
{
    if (conn->paused == pause && conn->stream.paused == pause) return;
    conn->paused = pause;
    conn->stream.paused = pause;
    host->transport.pause(host->transport.context, conn, pause);
}

/* Whether the connection has come to its end, and if not, whether it goes on reading. */
static void settle(struct http_host *host, struct http_conn *conn)
{
    bool all_out = conn->n_slots == 0 && conn->out.n == 0;
    if (conn->state == CONN_OPEN && conn->ended && !conn->paused) conn->state = CONN_CLOSING;
    if (conn->state == CONN_CLOSING && all_out) {
        if (conn->ended) {
            conn_close(host, conn);
            return;
        }
        conn->state = CONN_LINGERING;
        conn->active_ns = http_host_now_ns(host);
        host->transport.shut(host->transport.context, conn);
        conn_pause(host, conn, false); /* to see the peer's end */
    } else if (conn->state == CONN_LINGERING && conn->ended) {
        conn_close(host, conn);
        return;
    } else if (conn->state == CONN_OPEN) {
        bool full = conn->n_slots >= host->limits.max_pipelined || conn->out.n > OUT_PAUSE_BYTES;
        if (conn->paused && !full && conn->n_fed < conn->in.n) {
            host->n_resumable++; /* goes on with what it holds in the next wake-up, before it reads */
            conn->resumable = true;
        } else {
            conn_pause(host, conn, full);
        }
    }
    timer_set(&host->wheel, &conn->timer, deadline_of(host, conn));
}

static void flush_all(struct http_host *host)
{
    for (struct http_conn *conn = host->dirty; conn != NULL; conn = conn->next_dirty)
        if (conn->state != CONN_CLOSED) conn_flush(host, conn);
    struct http_conn *conn = host->dirty, *next;
    host->dirty = host->last_dirty = NULL;
    for (; conn != NULL; conn = next) {
        next = conn->next_dirty;
        if (conn->state != CONN_CLOSED) {
            conn_drop_done(host, conn);
            settle(host, conn);
        }
        if (conn->state == CONN_CLOSED) {
            free_closed(host, conn);
            continue;
        }
        conn->is_dirty = false;
        if (conn->resumable) conn_mark(host, conn);
    }
}

static void expire(struct http_host *host, struct http_conn *conn)
{
    if (conn_probe_ns(host, conn) <= http_host_now_ns(host)) {
        conn_probe(host, conn);
        return;
    }
    bool mid_request = conn->state == CONN_OPEN && conn->out.n == 0 && conn_is_mid_message(conn);
    if (!mid_request || conn->ended) {
        if (conn->out.n > 0) host->stats.n_timed_out++;
        conn_close(host, conn);
        return;
    }
    host->stats.n_timed_out++;
    struct http_view origin = http_parser_origin(&conn->parser, conn->in.data + conn->n_done);
    conn->n_done = conn->n_fed = conn->in.n;
    conn_answer_error(host, conn, 408, "the request was not complete within request-timeout-ms",
                      host->limits.request_timeout_ns / NS_PER_MS, origin);
}

static void expire_due(struct http_host *host)
{
    uint64_t now_ns = http_host_now_ns(host);
    struct timer *timer;
    while ((timer = timer_wheel_pop(&host->wheel, now_ns)) != NULL) {
        struct http_conn *conn = (struct http_conn *)(void *)((char *)timer -
                                                              offsetof(struct http_conn, timer));
        uint64_t deadline_ns = conn->is_dirty ? deadline_of(host, conn) : 0;
        if (deadline_ns <= now_ns)
            expire(host, conn);
        else
            timer_set(&host->wheel, timer, deadline_ns); /* this wake-up brought it something */
    }
}

/* Connections that stopped at the pipelining limit go on with what they hold. */
static void resume_held(struct http_host *host)
{
    for (struct http_conn *conn = host->dirty; conn != NULL && host->n_resumable > 0;
         conn = conn->next_dirty) {
        if (!conn->resumable) continue;
        conn->resumable = false;
        host->n_resumable--;
        conn->paused = false;
        if (conn->state == CONN_OPEN) conn_parse_held(host, conn);
    }
}

void http_host_wake(struct http_host *host)
{
    if (host->n_resumable > 0) resume_held(host);
    expire_due(host);
    host->wanted_ns = TIMER_NEVER;
    if (host->handler.wake_end != NULL) host->handler.wake_end(host->handler.context);
    flush_all(host);
    buf_reset(&host->answers);
    buf_shrink(&host->answers, ANSWERS_KEEP_BYTES);
    if (host->retired.n > 0) host_free_retired(host);
    host->now_known = false;
}

uint64_t http_host_next_ns(const struct http_host *host)
{
    if (host->dirty != NULL) return 0;
    uint64_t timer_ns = timer_wheel_next_ns(&host->wheel);
    return timer_ns < host->wanted_ns ? timer_ns : host->wanted_ns;
}

void http_host_want_wake(struct http_host *host, uint64_t at_ns)
{
    if (at_ns < host->wanted_ns) host->wanted_ns = at_ns;
}

void http_host_set_cors(struct http_host *host, const struct http_cors *cors)
{
    host->cors = cors;
}

void http_host_drain(struct http_host *host, uint64_t grace_ns)
{
    if (host->draining) return;
    host->draining = true;
    host->drain_grace_end_ns = http_host_now_ns(host) + grace_ns;
    for (struct http_conn *conn = host->open; conn != NULL; conn = conn->next_open) conn_mark(host, conn);
}

uint32_t http_host_n_open(const struct http_host *host)
{
    return host->n_open + host->n_refused_open;
}

const struct http_stats *http_host_stats(const struct http_host *host)
{
    return &host->stats;
}

struct loop_stream *http_conn_stream(struct http_conn *conn)
{
    return &conn->stream;
}

struct http_conn *http_conn_of(struct loop_stream *stream)
{
    return (struct http_conn *)(void *)((char *)stream - offsetof(struct http_conn, stream));
}

void **http_conn_user(struct http_conn *conn)
{
    return &conn->user;
}
