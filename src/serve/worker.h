/* serve/worker.h - one serving thread's part of the server, without its socket: requests in, answers out.
 *
 * A worker is the handler of an http host. It routes requests, gathers rows in the lanes of the models'
 * versions, and at the end of each wake-up runs the lanes and answers. What would hold it up goes to compute
 * threads as a job and comes back when it is ready to be sent.
 *
 * A new catalog is handed over with worker_offer_catalog; it is taken up between two wake-ups.
 *
 * Threads: one, except where said. */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include <stdatomic.h>

#include "net/http_host.h"
#include "serve/catalog.h"
#include "serve/lane.h"
#include "serve/telemetry.h"

struct admin_link;
struct api_keys;
struct compute;
struct gunzip;
struct repository;
struct scrape;

struct worker_config { /* the same for all workers; immutable but for the atomics */
    const struct telemetry *telemetry;
    uint64_t request_timeout_ns; /* a request not run within it is answered 504 */
    uint64_t max_answer_bytes;
    struct repository *repository; /* for its index; and with `admin` to load and unload */
    bool admin;
    struct admin_link *link; /* brings orders to all processes; NULL: they are for the repository here */
    struct compute *compute;
    const struct api_keys *api_keys; /* NULL: anybody may ask */
    uint64_t max_body_bytes;         /* of a gzip body, unpacked */
    bool access_log;
    bool log_json;
    /* Takes whole lines of the access log. NULL: standard output. */
    void (*access_sink)(void *context, const char *text, size_t n);
    void *access_context;
    _Atomic bool ready; /* models are loaded and the server is not stopping */
};

struct worker {
    const struct worker_config *config;
    uint32_t index;
    struct http_host *host; /* set by worker_attach */
    struct clock clock;
    struct catalog *catalog;
    _Atomic(struct catalog *) offered;
    struct telemetry_writer stats;
    struct lane *busy, *last_busy;
    struct lane_sink sink;
    struct gunzip *gunzip;
    struct arena unpacked;   /* bodies of this wake-up that came packed */
    struct buf body;         /* of the answer being written */
    struct buf access;       /* lines of this wake-up */
    uint64_t parsed_ns;      /* when the request before was done with, to time the next */
    _Atomic uint32_t n_jobs; /* of others, the repository or compute threads, that will be answered here */
    struct job *out;         /* those of compute threads */
    uint64_t n_closed_seen;  /* connections, when it was looked last whose jobs nobody waits for */
    _Atomic(struct job *) finished;   /* pushed by compute threads, newest first */
    _Atomic(struct scrape *) scraped; /* the same of answers to /metrics */
    uint32_t n_scrapes;               /* under way */
    /* Brings a task to this worker's thread. */
    void (*post)(void *context, struct loop_task *task);
    void *post_context;
    /* Any thread: brings about a wake-up. NULL: the caller does. */
    void (*wake)(void *post_context);
    uint64_t cpu_read_ns; /* when the thread's processor time was read last */
};

/* `catalog`: a reference is taken. */
ONNXD_MUST_USE onnxd_status worker_init(struct worker *worker, const struct worker_config *config,
                                        uint32_t process, uint32_t index, struct catalog *catalog,
                                        const struct clock *clock, onnxd_error *err);
void worker_done(struct worker *worker); /* takes a zeroed one */

/* The handler to create the host or server with, and the host that came of it. */
struct http_handler worker_handler(struct worker *worker);
void worker_attach(struct worker *worker, struct http_host *host);

/* Any thread; a reference is taken. The worker takes it up in its next wake-up, which the caller brings
 * about. */
void worker_offer_catalog(struct worker *worker, struct catalog *catalog);

/* Fails what still waits. */
void worker_cancel(struct worker *worker);

#endif
