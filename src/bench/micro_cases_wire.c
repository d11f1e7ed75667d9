/* Cases of micro_cases.h: bytes to numbers and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench/micro_cases.h"
#include "json/json_reader.h"
#include "json/json_writer.h"
#include "net/http_host.h"
#include "net/http_parser.h"
#include "protocol/predict_body.h"
#include "protocol/row_client.h"
#include "protocol/row_stream.h"
#include "protocol/v2_request.h"
#include "protocol/v2_response.h"

enum { N_FIELDS = 15, MANY = 64, MESSAGE_BYTES = 65536 };

struct message { /* a whole request, and where its body lies */
    char bytes[MESSAGE_BYTES];
    size_t n, n_head;
};

struct wire {
    struct protocol_schema schema;
    onnxd_io_info input, output;
    struct row_batch rows; /* [MANY] filled */
    struct row_batch parsed;
    onnxd_tensor in, out;
    float answers[MANY];
    struct message one, many, binary;
    size_t binary_json; /* length of the JSON in front of the tensors */
    char work[MESSAGE_BYTES];
    struct buf buf;
    struct arena arena;
    struct http_host *host;
    struct http_conn *conn;
    uint64_t now_ns; /* the host's time: real time would bring in timers that fall due meanwhile */
};

/* ---- bodies and requests ------------------------------------------------------------------------- */

static void fill_rows(struct wire *w)
{
    struct rng rng = rng_seed(1);
    float *x = w->rows.rows.data[0];
    for (int r = 0; r < MANY; r++) {
        for (int i = 0; i < N_FIELDS; i++, x++)
            *x = i < 10 ? (float)rng_below(&rng, 20000) : (float)rng_below(&rng, 10000) / 10000;
        w->answers[r] = rng_f32(&rng) / 100;
    }
    w->rows.rows.n = MANY;
}

