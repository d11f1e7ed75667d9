/* support/wire.h - a host on memory instead of sockets, a clock that the test owns, and a handler whose path
 * says what to do:
 *
 *   /echo      answers at once with the body
 *   /group     answers in wake_end, in order
 *   /reverse   answers in wake_end, last first
 *   /view      answers in wake_end with the body, of which it kept the view
 *   /keep      keeps the ticket in rig->kept for the test to answer
 *   /none      answers 204
 *   /close     answers and closes */
#ifndef SUPPORT_WIRE_H
#define SUPPORT_WIRE_H

#include "base/buf.h"
#include "net/http_host.h"
#include "support/test.h"

#define RIG_TICKETS 4096
#define RIG_GIVEN   256

struct wire {               /* one connection's other end */
    struct http_conn *conn; /* NULL: closed */
    struct buf got;         /* what the host sent */
    size_t takes;           /* bytes the peer takes before its window is full */
    bool shut, paused;
    uint32_t n_sends;
};

struct rig {
    struct http_host *host;
    struct http_limits limits;
    struct clock clock;
    uint64_t now_ns;
    struct http_ticket grouped[RIG_TICKETS], kept[RIG_TICKETS];
    bool reversed[RIG_TICKETS];
    struct http_view views[RIG_TICKETS];
    uint32_t n_grouped, n_kept, n_requests;
    char *given[RIG_GIVEN]; /* input of this wake-up, freed at its end */
    uint32_t n_given;
    char last_body[512], last_path[128], last_query[128], last_header[HTTP_N_HEADERS][128];
    struct http_request last;
};

void rig_init(struct rig *rig, const struct http_limits *limits); /* NULL: defaults */

/* The same with another handler in place of the one above. */
void rig_init_with(struct rig *rig, const struct http_limits *limits, const struct http_handler *handler);
void rig_done(struct rig *rig);

struct wire *wire_open(struct rig *rig); /* freed by wire_free */
void wire_free(struct rig *rig, struct wire *wire);

/* Gives bytes to the host, in a heap block of exactly that size that is freed when the wake-up has ended. */
void wire_give(struct rig *rig, struct wire *wire, const void *bytes, size_t n);
void rig_wake(struct rig *rig);

/* Both at once. */
void wire_send(struct rig *rig, struct wire *wire, const char *text);
void wire_send_bytes(struct rig *rig, struct wire *wire, const void *bytes, size_t n);
void rig_settle(struct rig *rig); /* wake-ups until none is due at once */

/* The i-th response received (0 first), as status and body; fails the test when there is none. */
uint16_t wire_response(const struct wire *wire, uint32_t i, char *body, size_t n_body);
uint32_t wire_n_responses(const struct wire *wire);

#define assert_response(wire, i, want_status, want_body)                                        \
    do {                                                                                        \
        char response_body[4096];                                                               \
        uint16_t response_status = wire_response(wire, i, response_body, 4096);                 \
        if (response_status != (want_status) || strstr(response_body, want_body) == NULL)       \
            fail_msg("response %u: expected %d with \"%s\", got %d with \"%s\"", (unsigned)(i), \
                     (int)(want_status), want_body, (int)response_status, response_body);       \
    } while (0)

#endif
