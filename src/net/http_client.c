#include "net/http_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/http_parser.h"

#define DEFAULT_HEAD_BYTES (64u << 10)
#define DEFAULT_BODY_BYTES (64u << 20)
#define DEFAULT_PIPELINED  1024u
#define READ_BYTES         (64u << 10)
#define MAX_HEADERS        1000u

struct client_parser { /* the parser borrows its limits from beside it */
    struct http_parser parser;
    struct http_parser_limits limits;
};

onnxd_status http_client_init(struct http_client *client, const struct http_client_options *options,
                              onnxd_error *err)
{
    struct http_client_options chosen = options != NULL ? *options : (struct http_client_options){0};
    if (chosen.max_head_bytes == 0) chosen.max_head_bytes = DEFAULT_HEAD_BYTES;
    if (chosen.max_body_bytes == 0) chosen.max_body_bytes = DEFAULT_BODY_BYTES;
    if (chosen.max_pipelined == 0) chosen.max_pipelined = DEFAULT_PIPELINED;
    if (chosen.max_body_bytes > UINT64_C(2) << 30 || chosen.max_head_bytes > 1u << 20)
        return error_set(err, ONNXD_ERR_RANGE,
                         "http client: max_body_bytes is at most 2 GiB, max_head_bytes at most 1 MiB");
    struct client_parser *parser = calloc(1, sizeof *parser);
    uint64_t *is_head = calloc((chosen.max_pipelined + 63) / 64, sizeof *is_head);
    if (parser == NULL || is_head == NULL) {
        free(parser);
        free(is_head);
        return error_set(err, ONNXD_ERR_NOMEM, "http client: out of memory");
    }
    *client = (struct http_client){.fd = -1, .options = chosen, .is_head = is_head};
    parser->limits = (struct http_parser_limits){chosen.max_head_bytes, MAX_HEADERS, chosen.max_body_bytes};
    client->parser = &parser->parser;
    http_parser_init(client->parser, HTTP_PARSER_RESPONSE, &parser->limits);
    buf_init(&client->out, SIZE_MAX / 4);
    buf_init(&client->in, chosen.max_head_bytes + chosen.max_body_bytes + 2 * READ_BYTES);
    return ONNXD_OK;
}

void http_client_close(struct http_client *client)
{
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
    buf_reset(&client->out);
    buf_reset(&client->in);
    client->n_sent = client->n_fed = 0;
    client->n_waiting = 0;
    client->ended = false;
    http_parser_next(client->parser);
}

void http_client_done(struct http_client *client)
{
    if (client->parser == NULL) return;
    http_client_close(client);
    buf_done(&client->out);
    buf_done(&client->in);
    free(client->parser);
    free(client->is_head);
    *client = (struct http_client){.fd = -1};
}

onnxd_status http_client_connect(struct http_client *client, const struct net_address *address,
                                 onnxd_error *err)
{
    http_client_close(client);
    return net_connect(address, &client->fd, err);
}

bool http_client_format(struct buf *out, const struct http_client_request *request)
{
    size_t n_before = out->n;
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", http_method_name(request->method), request->path,
               request->host);
    bool has_length = request->n_body > 0 || request->method == HTTP_METHOD_POST ||
                      request->method == HTTP_METHOD_PUT;
    if (has_length)
        buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                   request->content_type != NULL ? request->content_type : "application/json",
                   request->n_body);
    if (request->headers != NULL) buf_append_text(out, request->headers);
    buf_append(out, "\r\n", 2);
    if (request->n_body > 0) buf_append(out, request->body, request->n_body);
    if (!out->failed) return true;
    out->n = n_before;
    out->failed = false;
    return false;
}

static onnxd_status begin_request(struct http_client *client, bool is_head, onnxd_error *err)
{
    if (client->n_waiting >= client->options.max_pipelined)
        return error_set(err, ONNXD_ERR_BUSY, "http client: %u requests are without an answer",
                         client->n_waiting);
    if (client->n_sent == client->out.n) {
        buf_reset(&client->out);
        client->n_sent = 0;
    }
    uint32_t at = (client->first_waiting + client->n_waiting) % client->options.max_pipelined;
    if (is_head)
        client->is_head[at / 64] |= UINT64_C(1) << at % 64;
    else
        client->is_head[at / 64] &= ~(UINT64_C(1) << at % 64);
    return ONNXD_OK;
}

onnxd_status http_client_queue(struct http_client *client, const struct http_client_request *request,
                               onnxd_error *err)
{
    onnxd_status status = begin_request(client, request->method == HTTP_METHOD_HEAD, err);
    if (status != ONNXD_OK) return status;
    if (!http_client_format(&client->out, request))
        return error_set(err, ONNXD_ERR_NOMEM, "http client: out of memory");
    client->n_waiting++;
    return ONNXD_OK;
}

onnxd_status http_client_queue_raw(struct http_client *client, const void *bytes, size_t n, onnxd_error *err)
{
    onnxd_status status = begin_request(client, false, err);
    if (status != ONNXD_OK) return status;
    if (!buf_append(&client->out, bytes, n)) {
        client->out.failed = false;
        return error_set(err, ONNXD_ERR_NOMEM, "http client: out of memory");
    }
    client->n_waiting++;
    return ONNXD_OK;
}

onnxd_status http_client_write(struct http_client *client, onnxd_error *err)
{
    while (http_client_wants_write(client)) {
        ssize_t sent = send(client->fd, client->out.data + client->n_sent, client->out.n - client->n_sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            client->n_sent += (size_t)sent;
        } else if (errno == EAGAIN || errno == ENOTCONN) {
            return ONNXD_OK; /* not now, or not connected yet */
        } else if (errno != EINTR) {
            return error_set(err, ONNXD_ERR_IO, "http client: cannot send: %s", strerror(errno));
        }
    }
    return ONNXD_OK;
}

