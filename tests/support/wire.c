#include "support/wire.h"

#include <errno.h>
#include <stdlib.h>

static void answer(struct rig *rig, struct http_ticket ticket, uint16_t status, const void *body, size_t n,
                   bool close)
{
    struct http_response response = {.status = status, .body = body, .n_body = n, .close = close};
    http_host_answer(rig->host, ticket, &response);
}

static void copy_view(char *out, size_t n_out, struct http_view view)
{
    size_t n = view.n < n_out - 1 ? view.n : n_out - 1;
    if (n > 0) memcpy(out, view.p, n);
    out[n] = 0;
}

static void on_request(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct rig *rig = context;
    rig->n_requests++;
    rig->last = *request;
    copy_view(rig->last_body, sizeof rig->last_body, request->body);
    copy_view(rig->last_path, sizeof rig->last_path, request->path);
    copy_view(rig->last_query, sizeof rig->last_query, request->query);
    for (int i = 0; i < HTTP_N_HEADERS; i++) copy_view(rig->last_header[i], 128, request->headers[i]);
    if (HTTP_VIEW_IS(request->path, "/group") || HTTP_VIEW_IS(request->path, "/reverse") ||
        HTTP_VIEW_IS(request->path, "/view")) {
        rig->reversed[rig->n_grouped] = request->path.p[1] == 'r';
        rig->views[rig->n_grouped] = request->path.p[1] == 'v' ? request->body : (struct http_view){0};
        rig->grouped[rig->n_grouped++] = ticket;
    } else if (HTTP_VIEW_IS(request->path, "/keep")) {
        rig->kept[rig->n_kept++] = ticket;
    } else if (HTTP_VIEW_IS(request->path, "/none")) {
        answer(rig, ticket, 204, NULL, 0, false);
    } else {
        answer(rig, ticket, 200, request->body.p, request->body.n, HTTP_VIEW_IS(request->path, "/close"));
    }
}

static void on_wake_end(void *context)
{
    struct rig *rig = context;
    char body[32];
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t k = 0; k < rig->n_grouped; k++) {
            uint32_t i = pass == 0 ? k : rig->n_grouped - 1 - k;
            if (rig->reversed[i] != (pass == 1)) continue;
            int n = snprintf(body, sizeof body, "%u", i);
            struct http_view view = rig->views[i];
            if (view.n > 0)
                answer(rig, rig->grouped[i], 200, view.p, view.n, false);
            else
                answer(rig, rig->grouped[i], 200, body, (size_t)n, false);
        }
    rig->n_grouped = 0;
}

static ssize_t wire_take(void *context, struct http_conn *conn, const struct iovec *iov, int n_iov)
{
    (void)context;
    struct wire *wire = *http_conn_user(conn);
    size_t taken = 0;
    wire->n_sends++;
    for (int i = 0; i < n_iov; i++) {
        size_t n = iov[i].iov_len < wire->takes ? iov[i].iov_len : wire->takes;
        assert_true(buf_append(&wire->got, iov[i].iov_base, n));
        wire->takes -= n;
        taken += n;
        if (n < iov[i].iov_len) break;
    }
    /* A NUL behind what came, so that tests may read it as text. */
    assert_true(buf_append_char(&wire->got, 0));
    wire->got.n--;
    return (ssize_t)taken;
}

static void wire_shut(void *context, struct http_conn *conn)
{
    (void)context;
    ((struct wire *)*http_conn_user(conn))->shut = true;
}

static void wire_pause(void *context, struct http_conn *conn, bool pause)
{
    (void)context;
    ((struct wire *)*http_conn_user(conn))->paused = pause;
}

static void wire_close(void *context, struct http_conn *conn)
{
    (void)context;
    struct wire *wire = *http_conn_user(conn);
    if (wire != NULL) wire->conn = NULL;
}

void rig_init(struct rig *rig, const struct http_limits *limits)
{
    struct http_handler handler = {rig, on_request, on_wake_end};
    rig_init_with(rig, limits, &handler);
}

