#include "support/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "net/timer_wheel.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- what every client does ------------------------------------------------------------------------- */

static void a_request_is_answered_with_its_body(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire,
              "POST /echo?model=a%20b&x=1 HTTP/1.1\r\nHost: a\r\ncontent-type:  application/json \r\n"
              "X-Other: \r\nTraceparent: 00-ab\r\nContent-Length: 5\r\n\r\nhello");
    assert_response(wire, 0, 200, "hello");
    assert_string_equal(rig.last_path, "/echo");
    assert_string_equal(rig.last_query, "model=a%20b&x=1");
    assert_string_equal(rig.last_header[HTTP_HEADER_CONTENT_TYPE], "application/json");
    assert_string_equal(rig.last_header[HTTP_HEADER_TRACEPARENT], "00-ab");
    assert_int_equal(rig.last.method, HTTP_METHOD_POST);
    assert_true(rig.last.has_length);
    assert_int_equal(wire->n_sends, 1);
    assert_non_null(wire->conn);
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void every_split_of_a_request_gives_the_same(void **state)
{
    (void)state;
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nContent-Length: 7\r\n\r\n"
        "1234567GET /none HTTP/1.1\r\nHost: b\r\n\r\n";
    size_t n = sizeof text - 1;
    struct rig rig;
    rig_init(&rig, NULL);
    for (size_t cut = 1; cut < n; cut++) {
        struct wire *wire = wire_open(&rig);
        rig.last_body[0] = 0;
        wire_send_bytes(&rig, wire, text, cut);
        wire_send_bytes(&rig, wire, text + cut, n - cut);
        if (wire_n_responses(wire) != 2) fail_msg("cut at %zu: %u responses", cut, wire_n_responses(wire));
        assert_response(wire, 0, 200, "1234567");
        assert_response(wire, 1, 204, "");
        wire_free(&rig, wire);
    }
    struct wire *wire = wire_open(&rig); /* and byte by byte */
    for (size_t i = 0; i < n; i++) wire_send_bytes(&rig, wire, text + i, 1);
    assert_response(wire, 0, 200, "1234567");
    assert_response(wire, 1, 204, "");
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void every_split_of_a_chunked_body_gives_the_same(void **state)
{
    (void)state;
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\nWiki\r\n6;x=y\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrail: er\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    size_t n = sizeof text - 1;
    struct rig rig;
    rig_init(&rig, NULL);
    for (size_t cut = 0; cut < n; cut++) {
        struct wire *wire = wire_open(&rig);
        if (cut > 0) wire_send_bytes(&rig, wire, text, cut);
        wire_send_bytes(&rig, wire, text + cut, n - cut);
        assert_response(wire, 0, 200, "Wikipedia in \r\n\r\nchunks.");
        assert_response(wire, 1, 200, "ok");
        wire_free(&rig, wire);
    }
    struct wire *wire = wire_open(&rig);
    for (size_t i = 0; i < n; i++) wire_send_bytes(&rig, wire, text + i, 1);
    assert_response(wire, 0, 200, "Wikipedia in \r\n\r\nchunks.");
    assert_response(wire, 1, 200, "ok");
    wire_free(&rig, wire);
    rig_done(&rig);
}

/* A request that was read in this wake-up stays in its place while the one behind it outgrows the buffer. */
static void requests_stay_where_they_are_until_the_wake_up_ends(void **state)
{
    (void)state;
    static const char text[] = "POST /view HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
                               "POST /view HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n";
    char body[10000];
    memset(body, 'b', sizeof body);
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send_bytes(&rig, wire, text, 20);
    wire_give(&rig, wire, text + 20, sizeof text - 1 - 20);
    for (int i = 0; i < 30; i++) wire_give(&rig, wire, body, sizeof body);
    rig_wake(&rig);
    assert_int_equal(wire_n_responses(wire), 2);
    assert_response(wire, 0, 200, "0123456789");
    assert_response(wire, 1, 200, "bbbbbbbbbb");
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void pipelined_answers_leave_together_and_in_order(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire,
              GET("/group") GET("/reverse") GET("/group") GET("/reverse") GET("/echo") GET("/reverse"));
    assert_int_equal(wire_n_responses(wire), 6);
    assert_response(wire, 0, 200, "0");
    assert_response(wire, 1, 200, "1");
    assert_response(wire, 2, 200, "2");
    assert_response(wire, 3, 200, "3");
    assert_response(wire, 5, 200, "4");
    assert_int_equal(wire->n_sends, 1);
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void an_early_answer_waits_for_those_before_it(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire, GET("/keep") GET("/group") GET("/keep") GET("/none"));
    assert_int_equal(wire->got.n, 0);
    wire_send(&rig, wire, GET("/echo"));
    assert_int_equal(wire->got.n, 0);
    struct http_response response = {.status = 200, .body = "second", .n_body = 6};
    assert_true(http_host_answer(rig.host, rig.kept[1], &response));
    rig_wake(&rig);
    assert_int_equal(wire->got.n, 0);
    response.body = "first!";
    assert_true(http_host_answer(rig.host, rig.kept[0], &response));
    assert_false(http_host_answer(rig.host, rig.kept[0], &response));
    rig_wake(&rig);
    assert_int_equal(wire_n_responses(wire), 5);
    assert_response(wire, 0, 200, "first!");
    assert_response(wire, 1, 200, "0");
    assert_response(wire, 2, 200, "second");
    assert_response(wire, 3, 204, "");
    assert_response(wire, 4, 200, "");
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void a_ticket_outlives_its_connection_harmlessly(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire, GET("/keep"));
    assert_true(http_host_is_waiting(rig.host, rig.kept[0]));
    wire_free(&rig, wire);
    struct wire *other = wire_open(&rig); /* takes the same memory and the same slot */
    wire_send(&rig, other, GET("/keep"));
    struct http_response response = {.status = 200, .body = "x", .n_body = 1};
    assert_false(http_host_is_waiting(rig.host, rig.kept[0]));
    assert_false(http_host_answer(rig.host, rig.kept[0], &response));
    rig_wake(&rig);
    assert_int_equal(other->got.n, 0);
    assert_true(http_host_answer(rig.host, rig.kept[1], &response));
    rig_wake(&rig);
    assert_response(other, 0, 200, "x");
    wire_free(&rig, other);
    rig_done(&rig);
}

static void head_gets_the_length_and_no_body(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire, "HEAD /group HTTP/1.1\r\nHost: a\r\n\r\n");
    wire->got.data[wire->got.n] = 0;
    assert_non_null(strstr(wire->got.data, "Content-Length: 1\r\n"));
    assert_string_equal(wire->got.data + wire->got.n - 4, "\r\n\r\n");
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void http_1_0_closes_unless_asked_to_stay(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire, "GET /group HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(wire_n_responses(wire), 1);
    assert_false(wire->shut);
    wire_send(&rig, wire, "GET /group HTTP/1.0\r\n\r\n");
    assert_int_equal(wire_n_responses(wire), 2);
    assert_true(wire->shut);
    assert_non_null(memmem(wire->got.data, wire->got.n, "Connection: keep-alive", 22));
    assert_non_null(memmem(wire->got.data, wire->got.n, "Connection: close", 17));
    wire_free(&rig, wire);
    rig_done(&rig);
}

static void closing_waits_for_the_peer_and_then_a_time(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *a = wire_open(&rig), *b = wire_open(&rig);
    wire_send(&rig, a, "GET /group HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/group"));
    wire_send(&rig, b, GET("/close") GET("/group"));
    assert_int_equal(wire_n_responses(a), 1); /* what follows a closing request is not served */
    assert_int_equal(wire_n_responses(b), 1);
    assert_true(a->shut && b->shut);
    assert_non_null(a->conn);
    http_host_ended(rig.host, a->conn, 0);
    rig_wake(&rig);
    assert_null(a->conn);
    wire_send(&rig, b, "more that nobody reads");
    assert_non_null(b->conn);
    rig.now_ns += rig.limits.linger_timeout_ns + 2 * TIMER_WHEEL_TICK_NS;
    rig_wake(&rig);
    assert_null(b->conn);
    wire_free(&rig, a);
    wire_free(&rig, b);
    rig_done(&rig);
}

