/* However the network cuts a stream of requests, the same requests are seen and the same is refused. */
#include "support/wire.h"

#include <stdlib.h>

#define HEAD     "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED  HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define NEXT     "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
#define MOST     6 /* responses of a case */
#define TEN(x)   x x x x x x x x x x
#define BYTES(s) s, sizeof(s) - 1

struct outcome {
    uint32_t n_requests, n_responses;
    uint16_t status[MOST];
    char body[MOST][256];
    bool shut;
};

static struct http_limits limits(void)
{
    struct http_limits chosen = http_limits_default();
    chosen.max_head_bytes = 100;
    chosen.max_headers = 4;
    chosen.max_body_bytes = 60;
    return chosen;
}

static void note(const struct rig *rig, const struct wire *wire, uint32_t n_before, struct outcome *ret)
{
    *ret = (struct outcome){.n_requests = rig->n_requests - n_before, .shut = wire->shut};
    uint32_t n = wire_n_responses(wire);
    assert_true(n <= MOST);
    for (uint32_t i = 0; i < n; i++) {
        char *body = ret->body[ret->n_responses];
        uint16_t status = wire_response(wire, i, body, sizeof ret->body[0]);
        if (status == 100) continue; /* told only when the body does not come along */
        ret->status[ret->n_responses++] = status;
        if (status != 200) body[0] = 0; /* the words of a refusal may name what was seen first */
    }
}

/* Gives `text` cut at the n_cuts rising offsets, each piece in a wake-up of its own. */
static void give(struct rig *rig, const char *text, size_t n, const size_t *cuts, size_t n_cuts,
                 struct outcome *ret)
{
    struct wire *wire = wire_open(rig);
    uint32_t n_before = rig->n_requests;
    size_t from = 0;
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : n;
        if (to > from) wire_send_bytes(rig, wire, text + from, to - from);
        from = to;
    }
    note(rig, wire, n_before, ret);
    wire_free(rig, wire);
}

static void same(const struct outcome *want, const struct outcome *got, size_t c, const char *how, size_t at)
{
    bool equal = want->n_requests == got->n_requests && want->n_responses == got->n_responses &&
                 want->shut == got->shut;
    for (uint32_t i = 0; equal && i < want->n_responses; i++)
        equal = want->status[i] == got->status[i] && strcmp(want->body[i], got->body[i]) == 0;
    if (!equal)
        fail_msg("case %zu, %s %zu: whole %u requests, %u answers, first %d \"%s\"%s; in pieces %u, %u, %d "
                 "\"%s\"%s",
                 c, how, at, want->n_requests, want->n_responses, want->status[0], want->body[0],
                 want->shut ? ", closed" : "", got->n_requests, got->n_responses, got->status[0],
                 got->body[0], got->shut ? ", closed" : "");
}

