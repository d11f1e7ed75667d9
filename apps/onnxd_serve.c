#include "onnxd_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/error.h"
#include "base/log.h"
#include "cli_precision.h"
#include "net/net_socket.h"
#include "net/tls.h"
#include "onnxd_serve_options.h"
#include "serve/api_keys.h"
#include "serve/supervisor.h"

/* ---- processes -------------------------------------------------------------------------------------- */

struct program { /* what all processes share */
    const struct serve_settings *settings;
    struct service_options options;
    struct telemetry telemetry;
    int *fds; /* [processes * workers] */
    uint32_t n_fds;
    struct api_keys *api_keys;
    struct tls_context *tls;
    uint16_t port; /* the first */
    char path[4096];
    char **argv;
};

static onnxd_status open_unix(struct program *program, onnxd_error *err)
{
    struct net_address address;
    const char *path = program->settings->unix_path;
    if (path == NULL) return ONNXD_OK;
    onnxd_status status = net_address_unix(path, &address, err);
    if (status != ONNXD_OK) return status;
    return net_listen(&address, false, &program->options.unix_fd, NULL, err);
}

static onnxd_status read_keys(struct program *program, onnxd_error *err)
{
    if (program->settings->api_key_file == NULL) return ONNXD_OK;
    onnxd_status status = api_keys_read(program->settings->api_key_file, &program->api_keys, err);
    program->options.api_keys = program->api_keys;
    return status;
}

static onnxd_status read_tls(struct program *program, onnxd_error *err)
{
    const struct serve_settings *settings = program->settings;
    if (settings->tls_cert == NULL) return ONNXD_OK;
    onnxd_status status = tls_context_create(settings->tls_cert, settings->tls_key, &program->tls, err);
    program->options.tls = program->tls;
    return status;
}

static onnxd_status open_sockets(struct program *program, onnxd_error *err)
{
    const struct serve_settings *settings = program->settings;
    uint32_t n_workers = program->options.n_workers, n_taken = 0;
    program->n_fds = settings->processes * n_workers;
    program->fds = calloc(program->n_fds, sizeof *program->fds);
    if (program->fds == NULL) return ONNXD_ERR_NOMEM;
    onnxd_status status = handover_take(program->fds, program->n_fds, &n_taken, err);
    if (status != ONNXD_OK) return status;
    if (n_taken > 0) {
        program->port = net_socket_port(program->fds[0]);
        if (n_taken == program->n_fds) return ONNXD_OK;
        return error_set(err, ONNXD_ERR_ARGUMENT, "taking over: expected %u listening sockets, got %u",
                         program->n_fds, n_taken);
    }
    if (!settings->port_per_process)
        return service_listen(settings->host, (uint16_t)settings->port, program->n_fds, program->fds,
                              &program->port, err);
    for (uint32_t p = 0; status == ONNXD_OK && p < settings->processes; p++) {
        uint16_t port = 0;
        if (settings->port > 0 && settings->port + p > 65535)
            return error_set(err, ONNXD_ERR_RANGE, "--port-per-process: ports end at 65535");
        status = service_listen(settings->host, (uint16_t)(settings->port > 0 ? settings->port + p : 0),
                                n_workers, program->fds + p * n_workers, &port, err);
        if (p == 0) program->port = port;
    }
    return status;
}

/* Connections that come from now on are another program's, if it has these sockets too, or refused. */
static void close_sockets(struct program *program)
{
    for (uint32_t i = 0; i < program->n_fds; i++) close(program->fds[i]);
    program->n_fds = 0;
    if (program->options.unix_fd >= 0) close(program->options.unix_fd);
    program->options.unix_fd = -1;
}

static void upgrade(void *context)
{
    struct program *program = context;
    onnxd_error err;
    log_info("SIGUSR2: starting %s with the listening sockets", program->path);
    if (handover_start(program->path, program->argv, program->fds, program->n_fds, &err) != ONNXD_OK)
        log_error("%s", err.message);
}

static void tell_ready(void *context)
{
    const struct program *program = context;
    const char *host = program->settings->host;
    bool is_v6 = strchr(host, ':') != NULL;
    char line[512];
    int n = snprintf(line, sizeof line, "listening on %s://%s%s%s:%u\n",
                     program->tls != NULL ? "https" : "http", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                     program->port);
    if (n > 0) fwrite(line, 1, (size_t)n, stderr);
    handover_finish();
}

static void count_restart(void *context, uint32_t process)
{
    const struct program *program = context;
    tally_add(&telemetry_process(&program->telemetry, process)->restarts, 1);
}