/* Puts a head in front of the body in w->buf. */
static onnxd_status finish_message(struct wire *w, struct message *m, const char *path, const char *header,
                                   onnxd_error *err)
{
    int n = snprintf(m->bytes, sizeof m->bytes,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nUser-Agent: bench\r\nAccept: */*\r\n"
                     "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                     path, header, w->buf.n);
    if (w->buf.failed || (size_t)n + w->buf.n > sizeof m->bytes)
        return error_set(err, ONNXD_ERR_INTERNAL, "bench: a request does not fit");
    memcpy(m->bytes + n, w->buf.data, w->buf.n);
    m->n_head = (size_t)n;
    m->n = (size_t)n + w->buf.n;
    buf_reset(&w->buf);
    return ONNXD_OK;
}

static onnxd_status make_messages(struct wire *w, onnxd_error *err)
{
    const struct v2_request_options binary = {.binary_inputs = true, .binary_outputs = true};
    char header[80];
    row_batch_tensors(&w->rows, &w->schema, 0, MANY, &w->in);
    onnxd_status status = row_request_write(ROW_FORM_PREDICT, &w->schema, &w->in, 0, 1, &w->buf, err);
    if (status == ONNXD_OK) status = finish_message(w, &w->one, "/predict", "", err);
    if (status == ONNXD_OK)
        status = row_request_write(ROW_FORM_PREDICT_MANY, &w->schema, &w->in, 0, MANY, &w->buf, err);
    if (status == ONNXD_OK) status = finish_message(w, &w->many, "/predict", "", err);
    if (status == ONNXD_OK)
        status = v2_request_write(&w->schema, &w->in, &binary, &w->buf, &w->binary_json, err);
    snprintf(header, sizeof header, "Inference-Header-Content-Length: %zu\r\n", w->binary_json);
    if (status == ONNXD_OK) status = finish_message(w, &w->binary, "/v2/models/m/infer", header, err);
    return status;
}

/* ---- a server without sockets -------------------------------------------------------------------- */

static void answer(void *context, const struct http_request *request, struct http_ticket ticket)
{
    static const char body[] = "{\"ctr\":0.42314887,\"latency_ms\":0.075}";
    struct wire *w = context;
    (void)request;
    http_host_answer(w->host, ticket,
                     &(struct http_response){.status = 200, .body = body, .n_body = sizeof body - 1});
}

static ssize_t swallow(void *context, struct http_conn *conn, const struct iovec *iov, int n_iov)
{
    ssize_t n = 0;
    (void)context, (void)conn;
    for (int i = 0; i < n_iov; i++) n += (ssize_t)iov[i].iov_len;
    return n;
}

static void shut(void *context, struct http_conn *conn)
{
    (void)context, (void)conn;
}

static void pause_input(void *context, struct http_conn *conn, bool pause)
{
    (void)context, (void)conn, (void)pause;
}

static onnxd_status make_host(struct wire *w, onnxd_error *err)
{
    const struct http_limits limits = http_limits_default();
    const struct http_handler handler = {.context = w, .request = answer};
    const struct http_transport transport = {
        .send = swallow, .shut = shut, .pause = pause_input, .close = shut};
    const struct clock clock = clock_fake(&w->now_ns);
    onnxd_status status = http_host_create(&limits, &handler, &transport, &clock, &w->host, err);
    if (status != ONNXD_OK) return status;
    w->conn = http_host_open(w->host);
    return w->conn != NULL ? ONNXD_OK : error_set(err, ONNXD_ERR_NOMEM, "bench: no memory for a connection");
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static void wire_free(void *data)
{
    struct wire *w = data;
    http_host_free(w->host);
    row_batch_done(&w->rows);
    row_batch_done(&w->parsed);
    protocol_schema_done(&w->schema);
    buf_done(&w->buf);
    arena_done(&w->arena);
    free(w);
}

static onnxd_status wire_create(struct wire **ret, onnxd_error *err)
{
    struct wire *w = calloc(1, sizeof *w);
    if (w == NULL) return error_set(err, ONNXD_ERR_NOMEM, "bench: no memory");
    w->input = (onnxd_io_info){.name = "features", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, N_FIELDS}};
    w->output = (onnxd_io_info){.name = "ctr", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}};
    w->out = (onnxd_tensor){.type = ONNXD_FLOAT32, .rank = 2, .dims = {MANY, 1}, .data = w->answers};
    buf_init(&w->buf, (size_t)1 << 20);
    arena_init(&w->arena, (size_t)1 << 20);
    onnxd_status status = protocol_schema_init(&w->schema, &w->input, 1, &w->output, 1, NULL, err);
    if (status == ONNXD_OK) status = row_batch_init(&w->rows, &w->schema, MANY, err);
    if (status == ONNXD_OK) status = row_batch_init(&w->parsed, &w->schema, MANY, err);
    if (status == ONNXD_OK) {
        w->parsed.rows.max_rows = MANY;
        fill_rows(w);
        status = make_messages(w, err);
    }
    if (status == ONNXD_OK) status = make_host(w, err);
    if (status == ONNXD_OK)
        *ret = w;
    else
        wire_free(w);
    return status;
}

/* ---- the cases ----------------------------------------------------------------------------------- */

static onnxd_status parse_json(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    float values[N_FIELDS];
    for (uint64_t i = 0; i < n; i++) {
        struct json_reader r;
        struct json_text key;
        json_reader_init(&r, w->one.bytes + w->one.n_head, w->one.n - w->one.n_head, err);
        json_enter_object(&r);
        while (json_next_key(&r, &key)) {
            json_enter_array(&r);
            micro_keep(json_read_f32_elements(&r, values, N_FIELDS));
            while (json_next_element(&r)) json_skip(&r);
        }
        if (json_finish(&r) != ONNXD_OK) return r.status;
    }
    return ONNXD_OK;
}

static onnxd_status skip_json(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    for (uint64_t i = 0; i < n; i++) {
        struct json_reader r;
        json_reader_init(&r, w->many.bytes + w->many.n_head, w->many.n - w->many.n_head, err);
        json_skip(&r);
        if (json_finish(&r) != ONNXD_OK) return r.status;
    }
    return ONNXD_OK;
}

static onnxd_status read_predict(struct wire *w, const struct message *m, uint64_t n, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    bool many;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        w->parsed.rows.n = 0;
        status = predict_request_read(&w->schema, m->bytes + m->n_head, m->n - m->n_head, &w->parsed.rows,
                                      &many, err);
    }
    return status;
}

