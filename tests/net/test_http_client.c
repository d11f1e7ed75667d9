#include "support/test.h"

#include <stdlib.h>

#include "net/http_client.h"

struct seen {
    uint32_t n;
    uint16_t status[64];
    char body[64][128];
    char retry_after[32];
    bool keep_alive;
};

static void on_response(void *context, const struct http_client_response *response)
{
    struct seen *seen = context;
    assert_true(seen->n < 64);
    seen->status[seen->n] = response->status;
    snprintf(seen->body[seen->n++], 128, "%.*s", (int)response->body.n,
             response->body.n > 0 ? response->body.p : "");
    struct http_view retry = response->headers[HTTP_HEADER_RETRY_AFTER];
    snprintf(seen->retry_after, 32, "%.*s", (int)retry.n, retry.n > 0 ? retry.p : "");
    seen->keep_alive = response->keep_alive;
}

static void start(struct http_client *client, const struct http_client_options *options, uint32_t n_requests)
{
    onnxd_error err;
    assert_ok(http_client_init(client, options, &err), err);
    struct http_client_request get = {.method = HTTP_METHOD_GET, .host = "a", .path = "/"};
    for (uint32_t i = 0; i < n_requests; i++) assert_ok(http_client_queue(client, &get, &err), err);
}

static void requests_are_written_as_the_protocol_wants(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    struct http_client_request post = {.method = HTTP_METHOD_POST,
                                       .host = "a:1",
                                       .path = "/predict?x=1",
                                       .headers = "X-API-Key: k\r\n",
                                       .body = "{}",
                                       .n_body = 2};
    assert_true(http_client_format(&out, &post));
    assert_true(buf_append_char(&out, 0));
    assert_string_equal(out.data,
                        "POST /predict?x=1 HTTP/1.1\r\nHost: a:1\r\nContent-Type: application/json\r\n"
                        "Content-Length: 2\r\nX-API-Key: k\r\n\r\n{}");
    buf_reset(&out);
    struct http_client_request get = {.method = HTTP_METHOD_GET, .host = "b", .path = "/"};
    assert_true(http_client_format(&out, &get));
    assert_true(buf_append_char(&out, 0));
    assert_string_equal(out.data, "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    buf_done(&out);
}

static void responses_are_found_whatever_the_cuts(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
                               "HTTP/1.1 100 Continue\r\n\r\n"
                               "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                               "HTTP/1.1 204 No Content\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    size_t n = sizeof text - 1;
    onnxd_error err;
    for (size_t cut = 0; cut < n; cut++) {
        struct http_client client;
        struct seen seen = {0};
        start(&client, NULL, 4);
        if (cut > 0) assert_ok(http_client_input(&client, text, cut, on_response, &seen, &err), err);
        assert_ok(http_client_input(&client, text + cut, n - cut, on_response, &seen, &err), err);
        assert_int_equal(seen.n, 4);
        assert_string_equal(seen.body[0], "hello");
        assert_int_equal(seen.status[1], 503);
        assert_string_equal(seen.body[1], "abcde");
        assert_int_equal(seen.status[2], 204);
        assert_string_equal(seen.body[3], "ok");
        assert_int_equal(client.n_waiting, 0);
        http_client_done(&client);
    }
}

static void a_response_may_end_with_the_connection(void **state)
{
    (void)state;
    struct http_client client;
    struct seen seen = {0};
    onnxd_error err;
    start(&client, NULL, 1);
    static const char text[] = "HTTP/1.1 200 OK\r\n\r\nall of it";
    assert_ok(http_client_input(&client, text, sizeof text - 1, on_response, &seen, &err), err);
    assert_int_equal(seen.n, 0);
    assert_ok(http_client_input(&client, NULL, 0, on_response, &seen, &err), err);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.body[0], "all of it");
    assert_false(seen.keep_alive);
    http_client_done(&client);
}

static void the_answer_to_head_has_no_body(void **state)
{
    (void)state;
    struct http_client client;
    struct seen seen = {0};
    onnxd_error err;
    start(&client, NULL, 0);
    struct http_client_request head = {.method = HTTP_METHOD_HEAD, .host = "a", .path = "/"};
    struct http_client_request get = {.method = HTTP_METHOD_GET, .host = "a", .path = "/"};
    assert_ok(http_client_queue(&client, &head, &err), err);
    assert_ok(http_client_queue(&client, &get, &err), err);
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_ok(http_client_input(&client, text, sizeof text - 1, on_response, &seen, &err), err);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.body[0], "");
    assert_string_equal(seen.body[1], "x");
    http_client_done(&client);
}

static void bad_servers_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        onnxd_status status;
        const char *message;
    } cases[] = {
        {"SSH-2.0-OpenSSH\r\n", ONNXD_ERR_FORMAT, "bad response"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", ONNXD_ERR_LIMIT, "max-body-bytes"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", ONNXD_ERR_FORMAT,
         "nobody asked"},
        {"", ONNXD_ERR_IO, "closed with 1 answers"},
    };
    struct http_client_options options = {.max_body_bytes = 100, .max_pipelined = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_client client;
        struct seen seen = {0};
        onnxd_error err;
        start(&client, &options, 1);
        struct http_client_request get = {.method = HTTP_METHOD_GET, .host = "a", .path = "/"};
        assert_fails(http_client_queue(&client, &get, &err), ONNXD_ERR_BUSY, err, "1 requests");
        assert_fails(
            http_client_input(&client, cases[i].text, strlen(cases[i].text), on_response, &seen, &err),
            cases[i].status, err, cases[i].message);
        http_client_done(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written_as_the_protocol_wants),
        cmocka_unit_test(responses_are_found_whatever_the_cuts),
        cmocka_unit_test(a_response_may_end_with_the_connection),
        cmocka_unit_test(the_answer_to_head_has_no_body),
        cmocka_unit_test(bad_servers_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
