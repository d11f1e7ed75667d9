/* load/load_reply.h - finds the ends of HTTP/1.1 replies in a stream, at the least cost.
 *
 * A load generator needs the status, where the next reply begins and whether the connection stays; that
 * takes one search for the head's end and a look at three headers. Content-Length, chunked bodies and
 * bodies up to the connection's end are known; interim (1xx) replies are passed over.
 *
 * Threads: one at a time. */
#ifndef LOAD_LOAD_REPLY_H
#define LOAD_LOAD_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_MAX_HEAD_BYTES 65536

enum load_reply_state {
    LOAD_HEAD,
    LOAD_BODY,
    LOAD_CHUNK_SIZE,
    LOAD_CHUNK_END,
    LOAD_TRAILER,
    LOAD_BODY_TO_END
};

struct load_reply { /* zeroed: before a reply */
    enum load_reply_state state;
    uint16_t status; /* of the reply under way or just done */
    bool chunked;
    bool closes;   /* the server closes behind this reply */
    uint64_t left; /* bytes of the body or chunk */
};

enum load_scan { LOAD_MORE, LOAD_DONE, LOAD_BAD };

/* Looks at bytes[0..n). Sets *used to how many are dealt with: LOAD_DONE: they end a reply (ask again for the
 * rest); LOAD_MORE: the others, the start of a line or head, must be given again with what follows them;
 * LOAD_BAD: this is no HTTP/1.1 reply. */
enum load_scan load_reply_scan(struct load_reply *reply, const char *bytes, size_t n, size_t *used);

/* The connection has ended: whether that completes the reply under way. */
bool load_reply_end(struct load_reply *reply);

#endif
