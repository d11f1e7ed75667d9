/* serve/service.h - the whole server of one process: models, worker threads, sockets.
 *
 *     service_start(&options, &model_backend_onnxd, fds, &service, &err);   // requests can be served
 *     ...wait for a signal...
 *     service_drain(service);        // stops accepting, answers what is under way
 *     service_stop(service);         // waits for that, frees
 *
 * Threads: service_start to service_stop from one thread; the others from any. */
#ifndef SERVE_SERVICE_H
#define SERVE_SERVICE_H

#include "net/http_server.h"
#include "serve/telemetry.h"
#include "serve/version.h"
#include "serve/worker.h"

#define SERVICE_MAX_WORKERS 1024u

struct admin_journal;
struct api_keys;
struct index_board;
struct tls_context;

struct service_model { /* a model file to serve */
    const char *name;  /* NULL: the file's name without ".onnx" */
    const char *path;
};

struct service_options {
    const struct service_model *models; /* borrowed for service_start */
    uint32_t n_models;
    const char *repository; /* folder of models, or NULL */
    uint64_t watch_ns;      /* how often to look for changes in it; 0: on service_reload alone */
    bool admin;             /* loading and unloading by request */
    int admin_fd;           /* with `admin`: where orders to all processes go (serve/admin_link.h), borrowed
                               until service_stop; 0: they are for this process alone */
    struct admin_journal *journal; /* orders of the past, carried out at start; borrowed until service_stop.
                                      Without admin_fd new ones are noted in it. NULL: none */
    struct index_board *board;     /* of all processes, borrowed; NULL: this is the only one */
    uint32_t n_workers;
    uint32_t n_compute; /* threads for long runs and large requests, from 1 */
    uint32_t process;   /* number of this process among those that share `telemetry` */
    struct http_limits limits;
    enum loop_kind loop;
    const struct http_cors *cors; /* borrowed until service_stop; NULL: foreign pages are kept out */
    struct version_settings version;
    uint64_t request_timeout_ns;
    uint64_t drain_timeout_ns;       /* what is not answered by then is cut off */
    struct tls_context *tls;         /* borrowed until service_stop; NULL: plain HTTP */
    const struct api_keys *api_keys; /* borrowed until service_stop; NULL: anybody may ask */
    int unix_fd; /* a listening unix socket, served beside the others; stays the caller's; -1: none */
    bool access_log;
    bool log_json;
    void (*reloaded)(void *context); /* a service_reload is done; on a thread of the service; may be NULL */
    void *reloaded_context;
};

struct service;

/* Opens a listening descriptor for each of n_workers, all on one port; port 0 picks one, which *ret_port
 * tells. ONNXD_ERR_IO names the address and why; also when another server has the port. */
ONNXD_MUST_USE onnxd_status service_listen(const char *host, uint16_t port, uint32_t n_workers, int *ret_fds,
                                           uint16_t *ret_port, onnxd_error *err);

/* Loads and warms the models, then starts a worker on each of fds[n_workers], which it takes over (they are
 * closed on failure too). Errors of loading name the model. */
ONNXD_MUST_USE onnxd_status service_start(const struct service_options *options,
                                          const struct model_backend *backend,
                                          const struct telemetry *telemetry, const int *fds,
                                          struct service **ret_service, onnxd_error *err);

/* Loads what is new or changed in the files and the folder, beside the serving threads. */
void service_reload(struct service *service);

/* True when every worker has gone round its loop since this was called before; asks each to do so again. For
 * a watchdog, from one thread. A wake-up asked for elsewhere a moment ago may make it false once. */
bool service_turns(struct service *service);

void service_drain(struct service *service);

/* Drains if that was not asked for, waits for the workers, frees. Takes NULL. */
void service_stop(struct service *service);

#endif