static const struct split_case {
    const char *text;
    size_t n;
    uint32_t n_requests;
    uint16_t last_status; /* of the last answer, 0: none */
} cases[] = {
    /* good */
    {BYTES(NEXT), 1, 200},
    {BYTES(NEXT NEXT NEXT), 3, 200},
    {BYTES("\r\n" NEXT "\r\n\r\n" NEXT), 2, 200},
    {BYTES(HEAD "Content-Length: 5\r\n\r\nhello" NEXT), 2, 200},
    {BYTES(HEAD "Content-Length: 0\r\nX:\r\n\r\n" NEXT), 2, 200},
    {BYTES(HEAD "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" NEXT), 2, 200},
    {BYTES(CHUNKED "4;x=y\r\nWiki\r\n0\r\nT: r\r\n\r\n" NEXT), 2, 200},
    {BYTES(CHUNKED "4\r\nWiki\r\n00005;a=\"b c\"\r\npedia\r\n0\r\n\r\n" CHUNKED "1\r\nx\r\n0\r\n\r\n"), 2,
     200},
    {BYTES(CHUNKED "0\r\n\r\n" NEXT), 2, 200},
    {BYTES(CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\nA: 1\r\nB: 2\r\nC:\r\nD: 4\r\nE: 5\r\n\r\n"),
     1, 200},
    {BYTES(HEAD "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n0\r\n\r\n" NEXT), 2,
     200},
    {BYTES("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" NEXT), 2, 200},
    {BYTES("GET /echo HTTP/1.0\r\n\r\n" NEXT), 1, 200},
    /* exactly at a ceiling, and one past it */
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nX: " TEN("12345") "12345678901234\r\n\r\n" NEXT), 2, 200},
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nX: " TEN("12345") "123456789012345\r\n\r\n" NEXT), 0, 431},
    {BYTES(HEAD "Content-Length:" TEN("    ") "1\r\n\r\nxA"), 1, 200},
    {BYTES(HEAD "Content-Length:" TEN("     ") " 1\r\n\r\nx" NEXT), 0, 431},
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nX:" TEN("          ") "\r\n\r\n" NEXT), 0, 431},
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nX: a" TEN("          ") "\r\n\r\n" NEXT), 0, 431},
    {BYTES(TEN("\r\n\r\n\r\n\r\n") NEXT), 0, 431},
    {BYTES("GET /" TEN("1234567890") " HTTP/1.1\r\nHost: a\r\n\r\n"), 0, 414},
    {BYTES("GET /" TEN("123456789") " HTTP/1.1\r\nHost: a\r\n\r\n"), 0, 431},
    {BYTES(HEAD "Content-Length: 61\r\n\r\n"), 0, 413},
    {BYTES(CHUNKED "3c\r\n" TEN("123456") "\r\n0\r\n\r\n"), 1, 200},
    {BYTES(CHUNKED "3c\r\n" TEN("123456") "\r\n1\r\nx\r\n0\r\n\r\n"), 0, 413},
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"), 1, 200},
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"), 0, 431},
    /* framing out of proportion: in extensions before data, between, in trailers */
    {BYTES(CHUNKED "1;" TEN("12345678901234567890") "\r\nx\r\n0\r\n\r\n" NEXT), 0, 400},
    {BYTES(CHUNKED "1\r\nx\r\n1;" TEN("123456789012345678901") "\r\nx\r\n0\r\n\r\n" NEXT), 0, 400},
    {BYTES(CHUNKED "4;x=y\r\nWiki\r\n0\r\npe:" TEN("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                                   "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                                   "\xFF\xFF\xFF\xFF\xFF\xFF\xFF") "\r\n\r\n" NEXT),
     0, 400},
    {BYTES(CHUNKED "0\r\nT: " TEN("12345678901234567890") "\r\n\r\n" NEXT), 0, 400},
    {BYTES(CHUNKED "0\r\nT: " TEN("1234567890123456789") "\r\n\r\n" NEXT), 2, 200},
    /* bad */
    {BYTES(CHUNKED "4;x=y\r\nWiki\r\n0\r\npe:\xFF\xFF\x01\r\n\r\n" NEXT), 0, 400},
    {BYTES(CHUNKED "4\r\nWikipedia\r\n0\r\n\r\n" NEXT), 0, 400},
    {BYTES(CHUNKED "4\r\nWiki\r\nzz\r\n"), 0, 400},
    {BYTES(NEXT "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" NEXT), 1, 400},
    {BYTES(NEXT "GET /echo HTTP/1.1\r\n\r\n" NEXT), 1, 400},
    {BYTES(HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 0, 400},
    {BYTES(HEAD "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"), 0, 501},
    {BYTES("GET /echo HTTP/2.0\r\nHost: a\r\n\r\n"), 0, 505},
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n" NEXT), 0, 400},
    /* never complete */
    {BYTES("GET /echo HTTP/1.1\r\nHost: a\r\n"), 0, 0},
    {BYTES(CHUNKED "4\r\nWi"), 0, 0},
};

static void every_split_gives_the_same(void **state)
{
    (void)state;
    struct http_limits chosen = limits();
    struct rig rig;
    rig_init(&rig, &chosen);
    struct rng rng = rng_seed(test_seed());
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct split_case *one = &cases[c];
        struct outcome whole, pieces;
        give(&rig, one->text, one->n, NULL, 0, &whole);
        uint16_t last = whole.n_responses > 0 ? whole.status[whole.n_responses - 1] : 0;
        if (whole.n_requests != one->n_requests || (one->last_status != 0 && last != one->last_status))
            fail_msg("case %zu: %u requests, last status %d; expected %u, %d", c, whole.n_requests, last,
                     one->n_requests, one->last_status);
        for (size_t cut = 1; cut < one->n; cut++) {
            give(&rig, one->text, one->n, &cut, 1, &pieces);
            same(&whole, &pieces, c, "cut at", cut);
        }
        size_t cuts[1024];
        assert_true(one->n <= 1024);
        for (size_t i = 0; i + 1 < one->n; i++) cuts[i] = i + 1;
        give(&rig, one->text, one->n, cuts, one->n - 1, &pieces);
        same(&whole, &pieces, c, "pieces of", 1);
        for (size_t round = 0; round < 50; round++) {
            size_t n_cuts = 0;
            for (size_t at = 0; (at += 1 + rng_below(&rng, 40)) < one->n;) cuts[n_cuts++] = at;
            give(&rig, one->text, one->n, cuts, n_cuts, &pieces);
            same(&whole, &pieces, c, "random cuts, round", round);
        }
    }
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_split_gives_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
