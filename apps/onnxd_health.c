/* onnxd health: one question to a running server, for health checks of containers and scripts. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli_options.h"
#include "load/load_options.h"
#include "net/http_client.h"
#include "onnxd_commands.h"

struct health_settings {
    uint64_t timeout_ms;
    uint32_t port;
    bool quiet;
};

static const struct cli_option options[] = {
    {"port", CLI_U32, CLI_AT(struct health_settings, port), "PORT", "of this machine, when no URL is given",
     1, 65535, .env = "PORT"},
    {"timeout-ms", CLI_U64, CLI_AT(struct health_settings, timeout_ms), "MS", "for the answer", 1, 3600000},
    {"quiet", CLI_FLAG, CLI_AT(struct health_settings, quiet), NULL,
     "print nothing when the server is ready"},
};

static const struct cli_command command = {
    .name = "onnxd health",
    .summary = "asks a server whether it is ready; exit status 0 when it is, 75 when it is not",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .positionals = "[URL]",
    .max_positionals = 1,
    .notes = "Without a URL it asks 127.0.0.1 at --port; without a path, /health.\n\n"
             "  onnxd health http://127.0.0.1:3001 --timeout-ms 500",
};

struct answer {
    uint16_t status;
    char body[256];
};

static void take(void *context, const struct http_client_response *response)
{
    struct answer *answer = context;
    answer->status = response->status;
    snprintf(answer->body, sizeof answer->body, "%.*s",
             (int)(response->body.n < 200 ? response->body.n : 200), response->body.p);
}

static onnxd_status ask(const struct load_url *url, uint64_t timeout_ns, struct answer *answer,
                        onnxd_error *err)
{
    struct http_client client = {.fd = -1};
    const char *path = strcmp(url->path, "/") == 0 ? "/health" : url->path;
    struct http_client_request request = {.method = HTTP_METHOD_GET, .host = url->authority, .path = path};
    struct net_address address;
    onnxd_status status = net_address_tcp(url->host, url->port, &address, err);
    if (status == ONNXD_OK) status = http_client_init(&client, NULL, err);
    if (status == ONNXD_OK) status = http_client_connect(&client, &address, err);
    if (status == ONNXD_OK) status = http_client_call(&client, &request, timeout_ns, take, answer, err);
    http_client_done(&client);
    return status;
}

int onnxd_health_main(int argc, char **argv)
{
    struct health_settings settings = {.timeout_ms = 2000, .port = 3000};
    char own[40];
    struct answer answer = {0};
    struct load_url url;
    onnxd_error err;
    uint32_t n = 0;
    int code = cli_parse(&command, argc, argv, &settings, &n);
    if (code != CLI_GO_ON) return code;
    snprintf(own, sizeof own, "http://127.0.0.1:%u", settings.port);
    onnxd_status status = load_url_parse(n > 0 ? argv[1] : own, &url, &err);
    if (status == ONNXD_OK && url.tls)
        status = error_set(&err, ONNXD_ERR_UNSUPPORTED, "'%s': only http:// is offered", argv[1]);
    if (status == ONNXD_OK) status = ask(&url, settings.timeout_ms * NS_PER_MS, &answer, &err);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    bool ready = answer.status == 200;
    if (!ready || !settings.quiet) printf("%u %s\n", answer.status, answer.body);
    return ready ? CLI_EXIT_OK : cli_exit_code(ONNXD_ERR_BUSY);
}