static void a_peer_that_half_closes_gets_its_answers(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(&rig, wire, GET("/keep") "GET /unfinished");
    http_host_ended(rig.host, wire->conn, 0);
    rig_wake(&rig);
    assert_non_null(wire->conn);
    struct http_response response = {.status = 200, .body = "late", .n_body = 4};
    assert_true(http_host_answer(rig.host, rig.kept[0], &response));
    rig_wake(&rig);
    assert_response(wire, 0, 200, "late");
    assert_null(wire->conn);
    wire_free(&rig, wire);
    rig_done(&rig);
}

/* A peer that sends nothing more is asked twice, in a way that means nothing to one that still reads. */
static void a_peer_whose_end_was_seen_is_probed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig), *other = wire_open(&rig);
    wire_send(&rig, wire, GET("/keep"));
    wire_send(&rig, other, "GET /keep HTTP/1.0\r\n\r\n"); /* knows no interim answers */
    http_host_ended(rig.host, wire->conn, 0);
    http_host_ended(rig.host, other->conn, 0);
    rig_wake(&rig);
    assert_int_equal(wire->got.n, 0);
    for (uint32_t i = 0; i < 4; i++) {
        rig.now_ns += 50 * NS_PER_MS + 2 * TIMER_WHEEL_TICK_NS;
        rig_wake(&rig);
        assert_int_equal(wire->n_sends, i < 2 ? i + 1 : 2);
    }
    assert_int_equal(other->n_sends, 0);
    struct http_response response = {.status = 200, .body = "late", .n_body = 4};
    assert_true(http_host_answer(rig.host, rig.kept[0], &response));
    rig_wake(&rig);
    assert_non_null(memmem(wire->got.data, wire->got.n, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", 40));
    assert_null(wire->conn);
    assert_int_equal(http_host_stats(rig.host)->n_abandoned, 0);
    http_host_ended(rig.host, other->conn, ECONNRESET);
    rig_wake(&rig);
    assert_int_equal(http_host_stats(rig.host)->n_abandoned, 1);
    assert_int_equal(http_host_stats(rig.host)->n_closed, 2);
    wire_free(&rig, wire);
    wire_free(&rig, other);
    rig_done(&rig);
}

static void expect_continue_is_told_in_its_turn(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL);
    struct wire *wire = wire_open(&rig);
    wire_send(
        &rig, wire,
        GET("/keep") "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(wire->got.n, 0);
    struct http_response response = {.status = 200, .body = "x", .n_body = 1};
    assert_true(http_host_answer(rig.host, rig.kept[0], &response));
    rig_wake(&rig);
    assert_response(wire, 0, 200, "x");
    assert_response(wire, 1, 100, "");
    wire_send(&rig, wire, "a");
    wire_send(&rig, wire, "bc");
    assert_int_equal(wire_n_responses(wire), 3);
    assert_response(wire, 2, 200, "abc");
    wire_send(&rig, wire, /* a body that came along needs no word */
              "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\ndef");
    assert_int_equal(wire_n_responses(wire), 4);
    assert_response(wire, 3, 200, "def");
    wire_send(&rig, wire, /* the header of one request says nothing of the next */
              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(wire_n_responses(wire), 4);
    wire_send(&rig, wire, "ghi");
    assert_response(wire, 4, 200, "ghi");
    wire_free(&rig, wire);
    rig_done(&rig);
}

/* ---- against a model -------------------------------------------------------------------------------- */

/* Random requests cut at random places over many connections, up to three pieces for each in a wake-up: every
 * answer must come, in order, from bytes that were left in their place. */
static void random_traffic_is_answered_in_order(void **state)
{
    (void)state;
    enum { N_WIRES = 8, N_REQUESTS = 400 };
    struct rig rig;
    struct http_limits limits = http_limits_default();
    limits.max_pipelined = 5;
    rig_init(&rig, &limits);
    struct rng rng = rng_seed(test_seed());
    struct wire *wires[N_WIRES];
    struct buf texts[N_WIRES];
    size_t sent[N_WIRES] = {0};
    for (int w = 0; w < N_WIRES; w++) {
        wires[w] = wire_open(&rig);
        buf_init(&texts[w], 1 << 22);
        for (int i = 0; i < N_REQUESTS; i++) {
            int pad = (int)rng_below(&rng, rng_below(&rng, 10) == 0 ? 5000 : 20);
            if (rng_below(&rng, 3) == 0)
                buf_printf(
                    &texts[w],
                    "POST /view HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%0*d\r\n"
                    "6\r\n%06d\r\n0\r\n\r\n",
                    pad + 1, pad + 1, 0, i);
            else
                buf_printf(&texts[w], "POST /view HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%0*d%06d",
                           pad + 7, pad + 1, 0, i);
        }
        assert_false(texts[w].failed);
    }
    for (bool more = true; more;) {
        more = false;
        for (int w = 0; w < N_WIRES; w++) {
            if (sent[w] == texts[w].n || wires[w]->paused || rng_below(&rng, 3) == 0) {
                more |= sent[w] < texts[w].n;
                continue;
            }
            for (uint64_t pieces = 1 + rng_below(&rng, 3); pieces > 0 && !wires[w]->paused; pieces--) {
                size_t n = 1 + rng_below(&rng, rng_below(&rng, 4) == 0 ? 20000 : 300);
                if (n > texts[w].n - sent[w]) n = texts[w].n - sent[w];
                if (n > 0) wire_give(&rig, wires[w], texts[w].data + sent[w], n);
                sent[w] += n;
            }
            more = true;
        }
        rig_wake(&rig);
    }
    rig_settle(&rig);
    for (int w = 0; w < N_WIRES; w++) {
        const char *p = wires[w]->got.data, *end = p + wires[w]->got.n;
        for (int i = 0; i < N_REQUESTS; i++) {
            const char *head_end = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
            assert_non_null(head_end);
            const char *length = memmem(p, (size_t)(head_end - p), "Content-Length: ", 16);
            assert_non_null(length);
            p = head_end + 4 + atoi(length + 16);
            assert_true(p <= end && p >= head_end + 10);
            char last[7] = {0};
            memcpy(last, p - 6, 6);
            assert_int_equal(atoi(last), i);
        }
        assert_ptr_equal(p, end);
        buf_done(&texts[w]);
        wire_free(&rig, wires[w]);
    }
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_with_its_body),
        cmocka_unit_test(every_split_of_a_request_gives_the_same),
        cmocka_unit_test(every_split_of_a_chunked_body_gives_the_same),
        cmocka_unit_test(requests_stay_where_they_are_until_the_wake_up_ends),
        cmocka_unit_test(pipelined_answers_leave_together_and_in_order),
        cmocka_unit_test(an_early_answer_waits_for_those_before_it),
        cmocka_unit_test(a_ticket_outlives_its_connection_harmlessly),
        cmocka_unit_test(head_gets_the_length_and_no_body),
        cmocka_unit_test(http_1_0_closes_unless_asked_to_stay),
        cmocka_unit_test(closing_waits_for_the_peer_and_then_a_time),
        cmocka_unit_test(a_peer_that_half_closes_gets_its_answers),
        cmocka_unit_test(a_peer_whose_end_was_seen_is_probed),
        cmocka_unit_test(expect_continue_is_told_in_its_turn),
        cmocka_unit_test(random_traffic_is_answered_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
