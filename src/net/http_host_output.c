#include "net/http_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_IOV        64
#define MOST_PROBES    2u /* the first one makes a peer that has gone say so, the second one hears it */
#define PROBE_AFTER_NS (50 * NS_PER_MS)
#define HEAD_ROOM      320 /* of an answer's head without the texts the caller gives */

/* ---- slots ------------------------------------------------------------------------------------------ */

static bool grow_slots(struct http_host *host)
{
    uint32_t capacity = host->capacity_slots == 0 ? 256 : host->capacity_slots * 2;
    if (capacity > UINT32_MAX / 4) return false;
    struct http_slot *slots = realloc(host->slots, capacity * sizeof *slots);
    if (slots == NULL) return false;
    memset(slots + host->capacity_slots, 0, (capacity - host->capacity_slots) * sizeof *slots);
    host->slots = slots;
    for (uint32_t i = capacity; i-- > host->capacity_slots;) {
        slots[i].next = host->free_slot;
        host->free_slot = i;
    }
    host->capacity_slots = capacity;
    return true;
}

uint32_t slot_push(struct http_host *host, struct http_conn *conn)
{
    if (host->free_slot == SLOT_NONE && !grow_slots(host)) return SLOT_NONE;
    uint32_t index = host->free_slot;
    struct http_slot *slot = &host->slots[index];
    host->free_slot = slot->next;
    *slot = (struct http_slot){
        .conn = conn, .generation = slot->generation, .next = SLOT_NONE, .state = SLOT_WAITING};
    if (conn->first == SLOT_NONE)
        conn->first = index;
    else
        host->slots[conn->last].next = index;
    conn->last = index;
    conn->n_slots++;
    host->n_slots++;
    return index;
}

static void slot_pop(struct http_host *host, struct http_conn *conn)
{
    uint32_t index = conn->first;
    struct http_slot *slot = &host->slots[index];
    conn->first = slot->next;
    if (conn->first == SLOT_NONE) conn->last = SLOT_NONE;
    conn->n_slots--;
    host->n_slots--;
    free(slot->late);
    slot->late = NULL;
    slot->state = SLOT_FREE;
    slot->generation++;
    slot->conn = NULL;
    slot->next = host->free_slot;
    host->free_slot = index;
}

void slots_drop(struct http_host *host, struct http_conn *conn)
{
    while (conn->first != SLOT_NONE) slot_pop(host, conn);
}

/* ---- writing an answer ------------------------------------------------------------------------------ */

