/* bench/deployment.h - servers to measure: one process, several that share a port, or several behind nginx.
 *
 *     deployment_start(&options, &d, &err);     // returns once requests are answered
 *     ... load on d.url ...
 *     deployment_stop(&d);
 *
 * Behind nginx every server is a process of its own with a port of its own; the configuration that is written
 * for nginx spreads requests by least_conn over keep-alive connections, with a worker for each CPU that this
 * process may run on.
 *
 * Everything started is stopped by deployment_stop, and goes when this process goes (child_process.h).
 * Threads: the main thread. */
#ifndef BENCH_DEPLOYMENT_H
#define BENCH_DEPLOYMENT_H

#include "base/buf.h"
#include "bench/child_process.h"

#define DEPLOYMENT_MAX_SERVERS 64
#define DEPLOYMENT_MAX_WORDS   64

enum deployment_kind { DEPLOYMENT_STRAIGHT, DEPLOYMENT_NGINX };

struct deployment_options {
    const char *program;      /* onnxd */
    const char *const *words; /* further words of `onnxd serve`, such as --model F; ends with NULL */
    enum deployment_kind kind;
    uint32_t n_processes;
    uint32_t connections;        /* that nginx must be able to take */
    uint16_t port;               /* clients'; 0: a free one */
    const uint32_t *server_cpus; /* [n_server_cpus] that servers run on alone; n_server_cpus 0: wherever */
    uint32_t n_server_cpus;
};

struct deployment {
    enum deployment_kind kind;
    uint32_t n_processes;
    struct child servers[DEPLOYMENT_MAX_SERVERS];
    uint16_t ports[DEPLOYMENT_MAX_SERVERS]; /* of the servers */
    uint32_t n_servers;                     /* programs started: straight 1, whatever n_processes is */
    struct child nginx;
    uint16_t port;
    char url[64];    /* http://127.0.0.1:PORT */
    char folder[64]; /* nginx's files */
};

/* ONNXD_ERR_BUSY: the port is taken; ONNXD_ERR_NOT_FOUND: no nginx; ONNXD_ERR_LIMIT: too few file
 * descriptors; and what a server said when it ended. Each says what to do. Nothing is left running on
 * failure. */
ONNXD_MUST_USE onnxd_status deployment_start(const struct deployment_options *options, struct deployment *ret,
                                             onnxd_error *err);
void deployment_stop(struct deployment *deployment); /* takes a zeroed one */

/* ONNXD_ERR_IO names the program that has ended. */
ONNXD_MUST_USE onnxd_status deployment_check(struct deployment *deployment, onnxd_error *err);

/* Processes of the servers, then those of nginx, in usage[CHILD_MAX_PROCESSES]; *ret_n_servers: how many are
 * servers'. Returns how many there are in all. */
uint32_t deployment_usage(const struct deployment *deployment, struct process_usage *usage,
                          uint32_t *ret_n_servers);

/* ---- nginx ---- */

struct nginx_config {
    const char *folder;
    uint16_t port;
    const uint16_t *upstreams; /* [n] ports */
    uint32_t n;
    uint32_t connections;
    uint32_t n_workers;
    bool as_root; /* workers keep the user, who can reach the folder */
};

/* The configuration's text. */
void nginx_config_write(const struct nginx_config *config, struct buf *buf);

#endif
