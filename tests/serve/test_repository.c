#include "support/test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/http_client.h"
#include "serve/service.h"
#include "support/fake_model.h"

#define WAIT_NS (30 * (uint64_t)NS_PER_S)

/* A service of the fake engine over a folder of this test's own. */
struct server {
    char folder[64];
    struct service *service;
    struct telemetry telemetry;
    struct net_address address;
    struct http_client client;
    uint16_t status; /* of the last answer */
    char body[65536];
};

static void put_file(const struct server *server, const char *name, const char *text)
{
    char path[256];
    onnxd_error err;
    snprintf(path, sizeof path, "%s/%s", server->folder, name);
    for (char *p = path + strlen(server->folder) + 1; *p != 0; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    assert_ok(file_replace(path, text, strlen(text), &err), err);
}

static void drop_file(const struct server *server, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", server->folder, name);
    assert_int_equal(remove(path), 0);
}

static void start(struct server *server, uint32_t n_workers)
{
    onnxd_error err;
    struct service_options options = {
        .repository = server->folder,
        .admin = true,
        .n_workers = n_workers,
        .n_compute = n_workers,
        .limits = http_limits_default(),
        .version = {.max_batch = 8, .max_queue_size = 8, .max_answer_bytes = 1 << 20},
        .request_timeout_ns = WAIT_NS,
        .drain_timeout_ns = WAIT_NS,
        .unix_fd = -1,
    };
    int fds[4];
    uint16_t port;
    assert_ok(telemetry_create(1, n_workers, n_workers, &server->telemetry, &err), err);
    assert_ok(service_listen("127.0.0.1", 0, n_workers, fds, &port, &err), err);
    assert_ok(service_start(&options, &model_backend_fake, &server->telemetry, fds, &server->service, &err),
              err);
    assert_ok(net_address_tcp("127.0.0.1", port, &server->address, &err), err);
    assert_ok(http_client_init(&server->client, NULL, &err), err);
    assert_ok(http_client_connect(&server->client, &server->address, &err), err);
}

static void prepare(struct server *server)
{
    memset(server, 0, sizeof *server);
    snprintf(server->folder, sizeof server->folder, "/tmp/onnxd-test-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    fake_model_reset();
}

static void stop(struct server *server)
{
    char command[128];
    http_client_done(&server->client);
    service_stop(server->service);
    telemetry_done(&server->telemetry);
    assert_int_equal(fake_model.n_models, 0);
    assert_int_equal(fake_model.n_sessions, 0);
    snprintf(command, sizeof command, "rm -rf '%s'", server->folder);
    assert_int_equal(system(command), 0);
}

static void on_response(void *context, const struct http_client_response *response)
{
    struct server *server = context;
    server->status = response->status;
    snprintf(server->body, sizeof server->body, "%.*s", (int)response->body.n,
             response->body.n > 0 ? response->body.p : "");
}

static const char *call(struct server *server, const char *path, const char *body)
{
    onnxd_error err;
    struct http_client_request request = {.method = body != NULL ? HTTP_METHOD_POST : HTTP_METHOD_GET,
                                          .host = "test",
                                          .path = path,
                                          .body = body,
                                          .n_body = body != NULL ? strlen(body) : 0};
    assert_ok(http_client_call(&server->client, &request, WAIT_NS, on_response, server, &err), err);
    return server->body;
}

static void assert_answer(struct server *server, const char *path, const char *body, int status,
                          const char *text)
{
    call(server, path, body);
    if (server->status != status || strstr(server->body, text) == NULL)
        fail_msg("%s: expected %d with \"%s\", got %d with \"%s\"", path, status, text, server->status,
                 server->body);
}

/* Asks until the answer holds the text: changes by signal come some time after they were asked for. */
static void await_answer(struct server *server, const char *path, const char *body, const char *text)
{
    uint64_t end_ns = monotonic_ns() + WAIT_NS;
    while (strstr(call(server, path, body), text) == NULL)
        if (monotonic_ns() > end_ns) fail_msg("%s: \"%s\" never came; last: %s", path, text, server->body);
}

#define ROW     "{\"instances\":[[1,2,3]]}"
#define PREDICT "/v1/models/m:predict"

static void versions_are_found_and_the_newest_answers(void **state)
{
    (void)state;
    struct server server;
    prepare(&server);
    put_file(&server, "m/1/model.onnx", "x");
    put_file(&server, "m/10/model.onnx", "x");
    put_file(&server, "m/9/model.onnx", "x");
    put_file(&server, "m/old/model.onnx", "x");
    put_file(&server, "a/3/model.onnx", "x");
    put_file(&server, "a/4/other.onnx", "x");
    put_file(&server, ".hidden/1/model.onnx", "x");
    start(&server, 2);
    assert_answer(&server, "/v2/models/m", NULL, 200, "\"versions\":[\"1\",\"9\",\"10\"]");
    assert_answer(&server, "/v1/models/m", NULL, 200, "\"version\":\"10\"");
    assert_answer(&server, PREDICT, ROW, 200, "[[6]]");
    assert_answer(&server, "/v1/models/m/versions/9:predict", ROW, 200, "[[6]]");
    assert_answer(&server, "/v1/models/m/versions/2:predict", ROW, 404, "no version 2");
    assert_answer(&server, "/v2/models/old/ready", NULL, 404, "model 'old' is not served");
    assert_answer(&server, "/predict", "{\"features\":[1,1,1]}", 200, "\"ctr\":3"); /* a: first by name */
    assert_answer(&server, "/", NULL, 200, "\"models\":[{\"name\":\"a\",\"version\":3},");
    stop(&server);
}

static void reloading_takes_what_is_new_and_drops_what_is_gone(void **state)
{
    (void)state;
    struct server server;
    prepare(&server);
    put_file(&server, "m/1/model.onnx", "x");
    put_file(&server, "n/1/model.onnx", "x");
    start(&server, 2);
    fake_model.scale = 2;
    put_file(&server, "m/2/model.onnx", "xx");
    service_reload(server.service);
    await_answer(&server, PREDICT, ROW, "[[12]]");
    fake_model.scale = 5;
    put_file(&server, "m/2/model.onnx", "xxx"); /* the same version, changed */
    service_reload(server.service);
    await_answer(&server, PREDICT, ROW, "[[30]]");
    assert_answer(&server, "/v1/models/m/versions/1:predict", ROW, 200, "[[6]]"); /* not loaded again */
    drop_file(&server, "m/2/model.onnx");
    drop_file(&server, "n/1/model.onnx");
    service_reload(server.service);
    await_answer(&server, PREDICT, ROW, "[[6]]");
    await_answer(&server, "/v2/models/n", NULL, "model 'n' is not served");
    uint64_t end_ns = monotonic_ns() + WAIT_NS; /* what was replaced goes after the answer to it was given */
    while (fake_model.n_models > 1) assert_true(monotonic_ns() < end_ns);
    stop(&server);
}

static void a_broken_version_leaves_the_old_one(void **state)
{
    (void)state;
    struct server server;
    prepare(&server);
    put_file(&server, "m/1/model.onnx", "x");
    start(&server, 1);
    fake_model.load_status = ONNXD_ERR_FORMAT;
    put_file(&server, "m/1/model.onnx", "broken");
    put_file(&server, "m/2/model.onnx", "broken");
    service_reload(server.service);
    await_answer(
        &server, "/v2/repository/index", "",
        "\"version\":\"2\",\"state\":\"UNAVAILABLE\",\"reason\":\"model 'm' version 2: the file is bad\"");
    assert_answer(&server, PREDICT, ROW, 200, "[[6]]");
    assert_answer(&server, "/v2/repository/index", "{\"ready\":true}", 200,
                  "\"version\":\"1\",\"state\":\"READY\"");
    assert_answer(&server, "/metrics", NULL, 200, "onnxd_model_loads_total{process=\"0\"} 1\n");
    assert_answer(&server, "/metrics", NULL, 200, "onnxd_model_load_failures_total{process=\"0\"} 2\n");
    fake_model.load_status = ONNXD_OK;
    put_file(&server, "m/config.json", "{\"max_batch\":0}");
    service_reload(server.service);
    await_answer(&server, "/v2/repository/index", "", "max_batch: expected a number from 1 to 65536");
    put_file(&server, "m/config.json", "{\"max_batch\":3,\"engine\":\"native\",\"max_queue_size\":9}");
    fake_model.scale = 3;
    service_reload(server.service);
    await_answer(&server, PREDICT, ROW, "[[18]]");
    stop(&server);
}

static void models_are_loaded_and_unloaded_by_request(void **state)
{
    (void)state;
    struct server server;
    prepare(&server);
    put_file(&server, "m/1/model.onnx", "x");
    start(&server, 2);
    assert_answer(&server, "/v2/repository/models/none/load", "", 404,
                  "model 'none' is not in the repository");
    assert_answer(&server, "/v2/repository/models/none/unload", "", 404, "model 'none' is not served");
    assert_answer(&server, "/v2/repository/models/m/unload", "{}", 200, "");
    assert_answer(&server, PREDICT, ROW, 404, "model 'm' is not served");
    assert_answer(&server, "/v2/repository/index", "", 200,
                  "\"UNAVAILABLE\",\"reason\":\"unloaded by request\"");
    service_reload(server.service); /* does not bring it back */
    assert_answer(&server, "/v2/repository/models/m/load", "", 200, "");
    assert_answer(&server, PREDICT, ROW, 200, "[[6]]");
    fake_model.scale = 7;
    assert_answer(&server, "/v2/repository/models/new/load",
                  "{\"parameters\":{\"config\":\"{\\\"max_batch\\\":2}\",\"file:3/model.onnx\":\"eHh4\"}}",
                  200, "");
    assert_answer(&server, "/v1/models/new/versions/3:predict", ROW, 200, "[[42]]");
    assert_answer(&server, "/v2/repository/models/new/load",
                  "{\"parameters\":{\"file:3/weights.bin\":\"eHh4\"}}", 400, "file:<version>/model.onnx");
    assert_answer(&server, "/v2/repository/models/new/load", "{\"parameters\":{\"config\":\"{]\"}}", 404,
                  "not in the repository");
    assert_answer(&server, "/v2/repository/models/m/load", "{\"parameters\":{\"config\":\"{]\"}}", 400,
                  "config");
    assert_answer(&server, "/v2/repository/models/m/other", "", 404, "no route");
    stop(&server);
}

/* Requests flow while versions change under them: each is answered, by one version or the other. */
static void no_request_is_lost_while_versions_change(void **state)
{
    (void)state;
    struct server server;
    prepare(&server);
    put_file(&server, "m/1/model.onnx", "x");
    start(&server, 2);
    char text[32];
    uint32_t n_changes = 0;
    for (int i = 0; i < 400; i++) {
        if (i % 20 == 0) {
            fake_model.scale = (float)(1 + i % 3);
            snprintf(text, sizeof text, "version %d", i);
            put_file(&server, "m/1/model.onnx", text);
            service_reload(server.service);
            n_changes++;
        }
        call(&server, PREDICT, ROW);
        bool known = strstr(server.body, "[[6]]") || strstr(server.body, "[[12]]") ||
                     strstr(server.body, "[[18]]");
        if (server.status != 200 || !known) fail_msg("request %d: %d %s", i, server.status, server.body);
    }
    assert_int_equal(n_changes, 20);
    stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_found_and_the_newest_answers),
        cmocka_unit_test(reloading_takes_what_is_new_and_drops_what_is_gone),
        cmocka_unit_test(a_broken_version_leaves_the_old_one),
        cmocka_unit_test(models_are_loaded_and_unloaded_by_request),
        cmocka_unit_test(no_request_is_lost_while_versions_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
