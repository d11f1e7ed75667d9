#include "net/http_parser.h"

#include <string.h>

/* Names in lower case, in the order of enum http_header. */
static const struct {
    const char *name;
    uint8_t n;
    bool once; /* two of it would be a guess, so they are refused */
} known_headers[HTTP_N_HEADERS] = {
    {"accept", 6, false},        {"access-control-request-method", 29, true},
    {"authorization", 13, true}, {"content-encoding", 16, true},
    {"content-type", 12, true},  {"expect", 6, true},
    {"host", 4, true},           {"inference-header-content-length", 31, true},
    {"origin", 6, true},         {"retry-after", 11, false},
    {"traceparent", 11, false},  {"x-api-key", 9, true},
};

/* Chunk framing may cost this many bytes for one of body, beside max_head_bytes: a body of one-byte chunks
 * needs 5. */
#define MAX_FRAMING_PER_BYTE 8

static int fail(struct http_parser *parser, uint16_t status, const char *message, uint64_t limit)
{
    parser->fault = (struct http_parse_fault){status, message, limit};
    return HPE_USER;
}

static int head_within_limit(struct http_parser *parser, const char *end)
{
    if ((size_t)(end - parser->message) <= parser->limits->max_head_bytes) return 0;
    if (parser->url.offset + (size_t)parser->url.n > parser->limits->max_head_bytes)
        return fail(parser, 414, "the URL is larger than max-head-bytes", parser->limits->max_head_bytes);
    return fail(parser, 431, "request line and headers are larger than max-head-bytes",
                parser->limits->max_head_bytes);
}

/* Adds a piece to a span; pieces that do not touch mean a folded line. */
static int extend(struct http_parser *parser, struct http_span *span, const char *at, size_t n)
{
    uint32_t offset = (uint32_t)(at - parser->message);
    if (span->n == 0)
        span->offset = offset;
    else if (span->offset + span->n != offset)
        return fail(parser, 400, "a header line is folded over several lines", 0);
    span->n += (uint32_t)n;
    return head_within_limit(parser, at + n);
}

static int on_url(llhttp_t *state, const char *at, size_t n)
{
    struct http_parser *parser = state->data;
    return extend(parser, &parser->url, at, n);
}

static int on_method(llhttp_t *state, const char *at, size_t n)
{
    struct http_parser *parser = state->data;
    return extend(parser, &parser->method, at, n);
}

static int on_header_field(llhttp_t *state, const char *at, size_t n)
{
    struct http_parser *parser = state->data;
    return parser->head_complete ? 0 : extend(parser, &parser->field, at, n);
}

static int on_header_value(llhttp_t *state, const char *at, size_t n)
{
    struct http_parser *parser = state->data;
    return parser->head_complete ? 0 : extend(parser, &parser->value, at, n);
}

static bool same_name(const char *text, const char *lower, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((text[i] | 0x20) != lower[i] && text[i] != lower[i]) return false;
    return true;
}

static int find_header(const char *name, size_t n)
{
    for (int i = 0; i < HTTP_N_HEADERS; i++)
        if (known_headers[i].n == n && same_name(name, known_headers[i].name, n)) return i;
    return -1;
}

static int on_header_complete(llhttp_t *state)
{
    struct http_parser *parser = state->data;
    if (parser->head_complete) return 0; /* a trailer */
    if (++parser->n_headers > parser->limits->max_headers)
        return fail(parser, 431, "there are more header lines than max-headers", parser->limits->max_headers);
    const char *name = parser->message + parser->field.offset;
    int header = find_header(name, parser->field.n);
    if (header >= 0) {
        if (known_headers[header].once && (parser->seen & 1u << header)) {
            static const char *const twice[HTTP_N_HEADERS] = {
                [HTTP_HEADER_AUTHORIZATION] = "the Authorization header is given twice",
                [HTTP_HEADER_CONTENT_ENCODING] = "the Content-Encoding header is given twice",
                [HTTP_HEADER_CONTENT_TYPE] = "the Content-Type header is given twice",
                [HTTP_HEADER_CORS_METHOD] = "the Access-Control-Request-Method header is given twice",
                [HTTP_HEADER_EXPECT] = "the Expect header is given twice",
                [HTTP_HEADER_HOST] = "the Host header is given twice",
                [HTTP_HEADER_INFERENCE_LENGTH] = "Inference-Header-Content-Length is given twice",
                [HTTP_HEADER_ORIGIN] = "the Origin header is given twice",
                [HTTP_HEADER_X_API_KEY] = "the X-API-Key header is given twice",
            };
            return fail(parser, 400, twice[header], 0);
        }
        parser->seen |= 1u << header;
        const char *value = parser->message + parser->value.offset;
        while (parser->value.n > 0 &&
               (value[parser->value.n - 1] == ' ' || value[parser->value.n - 1] == '\t'))
            parser->value.n--;
        parser->headers[header] = parser->value;
    }
    parser->field.n = parser->value.n = 0;
    return 0;
}

