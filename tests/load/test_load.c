/* The load generator's small languages, its reply scanner, and whole runs against a server of its own. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "json/json_reader.h"
#include "load/load_machine.h"
#include "load/load_reply.h"
#include "load/load_report.h"
#include "load/load_run.h"
#include "load/load_stall.h"
#include "net/http_server.h"
#include "net/net_socket.h"

static void stages_and_durations_are_read(void **state)
{
    (void)state;
    struct load_options o = {0};
    onnxd_error err;
    uint64_t ns;
    assert_ok(load_stages_parse("500ms@1000,10s@1000-3000,1m@0-60", o.stages, &o.n_stages, &err), err);
    assert_int_equal(o.n_stages, 3);
    assert_true(load_is_open(&o) && load_total_ns(&o) == 70500000000ull);
    assert_true(load_rate_at(&o, -5) == 1000 && load_rate_at(&o, 499999999) == 1000);
    assert_true(fabs(load_rate_at(&o, 5500000000) - 2000) < 1e-6 && load_rate_at(&o, 99000000000) == 60);
    assert_true(fabs(load_requests_asked(&o) - (500 + 20000 + 1800)) < 1e-6);
    assert_ok(load_stages_parse("2,0.5s", o.stages, &o.n_stages, &err), err);
    assert_true(!load_is_open(&o) && load_total_ns(&o) == 2500000000ull);
    static const char *const bad[] = {"",          "10s@", "10s@0",  "x",     "10s@5,",
                                      "10s@5,10s", "0s@5", "10s@-5", "-1s@5", "1s@5 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(load_stages_parse(bad[i], o.stages, &o.n_stages, &err), ONNXD_ERR_ARGUMENT, err,
                     "stages");
    assert_true(load_duration_parse("1.5h", &ns) && ns == 5400000000000ull);
    assert_false(load_duration_parse("5 s", &ns) || load_duration_parse("1e30s", &ns) ||
                 load_duration_parse("s", &ns));
}

static void urls_are_read(void **state)
{
    (void)state;
    struct load_url url;
    onnxd_error err;
    assert_ok(load_url_parse("http://127.0.0.1:3000/a/b?c=d", &url, &err), err);
    assert_string_equal(url.host, "127.0.0.1");
    assert_string_equal(url.path, "/a/b?c=d");
    assert_string_equal(url.authority, "127.0.0.1:3000");
    assert_int_equal(url.port, 3000);
    assert_ok(load_url_parse("http://[::1]:8?x", &url, &err), err);
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.path, "/?x");
    assert_ok(load_url_parse("localhost", &url, &err), err);
    assert_true(url.port == 80 && strcmp(url.path, "/") == 0);
    static const char *const bad[] = {"http://",        "http://:80",  "http://a:0",    "http://a:65536",
                                      "http://a:b",     "http://a b/", "http://a:80x/", "http://[::1",
                                      "http://a/\r\nx", "ftp://a/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (load_url_parse(bad[i], &url, &err) != ONNXD_ERR_ARGUMENT) fail_msg("'%s' was taken", bad[i]);
    assert_ok(load_url_parse("https://a/x", &url, &err), err);
    assert_true(url.tls && url.port == 443 && strcmp(url.host, "a") == 0);
}

static void bodies_are_made_of_templates_and_rows(void **state)
{
    (void)state;
    struct load_url url;
    struct load_corpus corpus;
    onnxd_error err;
    struct rng rng = rng_seed(test_seed());
    assert_ok(load_url_parse("http://h/p", &url, &err), err);
    struct load_corpus_options o = {
        .body = "[${3..5},${-1.0..1},${i},$$]", .n_variants = 500, .headers = "x-y: z\r\n"};
    assert_ok(load_corpus_build(&url, &o, &rng, &corpus, &err), err);
    assert_int_equal(corpus.n, 500);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < corpus.n; i++) {
        int whole, number, n = 0, n_head = 0;
        double fraction;
        char text[512];
        snprintf(text, sizeof text, "%.*s", (int)corpus.requests[i].n, corpus.requests[i].bytes);
        char *body = strstr(text, "\r\n\r\n") + 4;
        assert_int_equal(sscanf(body, "[%d,%lf,%d,$]%n", &whole, &fraction, &number, &n), 3);
        assert_int_equal(body[n], 0);
        assert_true(whole >= 3 && whole <= 5 && fraction >= -1 && fraction <= 1 && number == (int)i);
        seen |= 1u << whole;
        assert_int_equal(sscanf(text,
                                "POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: "
                                "application/json\r\nContent-Length: %d\r\nx-y: z%n",
                                &n, &n_head),
                         1);
        assert_true(n_head > 0 && n == (int)strlen(body));
    }
    assert_int_equal(seen, 0x38);
    load_corpus_done(&corpus);
    static const char *const bad[] = {"${}", "${1}", "${5..3}", "${a..b}", "$x", "${1..2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.body = bad[i];
        assert_fails(load_corpus_build(&url, &o, &rng, &corpus, &err), ONNXD_ERR_ARGUMENT, err,
                     "placeholder");
    }
    static const char rows[] = "1,2\r\n\n [3,4]\n{\"x\":1}";
    struct load_corpus_options r = {.rows = rows, .n_rows_bytes = sizeof rows - 1};
    static const char *const want[] = {"{\"features\":[1,2]}", "{\"features\":[3,4]}", "{\"x\":1}"};
    assert_ok(load_corpus_build(&url, &r, &rng, &corpus, &err), err);
    assert_int_equal(corpus.n, 3);
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(want[i]);
        assert_memory_equal(corpus.requests[i].bytes + corpus.requests[i].n - n, want[i], n);
    }
    load_corpus_done(&corpus);
    r.batch = 2;
    assert_ok(load_corpus_build(&url, &r, &rng, &corpus, &err), err);
    static const char second[] = "\r\n\r\n{\"instances\":[{\"x\":1},[1,2]]}";
    assert_memory_equal(corpus.requests[1].bytes + corpus.requests[1].n - (sizeof second - 1), second,
                        sizeof second - 1);
    load_corpus_done(&corpus);
    r.rows = "1,2\nhello";
    r.n_rows_bytes = 9;
    r.batch = 1;
    assert_fails(load_corpus_build(&url, &r, &rng, &corpus, &err), ONNXD_ERR_FORMAT, err, "line 2");
    r.n_rows_bytes = 0;
    assert_fails(load_corpus_build(&url, &r, &rng, &corpus, &err), ONNXD_ERR_FORMAT, err, "no row");
}

/* Feeds a stream in pieces cut at every place; the replies found must not depend on the cut. */
static void replies_are_found_however_they_are_cut(void **state)
{
    (void)state;
    static const char stream[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
                                 "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nTransfer-Encoding: "
                                 "chunked\r\nx: y\r\n\r\n3;e=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: u\r\n\r\n"
                                 "HTTP/1.1 204 No\r\nConnection: Keep-Alive\r\n\r\n"
                                 "HTTP/1.0 404 Not\r\nContent-Length:0\r\n\r\n"
                                 "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end";
    static const uint16_t want[] = {200, 503, 204, 404};
    size_t n = sizeof stream - 1;
    for (size_t cut = 0; cut <= n; cut++) {
        struct load_reply reply = {0};
        char held[sizeof stream];
        size_t n_held = 0, found = 0, fed = 0;
        for (int piece = 0; piece < 2; piece++) {
            size_t until = piece == 0 ? cut : n;
            memcpy(held + n_held, stream + fed, until - fed);
            n_held += until - fed;
            fed = until;
            size_t at = 0;
            for (;;) {
                size_t used;
                enum load_scan scan = load_reply_scan(&reply, held + at, n_held - at, &used);
                assert_true(scan != LOAD_BAD);
                at += used;
                if (scan == LOAD_MORE) break;
                assert_true(found < 4);
                assert_int_equal(reply.status, want[found]);
                assert_int_equal(reply.closes, found == 3);
                found++;
                reply = (struct load_reply){0};
            }
            memmove(held, held + at, n_held - at);
            n_held -= at;
        }
        assert_int_equal(found, 4);
        assert_true(load_reply_end(&reply) && reply.status == 200);
    }
    static const char *const bad[] = {"HTTP/2 200 OK\r\n\r\n",
                                      "hello world, this\r\n\r\n",
                                      "HTTP/1.1 999 X\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct load_reply reply = {0};
        size_t used;
        if (load_reply_scan(&reply, bad[i], strlen(bad[i]), &used) != LOAD_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void objectives_are_read_and_checked(void **state)
{
    (void)state;
    struct load_objective o[LOAD_MAX_OBJECTIVES];
    uint32_t n;
    onnxd_error err;
    struct load_result r = {.elapsed_s = 10};
    r.record = calloc(1, sizeof *r.record);
    for (int i = 1; i <= 2000; i++)
        histogram_record(&r.record->response, (uint64_t)i * 1000); /* 1 us .. 2 ms */
    r.record->n_done = 2000;
    r.record->status[200] = 1998;
    r.record->status[503] = 2; /* without slots: the histogram stands alone */
    assert_ok(load_slo_parse("p99<2ms,p50>=900us,mean<1s,max<=2ms,rps>150,errors<0.2%,p99.9<1s", o, &n, &err),
              err);
    assert_int_equal(n, 7);
    assert_false(load_slo_check(&r, o, n));
    static const bool kept[] = {true, true, true, true, true, true, false};
    for (uint32_t i = 0; i < n; i++)
        if (o[i].kept != kept[i]) fail_msg("%s: found %g, kept %d", o[i].text, o[i].found, o[i].kept);
    assert_true(isnan(o[6].found)); /* two samples above p99.9 are no figure */
    assert_string_equal(o[1].text, "p50>=900us");
    static const char *const bad[] = {"",      "p99",      "p99<1",    "p0<1ms",  "p100<1ms",
                                      "x<1ms", "p99<1ms,", "rps>10ms", "p99=1ms", "errors<-1%"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (load_slo_parse(bad[i], o, &n, &err) != ONNXD_ERR_ARGUMENT) fail_msg("'%s' was taken", bad[i]);
    load_result_done(&r);
}

static void stall_arithmetic_matches_the_reference(void **state)
{
    (void)state;
    /* 5 s at L with the server stopped for 500 ms: p99 = 450 + 50 L/C, p99.9 = 495 + 5 L/C ms. */
    struct load_stall s = {0.5, 5, 10000, 160000};
    assert_true(fabs(load_stall_quantile(&s, 0.99) - (0.450 + 0.050 / 16)) < 1e-9);
    assert_true(fabs(load_stall_quantile(&s, 0.999) - (0.495 + 0.005 / 16)) < 1e-9);
    assert_true(load_stall_quantile(&s, 0.5) == 0);
    double busy = 0, steal = 0;
    assert_true(load_machine_parse("cpu  100 20 30 4000 5 6 7 80 0 0\n", 100, &busy, &steal));
    assert_true(fabs(busy - 1.63) < 1e-9 && fabs(steal - 0.8) < 1e-9);
    assert_false(load_machine_parse("intr 1", 100, &busy, &steal));
}

/* ---- runs against a server ------------------------------------------------------------------------- */

struct server {
    pthread_t thread;
    struct http_server *server;
    struct http_host *host;
    uint16_t port;
    _Atomic bool stop;
    bool silent; /* never answers */
    uint32_t n, fail_every;
};

static void answer(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct server *s = context;
    (void)request;
    if (s->silent) return;
    bool fail = s->fail_every > 0 && ++s->n % s->fail_every == 0;
    http_host_answer(s->host, ticket,
                     &(struct http_response){.status = fail ? 503 : 200, .body = "{}", .n_body = 2});
}

static void *serve(void *argument)
{
    struct server *s = argument;
    while (!atomic_load(&s->stop)) http_server_step(s->server, 5 * NS_PER_MS);
    return NULL;
}

static void server_start(struct server *s)
{
    struct http_server_options options = {.limits = http_limits_default()};
    struct http_handler handler = {.context = s, .request = answer};
    struct net_address address;
    onnxd_error err;
    int fd;
    assert_ok(http_server_create(&options, &handler, &s->server, &err), err);
    s->host = http_server_host(s->server);
    assert_ok(net_address_tcp("127.0.0.1", 0, &address, &err), err);
    assert_ok(net_listen(&address, false, &fd, &s->port, &err), err);
    assert_ok(http_server_listen(s->server, fd, &err), err);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    http_server_free(s->server);
}

static struct load_result run_load(struct server *s, struct load_options options)
{
    struct load_target target = {.url = {.host = "127.0.0.1", .path = "/x", .port = s->port}, .weight = 1};
    snprintf(target.url.authority, sizeof target.url.authority, "127.0.0.1:%u", s->port);
    struct load_corpus_options body = {
        .body = "{\"features\":[${0..9}]}", .n_variants = 64, .close = options.new_connections};
    struct load_result result;
    struct rng rng = rng_seed(1);
    onnxd_error err = {0};
    if (options.n_threads == 0) options.n_threads = 1;
    if (options.pipeline == 0) options.pipeline = 1;
    if (options.timeout_ns == 0) options.timeout_ns = 20 * NS_PER_S;
    assert_ok(load_corpus_build(&target.url, &body, &rng, &target.corpus, &err), err);
    assert_ok(load_run(&options, &target, 1, NULL, NULL, &result, &err), err);
    load_corpus_done(&target.corpus);
    return result;
}

static void closed_loops_keep_littles_law(void **state)
{
    (void)state;
    static const struct load_options variants[] = {
        {.n_connections = 8,
         .n_stages = 1,
         .stages = {{300 * NS_PER_MS, 0, 0}},
         .warm_up_ns = 100 * NS_PER_MS},
        {.n_connections = 5,
         .n_threads = 2,
         .n_stages = 1,
         .stages = {{300 * NS_PER_MS, 0, 0}},
         .warm_up_ns = 100 * NS_PER_MS},
        {.n_connections = 4,
         .pipeline = 16,
         .n_stages = 1,
         .stages = {{300 * NS_PER_MS, 0, 0}},
         .warm_up_ns = 100 * NS_PER_MS},
    };
    struct server s = {0};
    server_start(&s);
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        struct load_result r = run_load(&s, variants[i]);
        double under_way = variants[i].n_connections * (variants[i].pipeline > 0 ? variants[i].pipeline : 1);
        assert_true(r.record->n_done > 100);
        assert_int_equal(load_n_errors(r.record), 0);
        assert_int_equal(r.record->response.n, r.record->n_done);
        /* Exact over a long run; over a short one replies at its ends weigh in, more so on a busy machine. */
        if (r.audit.littles_connections < under_way / 4 || r.audit.littles_connections > under_way * 4)
            fail_msg("Little's law: %.2f instead of %.0f", r.audit.littles_connections, under_way);
        uint64_t n = 0;
        for (uint32_t k = 0; k < r.n_intervals; k++) n += r.intervals[k].n;
        assert_int_equal(n, r.record->n_done);
        load_result_done(&r);
    }
    server_stop(&s);
}

/* An open loop owes an answer to exactly those requests that fell due. */
static void open_loops_account_for_every_request(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    struct load_options constant = {.n_connections = 16,
                                    .n_threads = 2,
                                    .n_stages = 2,
                                    .warm_up_ns = 50 * NS_PER_MS,
                                    .stages = {{200 * NS_PER_MS, 1000, 1000}, {200 * NS_PER_MS, 2000, 2000}}};
    struct load_result r = run_load(&s, constant);
    assert_in_range(r.record->n_due, 598, 602);
    assert_int_equal(r.record->n_done, r.record->n_due);
    assert_int_equal(r.record->response.n, r.record->n_due);
    assert_int_equal(r.record->lateness.n + r.record->n_waited, r.record->n_due);
    assert_int_equal(load_n_errors(r.record), 0);
    assert_true(r.record->service.sum <= r.record->response.sum);
    load_result_done(&r);
    struct load_options poisson = {.n_connections = 8,
                                   .n_stages = 1,
                                   .poisson = true,
                                   .seed = 3,
                                   .stages = {{500 * NS_PER_MS, 2000, 2000}}};
    r = run_load(&s, poisson);
    assert_in_range(r.record->n_due, 1000 - 6 * 32, 1000 + 6 * 32);
    assert_int_equal(r.record->n_done, r.record->n_due);
    load_result_done(&r);
    server_stop(&s);
}

static void each_request_may_have_its_connection(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    struct load_options closed = {
        .n_connections = 4, .new_connections = true, .n_stages = 1, .stages = {{200 * NS_PER_MS, 0, 0}}};
    struct load_result r = run_load(&s, closed);
    assert_true(r.record->n_done > 10 && load_n_errors(r.record) == 0);
    assert_true(r.record->n_connects >= r.record->n_done);
    load_result_done(&r);
    struct load_options open = {
        .n_connections = 4, .new_connections = true, .n_stages = 1, .stages = {{200 * NS_PER_MS, 500, 500}}};
    r = run_load(&s, open);
    assert_in_range(r.record->n_due, 99, 101);
    assert_int_equal(r.record->n_done, r.record->n_due);
    load_result_done(&r);
    server_stop(&s);
}

static void faults_are_counted_by_kind(void **state)
{
    (void)state;
    struct server s = {.fail_every = 4};
    server_start(&s);
    struct load_options open = {.n_connections = 2, .n_stages = 1, .stages = {{200 * NS_PER_MS, 1000, 1000}}};
    struct load_result r = run_load(&s, open);
    assert_true(r.record->status[200] > 0 && r.record->status[503] > 0);
    assert_int_equal(r.record->status[200] + r.record->status[503], r.record->n_due);
    assert_true(fabs(load_error_share(r.record) - 0.25) < 0.01);
    load_result_done(&r);
    server_stop(&s);
    struct server silent = {.silent = true};
    server_start(&silent);
    open.timeout_ns = 100 * NS_PER_MS;
    r = run_load(&silent, open);
    assert_int_equal(r.record->n_done, 0);
    assert_true(r.record->faults[LOAD_FAULT_TIMEOUT] >= 2);
    uint64_t n = 0;
    for (int i = 0; i < LOAD_N_FAULTS; i++) n += r.record->faults[i];
    assert_int_equal(n, r.record->n_due);
    assert_true(load_error_share(r.record) == 1 && r.audit.client_limited);
    load_result_done(&r);
    server_stop(&silent);
}

static void wrong_plans_and_absent_servers_are_told(void **state)
{
    (void)state;
    struct load_target target = {
        .url = {.host = "127.0.0.1", .path = "/", .port = 1, .authority = "127.0.0.1:1"}, .weight = 1};
    struct load_options o = {.n_connections = 1,
                             .n_threads = 2,
                             .pipeline = 1,
                             .n_stages = 1,
                             .timeout_ns = 1,
                             .stages = {{1, 0, 0}}};
    struct load_result r;
    onnxd_error err;
    assert_fails(load_run(&o, &target, 1, NULL, NULL, &r, &err), ONNXD_ERR_ARGUMENT, err, "connections");
    o.n_threads = 1;
    assert_fails(load_run(&o, &target, 1, NULL, NULL, &r, &err), ONNXD_ERR_IO, err, "cannot connect");
    o.pipeline = 2;
    o.new_connections = true;
    assert_fails(load_run(&o, &target, 1, NULL, NULL, &r, &err), ONNXD_ERR_ARGUMENT, err, "pipeline");
}

static void reports_are_whole(void **state)
{
    (void)state;
    struct server s = {0};
    server_start(&s);
    struct load_options open = {.n_connections = 4, .n_stages = 1, .stages = {{400 * NS_PER_MS, 1000, 1000}}};
    struct load_result r = run_load(&s, open);
    server_stop(&s);
    struct load_objective o[LOAD_MAX_OBJECTIVES];
    uint32_t n;
    onnxd_error err;
    assert_ok(load_slo_parse("rps>1,p99.99<1ms", o, &n, &err), err);
    assert_false(load_slo_check(&r, o, n));
    struct buf buf;
    buf_init(&buf, 1 << 20);
    load_report_json(&r, o, n, &buf);
    struct json_reader reader;
    json_reader_init(&reader, buf.data, buf.n, &err);
    json_skip(&reader);
    assert_ok(json_finish(&reader), err);
    buf_append_char(&buf, 0);
    assert_non_null(strstr(buf.data, "\"p99.99\":null")); /* 400 requests say nothing about it */
    assert_non_null(strstr(buf.data, "\"kept\":true"));
    buf_reset(&buf);
    load_report_text(&r, o, n, &buf);
    load_report_markdown(&r, o, n, &buf);
    load_report_csv(&r, &buf);
    buf_append_char(&buf, 0);
    static const char *const pieces[] = {"Requests/sec:",  "fewer than ten samples above it",
                                         "Audit",          "p99.99<1ms: BROKEN, found too few samples",
                                         "| requests/s |", "at_s,requests_per_s"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        if (strstr(buf.data, pieces[i]) == NULL) fail_msg("'%s' is missing in:\n%s", pieces[i], buf.data);
    buf_reset(&buf);
    strcpy(r.url, "http://h/<script>");
    load_report_html(&r, o, n, &buf);
    assert_false(buf.failed);
    buf_append_char(&buf, 0);
    assert_null(strstr(buf.data, "<script"));
    assert_null(strstr(buf.data, "nan"));
    assert_non_null(strstr(buf.data, "</html>"));
    buf_done(&buf);
    load_result_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_and_durations_are_read),
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(bodies_are_made_of_templates_and_rows),
        cmocka_unit_test(replies_are_found_however_they_are_cut),
        cmocka_unit_test(objectives_are_read_and_checked),
        cmocka_unit_test(stall_arithmetic_matches_the_reference),
        cmocka_unit_test(closed_loops_keep_littles_law),
        cmocka_unit_test(open_loops_account_for_every_request),
        cmocka_unit_test(each_request_may_have_its_connection),
        cmocka_unit_test(faults_are_counted_by_kind),
        cmocka_unit_test(wrong_plans_and_absent_servers_are_told),
        cmocka_unit_test(reports_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
