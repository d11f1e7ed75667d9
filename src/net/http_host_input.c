#include "net/http_conn.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_BYTES       (16u << 10)
#define ROOM_MOST_BYTES  (256u << 10)
#define SPARE_MOST_BYTES (256u << 10)

/* Where a run of messages lies: base[message..n) with base[message..fed) seen by the parser. */
struct window {
    char *base;
    size_t message, fed, n;
};

static void dispatch(struct http_host *host, struct http_conn *conn, char *message)
{
    uint32_t index = slot_push(host, conn);
    if (index == SLOT_NONE) {
        conn_close(host, conn);
        return;
    }
    struct http_request request;
    http_parser_request(&conn->parser, message, &request);
    request.first_byte_ns = conn->begun_ns;
    request.complete_ns = conn->active_ns = http_host_now_ns(host);
    struct http_slot *slot = &host->slots[index];
    request.is_preflight = false;
    if (host->cors != NULL) {
        bool allowed;
        slot->cors = http_cors_lines(host->cors, request.headers[HTTP_HEADER_ORIGIN], &allowed);
        request.is_preflight = allowed && request.method == HTTP_METHOD_OPTIONS &&
                               request.headers[HTTP_HEADER_CORS_METHOD].n > 0;
    }
    slot->head_only = request.method == HTTP_METHOD_HEAD;
    slot->http10 = http_parser_is_http10(&conn->parser);
    slot->close = !http_parser_keep_alive(&conn->parser);
    if (slot->close) conn->state = CONN_CLOSING;
    host->stats.n_requests++;
    struct http_ticket ticket = {index, slot->generation};
    host->handler.request(host->handler.context, &request, ticket);
}

static void refuse(struct http_host *host, struct http_conn *conn, const char *message)
{
    const struct http_parse_fault *fault = &conn->parser.fault;
    host->stats.n_malformed++;
    conn_answer_error(host, conn, fault->status, fault->message, fault->limit,
                      http_parser_origin(&conn->parser, message));
}

static void parse_messages(struct http_host *host, struct http_conn *conn, struct window *window)
{
    while (window->fed < window->n && conn->state == CONN_OPEN) {
        if (conn->n_slots >= host->limits.max_pipelined) {
            conn_pause(host, conn, true);
            return;
        }
        if (window->fed == window->message) conn->begun_ns = http_host_now_ns(host);
        size_t n = window->n - window->message;
        char *message = window->base + window->message;
        switch (http_parser_feed(&conn->parser, message, window->fed - window->message, &n)) {
        case HTTP_PARSE_MORE:
            window->fed = window->n = window->message + n;
            if (!conn->continued && http_parser_wants_continue(&conn->parser)) conn_send_continue(host, conn);
            return;
        case HTTP_PARSE_DONE:
            dispatch(host, conn, message);
            window->message += conn->parser.used;
            window->fed = window->message;
            conn->continued = false;
            http_parser_next(&conn->parser);
            break;
        case HTTP_PARSE_BAD: refuse(host, conn, message); break;
        }
    }
}

static void parse(struct http_host *host, struct http_conn *conn, struct window *window)
{
    conn->parsing = true;
    parse_messages(host, conn, window);
    conn->parsing = false;
    if (conn->state != CONN_OPEN) window->message = window->fed = window->n; /* nothing more is of use */
}

/* The present message, or what waits behind the pipelining limit, is kept for the next wake-up. */
static void hold(struct http_host *host, struct http_conn *conn, const struct window *window)
{
    size_t n = window->n - window->message;
    if (n == 0) return;
    if (conn->in.data == NULL && host->n_spare > 0) {
        conn->in.data = host->spare[--host->n_spare].data;
        conn->in.capacity = host->spare[host->n_spare].capacity;
    }
    if (!buf_append(&conn->in, window->base + window->message, n)) {
        conn_answer_error(host, conn, 503, "out of memory", 0, (struct http_view){0});
        return;
    }
    conn->n_done = 0;
    conn->n_fed = window->fed - window->message;
}

void conn_parse_held(struct http_host *host, struct http_conn *conn)
{
    struct window window = {conn->in.data, conn->n_done, conn->n_fed, conn->in.n};
    parse(host, conn, &window);
    conn->n_done = window.message;
    conn->n_fed = window.fed;
    conn->in.n = window.n;
}

bool conn_is_mid_message(const struct http_conn *conn)
{
    return conn->in.n > conn->n_done;
}

void conn_drop_done(struct http_host *host, struct http_conn *conn)
{
    buf_consume(&conn->in, conn->n_done);
    conn->n_fed -= conn->n_done;
    conn->n_done = 0;
    if (conn->in.n > 0 || conn->in.data == NULL) return;
    if (host->n_spare < N_SPARE && conn->in.capacity <= SPARE_MOST_BYTES && conn->in.capacity >= ROOM_BYTES)
        host->spare[host->n_spare++] = conn->in;
    else
        free(conn->in.data);
    conn->in.data = NULL;
    conn->in.capacity = 0;
}

/* Room for n bytes behind `in`. Requests of this wake-up that lie in it must not move: then the bytes behind
 * them go on in a new buffer, and the old one stays until the wake-up ends. */
static bool make_room(struct http_host *host, struct http_conn *conn, size_t n)
{
    struct buf *in = &conn->in, fresh;
    if (conn->n_done == 0 || in->capacity - in->n >= n) return buf_reserve(in, n);
    buf_init(&fresh, in->max);
    size_t n_behind = in->n - conn->n_done;
    if (!buf_reserve(&fresh, n_behind + n) || !buf_append(&host->retired, &in->data, sizeof in->data)) {
        buf_done(&fresh);
        host->retired.failed = false;
        return false;
    }
    if (n_behind > 0) buf_append(&fresh, in->data + conn->n_done, n_behind);
    conn->n_fed -= conn->n_done;
    conn->n_done = 0;
    *in = fresh;
    return true;
}

void host_free_retired(struct http_host *host)
{
    for (size_t at = 0; at < host->retired.n; at += sizeof(char *)) {
        char *bytes;
        memcpy(&bytes, host->retired.data + at, sizeof bytes);
        free(bytes);
    }
    buf_reset(&host->retired);
}

struct loop_room http_host_room(struct http_host *host, struct http_conn *conn)
{
    if (conn->in.n == 0 || conn->state != CONN_OPEN) return (struct loop_room){0};
    size_t want = conn->in.n < ROOM_BYTES ? ROOM_BYTES : conn->in.n;
    if (want > ROOM_MOST_BYTES) want = ROOM_MOST_BYTES;
    if (!make_room(host, conn, want)) {
        conn->in.failed = false;
        return (struct loop_room){0};
    }
    return (struct loop_room){conn->in.data + conn->in.n, conn->in.capacity - conn->in.n};
}

void http_host_input(struct http_host *host, struct http_conn *conn, char *bytes, size_t n)
{
    host->stats.bytes_in += n;
    if (conn->state != CONN_OPEN) return;
    conn_mark(host, conn);
    if (conn->in.n == 0) {
        struct window window = {bytes, 0, 0, n};
        parse(host, conn, &window);
        hold(host, conn, &window);
        return;
    }
    if (bytes == conn->in.data + conn->in.n) {
        conn->in.n += n;
    } else if (!make_room(host, conn, n) || !buf_append(&conn->in, bytes, n)) {
        conn_answer_error(host, conn, 503, "out of memory", 0, (struct http_view){0});
        return;
    }
    if (!conn->paused) conn_parse_held(host, conn);
}
