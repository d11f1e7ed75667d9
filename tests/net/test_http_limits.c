/* What a peer may not do, and what it is told. */
#include "support/wire.h"

#include <stdlib.h>

#include "net/timer_wheel.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void refused(const struct http_limits *limits, const char *text, int status, const char *message)
{
    struct rig rig;
    rig_init(&rig, limits);
    for (int pass = 0; pass < 2; pass++) { /* whole, then byte by byte */
        struct wire *wire = wire_open(&rig);
        if (pass == 0)
            wire_send(&rig, wire, text);
        else
            for (const char *p = text; *p != 0 && !wire->shut; p++) wire_send_bytes(&rig, wire, p, 1);
        assert_response(wire, 0, status, message);
        assert_int_equal(wire_n_responses(wire), 1);
        assert_true(wire->shut);
        assert_non_null(memmem(wire->got.data, wire->got.n, "Connection: close\r\n", 19));
        wire_free(&rig, wire);
    }
    assert_int_equal(rig.n_requests, 0);
    rig_done(&rig);
}

static char *long_text(const char *start, size_t n, const char *end)
{
    char *text = malloc(strlen(start) + n + strlen(end) + 1);
    assert_non_null(text);
    strcpy(text, start);
    memset(text + strlen(start), 'a', n);
    strcpy(text + strlen(start) + n, end);
    return text;
}

