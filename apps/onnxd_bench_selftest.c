/* onnxd bench selftest: a server of our own is stopped for half a second under a steady load; the load
 * generator must report what the arithmetic of load/load_stall.h demands. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli_options.h"
#include "load/load_report.h"
#include "load/load_run.h"
#include "load/load_stall.h"
#include "net/http_server.h"
#include "net/net_socket.h"
#include "onnxd_commands.h"

struct arguments {
    double rate, stall_ms, tolerance_ms;
    uint32_t connections;
    bool json;
};

static const struct cli_option options[] = {
    {"rate", CLI_F64, CLI_AT(struct arguments, rate), "N", "requests a second", .min = 100, .max = 1e6},
    {"connections", CLI_U32, CLI_AT(struct arguments, connections), "N", "connections", .min = 1,
     .max = 10000},
    {"stall-ms", CLI_F64, CLI_AT(struct arguments, stall_ms), "MS", "how long the server is stopped",
     .min = 100, .max = 2000},
    {"tolerance-ms", CLI_F64, CLI_AT(struct arguments, tolerance_ms), "MS",
     "how far a figure may be from the arithmetic", .min = 0.1, .max = 1000},
    {"json", CLI_FLAG, CLI_AT(struct arguments, json), NULL, "the whole report as JSON on standard output"},
};

static const struct cli_command command = {
    "onnxd bench selftest", "Proves that the load generator tells the truth, with a server that stalls.",
    CLI_TABLE(options)};

enum { RUN_S = 5, STALL_AT_MS = 2000 };

/* ---- the server, a process of its own -------------------------------------------------------------- */

static void answer(void *context, const struct http_request *request, struct http_ticket ticket)
{
    static const char body[] = "{\"ctr\":0.00042,\"latency_ms\":0.031}";
    (void)request;
    http_host_answer(*(struct http_host **)context, ticket,
                     &(struct http_response){.status = 200, .body = body, .n_body = sizeof body - 1});
}

