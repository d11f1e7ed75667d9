/* Feeds the input to one server connection in pieces, whose sizes and wake-ups the input itself chooses, and
 * in one piece, and checks that both see the same requests and send the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/http_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct outcome {
    struct buf sent;
    uint64_t digest; /* of all requests seen */
    uint32_t n_requests;
    bool closed;
};

static struct outcome *current;

static void digest_view(struct http_view view)
{
    for (size_t i = 0; i < view.n; i++)
        current->digest = (current->digest ^ (unsigned char)view.p[i]) * 0x100000001b3u;
    current->digest = (current->digest ^ 0x1ff) * 0x100000001b3u;
}

static void on_request(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct http_host **host = context;
    current->n_requests++;
    digest_view(request->method_text);
    digest_view(request->path);
    digest_view(request->query);
    digest_view(request->body);
    for (int i = 0; i < HTTP_N_HEADERS; i++) digest_view(request->headers[i]);
    struct http_response response = {.status = 200, .body = request->body.p, .n_body = request->body.n};
    http_host_answer(*host, ticket, &response);
}

static ssize_t take(void *context, struct http_conn *conn, const struct iovec *iov, int n_iov)
{
    (void)context, (void)conn;
    ssize_t n = 0;
    for (int i = 0; i < n_iov; i++) {
        if (!buf_append(&current->sent, iov[i].iov_base, iov[i].iov_len)) abort();
        n += (ssize_t)iov[i].iov_len;
    }
    return n;
}

static void shut(void *context, struct http_conn *conn)
{
    (void)context, (void)conn;
}

static void pause_input(void *context, struct http_conn *conn, bool pause)
{
    (void)context, (void)conn, (void)pause;
}

static void closed(void *context, struct http_conn *conn)
{
    (void)context, (void)conn;
    current->closed = true;
}

#define MAX_GIVEN 16

struct given { /* pieces of this wake-up that the host was not given in its own memory */
    char *bytes[MAX_GIVEN];
    uint32_t n;
};

static void wake(struct http_host *host, struct given *given)
{
    do http_host_wake(host);
    while (http_host_next_ns(host) == 0 && !current->closed);
    while (given->n > 0) free(given->bytes[--given->n]);
}

static void run(const uint8_t *bytes, size_t n, bool in_pieces, struct outcome *outcome)
{
    static uint64_t now_ns = 1000;
    struct clock clock = clock_fake(&now_ns);
    struct http_limits limits = http_limits_default();
    limits.max_head_bytes = 512;
    limits.max_headers = 8;
    limits.max_body_bytes = 1024;
    limits.max_pipelined = 4;
    struct http_host *host = NULL;
    struct http_handler handler = {&host, on_request, NULL};
    struct http_transport transport = {NULL, take, shut, pause_input, closed};
    *outcome = (struct outcome){0};
    buf_init(&outcome->sent, 64 << 20);
    current = outcome;
    if (http_host_create(&limits, &handler, &transport, &clock, &host, NULL) != ONNXD_OK) abort();
    struct http_conn *conn = http_host_open(host);
    struct given given = {.n = 0};
    for (size_t i = 0; i < n && !outcome->closed;) {
        size_t piece = in_pieces ? 1 + bytes[i] % 13 : n;
        if (piece > n - i) piece = n - i;
        struct loop_room room = http_host_room(host, conn);
        char *at = room.at;
        if (at == NULL || room.n < piece) at = given.bytes[given.n++] = malloc(piece);
        memcpy(at, bytes + i, piece);
        http_host_input(host, conn, at, piece);
        if (bytes[i] % 3 != 0 || given.n == MAX_GIVEN) wake(host, &given);
        i += piece;
    }
    wake(host, &given);
    if (!outcome->closed) {
        http_host_ended(host, conn, 0);
        wake(host, &given);
    }
    http_host_free(host);
}

/* The bytes sent but for the Date headers, which a second's turn changes. */
static void blank_dates(struct buf *sent)
{
    char *p = sent->data;
    while (p != NULL && (p = memmem(p, sent->n - (size_t)(p - sent->data), "\r\nDate: ", 8)) != NULL) {
        p += 8;
        memset(p, '-', 29);
    }
}

static bool holds(const struct buf *sent, const char *text)
{
    return sent->n > 0 && memmem(sent->data, sent->n, text, strlen(text)) != NULL;
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->data, b->data, a->n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct outcome whole, pieces;
    run(bytes, n, false, &whole);
    run(bytes, n, true, &pieces);
    blank_dates(&whole.sent);
    blank_dates(&pieces.sent);
    if (whole.n_requests != pieces.n_requests || whole.digest != pieces.digest) abort();
    if (holds(&whole.sent, "{\"error\"") != holds(&pieces.sent, "{\"error\"")) abort();
    /* Whether "100 Continue" is sent depends on whether the body came along, and the words of a refusal on
     * how much was seen, so only other exchanges must be the same byte for byte. */
    if (!holds(&whole.sent, " 100 ") && !holds(&pieces.sent, " 100 ") && !holds(&whole.sent, "{\"error\"") &&
        !same(&whole.sent, &pieces.sent))
        abort();
    buf_done(&whole.sent);
    buf_done(&pieces.sent);
    return 0;
}
