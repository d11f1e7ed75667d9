/* Clients that go away while a large request of theirs is run: by a reset, or by an end that looks like that
 * of one which only sends nothing more. Compute threads stop running it. */
#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http_client.h"
#include "serve/service.h"
#include "support/fake_model.h"
#include "support/loops.h"
#include "support/serve_bench.h"

#define WAIT_NS (60 * (uint64_t)NS_PER_S)
#define N_ROWS  20000u /* a row a run, each of a millisecond: they end long after the test, unless stopped */

static void on_response(void *context, const struct http_client_response *response)
{
    struct buf *text = context;
    buf_reset(text);
    assert_true(buf_append(text, response->body.p, response->body.n) && buf_append_char(text, 0));
}

static void await_metric(struct http_client *client, const char *line)
{
    onnxd_error err;
    struct buf text;
    struct http_client_request request = {.method = HTTP_METHOD_GET, .host = "a", .path = "/metrics"};
    uint64_t end_ns = monotonic_ns() + WAIT_NS;
    buf_init(&text, 1 << 24);
    do {
        assert_ok(http_client_call(client, &request, WAIT_NS, on_response, &text, &err), err);
        if (monotonic_ns() > end_ns) fail_msg("never told: %s", line);
    } while (strstr(text.data, line) == NULL);
    buf_done(&text);
}

/* Sends a large request, waits until it is run and goes away. */
static void ask_and_leave(const struct net_address *address, struct http_client *client, const char *body,
                          bool resets)
{
    onnxd_error err;
    char head[128];
    int fd;
    int n = snprintf(head, sizeof head, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                     strlen(body));
    assert_ok(net_connect(address, &fd, &err), err);
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0); /* what follows may wait */
    assert_int_equal(write(fd, head, (size_t)n), n);
    size_t n_body = strlen(body), sent = 0;
    while (sent < n_body) {
        ssize_t wrote = write(fd, body + sent, n_body - sent);
        assert_true(wrote > 0);
        sent += (size_t)wrote;
    }
    await_metric(client, "nv_inference_pending_request_count{model=\"sum\",version=\"1\"} 1\n");
    struct linger linger = {.l_onoff = 1};
    if (resets) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void large_requests_end_with_their_client(void **state)
{
    (void)state;
    onnxd_error err;
    struct telemetry telemetry;
    struct service *service = NULL;
    struct http_client client;
    struct net_address address;
    int fd;
    uint16_t port;
    struct service_model model = {.name = "sum", .path = "fake.onnx"};
    struct service_options options = {.models = &model,
                                      .n_models = 1,
                                      .n_workers = 1,
                                      .n_compute = 2,
                                      .limits = http_limits_default(),
                                      .loop = test_loop(),
                                      .version = {.place = VERSION_PLACE_LOOP,
                                                  .max_batch = 1,
                                                  .max_queue_size = 64,
                                                  .max_answer_bytes = 1 << 24},
                                      .request_timeout_ns = 100 * WAIT_NS,
                                      .drain_timeout_ns = WAIT_NS,
                                      .unix_fd = -1};
    fake_model_reset();
    fake_model.run_takes_ns = NS_PER_MS;
    char *body = many_rows(N_ROWS);
    options.limits.max_body_bytes = 1 << 24;
    assert_ok(telemetry_create(1, 1, 2, &telemetry, &err), err);
    assert_ok(service_listen("127.0.0.1", 0, 1, &fd, &port, &err), err);
    assert_ok(service_start(&options, &model_backend_fake, &telemetry, &fd, &service, &err), err);
    assert_ok(net_address_tcp("127.0.0.1", port, &address, &err), err);
    assert_ok(http_client_init(&client, NULL, &err), err);
    assert_ok(http_client_connect(&client, &address, &err), err);
    ask_and_leave(&address, &client, body, true);
    await_metric(&client, "reason=\"CANCELED\"} 1\n");
    ask_and_leave(&address, &client, body, false);
    await_metric(&client, "reason=\"CANCELED\"} 2\n");
    await_metric(&client, "nv_inference_pending_request_count{model=\"sum\",version=\"1\"} 0\n");
    await_metric(&client, "onnxd_http_abandoned_total 2\n");
    await_metric(&client, "nv_inference_request_success{model=\"sum\",version=\"1\"} 0\n");
    http_client_done(&client);
    service_stop(service);
    telemetry_done(&telemetry);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ON_BOTH_LOOPS(large_requests_end_with_their_client)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
