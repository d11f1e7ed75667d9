#include "support/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/http_client.h"
#include "net/http_server.h"
#include "support/loops.h"

#define WAIT_NS (20 * (uint64_t)1000000000) /* far more than any step takes; only a defect reaches it */

/* A server on a thread of its own. /echo answers at once, /post from another thread by a posted task. */
struct served {
    struct http_server *server;
    struct net_address address;
    pthread_t thread;
    _Atomic bool drain;
    struct loop_task stop;
    uint32_t n_requests, n_late;
};

struct late { /* an answer that another thread posts */
    struct loop_task task;
    struct served *served;
    struct http_ticket ticket;
    pthread_t thread;
};

static void answer(struct served *served, struct http_ticket ticket, const void *body, size_t n)
{
    struct http_response response = {.status = 200, .body = body, .n_body = n};
    http_host_answer(http_server_host(served->server), ticket, &response);
}

static void run_late(struct loop_task *task)
{
    struct late *late = (struct late *)task;
    pthread_join(late->thread, NULL);
    late->served->n_late--;
    answer(late->served, late->ticket, "late", 4);
    free(late);
}

static void *post_late(void *context)
{
    struct late *late = context;
    http_server_post(late->served->server, &late->task);
    return NULL;
}

static void on_request(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct served *served = context;
    served->n_requests++;
    if (!HTTP_VIEW_IS(request->path, "/post")) {
        answer(served, ticket, request->body.p, request->body.n);
        return;
    }
    struct late *late = calloc(1, sizeof *late);
    *late = (struct late){.task.run = run_late, .served = served, .ticket = ticket};
    served->n_late++;
    assert_int_equal(pthread_create(&late->thread, NULL, post_late, late), 0);
}

static void begin_drain(struct loop_task *task)
{
    struct served *served = (struct served *)(void *)((char *)task - offsetof(struct served, stop));
    served->drain = true;
}

static void *serve(void *context)
{
    struct served *served = context;
    while (!http_server_is_drained(served->server) || served->n_late > 0) {
        http_server_step(served->server, LOOP_FOREVER);
        if (served->drain) http_server_drain(served->server, 1000000);
    }
    return NULL;
}

static void start(struct served *served, const char *unix_path, const struct http_limits *limits)
{
    onnxd_error err;
    memset(served, 0, sizeof *served);
    struct http_server_options options = {.limits = limits != NULL ? *limits : http_limits_default(),
                                          .loop = test_loop()};
    struct http_handler handler = {served, on_request, NULL};
    assert_ok(http_server_create(&options, &handler, &served->server, &err), err);
    int fd;
    uint16_t port;
    if (unix_path != NULL)
        assert_ok(net_address_unix(unix_path, &served->address, &err), err);
    else
        assert_ok(net_address_tcp("127.0.0.1", 0, &served->address, &err), err);
    assert_ok(net_listen(&served->address, true, &fd, &port, &err), err);
    assert_ok(http_server_listen(served->server, fd, &err), err);
    if (unix_path == NULL) assert_ok(net_address_tcp("127.0.0.1", port, &served->address, &err), err);
    assert_int_equal(pthread_create(&served->thread, NULL, serve, served), 0);
}

static void stop(struct served *served)
{
    served->stop.run = begin_drain;
    http_server_post(served->server, &served->stop);
    pthread_join(served->thread, NULL);
    http_server_free(served->server);
}

struct seen {
    uint32_t n;
    uint16_t status;
    size_t n_body;
    char body[256];
};

static void on_response(void *context, const struct http_client_response *response)
{
    struct seen *seen = context;
    seen->n++;
    seen->status = response->status;
    seen->n_body = response->body.n;
    snprintf(seen->body, sizeof seen->body, "%.*s", (int)response->body.n,
             response->body.n > 0 ? response->body.p : "");
}

static struct http_client_request post(const char *path, const void *body, size_t n)
{
    return (struct http_client_request){
        .method = HTTP_METHOD_POST, .host = "test", .path = path, .body = body, .n_body = n};
}

