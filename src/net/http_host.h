/* net/http_host.h - the server side of HTTP/1.1, without sockets.
 *
 * A host holds connections. Bytes come in by http_host_input, requests go to the handler, answers go
 * out through the transport: a socket loop (net/http_server.h), or memory in tests.
 *
 * Work goes in wake-ups. Within one, any number of connections take input; each complete request is
 * given to handler->request, which answers at once or keeps the ticket. http_host_wake ends it: it
 * calls handler->wake_end, where grouped work is done and answered, and then sends each connection's
 * answers with one call, in the order of its requests. Bytes given in stay valid until then.
 *
 *     http_host_input(host, conn, bytes, n);      // for each connection that has some
 *     http_host_wake(host);
 *
 * A ticket may be answered in any later wake-up; when its connection has gone, answering does nothing.
 *
 * A peer that sends nothing more may still read, or may have gone: its end looks the same. While it waits for
 * an answer it is sent "100 Continue" twice, which means nothing to one that reads and brings the loop word
 * of one that has gone.
 *
 * Limits: whatever a peer can grow or delay has a ceiling in struct http_limits; passing it is answered
 * with a JSON error that names it (413, 414, 431, 408, 503), then the connection is closed so that the
 * answer arrives.
 * Memory: nothing is allocated for a request once buffers have grown; idle connections hold none.
 * Threads: one at a time. */
#ifndef NET_HTTP_HOST_H
#define NET_HTTP_HOST_H

#include <sys/uio.h>

#include "base/clock.h"
#include "net/http_message.h"
#include "net/loop.h"
#include "onnxd/status.h"

struct http_host;
struct http_conn;

struct http_limits {             /* http_limits_default fills it */
    uint32_t max_head_bytes;     /* request line and headers */
    uint32_t max_headers;        /* header lines */
    uint64_t max_body_bytes;     /* at most 2 GiB */
    uint32_t max_pipelined;      /* requests read and not yet answered, for each connection; then it waits */
    uint32_t max_connections;    /* then 503 */
    uint64_t max_output_bytes;   /* unsent answers for each connection; then it is closed */
    uint64_t idle_timeout_ns;    /* without a request under way: closed */
    uint64_t request_timeout_ns; /* from a request's first byte to its last: 408 */
    uint64_t write_timeout_ns;   /* no byte taken by the peer: closed */
    uint64_t linger_timeout_ns;  /* after an answer that closes, for the peer to read it */
};

struct http_limits http_limits_default(void);

struct http_ticket { /* names one request under way */
    uint32_t index;
    uint32_t generation;
};

struct http_handler {
    void *context;
    /* `request` and what it points to stay valid until wake_end has returned. */
    void (*request)(void *context, const struct http_request *request, struct http_ticket ticket);
    void (*wake_end)(void *context); /* may be NULL */
};

struct http_transport {
    void *context;
    /* Bytes taken (fewer than given: http_host_writable follows), or -errno. */
    ssize_t (*send)(void *context, struct http_conn *conn, const struct iovec *iov, int n_iov);
    void (*shut)(void *context, struct http_conn *conn);              /* nothing more will be sent */
    void (*pause)(void *context, struct http_conn *conn, bool pause); /* whether to give input */
    void (*close)(void *context, struct http_conn *conn);             /* conn is gone after this */
};

struct http_stats { /* since the start, but for n_open */
    uint64_t n_open, n_accepted, n_refused, n_requests, n_malformed, n_timed_out, n_reset;
    uint64_t n_closed, n_abandoned; /* n_abandoned: requests whose connection had gone before their answer */
    uint64_t bytes_in, bytes_out;
};

/* The host copies limits, handler, transport and clock. ONNXD_ERR_RANGE, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status http_host_create(const struct http_limits *limits,
                                             const struct http_handler *handler,
                                             const struct http_transport *transport,
                                             const struct clock *clock, struct http_host **ret_host,
                                             onnxd_error *err);
void http_host_free(struct http_host *host); /* closes what is open; takes NULL */

/* A new connection; past max_connections it is told so and closed. NULL: close the socket, there is no
 * memory, or too many are being told. */
struct http_conn *http_host_open(struct http_host *host);

/* The loop's stream inside a connection, and back. */
struct loop_stream *http_conn_stream(struct http_conn *conn);
struct http_conn *http_conn_of(struct loop_stream *stream);

/* A place for what the transport keeps for a connection; NULL at first. */
void **http_conn_user(struct http_conn *conn);

/* Where to put the connection's next bytes to save a copy; {NULL, 0}: anywhere. */
struct loop_room http_host_room(struct http_host *host, struct http_conn *conn);

/* The bytes stay valid and unread by others until http_host_wake returns, and may be changed by the host.
 * When the transport's pause is called meanwhile, what follows may as well be kept for later. */
void http_host_input(struct http_host *host, struct http_conn *conn, char *bytes, size_t n);

/* The peer sends nothing more (error 0), or the connection broke. */
void http_host_ended(struct http_host *host, struct http_conn *conn, int error);

void http_host_writable(struct http_host *host, struct http_conn *conn);

/* Ends a wake-up: expires what is due, runs handler->wake_end, sends. */
void http_host_wake(struct http_host *host);

/* When http_host_wake must be called again at the latest: 0 means at once, TIMER_NEVER never. */
uint64_t http_host_next_ns(const struct http_host *host);

/* Asks for a wake-up at this time at the latest, 0 meaning at once, whatever sockets bring. The handler calls
 * it in each wake-up that leaves it with something to do. */
void http_host_want_wake(struct http_host *host, uint64_t at_ns);

/* The time of this wake-up, read once. */
uint64_t http_host_now_ns(struct http_host *host);

/* Answers a request. False when its connection has gone. Call it within a wake-up: between its first input
 * and the end of wake_end, or before http_host_wake in any case. */
bool http_host_answer(struct http_host *host, struct http_ticket ticket,
                      const struct http_response *response);

/* Adds headers for origins that are let in to every answer. `cors` is borrowed; NULL, as at first: none. */
struct http_cors;
void http_host_set_cors(struct http_host *host, const struct http_cors *cors);

/* False when nobody waits for this answer any more. */
bool http_host_is_waiting(const struct http_host *host, struct http_ticket ticket);

/* From now on every answer closes its connection; idle ones are closed after grace_ns. */
void http_host_drain(struct http_host *host, uint64_t grace_ns);

uint32_t http_host_n_open(const struct http_host *host);
const struct http_stats *http_host_stats(const struct http_host *host);

#endif
