/* The metrics endpoint, and remote inference against servers that are not what they should be. */
#include "support/test.h"

#include <stdlib.h>

#include "base/clock.h"

#include "evolve/metrics_endpoint.h"
#include "evolve/remote_inference.h"
#include "evolve/run.h"
#include "net/http_client.h"

struct answer {
    uint16_t status;
    char body[4096];
};

static void keep(void *context, const struct http_client_response *response)
{
    struct answer *answer = context;
    answer->status = response->status;
    snprintf(answer->body, sizeof answer->body, "%.*s", (int)response->body.n, response->body.p);
}

static struct answer get(uint16_t port, const char *path)
{
    struct http_client client;
    struct net_address address;
    struct answer answer = {0};
    onnxd_error err;
    const struct http_client_request request = {.method = HTTP_METHOD_GET, .host = "localhost", .path = path};
    assert_ok(net_address_tcp("127.0.0.1", port, &address, &err), err);
    assert_ok(http_client_init(&client, NULL, &err), err);
    assert_ok(http_client_connect(&client, &address, &err), err);
    assert_ok(http_client_call(&client, &request, 10 * (uint64_t)NS_PER_S, keep, &answer, &err), err);
    http_client_done(&client);
    return answer;
}

static void metrics_are_what_was_set_last(void **state)
{
    (void)state;
    struct metrics_endpoint *endpoint = NULL;
    uint16_t port = 0;
    onnxd_error err;
    assert_ok(metrics_endpoint_start(0, &endpoint, &port, &err), err);
    assert_true(port > 0);
    assert_int_equal(get(port, "/metrics").status, 200);
    metrics_endpoint_set(endpoint, "neat_generation 1\n", 18);
    assert_string_equal(get(port, "/metrics").body, "neat_generation 1\n");
    metrics_endpoint_set(endpoint, "neat_generation 2\n", 18);
    assert_string_equal(get(port, "/metrics").body, "neat_generation 2\n");
    assert_int_equal(get(port, "/").status, 404);
    struct metrics_endpoint *second = NULL;
    assert_true(metrics_endpoint_start(port, &second, &port, &err) == ONNXD_ERR_IO);
    metrics_endpoint_free(endpoint);
    metrics_endpoint_free(NULL);
}

static void remote_options_are_checked(void **state)
{
    (void)state;
    struct remote *remote = NULL;
    onnxd_error err;
    const char *urls[] = {"",           "127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1",
                          "http://:80", "http://h:0",  "http://h:65536",      "http://h:80/x"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct remote_options options = {.url = urls[i], .batch = 1, .concurrency = 1};
        assert_fails(remote_create(&options, &remote, &err), ONNXD_ERR_ARGUMENT, err, "http://HOST:PORT");
    }
    struct remote_options options = {.url = "http://127.0.0.1:1", .batch = 0, .concurrency = 1};
    assert_fails(remote_create(&options, &remote, &err), ONNXD_ERR_ARGUMENT, err, "batch 0");
    assert_null(remote);
}

/* The metrics endpoint answers 404 to a load: a run through it ends with what it said. */
static void a_server_of_another_kind_is_named(void **state)
{
    (void)state;
    struct metrics_endpoint *endpoint = NULL;
    uint16_t port = 0;
    char url[64];
    onnxd_error err;
    assert_ok(metrics_endpoint_start(0, &endpoint, &port, &err), err);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    struct remote_options options = {.url = url, .batch = 4, .concurrency = 2};
    struct remote *remote = NULL;
    struct run *run = NULL;
    assert_ok(remote_create(&options, &remote, &err), err);
    struct contest_backend backend = remote_backend(remote);
    struct run_options run_options = {.task = &TASK_ARENA, .max_generations = 2, .backend = &backend};
    task_params(&TASK_ARENA, &run_options.params);
    run_options.params.population_size = 12;
    contest_options_default(&run_options.contest);
    assert_ok(run_create(&run_options, &run, &err), err);
    assert_fails(run_generation(run, &err), ONNXD_ERR_FORMAT, err, "answered 404");
    run_free(run);
    metrics_endpoint_free(endpoint); /* gone before the remote: freeing it must not wait */
    remote_free(remote);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_what_was_set_last),
        cmocka_unit_test(remote_options_are_checked),
        cmocka_unit_test(a_server_of_another_kind_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
