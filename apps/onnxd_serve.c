#include "onnxd_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/log.h"
#include "cli_options.h"
#include "cli_precision.h"
#include "net/net_socket.h"
#include "net/tls.h"
#include "serve/api_keys.h"
#include "serve/service.h"
#include "serve/supervisor.h"

struct settings {
    struct cli_texts models;
    const char *repository, *host, *unix_path, *api_key_file, *tls_cert, *tls_key;
    uint32_t port, workers, processes;
    int engine, precision, log_level, log_format;
    uint32_t max_batch, max_queue_size, max_head_bytes, max_connections, max_pipelined;
    uint64_t max_body_bytes, max_answer_bytes;
    uint64_t idle_timeout_ms, request_timeout_ms, write_timeout_ms, drain_timeout_ms;
    bool access_log, admin, watch, port_per_process;
};
#define AT(member) CLI_AT(struct settings, member)

#define DAY_MS 86400000

static const struct cli_option options[] = {
    {.type = CLI_HEADING, .help = "Models"},
    {"model", CLI_TEXTS, AT(models), "[NAME=]FILE",
     "ONNX file to serve; may be repeated, and the first one answers /predict"},
    {"repository", CLI_TEXT, AT(repository), "DIR", "folder of models, DIR/<model>/<version>/model.onnx"},
    {"watch", CLI_FLAG, AT(watch), NULL, "look every second for changes in model files, as SIGHUP does once"},
    {"admin", CLI_FLAG, AT(admin), NULL, "allow loading and unloading of models by request"},
    {"engine", CLI_CHOICE, AT(engine), "auto|native|onnxruntime", "what runs the models"},
    {"precision", CLI_CHOICE, AT(precision), "fp32|bf16",
     "bf16: half the bytes of weights; the error is told at start"},
    {"max-batch", CLI_U32, AT(max_batch), "ROWS", "most rows of one run", 1, 65536},
    {"max-queue-size", CLI_U32, AT(max_queue_size), "N",
     "large requests that may wait for their turn, then 503", 1, 1000000},

    {.type = CLI_HEADING, .help = "Network"},
    {"host", CLI_TEXT, AT(host), "ADDRESS", "address to listen on"},
    {"port", CLI_U32, AT(port), "PORT", "port to listen on; 0 picks a free one", 0, 65535, .env = "PORT"},
    {"unix", CLI_TEXT, AT(unix_path), "PATH", "also listen on a unix socket"},
    {"tls-cert", CLI_TEXT, AT(tls_cert), "FILE", "speak TLS with this certificate chain, PEM"},
    {"tls-key", CLI_TEXT, AT(tls_key), "FILE", "its key, PEM"},
    {"api-key-file", CLI_TEXT, AT(api_key_file), "FILE",
     "only answer requests with one of these keys, one a line, as X-API-Key or Authorization: Bearer"},
    {"workers", CLI_U32, AT(workers), "N",
     "serving threads of each process; 0 means that all processes together have one for each usable CPU", 0,
     1024},
    {"processes", CLI_U32, AT(processes), "N", "serving processes; one that dies is started again", 1, 256},
    {"port-per-process", CLI_FLAG, AT(port_per_process), NULL,
     "ports PORT..PORT+N-1, for a load balancer in front, in place of one for all"},

    {.type = CLI_HEADING, .help = "Limits"},
    {"max-body-bytes", CLI_BYTES, AT(max_body_bytes), "N", "largest request body, then 413", 1, 1u << 30},
    {"max-head-bytes", CLI_U32, AT(max_head_bytes), "N", "largest request line with headers, then 431", 256,
     1u << 20},
    {"max-answer-bytes", CLI_BYTES, AT(max_answer_bytes), "N", "largest answer, then 413", 1024, 1u << 30},
    {"max-connections", CLI_U32, AT(max_connections), "N", "open connections of each worker, then 503", 1,
     1000000},
    {"max-pipelined", CLI_U32, AT(max_pipelined), "N", "unanswered requests of one connection; more wait", 1,
     65536},
    {"idle-timeout-ms", CLI_U64, AT(idle_timeout_ms), "MS", "an idle connection is closed", 1, DAY_MS},
    {"request-timeout-ms", CLI_U64, AT(request_timeout_ms), "MS",
     "for a request to arrive, then 408, and to be run, then 504", 1, DAY_MS},
    {"write-timeout-ms", CLI_U64, AT(write_timeout_ms), "MS", "a peer that takes no byte is closed", 1,
     DAY_MS},
    {"drain-timeout-ms", CLI_U64, AT(drain_timeout_ms), "MS",
     "on SIGTERM, for requests under way to be answered", 0, DAY_MS},

    {.type = CLI_HEADING, .help = "Logging"},
    {"log-level", CLI_CHOICE, AT(log_level), "error|warn|info|debug", "what is logged on standard error"},
    {"log-format", CLI_CHOICE, AT(log_format), "text|json", "of both logs"},
    {"access-log", CLI_FLAG, AT(access_log), NULL, "a line for each request on standard output"},
};

static const struct cli_command command = {
    .name = "onnxd serve",
    .summary = "serves ONNX models over HTTP: /predict, /infer, /v2 (Open Inference Protocol),\n"
               "/v1/models/M:predict, /health and /metrics",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "SIGTERM and SIGINT answer what is under way and exit with 0. SIGHUP loads what is new or "
             "changed.\n\n"
             "  onnxd serve --model deepfm.onnx\n"
             "  curl -d '{\"features\":[4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125]}' "
             "localhost:3000/predict",
};