static int check_request_head(struct http_parser *parser)
{
    const llhttp_t *state = &parser->state;
    if (state->http_major != 1 || state->http_minor > 1)
        return fail(parser, 505, "only HTTP/1.1 and HTTP/1.0 are served", 0);
    if (state->method == HTTP_CONNECT) return fail(parser, 501, "CONNECT is not supported", 0);
    if (state->http_minor == 1 && !(parser->seen & 1u << HTTP_HEADER_HOST))
        return fail(parser, 400, "the Host header is missing", 0);
    if ((state->flags & F_TRANSFER_ENCODING) && !(state->flags & F_CHUNKED))
        return fail(parser, 501, "Transfer-Encoding: only chunked is supported", 0);
    struct http_span expect = parser->headers[HTTP_HEADER_EXPECT];
    if (expect.n > 0 && (expect.n != 12 || !same_name(parser->message + expect.offset, "100-continue", 12)))
        return fail(parser, 417, "Expect: only 100-continue is supported", 0);
    return 0;
}

static int on_headers_complete(llhttp_t *state)
{
    struct http_parser *parser = state->data;
    parser->head_complete = true;
    state->upgrade = 0; /* offers to change the protocol are not taken */
    if (state->type == HTTP_REQUEST) {
        int result = check_request_head(parser);
        if (result != 0) return result;
    } else if (parser->bodyless && state->status_code >= 200) {
        return 1;
    }
    if ((state->flags & F_CONTENT_LENGTH) && state->content_length > parser->limits->max_body_bytes)
        return fail(parser, 413, "the body is larger than max-body-bytes", parser->limits->max_body_bytes);
    return state->flags & F_CHUNKED ? HPE_PAUSED : 0; /* a pause tells where the head ends */
}

/* Whether the chunks' heads, extensions and trailers up to `end` are out of proportion to the body. Asked
 * where a chunk's data begins and where the message ends; in between, asking where the bytes happen to end
 * can only tell earlier what would come out there, for framing grows while the body does not. */
static int framing_within_limit(struct http_parser *parser, const char *end)
{
    const uint64_t body = parser->body.n;
    uint64_t framing = (size_t)(end - parser->message) - parser->head_end + parser->n_dropped - body;
    uint64_t most = 2 * (uint64_t)parser->limits->max_head_bytes + MAX_FRAMING_PER_BYTE * body;
    return framing <= most ? 0 : fail(parser, 400, "the body's chunks are mostly framing", 0);
}

static int on_body(llhttp_t *state, const char *at, size_t n)
{
    struct http_parser *parser = state->data;
    struct http_span *body = &parser->body;
    if (body->n + n > parser->limits->max_body_bytes)
        return fail(parser, 413, "the body is larger than max-body-bytes", parser->limits->max_body_bytes);
    if (state->flags & F_CHUNKED) {
        int result = framing_within_limit(parser, at);
        if (result != 0) return result;
        memmove(parser->message + body->offset + body->n, at, n);
    } else if (body->n == 0) {
        body->offset = (uint32_t)(at - parser->message);
        if (head_within_limit(parser, at) != 0) return HPE_USER;
    }
    body->n += (uint32_t)n;
    return 0;
}