static int serve(int fd)
{
    struct http_host *host = NULL;
    struct http_server *server = NULL;
    struct http_server_options server_options = {.limits = http_limits_default()};
    struct http_handler handler = {.context = &host, .request = answer};
    onnxd_error err;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlives the measurement */
    if (http_server_create(&server_options, &handler, &server, &err) != ONNXD_OK)
        return cli_fail(command.name, &err);
    host = http_server_host(server);
    if (http_server_listen(server, fd, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    for (;;) http_server_step(server, LOOP_FOREVER);
}

static pid_t start_server(uint16_t *ret_port, onnxd_error *err)
{
    struct net_address address;
    int fd;
    if (net_address_tcp("127.0.0.1", 0, &address, err) != ONNXD_OK ||
        net_listen(&address, false, &fd, ret_port, err) != ONNXD_OK)
        return -1;
    pid_t pid = fork();
    if (pid == 0) _exit(serve(fd));
    close(fd);
    return pid;
}

/* ---- the stall ------------------------------------------------------------------------------------- */

struct stall {
    pid_t server;
    uint64_t at_ns, length_ns, found_ns; /* when, how long it should last and how long it did */
};

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static void *stall_server(void *argument)
{
    struct stall *stall = argument;
    sleep_until(stall->at_ns);
    uint64_t start_ns = monotonic_ns();
    kill(stall->server, SIGSTOP);
    sleep_until(start_ns + stall->length_ns);
    kill(stall->server, SIGCONT);
    stall->found_ns = monotonic_ns() - start_ns;
    return NULL;
}

/* ---- the measurement ------------------------------------------------------------------------------- */

static onnxd_status measure(const struct arguments *a, const struct load_target *target, struct stall *stall,
                            double *ret_drain_rate, struct load_result *ret, onnxd_error *err)
{
    struct load_options plan = {.n_connections = a->connections,
                                .n_threads = 1,
                                .pipeline = 1,
                                .n_stages = 1,
                                .stages = {{NS_PER_S, 0, 0}},
                                .warm_up_ns = 200 * NS_PER_MS,
                                .timeout_ns = 5 * NS_PER_S,
                                .spin_ns = 20 * NS_PER_US,
                                .seed = 1};
    struct load_result capacity;
    pthread_t thread;
    onnxd_status status = load_run(&plan, target, 1, NULL, NULL, &capacity, err);
    if (status != ONNXD_OK) return status;
    *ret_drain_rate = load_rate(&capacity);
    load_result_done(&capacity);
    plan.stages[0] = (struct load_stage){RUN_S * NS_PER_S, a->rate, a->rate};
    stall->at_ns = monotonic_ns() + plan.warm_up_ns + STALL_AT_MS * NS_PER_MS;
    stall->length_ns = (uint64_t)(a->stall_ms * 1e6);
    if (pthread_create(&thread, NULL, stall_server, stall) != 0) {
        snprintf(err->message, sizeof err->message, "a thread could not be started");
        return ONNXD_ERR_NOMEM;
    }
    status = load_run(&plan, target, 1, NULL, NULL, ret, err);
    pthread_join(thread, NULL);
    return status;
}

static bool check(const char *name, double found_ms, double expected_ms, double tolerance_ms)
{
    bool good = fabs(found_ms - expected_ms) <= tolerance_ms;
    printf("  %-8s %9.2f ms   expected %9.2f ms   %s\n", name, found_ms, expected_ms, good ? "ok" : "WRONG");
    return good;
}

static bool judge(const struct arguments *a, const struct load_result *r, const struct stall *stall,
                  double drain_rate)
{
    const struct histogram *h = &r->record->response;
    struct load_stall expected = {(double)stall->found_ns / 1e9, RUN_S, a->rate, drain_rate};
    double service_p99 = histogram_quantile(&r->record->service, 0.99) / 1e6;
    printf(
        "%.0f requests/s for %d s, the server stopped for %.1f ms in the middle; it answers up to %.0f/s.\n"
        "Response time counts from when a request was due:\n",
        a->rate, RUN_S, expected.stall_s * 1e3, drain_rate);
    bool good = check("p99", histogram_quantile(h, 0.99) / 1e6, load_stall_quantile(&expected, 0.99) * 1e3,
                      a->tolerance_ms);
    good &= check("p99.9", histogram_quantile(h, 0.999) / 1e6, load_stall_quantile(&expected, 0.999) * 1e3,
                  a->tolerance_ms);
    good &= check("max", (double)h->max / 1e6, expected.stall_s * 1e3, a->tolerance_ms);
    printf("Service time, counted from the sending, hides the stall: p99 %.3f ms%s\n", service_p99,
           service_p99 < 1 ? "" : " (expected below 1 ms)");
    printf("%s\n", r->audit.verdict);
    return good && service_p99 < 1;
}

static int run(const struct arguments *a)
{
    struct load_target target = {.url = {.host = "127.0.0.1", .path = "/"}, .weight = 1};
    struct load_result result = {0};
    struct stall stall = {0};
    onnxd_error err = {0};
    double drain_rate = 0;
    bool good = false;
    struct rng rng = rng_seed(1);
    stall.server = start_server(&target.url.port, &err);
    if (stall.server < 0) return cli_fail(command.name, &err);
    snprintf(target.url.authority, sizeof target.url.authority, "127.0.0.1:%u", target.url.port);
    struct load_corpus_options body = {.body = "{\"features\":[${0..6},${0..23},${0.0..1.0}]}"};
    onnxd_status status = load_corpus_build(&target.url, &body, &rng, &target.corpus, &err);
    if (status == ONNXD_OK) status = measure(a, &target, &stall, &drain_rate, &result, &err);
    kill(stall.server, SIGKILL);
    waitpid(stall.server, NULL, 0);
    if (status == ONNXD_OK && a->json) {
        struct buf buf;
        buf_init(&buf, 16 << 20);
        load_report_json(&result, NULL, 0, &buf);
        fwrite(buf.data, 1, buf.n, stdout);
        buf_done(&buf);
    }
    if (status == ONNXD_OK) good = judge(a, &result, &stall, drain_rate);
    load_corpus_done(&target.corpus);
    load_result_done(&result);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    return good ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

int onnxd_bench_selftest_main(int argc, char **argv)
{
    struct arguments a = {.rate = 10000, .stall_ms = 500, .tolerance_ms = 5, .connections = 64};
    int result = cli_parse(&command, argc, argv, &a, NULL);
    return result != CLI_GO_ON ? result : run(&a);
}
