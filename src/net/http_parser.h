/* net/http_parser.h - finds HTTP/1.1 messages in bytes, over llhttp.
 *
 * The only place that knows llhttp. The bytes of a message lie contiguous in a buffer of the caller
 * that may grow and move between calls: the parser keeps offsets from the message's first byte and is
 * told where that byte lies at each call. A chunked body is joined in place, over its own framing.
 * How the bytes are cut into calls changes neither what is found nor what is refused.
 *
 *     struct http_parser parser;
 *     http_parser_init(&parser, HTTP_PARSER_REQUEST, &limits);
 *     switch (http_parser_feed(&parser, message, n_seen, n_all)) ...
 *
 * Threads: one at a time. */
#ifndef NET_HTTP_PARSER_H
#define NET_HTTP_PARSER_H

#include <llhttp.h>

#include "net/http_message.h"

enum http_parser_kind { HTTP_PARSER_REQUEST, HTTP_PARSER_RESPONSE };

struct http_parser_limits {
    uint32_t max_head_bytes; /* first line and headers */
    uint32_t max_headers;    /* header lines */
    uint64_t max_body_bytes;
};

enum http_parse_result {
    HTTP_PARSE_MORE, /* all bytes are used, the message is not complete */
    HTTP_PARSE_DONE, /* a message is complete; `parser->used` says where it ends */
    HTTP_PARSE_BAD   /* `parser->fault` says why; no message can follow on this connection */
};

struct http_parse_fault {
    uint16_t status;     /* what a server answers */
    const char *message; /* static text, or text of the parser library; never NULL */
    uint64_t limit;      /* the ceiling that was passed, or 0: appended to the message by who reports it */
};

struct http_span { /* offset from the message's first byte */
    uint32_t offset;
    uint32_t n;
};

struct http_parser {
    llhttp_t state;
    const struct http_parser_limits *limits; /* borrowed */
    char *message;                           /* first byte of the message, during a call */
    struct http_span url, method, field, value, body;
    struct http_span headers[HTTP_N_HEADERS];
    struct http_parse_fault fault;
    size_t head_end;    /* chunked: offset behind the head, before anything was dropped */
    uint64_t n_dropped; /* chunked: bytes that earlier calls took out behind it */
    uint32_t n_headers;
    uint32_t seen; /* bit set of enum http_header: given so far */
    size_t used;   /* HTTP_PARSE_DONE: bytes of the message, counted from its first byte */
    bool head_complete, complete;
    bool bodyless; /* response side: the answer to HEAD has no body */
};

void http_parser_init(struct http_parser *parser, enum http_parser_kind kind,
                      const struct http_parser_limits *limits);

/* Parses bytes message[n_seen .. *n_all) of the message that starts at message[0]. After HTTP_PARSE_MORE
 * *n_all may have shrunk: chunk framing that is done with was dropped. After HTTP_PARSE_DONE the caller calls
 * http_parser_next and passes message + used from then on. */
enum http_parse_result http_parser_feed(struct http_parser *parser, char *message, size_t n_seen,
                                        size_t *n_all);

/* Makes ready for the message behind a complete one. */
void http_parser_next(struct http_parser *parser);

/* The peer closed: true when a response that ends with the connection is complete by that. */
bool http_parser_finish(struct http_parser *parser);

/* The complete message as views into message[]. */
void http_parser_request(const struct http_parser *parser, const char *message, struct http_request *ret);

/* The Origin header of the message under way, or of one that was refused, once its head is complete; else
 * empty. */
struct http_view http_parser_origin(const struct http_parser *parser, const char *message);

/* True when the message allows another behind it on the connection. Valid after HTTP_PARSE_DONE. */
bool http_parser_keep_alive(const struct http_parser *parser);

bool http_parser_is_http10(const struct http_parser *parser);
uint16_t http_parser_status(const struct http_parser *parser);

/* Head complete, body not, and the peer waits for "100 Continue" before it sends it. */
bool http_parser_wants_continue(const struct http_parser *parser);

#endif