static int on_message_complete(llhttp_t *state)
{
    struct http_parser *parser = state->data;
    parser->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_method = on_method,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_parser_init(struct http_parser *parser, enum http_parser_kind kind,
                      const struct http_parser_limits *limits)
{
    memset(parser, 0, sizeof *parser);
    parser->limits = limits;
    llhttp_init(&parser->state, kind == HTTP_PARSER_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser->state.data = parser;
}

void http_parser_next(struct http_parser *parser)
{
    llhttp_reset(&parser->state);
    parser->url.n = parser->method.n = parser->field.n = parser->value.n = parser->body.n = 0;
    memset(parser->headers, 0, sizeof parser->headers);
    parser->head_end = 0;
    parser->n_dropped = 0;
    parser->n_headers = parser->seen = 0;
    parser->head_complete = parser->complete = parser->bodyless = false;
}

static void set_library_fault(struct http_parser *parser, llhttp_errno_t error)
{
    const char *reason = llhttp_get_error_reason(&parser->state);
    uint16_t status = error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE ? 505
                      : error == HPE_INVALID_METHOD                                  ? 501
                                                                                     : 400;
    parser->fault = (struct http_parse_fault){status, reason != NULL ? reason : "malformed message", 0};
}

/* Chunk heads, extensions and trailers that were read are of no more use. */
static enum http_parse_result go_on(struct http_parser *parser, size_t *n_all)
{
    const char *end = parser->message + *n_all;
    if (!parser->head_complete) return head_within_limit(parser, end) == 0 ? HTTP_PARSE_MORE : HTTP_PARSE_BAD;
    if (!(parser->state.flags & F_CHUNKED)) return HTTP_PARSE_MORE;
    if (framing_within_limit(parser, end) != 0) return HTTP_PARSE_BAD;
    size_t keep = parser->body.offset + (size_t)parser->body.n;
    parser->n_dropped += *n_all - keep;
    *n_all = keep;
    return HTTP_PARSE_MORE;
}

static enum http_parse_result finish(struct http_parser *parser, const char *end)
{
    int result = 0;
    if (parser->state.flags & F_CHUNKED)
        result = framing_within_limit(parser, end);
    else if (parser->body.n == 0) /* with a body its start was looked at */
        result = head_within_limit(parser, end);
    if (result != 0) return HTTP_PARSE_BAD;
    parser->used = (size_t)(end - parser->message);
    return HTTP_PARSE_DONE;
}

enum http_parse_result http_parser_feed(struct http_parser *parser, char *message, size_t n_seen,
                                        size_t *n_all)
{
    const char *at = message + n_seen, *end = message + *n_all;
    parser->message = message;
    parser->fault.status = 0;
    llhttp_errno_t error = llhttp_execute(&parser->state, at, (size_t)(end - at));
    if (error == HPE_PAUSED && !parser->complete) { /* behind the head of a chunked message */
        at = llhttp_get_error_pos(&parser->state);
        if (head_within_limit(parser, at) != 0) return HTTP_PARSE_BAD;
        parser->head_end = (size_t)(at - message);
        parser->body.offset = (uint32_t)parser->head_end;
        llhttp_resume(&parser->state);
        error = llhttp_execute(&parser->state, at, (size_t)(end - at));
    }
    if (error == HPE_OK) return go_on(parser, n_all);
    if (error == HPE_PAUSED) return finish(parser, llhttp_get_error_pos(&parser->state));
    if (parser->fault.status == 0) set_library_fault(parser, error);
    return HTTP_PARSE_BAD;
}

bool http_parser_finish(struct http_parser *parser)
{
    return parser->head_complete && llhttp_finish(&parser->state) == HPE_PAUSED;
}

static enum http_method method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET: return HTTP_METHOD_GET;
    case HTTP_HEAD: return HTTP_METHOD_HEAD;
    case HTTP_POST: return HTTP_METHOD_POST;
    case HTTP_PUT: return HTTP_METHOD_PUT;
    case HTTP_DELETE: return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS: return HTTP_METHOD_OPTIONS;
    default: return HTTP_METHOD_OTHER;
    }
}

static struct http_view view_of(const char *message, struct http_span span)
{
    return (struct http_view){message + span.offset, span.n};
}

void http_parser_request(const struct http_parser *parser, const char *message, struct http_request *ret)
{
    ret->method = method_of(parser->state.method);
    ret->method_text = view_of(message, parser->method);
    struct http_view url = view_of(message, parser->url);
    const char *mark = url.n > 0 ? memchr(url.p, '?', url.n) : NULL;
    ret->path = url;
    ret->query = (struct http_view){0};
    if (mark != NULL) {
        ret->path.n = (size_t)(mark - url.p);
        ret->query = (struct http_view){mark + 1, url.n - ret->path.n - 1};
    }
    for (uint32_t i = 0; i < HTTP_N_HEADERS; i++)
        ret->headers[i] = parser->seen & 1u << i ? view_of(message, parser->headers[i])
                                                 : (struct http_view){0};
    ret->body = view_of(message, parser->body);
    ret->has_length = (parser->state.flags & (F_CONTENT_LENGTH | F_CHUNKED)) != 0;
}

struct http_view http_parser_origin(const struct http_parser *parser, const char *message)
{
    if (!parser->head_complete || !(parser->seen & 1u << HTTP_HEADER_ORIGIN)) return (struct http_view){0};
    return view_of(message, parser->headers[HTTP_HEADER_ORIGIN]);
}

bool http_parser_keep_alive(const struct http_parser *parser)
{
    return llhttp_should_keep_alive(&parser->state) != 0;
}

bool http_parser_is_http10(const struct http_parser *parser)
{
    return parser->state.http_major == 1 && parser->state.http_minor == 0;
}

uint16_t http_parser_status(const struct http_parser *parser)
{
    return parser->state.status_code;
}

bool http_parser_wants_continue(const struct http_parser *parser)
{
    return parser->head_complete && parser->headers[HTTP_HEADER_EXPECT].n > 0 && parser->body.n == 0 &&
           parser->state.http_minor == 1;
}
