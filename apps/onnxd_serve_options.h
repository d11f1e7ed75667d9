/* onnxd_serve_options.h - the options of `onnxd serve`, and what the server is started with. */
#ifndef ONNXD_SERVE_OPTIONS_H
#define ONNXD_SERVE_OPTIONS_H

#include "cli_options.h"
#include "serve/service.h"

struct serve_settings {
    struct cli_texts models, cors_origins;
    struct service_model served[CLI_MAX_TEXTS]; /* `models`, taken apart */
    char names[CLI_MAX_TEXTS][VERSION_NAME_BYTES];
    const char *repository, *host, *unix_path, *api_key_file, *tls_cert, *tls_key;
    uint32_t port, workers, processes;
    int engine, precision, event_loop, log_level, log_format;
    uint32_t compute_threads, warm_up_rows, stats_interval;
    int place;
    struct cli_numbers preferred;
    uint64_t max_queue_delay_us;
    uint32_t max_batch, max_queue_size, max_head_bytes, max_connections, max_pipelined;
    uint64_t max_body_bytes, max_answer_bytes;
    uint64_t idle_timeout_ms, request_timeout_ms, write_timeout_ms, drain_timeout_ms;
    bool access_log, admin, watch, port_per_process;
};

extern const struct cli_command serve_command;

/* Reads the command line and the environment and checks what options say together. *ret keeps its place
 * afterwards: it points into itself. CLI_GO_ON, or the exit code. */
int serve_settings_read(int argc, char **argv, struct serve_settings *ret);

/* What the settings say to the server; borrows them. */
struct service_options serve_settings_to_options(const struct serve_settings *settings);

#endif