static onnxd_status read_one(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    return read_predict(w, &w->one, n, err);
}

static onnxd_status read_many(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    return read_predict(w, &w->many, n, err);
}

/* The message as a server's buffer would hold it; the parser may change it. */
static onnxd_status parse_http(struct wire *w, const struct message *m, struct http_request *ret,
                               onnxd_error *err)
{
    static const struct http_parser_limits limits = {16384, 100, MESSAGE_BYTES};
    struct http_parser parser;
    size_t n = m->n;
    memcpy(w->work, m->bytes, m->n);
    http_parser_init(&parser, HTTP_PARSER_REQUEST, &limits);
    if (http_parser_feed(&parser, w->work, 0, &n) != HTTP_PARSE_DONE)
        return error_set(err, ONNXD_ERR_INTERNAL, "bench: the request was not parsed");
    http_parser_request(&parser, w->work, ret);
    return ONNXD_OK;
}

static onnxd_status request_predict(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    onnxd_status status = ONNXD_OK;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        struct http_request request;
        bool many;
        w->parsed.rows.n = 0;
        status = parse_http(w, &w->one, &request, err);
        if (status == ONNXD_OK)
            status = predict_request_read(&w->schema, request.body.p, request.body.n, &w->parsed.rows, &many,
                                          err);
    }
    return status;
}

static onnxd_status request_binary(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    onnxd_status status = ONNXD_OK;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        struct http_request request;
        struct v2_request v2;
        arena_reset(&w->arena);
        status = parse_http(w, &w->binary, &request, err);
        if (status == ONNXD_OK)
            status = v2_request_read(&w->schema, request.body.p, request.body.n, w->binary_json, &w->arena,
                                     &v2, err);
    }
    return status;
}

static onnxd_status exchange(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(w->work, w->one.bytes, w->one.n);
        w->now_ns += NS_PER_US;
        http_host_input(w->host, w->conn, w->work, w->one.n);
        http_host_wake(w->host);
    }
    if (http_host_n_open(w->host) != 1)
        return error_set(err, ONNXD_ERR_INTERNAL, "bench: the connection was closed");
    return ONNXD_OK;
}

static onnxd_status write_one(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    onnxd_status status = ONNXD_OK;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        buf_reset(&w->buf);
        status = predict_answer_write(&w->schema, &w->out, MANY, (uint32_t)(i % MANY), 1, false, 0.0312,
                                      &w->buf, err);
    }
    return status;
}

static onnxd_status write_many(void *context, uint64_t n, onnxd_error *err)
{
    struct wire *w = context;
    onnxd_status status = ONNXD_OK;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        buf_reset(&w->buf);
        status = predict_answer_write(&w->schema, &w->out, MANY, 0, MANY, true, 0.0312, &w->buf, err);
    }
    return status;
}

onnxd_status micro_cases_wire(struct micro_list *list, onnxd_error *err)
{
    static const struct {
        const char *name;
        onnxd_status (*run)(void *, uint64_t, onnxd_error *);
        double rows;
    } cases[] = {
        {"json: read 15 numbers", parse_json, 0},
        {"json: check 64 rows of 15 numbers", skip_json, 0},
        {"predict: read a body, 1 row", read_one, 1},
        {"predict: read a body, 64 rows", read_many, MANY},
        {"predict: parse a request (HTTP and body), 1 row", request_predict, 1},
        {"v2: parse a binary request (HTTP and body), 64 rows", request_binary, MANY},
        {"predict: write an answer, 1 row", write_one, 1},
        {"predict: write an answer, 64 rows", write_many, MANY},
        {"http: a request and its answer without socket or model", exchange, 0},
    };
    struct wire *w = NULL;
    onnxd_status status = wire_create(&w, err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0] && status == ONNXD_OK; i++)
        status = micro_list_add(
            list,
            (struct micro_case){.run = cases[i].run, .context = w, .units = cases[i].rows, .unit = "rows"},
            i == 0 ? wire_free : NULL, w, err, "%s", cases[i].name);
    return status;
}
