/* load/load_conn.h - a connection of the load generator: bytes out, replies in, with or without TLS.
 *
 * It knows nothing of when requests are sent; its lane (load/load_worker.h) is told what happened by the
 * callbacks below, which that file implements.
 *
 * Threads: one at a time. */
#ifndef LOAD_LOAD_CONN_H
#define LOAD_LOAD_CONN_H

#include <sys/uio.h>

#include "base/buf.h"
#include "load/load_recorder.h"
#include "load/load_reply.h"
#include "net/tls.h"

struct load_lane;

enum load_conn_state {
    LOAD_DOWN,
    LOAD_CONNECTING,
    LOAD_SHAKING, /* TLS: until keys are agreed */
    LOAD_READY
};

struct load_conn {
    struct load_lane *lane;
    enum load_conn_state state;
    int fd; /* -1: down */
    bool wants_write, is_free;
    struct tls_session *tls;
    struct load_reply reply;
    struct buf in;          /* the start of a head or line, until the rest comes */
    struct buf out;         /* what could not be sent yet, before encryption */
    struct load_sent *sent; /* [pipeline], a ring */
    uint32_t first, n_sent;
    uint64_t retry_ns; /* not opened again before */
    struct load_conn *next_free;
};

/* What a thread's connections share. */
struct load_wire {
    int epoll_fd;
    char *scratch, *plain; /* received bytes, and what TLS made of them */
    size_t n_plain;
    uint32_t pipeline;
    struct load_recorder *recorder;
};

ONNXD_MUST_USE onnxd_status load_wire_init(struct load_wire *wire, onnxd_error *err);
void load_wire_done(struct load_wire *wire); /* takes a zeroed one */

bool load_conn_init(struct load_conn *conn, struct load_lane *lane); /* false: no memory */
void load_conn_done(struct load_conn *conn);

/* Begins to connect; stays down when that fails at once. */
void load_conn_open(struct load_conn *conn);

/* Closes; what was under way has failed. */
void load_conn_drop(struct load_conn *conn, enum load_fault fault, uint64_t now_ns);

/* Sends bytes, or keeps what cannot go yet. False: the connection broke. */
bool load_conn_send(struct load_conn *conn, const struct iovec *iov, int n_iov, size_t total);

/* The socket has something to say (epoll's events). */
void load_conn_event(struct load_conn *conn, uint32_t events);

/* ---- implemented by the worker ---- */

/* It can send for the first time. */
void load_conn_on_ready(struct load_conn *conn, uint64_t now_ns);

/* n requests were answered. */
void load_conn_on_replies(struct load_conn *conn, uint32_t n, uint64_t now_ns);

/* The server closed it behind a reply; load_conn_drop has been called. */
void load_conn_on_close(struct load_conn *conn, uint64_t now_ns);

#endif