/* Signals are waited for here, so no other thread may take them. */
static void wait_for_end(const sigset_t *signals, struct program *program, struct service *service)
{
    int signal_number = 0;
    for (;;) {
        if (sigwait(signals, &signal_number) != 0) continue;
        if (signal_number == SIGHUP) {
            log_info("SIGHUP: looking for changed models");
            service_reload(service);
        } else if (signal_number == SIGUSR2) {
            if (program->settings->processes == 1) upgrade(program);
        } else {
            break;
        }
    }
    log_info("signal %d: stopping", signal_number);
}

/* Serves until told to stop. */
static int serve(void *context, uint32_t process)
{
    struct program *program = context;
    struct service *service = NULL;
    onnxd_error err = {.status = ONNXD_ERR_NOMEM, .message = "out of memory"};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    program->options.process = process;
    uint32_t n_workers = program->options.n_workers;
    int *fds = calloc(n_workers, sizeof *fds);
    onnxd_status status = fds != NULL ? ONNXD_OK : ONNXD_ERR_NOMEM;
    for (uint32_t i = 0; status == ONNXD_OK && i < n_workers; i++) {
        /* A copy: the program keeps its own for a program that takes over, and for a process started again.
         */
        fds[i] = fcntl(program->fds[process * n_workers + i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0) status = error_set(&err, ONNXD_ERR_IO, "cannot copy a socket: %s", strerror(errno));
    }
    if (status == ONNXD_OK)
        status = service_start(&program->options, &model_backend_onnxd, &program->telemetry, fds, &service,
                               &err);
    free(fds);
    if (status != ONNXD_OK) return cli_fail(serve_command.name, &err);
    if (program->settings->processes == 1)
        tell_ready(program);
    else
        supervisor_ready();
    wait_for_end(&signals, program, service);
    service_drain(service);
    if (program->settings->processes == 1) close_sockets(program);
    service_stop(service);
    return CLI_EXIT_OK;
}

/* The words to start the program with: its file, then argv from the subcommand on. */
static char **words_of(struct program *program, int argc, char **argv)
{
    char **words = calloc((size_t)argc + 2, sizeof *words);
    if (words == NULL) return NULL;
    words[0] = program->path;
    memcpy(words + 1, argv, (size_t)argc * sizeof *words);
    return words;
}

static int run(const struct serve_settings *settings, int argc, char **argv)
{
    onnxd_error err = {.status = ONNXD_ERR_NOMEM, .message = "out of memory"};
    struct program program = {.settings = settings, .options = serve_settings_to_options(settings)};
    if (program.options.n_workers == 0) {
        program.options.n_workers = cpus_usable() / settings->processes;
        if (program.options.n_workers == 0) program.options.n_workers = 1;
    }
    if (program.options.n_compute == 0) program.options.n_compute = program.options.n_workers;
    ssize_t n = readlink("/proc/self/exe", program.path, sizeof program.path - 1);
    program.path[n > 0 ? n : 0] = 0;
    program.argv = words_of(&program, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    int code = CLI_EXIT_OK;
    if (program.argv == NULL || read_keys(&program, &err) != ONNXD_OK ||
        read_tls(&program, &err) != ONNXD_OK || open_sockets(&program, &err) != ONNXD_OK ||
        open_unix(&program, &err) != ONNXD_OK ||
        telemetry_create(settings->processes, program.options.n_workers, program.options.n_compute,
                         &program.telemetry, &err) != ONNXD_OK) {
        code = cli_fail(serve_command.name, &err);
    } else if (settings->processes == 1) {
        code = serve(&program, 0);
    } else {
        struct supervisor_options supervised = {.n_processes = settings->processes,
                                                .context = &program,
                                                .run = serve,
                                                .all_ready = tell_ready,
                                                .restarted = count_restart,
                                                .upgrade = upgrade};
        code = supervisor_run(&supervised);
    }
    telemetry_done(&program.telemetry);
    if (program.options.unix_fd >= 0) close(program.options.unix_fd);
    api_keys_free(program.api_keys);
    tls_context_free(program.tls);
    free(program.fds);
    free(program.argv);
    return code;
}

int onnxd_serve_main(int argc, char **argv)
{
    struct serve_settings settings;
    int code = serve_settings_read(argc, argv, &settings);
    if (code != CLI_GO_ON) return code;
    log_configure((enum log_level)settings.log_level, settings.log_format == 1);
    for (uint32_t i = 0; settings.precision == ONNXD_PRECISION_BF16 && i < settings.models.n; i++)
        cli_report_precision(settings.served[i].path);
    return run(&settings, argc, argv);
}