static struct settings default_settings(void)
{
    struct http_limits limits = http_limits_default();
    return (struct settings){
        .host = "127.0.0.1",
        .port = 3000,
        .processes = 1,
        .log_level = LOG_LEVEL_WARN,
        .max_batch = 64,
        .max_queue_size = 1024,
        .max_body_bytes = limits.max_body_bytes,
        .max_head_bytes = limits.max_head_bytes,
        .max_answer_bytes = 64u << 20,
        .max_connections = limits.max_connections,
        .max_pipelined = limits.max_pipelined,
        .idle_timeout_ms = limits.idle_timeout_ns / NS_PER_MS,
        .request_timeout_ms = limits.request_timeout_ns / NS_PER_MS,
        .write_timeout_ms = limits.write_timeout_ns / NS_PER_MS,
        .drain_timeout_ms = 10000,
    };
}

static struct service_options service_options(const struct settings *settings,
                                              const struct service_model *models)
{
    struct http_limits limits = http_limits_default();
    limits.max_body_bytes = settings->max_body_bytes;
    limits.max_head_bytes = settings->max_head_bytes;
    limits.max_connections = settings->max_connections;
    limits.max_pipelined = settings->max_pipelined;
    limits.idle_timeout_ns = settings->idle_timeout_ms * NS_PER_MS;
    limits.request_timeout_ns = settings->request_timeout_ms * NS_PER_MS;
    limits.write_timeout_ns = settings->write_timeout_ms * NS_PER_MS;
    return (struct service_options){
        .models = models,
        .n_models = settings->models.n,
        .repository = settings->repository,
        .watch_ns = settings->watch ? NS_PER_S : 0,
        .admin = settings->admin,
        .n_workers = settings->workers,
        .limits = limits,
        .version = {.model.engine = (onnxd_engine)settings->engine,
                    .model.precision = (onnxd_precision)settings->precision,
                    .max_batch = settings->max_batch,
                    .max_queue_size = settings->max_queue_size,
                    .max_answer_bytes = settings->max_answer_bytes},
        .request_timeout_ns = settings->request_timeout_ms * NS_PER_MS,
        .drain_timeout_ns = settings->drain_timeout_ms * NS_PER_MS,
        .unix_fd = -1,
        .access_log = settings->access_log,
        .log_json = settings->log_format == 1,
    };
}

/* "name=file" or "file"; a '=' behind a '/' belongs to the file. */
static bool split_model(const char *text, struct service_model *ret, char **ret_name)
{
    const char *mark = strchr(text, '='), *slash = strchr(text, '/');
    *ret = (struct service_model){.path = text};
    if (mark == NULL || mark == text || (slash != NULL && slash < mark)) return true;
    *ret_name = strndup(text, (size_t)(mark - text));
    *ret = (struct service_model){.name = *ret_name, .path = mark + 1};
    return *ret_name != NULL;
}

/* ---- processes -------------------------------------------------------------------------------------- */

struct program { /* what all processes share */
    const struct settings *settings;
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
    const struct settings *settings = program->settings;
    if (settings->tls_cert == NULL) return ONNXD_OK;
    onnxd_status status = tls_context_create(settings->tls_cert, settings->tls_key, &program->tls, err);
    program->options.tls = program->tls;
    return status;
}

static onnxd_status open_sockets(struct program *program, onnxd_error *err)
{
    const struct settings *settings = program->settings;
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
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
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

static int run(const struct settings *settings, const struct service_model *models, int argc, char **argv)
{
    onnxd_error err = {.status = ONNXD_ERR_NOMEM, .message = "out of memory"};
    struct program program = {.settings = settings, .options = service_options(settings, models)};
    if (program.options.n_workers == 0) {
        program.options.n_workers = cpus_usable() / settings->processes;
        if (program.options.n_workers == 0) program.options.n_workers = 1;
    }
    ssize_t n = readlink("/proc/self/exe", program.path, sizeof program.path - 1);
    program.path[n > 0 ? n : 0] = 0;
    program.argv = words_of(&program, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    int code = CLI_EXIT_OK;
    if (program.argv == NULL || read_keys(&program, &err) != ONNXD_OK ||
        read_tls(&program, &err) != ONNXD_OK || open_sockets(&program, &err) != ONNXD_OK ||
        open_unix(&program, &err) != ONNXD_OK ||
        telemetry_create(settings->processes, program.options.n_workers, &program.telemetry, &err) !=
            ONNXD_OK) {
        code = cli_fail(command.name, &err);
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
    struct settings settings = default_settings();
    struct service_model models[CLI_MAX_TEXTS];
    char *names[CLI_MAX_TEXTS] = {NULL};
    int code = cli_parse(&command, argc, argv, &settings, NULL);
    if (code != CLI_GO_ON) return code;
    if (settings.models.n == 0 && settings.repository == NULL)
        return cli_usage_error(&command, "--model [NAME=]FILE or --repository DIR is missing");
    if ((settings.tls_cert == NULL) != (settings.tls_key == NULL))
        return cli_usage_error(&command, "--tls-cert and --tls-key go together");
    if (settings.unix_path != NULL && settings.processes > 1 && settings.port_per_process)
        return cli_usage_error(&command, "--unix: one socket cannot be split as --port-per-process asks");
    if (settings.admin && settings.processes > 1)
        return cli_usage_error(&command,
                               "--admin works with one process: a request would change one of them only");
    log_configure((enum log_level)settings.log_level, settings.log_format == 1);
    bool ok = true;
    for (uint32_t i = 0; ok && i < settings.models.n; i++)
        ok = split_model(settings.models.items[i], &models[i], &names[i]);
    for (uint32_t i = 0; ok && settings.precision == ONNXD_PRECISION_BF16 && i < settings.models.n; i++)
        cli_report_precision(models[i].path);
    code = ok ? run(&settings, models, argc, argv) : CLI_EXIT_FAILURE;
    for (uint32_t i = 0; i < settings.models.n; i++) free(names[i]);
    return code;
}
