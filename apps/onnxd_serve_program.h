/* onnxd_serve_program.h - what `onnxd serve` holds, and its listening sockets. */
#ifndef ONNXD_SERVE_PROGRAM_H
#define ONNXD_SERVE_PROGRAM_H

#include "onnxd_serve_options.h"
#include "serve/admin_journal.h"
#include "serve/admin_relay.h"
#include "serve/index_board.h"
#include "serve/notify.h"

struct program { /* what all processes share */
    const struct serve_settings *settings;
    struct service_options options;
    struct telemetry telemetry;
    int *fds; /* [processes * workers]; -1: closed while its process is away */
    uint32_t n_fds;
    struct api_keys *api_keys;
    struct tls_context *tls;
    struct http_cors *cors;
    uint16_t *ports; /* [processes] */
    char host[256];  /* that it is on: of a socket that was given, else as in the settings */
    char path[4096];
    char **argv;
    struct notify notify;
    struct admin_journal
        journal;               /* what was ordered by request; the supervisor's, or that of the one process */
    struct admin_relay *relay; /* of orders to several processes; NULL: none */
    struct index_board *board; /* NULL: one process */
    uint64_t *turns_seen;      /* [processes], when the watchdog was fed last */
};

/* Opens or takes over the sockets of all processes, the unix socket too. */
onnxd_status program_open_sockets(struct program *program, onnxd_error *err);

/* Closes all. Connections that come from now on are another program's, if it has these sockets too, or
 * refused. */
void program_close_sockets(struct program *program);

/* Closes those of one process, or of all others. */
void program_close_process(struct program *program, uint32_t process);
void program_close_others(struct program *program, uint32_t process);

/* Opens those of a process that were closed. ONNXD_ERR_IO. */
onnxd_status program_reopen_process(struct program *program, uint32_t process, onnxd_error *err);

#endif
