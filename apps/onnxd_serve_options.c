#include "onnxd_serve_options.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define AT(member) CLI_AT(struct serve_settings, member)

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
     "requests of a model that may wait for compute threads, then 503", 1, 1000000},
    {"max-queue-delay-us", CLI_U64, AT(max_queue_delay_us), "US",
     "how long a request may wait for others to share its run; 0: not at all", 0, 10000000},
    {"preferred-batch-sizes", CLI_NUMBERS, AT(preferred), "LIST",
     "rows, such as 8,16, that are run before the delay has passed; without it, max-batch", 1, 65536},
    {"compute", CLI_CHOICE, AT(place), "auto|loop|threads",
     "where models are run; auto: on compute threads when a full run takes more than a millisecond"},
    {"compute-threads", CLI_U32, AT(compute_threads), "N",
     "of each process, for long runs and large requests; 0 means as many as it has workers", 0, 1024},
    {"warm-up-rows", CLI_U32, AT(warm_up_rows), "N",
     "batch sizes up to it are run before a model serves; 0: none", 0, 65536, .hides_default = true},

    {.type = CLI_HEADING, .help = "Network"},
    {"host", CLI_TEXT, AT(host), "ADDRESS", "address to listen on"},
    {"port", CLI_U32, AT(port), "PORT", "port to listen on; 0 picks a free one", 0, 65535, .env = "PORT"},
    {"unix", CLI_TEXT, AT(unix_path), "PATH", "also listen on a unix socket"},
    {"tls-cert", CLI_TEXT, AT(tls_cert), "FILE", "speak TLS with this certificate chain, PEM"},
    {"tls-key", CLI_TEXT, AT(tls_key), "FILE", "its key, PEM"},
    {"api-key-file", CLI_TEXT, AT(api_key_file), "FILE",
     "only answer requests with one of these keys, one a line, as X-API-Key or Authorization: Bearer"},
    {"cors-origin", CLI_TEXTS, AT(cors_origins), "ORIGIN",
     "let pages of this origin read answers, such as https://example.org; * for all; may be repeated"},
    {"workers", CLI_U32, AT(workers), "N",
     "serving threads of each process; 0 means that all processes together have one for each usable CPU", 0,
     1024},
    {"processes", CLI_U32, AT(processes), "N", "serving processes; one that dies is started again", 1, 256},
    {"event-loop", CLI_CHOICE, AT(event_loop), "auto|epoll|io_uring",
     "how the kernel is asked; auto takes epoll"},
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
    {"stats-interval", CLI_U32, AT(stats_interval), "S",
     "every S seconds a line with count, mean, p50, p99 and rows a run of the last S; 0: none", 0, 86400},
    {"access-log", CLI_FLAG, AT(access_log), NULL, "a line for each request on standard output"},
};

const struct cli_command serve_command = {
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

static struct serve_settings default_settings(void)
{
    struct http_limits limits = http_limits_default();
    return (struct serve_settings){
        .host = "127.0.0.1",
        .port = 3000,
        .processes = 1,
        .log_level = LOG_LEVEL_WARN,
        .max_batch = 64,
        .max_queue_size = 1024,
        .warm_up_rows = VERSION_WARM_UP_ALL,
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

static struct version_settings version_settings(const struct serve_settings *settings)
{
    struct version_settings version = {.model.engine = (onnxd_engine)settings->engine,
                                       .model.precision = (onnxd_precision)settings->precision,
                                       .max_batch = settings->max_batch,
                                       .max_queue_size = settings->max_queue_size,
                                       .max_queue_delay_ns = settings->max_queue_delay_us * NS_PER_US,
                                       .warm_up_rows = settings->warm_up_rows,
                                       .place = (enum version_place)settings->place,
                                       .n_preferred = settings->preferred.n,
                                       .max_answer_bytes = settings->max_answer_bytes};
    for (uint32_t i = 0; i < settings->preferred.n; i++) version.preferred[i] = settings->preferred.items[i];
    return version;
}

struct service_options serve_settings_to_options(const struct serve_settings *settings)
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
        .models = settings->served,
        .n_models = settings->models.n,
        .repository = settings->repository,
        .watch_ns = settings->watch ? NS_PER_S : 0,
        .admin = settings->admin,
        .n_workers = settings->workers,
        .n_compute = settings->compute_threads,
        .limits = limits,
        .loop = (enum loop_kind)settings->event_loop,
        .version = version_settings(settings),
        .request_timeout_ns = settings->request_timeout_ms * NS_PER_MS,
        .drain_timeout_ns = settings->drain_timeout_ms * NS_PER_MS,
        .unix_fd = -1,
        .access_log = settings->access_log,
        .log_json = settings->log_format == 1,
    };
}

/* "name=file" or "file"; a '=' behind a '/' belongs to the file. False: the name is too long. */
static bool split_model(const char *text, char name[VERSION_NAME_BYTES], struct service_model *ret)
{
    const char *mark = strchr(text, '='), *slash = strchr(text, '/');
    *ret = (struct service_model){.path = text};
    if (mark == NULL || mark == text || (slash != NULL && slash < mark)) return true;
    size_t n = (size_t)(mark - text);
    if (n >= VERSION_NAME_BYTES) return false;
    memcpy(name, text, n);
    name[n] = 0;
    *ret = (struct service_model){.name = name, .path = mark + 1};
    return true;
}

static int check_together(const struct serve_settings *settings)
{
    if (settings->models.n == 0 && settings->repository == NULL)
        return cli_usage_error(&serve_command, "--model [NAME=]FILE or --repository DIR is missing");
    if ((settings->tls_cert == NULL) != (settings->tls_key == NULL))
        return cli_usage_error(&serve_command, "--tls-cert and --tls-key go together");
    if (settings->unix_path != NULL && settings->processes > 1 && settings->port_per_process)
        return cli_usage_error(&serve_command,
                               "--unix: one socket cannot be split as --port-per-process asks");
    if (settings->preferred.n > VERSION_MAX_PREFERRED)
        return cli_usage_error(&serve_command, "--preferred-batch-sizes: up to %d of them",
                               VERSION_MAX_PREFERRED);
    for (uint32_t i = 0; i < settings->preferred.n; i++)
        if (settings->preferred.items[i] > settings->max_batch ||
            (i > 0 && settings->preferred.items[i] <= settings->preferred.items[i - 1]))
            return cli_usage_error(&serve_command,
                                   "--preferred-batch-sizes: expected rising numbers up to --max-batch = %u",
                                   settings->max_batch);
    return CLI_GO_ON;
}

int serve_settings_read(int argc, char **argv, struct serve_settings *ret)
{
    *ret = default_settings();
    int code = cli_parse(&serve_command, argc, argv, ret, NULL);
    if (code == CLI_GO_ON) code = check_together(ret);
    for (uint32_t i = 0; code == CLI_GO_ON && i < ret->models.n; i++)
        if (!split_model(ret->models.items[i], ret->names[i], &ret->served[i]))
            code = cli_usage_error(&serve_command, "--model: a name has up to %u bytes",
                                   VERSION_NAME_BYTES - 1);
    return code;
}