static void requests_are_answered(const char *unix_path)
{
    struct served served;
    struct http_client client;
    onnxd_error err;
    start(&served, unix_path, NULL);
    assert_ok(http_client_init(&client, NULL, &err), err);
    assert_ok(http_client_connect(&client, &served.address, &err), err);
    for (int i = 0; i < 100; i++) {
        struct seen seen = {0};
        char body[16];
        int n = snprintf(body, sizeof body, "%d", i);
        struct http_client_request request = post("/echo", body, (size_t)n);
        assert_ok(http_client_call(&client, &request, WAIT_NS, on_response, &seen, &err), err);
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.body, body);
    }
    struct seen seen = {0};
    for (int i = 0; i < 500; i++) { /* pipelined */
        struct http_client_request request = post("/echo", "x", 1);
        assert_ok(http_client_queue(&client, &request, &err), err);
    }
    struct http_client_request last = post("/echo", "y", 1);
    assert_ok(http_client_call(&client, &last, WAIT_NS, on_response, &seen, &err), err);
    assert_int_equal(seen.n, 501);
    assert_string_equal(seen.body, "y");
    http_client_done(&client);
    stop(&served);
    assert_int_equal(served.n_requests, 601);
}

static void requests_are_answered_over_tcp(void **state)
{
    (void)state;
    requests_are_answered(NULL);
}

static void requests_are_answered_over_a_unix_socket(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/onnxd-test-%d.sock", (int)getpid());
    requests_are_answered(path);
    requests_are_answered(path); /* the file left behind is in nobody's way */
    unlink(path);
}

static void large_bodies_go_both_ways(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default();
    limits.max_body_bytes = 20 << 20;
    struct served served;
    struct http_client client;
    onnxd_error err;
    start(&served, NULL, &limits);
    assert_ok(http_client_init(&client, NULL, &err), err);
    assert_ok(http_client_connect(&client, &served.address, &err), err);
    size_t n = 20 << 20;
    char *body = malloc(n);
    assert_non_null(body);
    for (size_t i = 0; i < n; i++) body[i] = (char)('a' + i % 26);
    struct seen seen = {0};
    struct http_client_request request = post("/echo", body, n);
    assert_ok(http_client_call(&client, &request, WAIT_NS, on_response, &seen, &err), err);
    assert_int_equal(seen.n_body, n);
    request.n_body = 1000;
    assert_ok(http_client_call(&client, &request, WAIT_NS, on_response, &seen, &err), err);
    assert_int_equal(seen.n_body, 1000);
    free(body);
    http_client_done(&client);
    stop(&served);
}

/* The answer to a body that is too large arrives although the peer was still sending. */
static void a_refusal_arrives_while_the_body_is_sent(void **state)
{
    (void)state;
    struct served served;
    onnxd_error err;
    start(&served, NULL, NULL);
    size_t n = 8 << 20;
    char *body = calloc(1, n);
    assert_non_null(body);
    for (int i = 0; i < 20; i++) {
        struct http_client client;
        struct seen seen = {0};
        assert_ok(http_client_init(&client, NULL, &err), err);
        assert_ok(http_client_connect(&client, &served.address, &err), err);
        struct http_client_request request = post("/echo", body, n);
        assert_ok(http_client_queue(&client, &request, &err), err);
        while (seen.n == 0) {
            struct pollfd wait = {.fd = client.fd, .events = POLLIN | POLLOUT};
            assert_true(poll(&wait, 1, 20000) > 0);
            if (wait.revents & POLLIN)
                assert_ok(http_client_read(&client, on_response, &seen, &err), err);
            else
                assert_ok(http_client_write(&client, &err), err);
        }
        assert_int_equal(seen.status, 413);
        assert_non_null(strstr(seen.body, "max-body-bytes"));
        http_client_done(&client);
    }
    free(body);
    stop(&served);
}

static void answers_come_from_other_threads(void **state)
{
    (void)state;
    struct served served;
    struct http_client client;
    onnxd_error err;
    struct seen seen = {0};
    start(&served, NULL, NULL);
    assert_ok(http_client_init(&client, NULL, &err), err);
    assert_ok(http_client_connect(&client, &served.address, &err), err);
    struct http_client_request request = post("/post", "", 0);
    for (int i = 0; i < 63; i++) assert_ok(http_client_queue(&client, &request, &err), err);
    assert_ok(http_client_call(&client, &request, WAIT_NS, on_response, &seen, &err), err);
    assert_int_equal(seen.n, 64);
    assert_string_equal(seen.body, "late");
    http_client_done(&client);
    stop(&served);
}