static void refresh_date(struct http_host *host)
{
    uint64_t second = http_host_now_ns(host) / NS_PER_S;
    if (host->n_date > 0 && second == host->date_s) return;
    host->date_s = second;
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    host->n_date = strftime(host->date, sizeof host->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

static char *put(char *at, const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}
#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_number(char *at, size_t number)
{
    char digits[24];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) *at++ = digits[--n];
    return at;
}

static char *put_status(char *at, uint16_t status)
{
    if (status == 200) return PUT(at, "HTTP/1.1 200 OK\r\n");
    const char *reason = http_status_reason(status);
    at = PUT(at, "HTTP/1.1 ");
    at = put_number(at, status);
    *at++ = ' ';
    at = put(at, reason, strlen(reason));
    return PUT(at, "\r\n");
}

static char *put_head(struct http_host *host, char *at, const struct http_slot *slot,
                      const struct http_response *response)
{
    at = put_status(at, response->status);
    at = put(at, host->date, host->n_date);
    bool has_body = response->status >= 200 && response->status != 204 && response->status != 304;
    if (has_body) {
        if (response->content_type == NULL) {
            at = PUT(at, "Content-Type: application/json\r\nContent-Length: ");
        } else {
            at = PUT(at, "Content-Type: ");
            at = put(at, response->content_type, strlen(response->content_type));
            at = PUT(at, "\r\nContent-Length: ");
        }
        at = put_number(at, response->n_body);
        at = PUT(at, "\r\n");
    }
    if (slot->close)
        at = PUT(at, "Connection: close\r\n");
    else if (slot->http10)
        at = PUT(at, "Connection: keep-alive\r\n");
    if (response->headers != NULL) at = put(at, response->headers, strlen(response->headers));
    if (slot->cors != NULL) at = put(at, slot->cors, strlen(slot->cors));
    return PUT(at, "\r\n");
}

static void answer_slot(struct http_host *host, struct http_slot *slot, const struct http_response *response)
{
    struct http_conn *conn = slot->conn;
    /* While draining the last answer closes; requests that were read before are answered first. */
    bool last = slot->next == SLOT_NONE && !conn->parsing && conn->n_fed == conn->in.n;
    if (response->close || (host->draining && last)) slot->close = true;
    refresh_date(host);
    size_t texts = response->content_type != NULL ? strlen(response->content_type) : 0;
    if (response->headers != NULL) texts += strlen(response->headers);
    if (slot->cors != NULL) texts += strlen(slot->cors);
    if (!buf_reserve(&host->answers, HEAD_ROOM + texts + response->n_body)) {
        host->answers.failed = false;
        conn_close(host, conn);
        return;
    }
    char *start = host->answers.data + host->answers.n;
    char *at = put_head(host, start, slot, response);
    bool has_body = !slot->head_only && response->status != 204 && response->status != 304;
    if (has_body && response->n_body > 0) at = put(at, response->body, response->n_body);
    slot->offset = host->answers.n;
    slot->n = (size_t)(at - start);
    slot->state = SLOT_ANSWERED;
    host->answers.n += slot->n;
    conn_mark(host, conn);
}

bool http_host_is_waiting(const struct http_host *host, struct http_ticket ticket)
{
    return ticket.index < host->capacity_slots && host->slots[ticket.index].generation == ticket.generation &&
           host->slots[ticket.index].state == SLOT_WAITING;
}

bool http_host_answer(struct http_host *host, struct http_ticket ticket, const struct http_response *response)
{
    if (!http_host_is_waiting(host, ticket)) return false;
    answer_slot(host, &host->slots[ticket.index], response);
    return true;
}

void conn_answer_error(struct http_host *host, struct http_conn *conn, uint16_t status, const char *message,
                       uint64_t limit, struct http_view origin)
{
    conn->state = CONN_CLOSING;
    uint32_t index = slot_push(host, conn);
    if (index == SLOT_NONE) {
        conn_close(host, conn);
        return;
    }
    char body[256];
    int n = limit > 0
                ? snprintf(body, sizeof body, "{\"error\":\"%s = %llu\"}", message, (unsigned long long)limit)
                : snprintf(body, sizeof body, "{\"error\":\"%s\"}", message);
    struct http_response response = {.status = status, .body = body, .n_body = (size_t)n, .close = true};
    if (status == 503) response.headers = "Retry-After: 1\r\n";
    if (host->cors != NULL) { /* browsers tell a page nothing of an answer without them */
        bool allowed;
        host->slots[index].cors = http_cors_lines(host->cors, origin, &allowed);
    }
    answer_slot(host, &host->slots[index], &response);
}

static const char continue_text[] = "HTTP/1.1 100 Continue\r\n\r\n";

void conn_send_continue(struct http_host *host, struct http_conn *conn)
{
    conn->continued = true;
    uint32_t index = slot_push(host, conn);
    if (index == SLOT_NONE || !buf_reserve(&host->answers, sizeof continue_text - 1)) {
        conn_close(host, conn);
        return;
    }
    struct http_slot *slot = &host->slots[index];
    slot->offset = host->answers.n;
    slot->n = sizeof continue_text - 1;
    slot->state = SLOT_ANSWERED;
    buf_append(&host->answers, continue_text, sizeof continue_text - 1);
}

uint64_t conn_probe_ns(const struct http_host *host, const struct http_conn *conn)
{
    bool awaits = conn->first != SLOT_NONE && host->slots[conn->first].state == SLOT_WAITING;
    if (!conn->ended || !awaits || host->slots[conn->first].http10 || conn->out.n > 0 ||
        conn->n_probes == MOST_PROBES)
        return TIMER_NEVER;
    return conn->ended_ns + (conn->n_probes + 1) * PROBE_AFTER_NS;
}

/* ---- sending ---------------------------------------------------------------------------------------- */

static bool keep_unsent(struct http_host *host, struct http_conn *conn, const void *bytes, size_t n)
{
    if (buf_append(&conn->out, bytes, n)) return true;
    host->stats.n_reset++;
    conn_close(host, conn);
    return false;
}

/* Sends the pieces, and keeps what is not taken. False when the connection was closed. */
static bool send_pieces(struct http_host *host, struct http_conn *conn, struct iovec *iov, int n_iov)
{
    if (n_iov == 0) return true;
    size_t sent = 0;
    if (conn->out.n == 0) {
        ssize_t taken = host->transport.send(host->transport.context, conn, iov, n_iov);
        if (taken < 0) {
            host->stats.n_reset++;
            conn_close(host, conn);
            return false;
        }
        sent = (size_t)taken;
        host->stats.bytes_out += sent;
        conn->written_ns = conn->active_ns = http_host_now_ns(host);
    }
    for (int i = 0; i < n_iov; i++) {
        if (sent >= iov[i].iov_len) {
            sent -= iov[i].iov_len;
            continue;
        }
        if (!keep_unsent(host, conn, (char *)iov[i].iov_base + sent, iov[i].iov_len - sent)) return false;
        sent = 0;
    }
    return true;
}

void conn_probe(struct http_host *host, struct http_conn *conn)
{
    struct iovec iov = {(char *)(uintptr_t)continue_text, sizeof continue_text - 1};
    conn->n_probes++;
    if (send_pieces(host, conn, &iov, 1)) conn_mark(host, conn);
}

static const char *slot_bytes(const struct http_host *host, const struct http_slot *slot)
{
    return slot->late != NULL ? slot->late : host->answers.data + slot->offset;
}

/* An answer behind one that is still awaited leaves host->answers, which the wake-up's end empties. */
static void keep_late(struct http_host *host, struct http_conn *conn)
{
    for (uint32_t i = conn->first; i != SLOT_NONE; i = host->slots[i].next) {
        struct http_slot *slot = &host->slots[i];
        if (slot->state != SLOT_ANSWERED || slot->late != NULL) continue;
        slot->late = malloc(slot->n);
        if (slot->late == NULL) {
            conn_close(host, conn);
            return;
        }
        memcpy(slot->late, host->answers.data + slot->offset, slot->n);
    }
}

/* Answers at the head of the queue, as few pieces as possible; they leave the queue when they are sent. */
static bool send_answers(struct http_host *host, struct http_conn *conn)
{
    bool close = false;
    while (!close && conn->first != SLOT_NONE && host->slots[conn->first].state == SLOT_ANSWERED) {
        struct iovec iov[MAX_IOV];
        int n_iov = 0;
        uint32_t n_slots = 0;
        for (uint32_t i = conn->first; i != SLOT_NONE && !close; i = host->slots[i].next) {
            struct http_slot *slot = &host->slots[i];
            if (slot->state != SLOT_ANSWERED) break;
            char *bytes = (char *)(uintptr_t)slot_bytes(host, slot);
            if (n_iov > 0 && (char *)iov[n_iov - 1].iov_base + iov[n_iov - 1].iov_len == bytes)
                iov[n_iov - 1].iov_len += slot->n;
            else if (n_iov < MAX_IOV)
                iov[n_iov++] = (struct iovec){bytes, slot->n};
            else
                break;
            close = slot->close;
            n_slots++;
        }
        if (!send_pieces(host, conn, iov, n_iov)) return false;
        while (n_slots-- > 0) slot_pop(host, conn);
    }
    if (close) {
        conn->state = CONN_CLOSING;
        slots_drop(host, conn); /* requests behind one that closes are not answered */
    }
    return true;
}

static bool send_unsent(struct http_host *host, struct http_conn *conn)
{
    struct iovec iov = {conn->out.data, conn->out.n};
    ssize_t taken = host->transport.send(host->transport.context, conn, &iov, 1);
    if (taken < 0) {
        host->stats.n_reset++;
        conn_close(host, conn);
        return false;
    }
    if (taken > 0) {
        host->stats.bytes_out += (size_t)taken;
        conn->written_ns = conn->active_ns = http_host_now_ns(host);
        buf_consume(&conn->out, (size_t)taken);
        if (conn->out.n == 0) buf_done(&conn->out);
    }
    return true;
}

void http_host_writable(struct http_host *host, struct http_conn *conn)
{
    if (conn->out.n == 0 || conn->state == CONN_CLOSED) return;
    if (send_unsent(host, conn)) conn_mark(host, conn);
}

void conn_flush(struct http_host *host, struct http_conn *conn)
{
    if (!send_answers(host, conn)) return;
    if (conn->n_slots > 0) keep_late(host, conn);
}