void rig_init_with(struct rig *rig, const struct http_limits *limits, const struct http_handler *handler)
{
    memset(rig, 0, sizeof *rig);
    rig->limits = limits != NULL ? *limits : http_limits_default();
    rig->now_ns = 1000 * (uint64_t)NS_PER_S;
    rig->clock = clock_fake(&rig->now_ns);
    struct http_transport transport = {rig, wire_take, wire_shut, wire_pause, wire_close};
    onnxd_error err;
    assert_ok(http_host_create(&rig->limits, handler, &transport, &rig->clock, &rig->host, &err), err);
}

void rig_done(struct rig *rig)
{
    http_host_free(rig->host);
}

struct wire *wire_open(struct rig *rig)
{
    struct wire *wire = calloc(1, sizeof *wire);
    assert_non_null(wire);
    buf_init(&wire->got, SIZE_MAX / 4);
    wire->takes = SIZE_MAX / 4;
    wire->conn = http_host_open(rig->host);
    assert_non_null(wire->conn);
    *http_conn_user(wire->conn) = wire;
    return wire;
}

void wire_free(struct rig *rig, struct wire *wire)
{
    if (wire->conn != NULL) {
        http_host_ended(rig->host, wire->conn, ECONNRESET);
        rig_wake(rig);
    }
    assert_null(wire->conn);
    buf_done(&wire->got);
    free(wire);
}

void wire_give(struct rig *rig, struct wire *wire, const void *bytes, size_t n)
{
    assert_non_null(wire->conn);
    struct loop_room room = http_host_room(rig->host, wire->conn);
    if (room.at != NULL && room.n >= n) {
        memcpy(room.at, bytes, n);
        http_host_input(rig->host, wire->conn, room.at, n);
        return;
    }
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    if (n > 0) memcpy(copy, bytes, n);
    assert_true(rig->n_given < RIG_GIVEN);
    rig->given[rig->n_given++] = copy;
    http_host_input(rig->host, wire->conn, copy, n);
}

void wire_send_bytes(struct rig *rig, struct wire *wire, const void *bytes, size_t n)
{
    wire_give(rig, wire, bytes, n);
    rig_wake(rig);
}

void wire_send(struct rig *rig, struct wire *wire, const char *text)
{
    wire_send_bytes(rig, wire, text, strlen(text));
}

void rig_wake(struct rig *rig)
{
    http_host_wake(rig->host);
    while (rig->n_given > 0) free(rig->given[--rig->n_given]);
}

void rig_settle(struct rig *rig)
{
    for (int i = 0; i < 1000 && http_host_next_ns(rig->host) == 0; i++) rig_wake(rig);
    assert_true(http_host_next_ns(rig->host) != 0);
}

/* A response by its own Content-Length: an oracle that shares nothing with the parser under test. */
static const char *one_response(const char *p, const char *end, uint16_t *status, const char **body,
                                size_t *n_body)
{
    const char *head_end = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
    if (head_end == NULL || (size_t)(end - p) < 13 || memcmp(p, "HTTP/1.1 ", 9) != 0) return NULL;
    *status = (uint16_t)atoi(p + 9);
    const char *length = memmem(p, (size_t)(head_end - p), "Content-Length: ", 16);
    *n_body = length != NULL ? (size_t)atoll(length + 16) : 0;
    *body = head_end + 4;
    return *n_body <= (size_t)(end - *body) ? *body + *n_body : NULL;
}

uint32_t wire_n_responses(const struct wire *wire)
{
    const char *p = wire->got.data, *end = p != NULL ? p + wire->got.n : p, *body;
    uint32_t n = 0;
    uint16_t status;
    size_t n_body;
    while (p != NULL && p < end && (p = one_response(p, end, &status, &body, &n_body)) != NULL) n++;
    return n;
}

uint16_t wire_response(const struct wire *wire, uint32_t i, char *ret_body, size_t room)
{
    const char *p = wire->got.data, *end = p != NULL ? p + wire->got.n : p, *body = NULL;
    uint16_t status = 0;
    size_t n_body = 0;
    for (uint32_t k = 0; k <= i; k++) {
        if (p == NULL || p == end || (p = one_response(p, end, &status, &body, &n_body)) == NULL)
            fail_msg("response %u has not come; got \"%.*s\"", i, (int)wire->got.n,
                     wire->got.data != NULL ? wire->got.data : "");
    }
    size_t n = n_body < room - 1 ? n_body : room - 1;
    memcpy(ret_body, body, n);
    ret_body[n] = 0;
    return status;
}