static void hand_over(struct http_client *client, const char *message, http_client_response_fn fn,
                      void *context)
{
    struct http_request views;
    http_parser_request(client->parser, message, &views);
    struct http_client_response response = {.status = http_parser_status(client->parser),
                                            .keep_alive = http_parser_keep_alive(client->parser),
                                            .body = views.body};
    memcpy(response.headers, views.headers, sizeof response.headers);
    client->n_waiting--;
    client->first_waiting = (client->first_waiting + 1) % client->options.max_pipelined;
    if (!response.keep_alive) client->ended = true;
    if (fn != NULL) fn(context, &response);
}

static onnxd_status check_end(struct http_client *client, onnxd_error *err)
{
    if (client->n_waiting == 0) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_IO, "http client: the server closed with %u answers outstanding",
                     client->n_waiting);
}

/* The response under way starts at in.data[start]; returns where the one behind the complete ones starts. */
static onnxd_status take_responses(struct http_client *client, http_client_response_fn fn, void *context,
                                   onnxd_error *err)
{
    size_t start = 0;
    onnxd_status status = ONNXD_OK;
    while (client->n_fed < client->in.n && !client->ended) {
        if (client->n_waiting == 0) {
            status = error_set(err, ONNXD_ERR_FORMAT, "http client: the server sent what nobody asked for");
            break;
        }
        uint32_t at = client->first_waiting;
        client->parser->bodyless = (client->is_head[at / 64] >> at % 64 & 1) != 0;
        char *message = client->in.data + start;
        size_t n = client->in.n - start;
        enum http_parse_result result = http_parser_feed(client->parser, message, client->n_fed - start, &n);
        if (result == HTTP_PARSE_BAD) {
            const struct http_parse_fault *fault = &client->parser->fault;
            status = error_set(err, fault->limit > 0 ? ONNXD_ERR_LIMIT : ONNXD_ERR_FORMAT,
                               "http client: bad response: %s", fault->message);
            break;
        }
        if (result == HTTP_PARSE_MORE) {
            client->n_fed = client->in.n = start + n;
            break;
        }
        size_t used = client->parser->used;
        if (http_parser_status(client->parser) >= 200) hand_over(client, message, fn, context);
        http_parser_next(client->parser);
        start += used;
        client->n_fed = start;
    }
    buf_consume(&client->in, start);
    client->n_fed -= start;
    return status;
}

static onnxd_status take_end(struct http_client *client, http_client_response_fn fn, void *context,
                             onnxd_error *err)
{
    client->ended = true;
    client->parser->message = client->in.data;
    if (client->n_waiting > 0 && http_parser_finish(client->parser)) {
        hand_over(client, client->in.data, fn, context);
        http_parser_next(client->parser);
    }
    return check_end(client, err);
}

onnxd_status http_client_input(struct http_client *client, const void *bytes, size_t n,
                               http_client_response_fn fn, void *context, onnxd_error *err)
{
    if (n == 0) return take_end(client, fn, context, err);
    if (!buf_append(&client->in, bytes, n)) {
        client->in.failed = false;
        return error_set(err, ONNXD_ERR_NOMEM, "http client: out of memory");
    }
    return take_responses(client, fn, context, err);
}

onnxd_status http_client_read(struct http_client *client, http_client_response_fn fn, void *context,
                              onnxd_error *err)
{
    if (!buf_reserve(&client->in, READ_BYTES)) {
        client->in.failed = false;
        return error_set(err, ONNXD_ERR_LIMIT, "http client: the response is too large");
    }
    ssize_t got;
    do {
        got = recv(client->fd, client->in.data + client->in.n, client->in.capacity - client->in.n,
                   MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got == 0) return take_end(client, fn, context, err);
    if (got < 0) {
        if (errno == EAGAIN || errno == ENOTCONN) return ONNXD_OK;
        return error_set(err, ONNXD_ERR_IO, "http client: cannot read: %s", strerror(errno));
    }
    client->in.n += (size_t)got;
    onnxd_status status = take_responses(client, fn, context, err);
    if (status == ONNXD_OK && client->ended) status = check_end(client, err);
    return status;
}

onnxd_status http_client_call(struct http_client *client, const struct http_client_request *request,
                              uint64_t timeout_ns, http_client_response_fn fn, void *context,
                              onnxd_error *err)
{
    uint64_t end_ns = monotonic_ns() + timeout_ns;
    onnxd_status status = http_client_queue(client, request, err);
    while (status == ONNXD_OK && (http_client_wants_write(client) || client->n_waiting > 0)) {
        uint64_t now_ns = monotonic_ns();
        if (now_ns >= end_ns)
            return error_set(err, ONNXD_ERR_TIMEOUT, "http client: no answer within %llu ms",
                             (unsigned long long)(timeout_ns / NS_PER_MS));
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        if (http_client_wants_write(client)) wait.events |= POLLOUT;
        uint64_t wait_ms = (end_ns - now_ns) / NS_PER_MS + 1;
        int n = poll(&wait, 1, wait_ms > 3600000 ? 3600000 : (int)wait_ms);
        if (n < 0 && errno != EINTR)
            return error_set(err, ONNXD_ERR_IO, "http client: poll: %s", strerror(errno));
        if (n <= 0) continue;
        if (http_client_wants_write(client) && (wait.revents & (POLLOUT | POLLERR | POLLHUP)))
            status = http_client_write(client, err);
        if (status == ONNXD_OK && (wait.revents & (POLLIN | POLLERR | POLLHUP)))
            status = http_client_read(client, fn, context, err);
    }
    return status;
}
