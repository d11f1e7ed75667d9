/* net/http_conn.h - what src/net/http_host*.c share; of no concern to others. */
#ifndef NET_HTTP_CONN_H
#define NET_HTTP_CONN_H

#include "base/buf.h"
#include "net/http_cors.h"
#include "net/http_host.h"
#include "net/http_parser.h"
#include "net/timer_wheel.h"

#define SLOT_NONE UINT32_MAX
#define N_SPARE   16u /* input buffers kept for the next connection that needs one */

enum slot_state { SLOT_FREE, SLOT_WAITING, SLOT_ANSWERED };

struct http_slot { /* one request under way; those of a connection form a queue in order of arrival */
    struct http_conn *conn;
    uint32_t generation;
    uint32_t next; /* in the queue, or in the list of free slots */
    uint8_t state; /* enum slot_state */
    bool head_only;
    bool close; /* the connection ends behind this answer */
    bool http10;
    const char *cors; /* header lines, or NULL */
    char *late;       /* an answer that waits for those before it, owned; or NULL: in host->answers */
    size_t offset;    /* in host->answers */
    size_t n;
};

enum conn_state {
    CONN_OPEN,
    CONN_CLOSING, /* no more requests are read; closes behind the last answer */
    CONN_LINGERING,
    CONN_CLOSED /* memory is given back at the end of the wake-up */
};

struct http_conn {
    struct loop_stream stream;
    struct http_host *host;
    struct timer timer;
    struct http_conn *next_dirty, *prev_open, *next_open; /* next_open also links free ones */
    void *user;
    uint8_t state; /* enum conn_state */
    bool is_dirty;
    bool ended;     /* the peer sends nothing more */
    bool paused;    /* input is not parsed or asked for */
    bool resumable; /* holds bytes that the next wake-up parses, without being told to */
    bool parsing;
    bool continued; /* "100 Continue" was sent for the present message */
    bool refused;   /* opened past max_connections */
    uint32_t first, last, n_slots;
    struct buf in;       /* bytes of messages that are not complete, when they do not lie in input's bytes */
    size_t n_done;       /* of `in`: belong to requests of this wake-up, dropped at its end */
    size_t n_fed;        /* of `in`: seen by the parser, n_done included */
    struct buf out;      /* answers the peer has not taken */
    uint64_t ended_ns;   /* when `ended` was set */
    uint32_t n_probes;   /* interim answers sent since, to learn whether the peer is still there */
    uint64_t begun_ns;   /* first byte of the message under way */
    uint64_t active_ns;  /* last request or answer */
    uint64_t written_ns; /* last byte the peer took */
    struct http_parser parser;
};

struct http_host {
    struct http_limits limits;
    struct http_parser_limits parser_limits;
    struct http_handler handler;
    struct http_transport transport;
    struct clock clock;
    const struct http_cors *cors; /* NULL: off */
    struct timer_wheel wheel;
    struct http_conn *open, *free_conns;
    struct http_conn *dirty, *last_dirty; /* those that this wake-up touched, in order */
    uint32_t n_open, n_refused_open, n_resumable;
    struct http_slot *slots;
    uint32_t n_slots, capacity_slots, free_slot;
    struct buf answers; /* all of this wake-up */
    struct buf retired; /* char *: input buffers that this wake-up has outgrown */
    struct buf spare[N_SPARE];
    uint32_t n_spare;
    bool draining;
    bool now_known;
    uint64_t now_ns, drain_grace_end_ns;
    uint64_t wanted_ns; /* the handler's next wake-up */
    uint64_t date_s;
    char date[40]; /* "Date: ...\r\n" */
    size_t n_date;
    struct http_stats stats;
};

/* http_host_input.c */
void conn_parse_held(struct http_host *host, struct http_conn *conn);
bool conn_is_mid_message(const struct http_conn *conn);
void conn_drop_done(struct http_host *host, struct http_conn *conn);
void host_free_retired(struct http_host *host);

/* http_host_output.c */
uint32_t slot_push(struct http_host *host, struct http_conn *conn);
void slots_drop(struct http_host *host, struct http_conn *conn);
void conn_answer_error(struct http_host *host, struct http_conn *conn, uint16_t status, const char *message,
                       uint64_t limit, struct http_view origin);
void conn_send_continue(struct http_host *host, struct http_conn *conn);
void conn_flush(struct http_host *host, struct http_conn *conn);

/* When a peer whose end was seen is probed next, TIMER_NEVER: not at all; and doing so. */
uint64_t conn_probe_ns(const struct http_host *host, const struct http_conn *conn);
void conn_probe(struct http_host *host, struct http_conn *conn);

/* http_host.c */
void conn_mark(struct http_host *host, struct http_conn *conn);
void conn_close(struct http_host *host, struct http_conn *conn);
void conn_pause(struct http_host *host, struct http_conn *conn, bool pause);

#endif
