/* net/http_message.h - what an HTTP/1.1 request and response consist of.
 *
 * Views borrow bytes of a connection's buffer. On the server side they stay valid until the wake-up
 * that brought the request has ended (its end-of-wake-up hook has returned); whoever answers later
 * copies what it needs.
 *
 * Threads: plain values. */
#ifndef NET_HTTP_MESSAGE_H
#define NET_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_view { /* borrowed text, not NUL-terminated; n == 0: absent or empty */
    const char *p;
    size_t n;
};

enum http_method {
    HTTP_METHOD_OTHER,
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_N_METHODS
};

/* Headers that the layers above ask for; all others are checked by the parser and dropped. */
enum http_header {
    HTTP_HEADER_ACCEPT,
    HTTP_HEADER_CORS_METHOD, /* Access-Control-Request-Method: the request is a preflight */
    HTTP_HEADER_AUTHORIZATION,
    HTTP_HEADER_CONTENT_ENCODING,
    HTTP_HEADER_CONTENT_TYPE,
    HTTP_HEADER_EXPECT,
    HTTP_HEADER_HOST,
    HTTP_HEADER_INFERENCE_LENGTH, /* Inference-Header-Content-Length of the Open Inference Protocol */
    HTTP_HEADER_ORIGIN,
    HTTP_HEADER_RETRY_AFTER,
    HTTP_HEADER_TRACEPARENT,
    HTTP_HEADER_X_API_KEY,
    HTTP_N_HEADERS
};

struct http_request {
    enum http_method method;
    struct http_view method_text; /* as sent, for logs */
    struct http_view path;        /* before the '?', still percent-encoded */
    struct http_view query;       /* behind the '?' */
    struct http_view headers[HTTP_N_HEADERS];
    struct http_view body;  /* whole, with any chunked coding removed */
    bool has_length;        /* a Content-Length or Transfer-Encoding was given */
    bool is_preflight;      /* asks for an origin that is let in whether it may ask (net/http_cors.h) */
    uint64_t first_byte_ns; /* when its first byte was read */
    uint64_t complete_ns;   /* when its last byte was read */
};

struct http_response { /* what a handler answers; everything is copied */
    uint16_t status;
    const char *content_type; /* NULL: application/json */
    const void *body;
    size_t n_body;
    const char *headers; /* further whole header lines, each with its CRLF; NULL: none */
    bool close;          /* close the connection behind this answer */
};

/* "GET", ...; "OTHER" for methods that no route takes. */
const char *http_method_name(enum http_method method);

/* The reason phrase of RFC 9110, "Unknown" where there is none. */
const char *http_status_reason(uint16_t status);

static inline bool http_view_is(struct http_view view, const char *text, size_t n)
{
    return view.n == n && __builtin_memcmp(view.p, text, n) == 0;
}
#define HTTP_VIEW_IS(view, literal) http_view_is((view), (literal), sizeof(literal) - 1)

/* The value of `name` in a query such as "model=a&x=1", percent-decoded into out (room for n_out bytes, NUL
 * included). False when it is absent, does not fit or is badly encoded. */
bool http_query_get(struct http_view query, const char *name, char *out, size_t n_out);

/* Percent-decodes a path segment with the same rules. */
bool http_percent_decode(struct http_view text, char *out, size_t n_out);

#endif