static void large_heads_are_refused(void **state)
{
    (void)state;
    char *header = long_text("GET / HTTP/1.1\r\nHost: a\r\nX-Big: ", 20000, "\r\n\r\n");
    refused(NULL, header, 431, "max-head-bytes = 16384");
    char *name = long_text("GET / HTTP/1.1\r\nHost: a\r\n", 20000, ": x\r\n\r\n");
    refused(NULL, name, 431, "max-head-bytes = 16384");
    char *url = long_text("GET /", 20000, " HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(NULL, url, 414, "max-head-bytes = 16384");
    free(header);
    free(name);
    free(url);
    struct http_limits limits = http_limits_default();
    limits.max_headers = 3;
    refused(&limits, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431, "max-headers = 3");
}

static void large_bodies_are_refused(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default();
    limits.max_body_bytes = 10;
    refused(&limits, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413, "max-body-bytes = 10");
    refused(&limits,
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999999999\r\n\r\n",
            413, "max-body-bytes = 10");
    refused(&limits,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n",
            413, "max-body-bytes = 10");
    char *framing = long_text("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", 70000,
                              "");
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire, framing);
    assert_response(wire, 0, 400, "framing");
    wire_free(&rig, wire);
    free(framing);
    rig_done(&rig);
}

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
        const char *message;
    } cases[] = {
        {"\x16\x03\x01\x02\x05\x01\x01\xfc\x03\x03", 501, "error"}, /* TLS on a plain port */
        {"GARBAGE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "error"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "error"},
        {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host header is given twice"},
        {"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nauthorization: y\r\n\r\n", 400, "twice"},
        {"GET / HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n", 400, "error"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n", 400, "error"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
         "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "only chunked"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400,
         "error"},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n", 417, "100-continue"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "CONNECT"},
        {"GET / HTTP/1.1\nHost: a\n\n", 400, "error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("case %zu\n", i);
        refused(NULL, cases[i].text, cases[i].status, cases[i].message);
    }
}

static void an_offer_to_upgrade_is_not_taken(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire,
              "GET /group HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" GET("/group"));
    assert_int_equal(wire_n_responses(wire), 2);
    assert_response(wire, 0, 200, "0");
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void a_slow_sender_is_told_and_closed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *head = wire_open(&rig), *body = wire_open(&rig), *idle = wire_open(&rig);
    wire_send(&rig, head, "GET / HTTP/1.1\r\n");
    wire_send(&rig, body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    for (int i = 0; i < 4; i++) { /* trickling does not put the end off */
        rig.now_ns += NS_PER_S;
        wire_send(&rig, head, "X: 1\r\n");
        wire_send(&rig, body, "x");
        assert_false(head->shut || body->shut);
    }
    rig.now_ns += NS_PER_S + 2 * TIMER_WHEEL_TICK_NS;
    rig_wake(&rig);
    assert_response(head, 0, 408, "request-timeout-ms = 5000");
    assert_response(body, 0, 408, "request-timeout-ms = 5000");
    assert_true(head->shut && body->shut);
    assert_int_equal(idle->got.n, 0);
    assert_non_null(idle->conn);
    rig.now_ns += 56 * (uint64_t)NS_PER_S;
    rig_wake(&rig);
    assert_null(idle->conn); /* idle-timeout closes without a word */
    assert_int_equal(idle->got.n, 0);
    assert_int_equal(http_host_n_open(rig.host), 0);
    wire_free(&rig, head);
    wire_free(&rig, body);
    wire_free(&rig, idle);
    rig_done(&rig);
}

static void requests_keep_a_connection_from_idling(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    for (int i = 0; i < 5; i++) {
        rig.now_ns += 59 * (uint64_t)NS_PER_S;
        wire_send(&rig, wire, GET("/group"));
    }
    assert_int_equal(wire_n_responses(wire), 5);
    uint64_t next_ns = http_host_next_ns(rig.host);
    assert_true(next_ns > rig.now_ns && next_ns < rig.now_ns + 61 * (uint64_t)NS_PER_S);
    rig.now_ns += 60 * (uint64_t)NS_PER_S + 2 * TIMER_WHEEL_TICK_NS;
    rig_wake(&rig);
    assert_null(wire->conn);
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void a_slow_reader_gets_all_or_is_closed(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default();
    struct rig rig;
    rig_init(&rig, &limits);
    struct wire *wire = wire_open(&rig), *dead = wire_open(&rig);
    wire->takes = dead->takes = 100;
    char *body = long_text("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n", 200000, "");
    wire_send(&rig, wire, body);
    wire_send(&rig, dead, body);
    assert_int_equal(wire->got.n, 100);
    assert_true(wire->paused); /* no more is read while so much waits to be sent */
    while (wire_n_responses(wire) == 0) {
        rig.now_ns += 9 * (uint64_t)NS_PER_S;
        wire->takes = 50000;
        http_host_writable(rig.host, wire->conn);
        rig_wake(&rig);
        assert_non_null(wire->conn);
    }
    assert_false(wire->paused);
    assert_null(dead->conn);
    assert_int_equal(http_host_stats(rig.host)->n_timed_out, 1);
    wire_send(&rig, wire, GET("/group"));
    free(body);
    wire_free(&rig, wire);
    wire_free(&rig, dead);
    rig_done(&rig);
}

static void unsent_answers_have_a_ceiling(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default();
    limits.max_output_bytes = 1000;
    struct rig rig;
    rig_init(&rig, &limits);
    struct wire *wire = wire_open(&rig);
    wire->takes = 0;
    wire_send(&rig, wire, GET("/group") GET("/group") GET("/group"));
    assert_non_null(wire->conn);
    for (int i = 0; i < 10 && wire->conn != NULL; i++) wire_send(&rig, wire, GET("/group"));
    assert_null(wire->conn);
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void too_many_pipelined_requests_wait(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default();
    limits.max_pipelined = 4;
    struct rig rig;
    rig_init(&rig, &limits);
    struct wire *wire = wire_open(&rig);
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 50; i++) assert_true(buf_append_text(&text, GET("/group")));
    wire_send_bytes(&rig, wire, text.data, text.n);
    assert_int_equal(wire_n_responses(wire), 4);
    assert_int_equal(http_host_next_ns(rig.host), 0); /* it has work that no socket will tell of */
    rig_settle(&rig);
    assert_int_equal(wire_n_responses(wire), 50);
    assert_false(wire->paused);
    assert_int_equal(wire->n_sends, 13);

    buf_reset(&text);
    for (int i = 0; i < 6; i++) assert_true(buf_append_text(&text, GET("/keep")));
    wire_send_bytes(&rig, wire, text.data, text.n);
    assert_int_equal(rig.n_kept, 4);
    assert_true(wire->paused);
    assert_true(http_host_next_ns(rig.host) != 0);
    struct http_response response = {.status = 200, .body = "k", .n_body = 1};
    for (int i = 0; i < 4; i++) assert_true(http_host_answer(rig.host, rig.kept[i], &response));
    rig_wake(&rig);
    rig_settle(&rig);
    assert_int_equal(rig.n_kept, 6);
    assert_false(wire->paused);
    buf_done(&text);
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void too_many_connections_are_told(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default();
    limits.max_connections = 2;
    struct rig rig;
    rig_init(&rig, &limits);
    struct wire *a = wire_open(&rig), *b = wire_open(&rig), *c = wire_open(&rig);
    wire_send(&rig, c, GET("/group"));
    assert_response(c, 0, 503, "max-connections = 2");
    assert_non_null(memmem(c->got.data, c->got.n, "Retry-After: 1\r\n", 16));
    assert_true(c->shut);
    wire_free(&rig, a);
    struct wire *d = wire_open(&rig);
    wire_send(&rig, d, GET("/group"));
    assert_response(d, 0, 200, "0");
    wire_free(&rig, b);
    wire_free(&rig, c);
    wire_free(&rig, d);
    rig_done(&rig);
}

static void draining_answers_what_came_and_closes(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *idle = wire_open(&rig), *busy = wire_open(&rig), *next = wire_open(&rig);
    wire_send(&rig, busy, GET("/keep") GET("/keep"));
    http_host_drain(rig.host, NS_PER_S);
    rig_wake(&rig);
    assert_non_null(idle->conn);
    wire_send(&rig, next, GET("/group") GET("/group"));
    assert_int_equal(wire_n_responses(next), 2);
    assert_true(next->shut);
    struct http_response response = {.status = 200, .body = "k", .n_body = 1};
    assert_true(http_host_answer(rig.host, rig.kept[0], &response));
    assert_true(http_host_answer(rig.host, rig.kept[1], &response));
    rig_wake(&rig);
    assert_int_equal(wire_n_responses(busy), 2);
    assert_true(busy->shut);
    rig.now_ns += NS_PER_S + 2 * TIMER_WHEEL_TICK_NS;
    rig_wake(&rig);
    assert_null(idle->conn);
    wire_free(&rig, idle);
    wire_free(&rig, busy);
    wire_free(&rig, next);
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_heads_are_refused),
        cmocka_unit_test(large_bodies_are_refused),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(an_offer_to_upgrade_is_not_taken),
        cmocka_unit_test(a_slow_sender_is_told_and_closed),
        cmocka_unit_test(requests_keep_a_connection_from_idling),
        cmocka_unit_test(a_slow_reader_gets_all_or_is_closed),
        cmocka_unit_test(unsent_answers_have_a_ceiling),
        cmocka_unit_test(too_many_pipelined_requests_wait),
        cmocka_unit_test(too_many_connections_are_told),
        cmocka_unit_test(draining_answers_what_came_and_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
