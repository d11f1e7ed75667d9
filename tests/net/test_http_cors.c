#include "net/http_cors.h"

#include "net/timer_wheel.h"
#include "support/wire.h"

#define NAMED "Access-Control-Allow-Origin: https://a.example\r\n"

static struct http_cors *cors_of(const char *const *origins, uint32_t n)
{
    struct http_cors *cors = NULL;
    onnxd_error err;
    assert_ok(http_cors_create(origins, n, &cors, &err), err);
    return cors;
}

static void only_origins_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {"*", "https://example.org", "http://localhost:8080", "http://[::1]:80",
                                       "chrome-extension://abc"};
    static const char *const bad[] = {"",
                                      "null",
                                      "example.org",
                                      "https://",
                                      "://x",
                                      "https://example.org/",
                                      "https://example.org/x",
                                      "HTTPS://example.org",
                                      "https://Example.org",
                                      "https://a b",
                                      "https://a\r\nX: y",
                                      "https://a,https://b",
                                      "https://*.example.org?",
                                      "https://u@h"};
    struct http_cors *cors = NULL;
    onnxd_error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) http_cors_free(cors_of(&good[i], 1));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(http_cors_create(&bad[i], 1, &cors, &err), ONNXD_ERR_ARGUMENT, err, "is no origin");
    assert_null(cors);
}

static bool has(const struct wire *wire, const char *text)
{
    return wire->got.n > 0 && memmem(wire->got.data, wire->got.n, text, strlen(text)) != NULL;
}

/* One request on a connection of its own; true when the answer has the text. */
static bool answered_with(struct rig *rig, const char *request, const char *text)
{
    struct wire *wire = wire_open(rig);
    wire_send(rig, wire, request);
    assert_int_equal(wire_n_responses(wire), 1);
    bool found = has(wire, text);
    wire_free(rig, wire);
    return found;
}

#define GET_FROM(origin) "GET /echo HTTP/1.1\r\nHost: a\r\nOrigin: " origin "\r\n\r\n"

static void without_it_nothing_is_added(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    assert_false(answered_with(&rig, GET_FROM("https://a.example"), "Access-Control"));
    assert_false(answered_with(&rig, GET_FROM("https://a.example"), "Vary"));
    wire_free(&rig, wire_open(&rig));
    rig_done(&rig);
}

static void named_origins_are_let_in(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://b.example", "https://a.example"};
    struct http_cors *cors = cors_of(origins, 2);
    struct rig rig;
    rig_init(&rig, NULL);
    http_host_set_cors(rig.host, cors);
    assert_true(answered_with(&rig, GET_FROM("https://a.example"), NAMED));
    assert_true(answered_with(&rig, GET_FROM("https://b.example"), "Origin: https://b.example\r\n"));
    assert_true(answered_with(&rig, GET_FROM("https://a.example"), "Vary: Origin\r\n"));
    assert_true(answered_with(&rig, GET_FROM("https://a.example"), "Expose-Headers: Inference-Header"));
    static const char *const others[] = {GET_FROM("https://a.example:8443"),
                                         GET_FROM("https://a.example."),
                                         GET_FROM("http://a.example"),
                                         GET_FROM("null"),
                                         GET_FROM("*"),
                                         "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(answered_with(&rig, others[i], "Access-Control"));
        assert_true(answered_with(&rig, others[i], "Vary: Origin\r\n"));
    }
    rig_done(&rig);
    http_cors_free(cors);
}

static void a_star_lets_all_in(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://a.example", "*"};
    struct http_cors *cors = cors_of(origins, 2);
    struct rig rig;
    rig_init(&rig, NULL);
    http_host_set_cors(rig.host, cors);
    assert_true(answered_with(&rig, GET_FROM("https://x.example"), "Access-Control-Allow-Origin: *\r\n"));
    assert_true(answered_with(&rig, GET_FROM("https://a.example"), "Access-Control-Allow-Origin: *\r\n"));
    assert_false(answered_with(&rig, GET_FROM("https://a.example"), "Vary"));
    rig_done(&rig);
    http_cors_free(cors);
}

static void refusals_are_readable_too(void **state)
{
    (void)state;
    static const char *const origin = "https://a.example";
    struct http_cors *cors = cors_of(&origin, 1);
    struct http_limits limits = http_limits_default();
    limits.max_body_bytes = 10;
    struct rig rig;
    rig_init(&rig, &limits);
    http_host_set_cors(rig.host, cors);
#define POST_FROM "POST /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n"
    assert_true(answered_with(&rig, POST_FROM "Content-Length: 11\r\n\r\n", " 413 "));
    assert_true(answered_with(&rig, POST_FROM "Content-Length: 11\r\n\r\n", NAMED));
    assert_true(answered_with(&rig, POST_FROM "Transfer-Encoding: chunked\r\n\r\nzz\r\n", NAMED));
    assert_false(answered_with(&rig, "GET / HTTP/9.9\r\nHost: a\r\n\r\n", NAMED));
    struct wire *slow = wire_open(&rig);
    wire_send(&rig, slow, POST_FROM "Content-Length: 9\r\n\r\nabc");
    wire_send(&rig, slow, "d");
    rig.now_ns += limits.request_timeout_ns + 2 * TIMER_WHEEL_TICK_NS;
    rig_wake(&rig);
    assert_response(slow, 0, 408, "request-timeout-ms");
    assert_true(has(slow, NAMED));
    wire_free(&rig, slow);
    rig_done(&rig);
    http_cors_free(cors);
}

static void preflight_is_what_an_allowed_origin_asks(void **state)
{
    (void)state;
    static const char *const origin = "https://a.example";
    static const struct {
        const char *text;
        bool is_preflight;
    } cases[] = {
        {"OPTIONS /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n"
         "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
         true},
        {"OPTIONS /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\n"
         "Access-Control-Request-Method: POST\r\n\r\n",
         false},
        {"OPTIONS /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n", false},
        {"GET /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n"
         "Access-Control-Request-Method: POST\r\n\r\n",
         false},
    };
    struct http_cors *cors = cors_of(&origin, 1);
    for (int pass = 0; pass < 2; pass++) {
        struct rig rig;
        rig_init(&rig, NULL);
        if (pass == 1) http_host_set_cors(rig.host, cors);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            answered_with(&rig, cases[i].text, "");
            assert_int_equal(rig.last.is_preflight, pass == 1 && cases[i].is_preflight);
        }
        rig_done(&rig);
    }
    http_cors_free(cors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_origins_are_taken),
        cmocka_unit_test(without_it_nothing_is_added),
        cmocka_unit_test(named_origins_are_let_in),
        cmocka_unit_test(a_star_lets_all_in),
        cmocka_unit_test(refusals_are_readable_too),
        cmocka_unit_test(preflight_is_what_an_allowed_origin_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