/* Connections that vanish at any point leave nothing behind, and others are served all the while. */
static void vanishing_clients_leave_nothing(void **state)
{
    (void)state;
    struct served served;
    struct http_client steady;
    onnxd_error err;
    struct rng rng = rng_seed(test_seed());
    start(&served, NULL, NULL);
    assert_ok(http_client_init(&steady, NULL, &err), err);
    assert_ok(http_client_connect(&steady, &served.address, &err), err);
    static const char text[] = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nworld";
    for (int i = 0; i < 500; i++) {
        int fd;
        assert_ok(net_connect(&served.address, &fd, &err), err);
        size_t n = rng_below(&rng, sizeof text);
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        assert_true(sent == (ssize_t)n || (sent < 0 && errno == EAGAIN));
        if (rng_below(&rng, 2) == 0) { /* a reset in place of an orderly end */
            struct linger linger = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
        close(fd);
        if (i % 10 != 0) continue;
        struct seen seen = {0};
        struct http_client_request request = post("/echo", "here", 4);
        assert_ok(http_client_call(&steady, &request, WAIT_NS, on_response, &seen, &err), err);
        assert_string_equal(seen.body, "here");
    }
    http_client_done(&steady);
    stop(&served); /* returns only when every connection has gone */
}

/* Out of descriptors, the server rests instead of spinning and serves again when there are some. The ceiling
 * is set before it starts: the kernel reads it when an accept is armed. */
static void running_out_of_descriptors_passes(void **state)
{
    (void)state;
    enum { CEILING = 128 };
    struct served served;
    onnxd_error err;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = CEILING;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    start(&served, NULL, NULL);
    struct http_client clients[2];
    struct seen seen = {0};
    struct http_client_request request = post("/echo", "x", 1);
    for (int i = 0; i < 2; i++) assert_ok(http_client_init(&clients[i], NULL, &err), err);
    assert_ok(http_client_connect(&clients[0], &served.address, &err), err);
    assert_ok(http_client_call(&clients[0], &request, WAIT_NS, on_response, &seen, &err), err);
    int fillers[CEILING], n = 0;
    while (n < CEILING && (fillers[n] = dup(0)) >= 0) n++;
    assert_in_range(n, 1, CEILING - 1);
    close(fillers[--n]); /* room for the client's end and not for the server's */
    assert_ok(http_client_connect(&clients[1], &served.address, &err), err);
    uint64_t short_ns = 50 * (uint64_t)1000000;
    assert_fails(http_client_call(&clients[1], &request, short_ns, on_response, &seen, &err),
                 ONNXD_ERR_TIMEOUT, err, "no answer");
    while (n > 0) close(fillers[--n]);
    assert_ok(http_client_call(&clients[1], &request, WAIT_NS, on_response, &seen, &err), err);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.body, "x");
    for (int i = 0; i < 2; i++) http_client_done(&clients[i]);
    stop(&served);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void addresses_that_cannot_be_are_named(void **state)
{
    (void)state;
    struct net_address address;
    onnxd_error err;
    char path[200];
    memset(path, 'x', sizeof path);
    path[199] = 0;
    int fd;
    assert_fails(net_address_unix(path, &address, &err), ONNXD_ERR_LIMIT, err, "unix socket 'xxx");
    assert_fails(net_address_unix("", &address, &err), ONNXD_ERR_LIMIT, err, "unix socket ''");
    assert_fails(net_address_tcp("no such host", 1, &address, &err), ONNXD_ERR_NOT_FOUND, err,
                 "no such host");
    assert_ok(net_address_unix("/nonexistent/x.sock", &address, &err), err);
    assert_fails(net_listen(&address, false, &fd, NULL, &err), ONNXD_ERR_IO, err, "/nonexistent/x.sock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_LOOPS(requests_are_answered_over_tcp),
        ON_BOTH_LOOPS(requests_are_answered_over_a_unix_socket),
        ON_BOTH_LOOPS(large_bodies_go_both_ways),
        ON_BOTH_LOOPS(a_refusal_arrives_while_the_body_is_sent),
        ON_BOTH_LOOPS(answers_come_from_other_threads),
        ON_BOTH_LOOPS(vanishing_clients_leave_nothing),
        ON_BOTH_LOOPS(running_out_of_descriptors_passes),
        cmocka_unit_test(addresses_that_cannot_be_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
