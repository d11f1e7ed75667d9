#include "evolve/remote_inference.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "evolve/policy.h"
#include "json/json_reader.h"
#include "net/http_client.h"

enum {
    GENOMES_A_SET = 50,
    REPOSITORY_REQUESTS = 32, /* under way at once; a server lets only some wait */
    KEPT_MODELS = 600,        /* loaded at once before those no longer needed go */
    MAX_BODY = 64 << 20,
    TIMEOUT_MS = 30000,
    PATH_BYTES = 64
};

enum request_kind { ASKS_REPOSITORY, ASKS_ROWS, ASKS_STATISTICS };

struct request { /* one that is under way */
    enum request_kind kind;
    uint32_t first, n; /* rows, in order[] */
};

struct connection {
    struct http_client client;
    struct remote *remote;
    struct request *requests; /* [capacity] in the order sent */
    uint32_t n, next, capacity;
};

struct remote {
    struct remote_options options;
    char host[256];
    uint16_t port;
    struct connection *connections; /* [concurrency] */
    struct pollfd *polls;
    struct remote_stats stats;
    uint64_t *loaded; /* [n_loaded] genome ids */
    uint32_t n_loaded, loaded_capacity;
    /* of the set and tick under way */
    uint64_t *ids; /* [n_players] */
    uint32_t n_players;
    uint32_t *order; /* [n_rows] rows in the order asked */
    const struct row_batch *batch;
    uint32_t n_waiting;
    bool broken;         /* answers were lost: the connections are of no use */
    onnxd_status status; /* of the answers so far */
    onnxd_error err;
    struct buf body;
};

/* ---- connecting ------------------------------------------------------------------------------------- */

static onnxd_status parse_url(struct remote *r, onnxd_error *err)
{
    static const char PREFIX[] = "http://";
    const char *url = r->options.url;
    const char *host = strncmp(url, PREFIX, sizeof PREFIX - 1) == 0 ? url + sizeof PREFIX - 1 : NULL;
    const char *colon = host == NULL ? NULL : strrchr(host, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (colon == NULL || colon == host || (size_t)(colon - host) >= sizeof r->host || port == 0 ||
        port > 65535 || (*end != 0 && strcmp(end, "/") != 0))
        return error_set(err, ONNXD_ERR_ARGUMENT, "url: expected http://HOST:PORT, got '%.100s'", url);
    memcpy(r->host, host, (size_t)(colon - host));
    r->port = (uint16_t)port;
    return ONNXD_OK;
}

static onnxd_status connect_all(struct remote *r, onnxd_error *err)
{
    const struct http_client_options options = {.max_pipelined = 65536};
    struct net_address address;
    onnxd_status status = net_address_tcp(r->host, r->port, &address, err);
    for (uint32_t i = 0; i < r->options.concurrency && status == ONNXD_OK; i++) {
        r->connections[i].remote = r;
        status = http_client_init(&r->connections[i].client, &options, err);
        if (status == ONNXD_OK) status = http_client_connect(&r->connections[i].client, &address, err);
    }
    return status;
}

onnxd_status remote_create(const struct remote_options *options, struct remote **ret_remote, onnxd_error *err)
{
    if (options->batch < 1 || options->batch > 65536 || options->concurrency < 1 ||
        options->concurrency > 1024)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "remote: batch %u and concurrency %u, expected 1..65536 and 1..1024", options->batch,
                         options->concurrency);
    struct remote *r = calloc(1, sizeof *r);
    if (r == NULL) return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory");
    r->options = *options;
    buf_init(&r->body, MAX_BODY);
    r->connections = calloc(options->concurrency, sizeof *r->connections);
    r->polls = calloc(options->concurrency, sizeof *r->polls);
    onnxd_status status = ONNXD_OK;
    if (r->connections == NULL || r->polls == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "remote: no memory");
    if (status == ONNXD_OK) status = parse_url(r, err);
    if (status == ONNXD_OK) status = connect_all(r, err);
    if (status != ONNXD_OK) {
        remote_free(r);
        return status;
    }
    *ret_remote = r;
    return ONNXD_OK;
}

const struct remote_stats *remote_stats_of(const struct remote *remote)
{
    return &remote->stats;
}

/* ---- requests and answers ---------------------------------------------------------------------------- */

static bool push_request(struct connection *c, struct request request)
{
    if (c->n == c->capacity) {
        uint32_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        struct request *grown = realloc(c->requests, capacity * sizeof *grown);
        if (grown == NULL) return false;
        c->requests = grown;
        c->capacity = capacity;
    }
    c->requests[c->n++] = request;
    return true;
}

/* The answer in the protocol's binary form: a JSON head, whose length a header tells, then the rows' outputs.
 */
static onnxd_status read_rows(struct remote *r, const struct request *request,
                              const struct http_client_response *response)
{
    enum { ROW_BYTES = ARENA_N_OUTPUTS * sizeof(float) };
    const struct http_view *length = &response->headers[HTTP_HEADER_INFERENCE_LENGTH];
    size_t head = 0, want = request->n * ROW_BYTES;
    for (size_t i = 0;
         i < length->n && length->p[i] >= '0' && length->p[i] <= '9' && head <= response->body.n; i++)
        head = head * 10 + (size_t)(length->p[i] - '0');
    if (length->n == 0 || head > response->body.n || response->body.n - head != want)
        return error_set(&r->err, ONNXD_ERR_FORMAT,
                         "remote: asked for %u rows of %d values, got %zu bytes with a head of %zu",
                         request->n, ARENA_N_OUTPUTS, response->body.n, head);
    const char *from = response->body.p + head;
    for (uint32_t i = 0; i < request->n; i++, from += ROW_BYTES)
        memcpy(r->batch->out + (size_t)r->order[request->first + i] * ARENA_N_OUTPUTS, from, ROW_BYTES);
    return ONNXD_OK;
}

/* Calls `then` on the value of `key` in the object that follows; other members are skipped. */
static void in_member(struct json_reader *reader, const char *key,
                      void (*then)(struct json_reader *, uint64_t *), uint64_t *ns)
{
    struct json_text name;
    json_enter_object(reader);
    while (json_next_key(reader, &name)) {
        if (json_text_is(&name, key))
            then(reader, ns);
        else
            json_skip(reader);
    }
}

static void read_ns(struct json_reader *reader, uint64_t *ns)
{
    uint64_t value = 0;
    if (json_read_u64(reader, &value)) *ns += value;
}

static void read_duration(struct json_reader *reader, uint64_t *ns)
{
    in_member(reader, "ns", read_ns, ns);
}

static void read_stages(struct json_reader *reader, uint64_t *ns)
{
    in_member(reader, "compute_infer", read_duration, ns);
}

static void read_versions(struct json_reader *reader, uint64_t *ns)
{
    json_enter_array(reader);
    while (json_next_element(reader)) in_member(reader, "inference_stats", read_stages, ns);
}

/* What the server says it spent in runs of a model. */
static onnxd_status read_statistics(struct remote *r, struct http_view body)
{
    struct json_reader reader;
    uint64_t ns = 0;
    json_reader_init(&reader, body.p, body.n, &r->err);
    in_member(&reader, "model_stats", read_versions, &ns);
    onnxd_status status = json_finish(&reader);
    if (status == ONNXD_OK) r->stats.compute_ns += ns;
    return status;
}

/* The error text of an answer that is not 200. */
static onnxd_status refuse(struct remote *r, const struct http_client_response *response)
{
    size_t n = response->body.n < 200 ? response->body.n : 200;
    return error_set(&r->err, ONNXD_ERR_FORMAT, "remote: the server answered %u: %.*s", response->status,
                     (int)n, n > 0 ? response->body.p : "");
}

static void on_response(void *context, const struct http_client_response *response)
{
    struct connection *c = context;
    struct remote *r = c->remote;
    const struct request *request = &c->requests[c->next++];
    onnxd_status status = ONNXD_OK;
    r->n_waiting--;
    if (response->status != 200)
        status = refuse(r, response);
    else if (request->kind == ASKS_ROWS)
        status = read_rows(r, request, response);
    else if (request->kind == ASKS_STATISTICS)
        status = read_statistics(r, response->body);
    if (status != ONNXD_OK && r->status == ONNXD_OK) r->status = status;
}

static onnxd_status queue(struct remote *r, struct connection *c, const char *path, struct request request,
                          onnxd_error *err)
{
    bool rows = request.kind == ASKS_ROWS;
    const struct http_client_request http = {
        .method = request.kind == ASKS_STATISTICS ? HTTP_METHOD_GET : HTTP_METHOD_POST,
        .host = r->host,
        .path = path,
        .content_type = rows ? "application/octet-stream" : NULL,
        .headers = rows ? "Inference-Header-Content-Length: 0\r\n" : NULL,
        .body = r->body.data,
        .n_body = r->body.n};
    if (r->body.failed || !push_request(c, request))
        return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for a request");
    onnxd_status status = http_client_queue(&c->client, &http, err);
    if (status == ONNXD_OK) r->n_waiting++;
    return status;
}

static onnxd_status exchange_until_done(struct remote *r, onnxd_error *err)
{
    uint32_t n = r->options.concurrency;
    onnxd_status status = ONNXD_OK;
    r->status = ONNXD_OK;
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++)
        if (http_client_wants_write(&r->connections[i].client))
            status = http_client_write(&r->connections[i].client, err);
    while (status == ONNXD_OK && r->n_waiting > 0) {
        for (uint32_t i = 0; i < n; i++) {
            bool writes = http_client_wants_write(&r->connections[i].client);
            r->polls[i] = (struct pollfd){.fd = r->connections[i].client.fd,
                                          .events = (short)(POLLIN | (writes ? POLLOUT : 0))};
        }
        int n_ready = poll(r->polls, n, TIMEOUT_MS);
        if (n_ready < 0 && errno == EINTR) continue;
        if (n_ready <= 0)
            return error_set(err, n_ready == 0 ? ONNXD_ERR_TIMEOUT : ONNXD_ERR_IO,
                             "remote: no answer from %s:%u within %d s", r->host, r->port, TIMEOUT_MS / 1000);
        for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
            struct connection *c = &r->connections[i];
            if (r->polls[i].revents & POLLOUT) status = http_client_write(&c->client, err);
            if (status == ONNXD_OK && r->polls[i].revents & (POLLIN | POLLHUP | POLLERR))
                status = http_client_read(&c->client, on_response, c, err);
        }
    }
    return status;
}

/* Sends and reads on all connections until every answer is there. */
static onnxd_status exchange_all(struct remote *r, onnxd_error *err)
{
    onnxd_status status = exchange_until_done(r, err);
    if (status != ONNXD_OK) r->broken = true;
    for (uint32_t i = 0; i < r->options.concurrency; i++) r->connections[i].n = r->connections[i].next = 0;
    if (status == ONNXD_OK && r->status != ONNXD_OK) {
        if (err != NULL) *err = r->err;
        status = r->status;
    }
    return status;
}

/* A model with one input takes nothing but its rows. */
static void write_rows(struct remote *r, const struct row_batch *batch, const struct request *request)
{
    buf_reset(&r->body);
    for (uint32_t i = 0; i < request->n; i++)
        buf_append(&r->body, batch->in + (size_t)r->order[request->first + i] * ARENA_N_INPUTS,
                   ARENA_N_INPUTS * sizeof(float));
}

static onnxd_status run_remote(void *context, const struct row_batch *batch, onnxd_error *err)
{
    struct remote *r = context;
    uint32_t n_order = 0, n_sent = 0;
    onnxd_status status = ONNXD_OK;
    uint64_t start_ns = monotonic_ns();
    r->batch = batch;
    for (uint32_t p = 0; p < batch->n_players && status == ONNXD_OK; p++) {
        char path[PATH_BYTES];
        struct request request = {.kind = ASKS_ROWS, .first = n_order};
        snprintf(path, sizeof path, "/v2/models/g%llu/infer", (unsigned long long)r->ids[p]);
        for (uint32_t row = batch->first_row[p]; row < batch->first_row[p + 1]; row++) {
            if (batch->live[row]) r->order[n_order++] = row;
            request.n = n_order - request.first;
            bool last = row + 1 == batch->first_row[p + 1];
            if (request.n == 0 || (request.n < r->options.batch && !last)) continue;
            write_rows(r, batch, &request);
            status = queue(r, &r->connections[n_sent++ % r->options.concurrency], path, request, err);
            if (status != ONNXD_OK) break;
            r->stats.n_requests++;
            r->stats.n_rows += request.n;
            request = (struct request){.kind = ASKS_ROWS, .first = n_order};
        }
    }
    if (status == ONNXD_OK) status = exchange_all(r, err);
    r->stats.http_ns += monotonic_ns() - start_ns;
    return status;
}

/* ---- loading and unloading ---------------------------------------------------------------------------- */

static void append_base64(struct buf *out, const unsigned char *bytes, size_t n)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16;
        if (i + 1 < n) word |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < n) word |= bytes[i + 2];
        buf_append_char(out, DIGITS[word >> 18]);
        buf_append_char(out, DIGITS[word >> 12 & 63]);
        buf_append_char(out, i + 1 < n ? DIGITS[word >> 6 & 63] : '=');
        buf_append_char(out, i + 2 < n ? DIGITS[word & 63] : '=');
    }
}

static bool is_in(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static onnxd_status load_genome(struct remote *r, uint32_t number, const struct genome *genome,
                                const struct genome_shape *shape, onnxd_error *err)
{
    struct policy policy = {.genome = *genome, .shape = *shape, .task = "arena"};
    struct buf model;
    char path[PATH_BYTES + 32];
    buf_init(&model, MAX_BODY);
    onnxd_status status = policy_to_onnx(&policy, &model, err);
    if (status == ONNXD_OK) {
        buf_reset(&r->body);
        buf_append_text(&r->body, "{\"parameters\":{\"file:1/model.onnx\":\"");
        append_base64(&r->body, (const unsigned char *)model.data, model.n);
        buf_append_text(&r->body, "\"}}");
        snprintf(path, sizeof path, "/v2/repository/models/g%llu/load", (unsigned long long)genome->id);
        status = queue(r, &r->connections[number % r->options.concurrency], path,
                       (struct request){.kind = ASKS_REPOSITORY}, err);
    }
    buf_done(&model);
    if (status != ONNXD_OK) return status;
    if (r->n_loaded == r->loaded_capacity) {
        uint32_t capacity = r->loaded_capacity == 0 ? 256 : r->loaded_capacity * 2;
        uint64_t *grown = realloc(r->loaded, capacity * sizeof *grown);
        if (grown == NULL) return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory");
        r->loaded = grown;
        r->loaded_capacity = capacity;
    }
    r->loaded[r->n_loaded++] = genome->id;
    r->stats.n_loads++;
    return ONNXD_OK;
}

/* Unloads every model that is not among the n ids. */
static onnxd_status unload_others(struct remote *r, const uint64_t *ids, uint32_t n, onnxd_error *err)
{
    uint32_t n_kept = 0, n_sent = 0;
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < r->n_loaded && status == ONNXD_OK; i++) {
        char path[PATH_BYTES + 32];
        if (is_in(ids, n, r->loaded[i])) {
            r->loaded[n_kept++] = r->loaded[i];
            continue;
        }
        /* Both on one connection, so that the server answers the question before it forgets the model. */
        struct connection *c = &r->connections[n_sent++ % r->options.concurrency];
        buf_reset(&r->body);
        snprintf(path, sizeof path, "/v2/models/g%llu/stats", (unsigned long long)r->loaded[i]);
        status = queue(r, c, path, (struct request){.kind = ASKS_STATISTICS}, err);
        buf_append_text(&r->body, "{}");
        snprintf(path, sizeof path, "/v2/repository/models/g%llu/unload", (unsigned long long)r->loaded[i]);
        if (status == ONNXD_OK) status = queue(r, c, path, (struct request){.kind = ASKS_REPOSITORY}, err);
        if (status == ONNXD_OK && n_sent % REPOSITORY_REQUESTS == 0) status = exchange_all(r, err);
    }
    if (status != ONNXD_OK) return status;
    r->n_loaded = n_kept;
    return exchange_all(r, err);
}

onnxd_status remote_unload(struct remote *remote, onnxd_error *err)
{
    return unload_others(remote, NULL, 0, err);
}

static onnxd_status reserve_set(struct remote *r, const struct match_set *set, onnxd_error *err)
{
    uint64_t *ids = realloc(r->ids, (set->n_players + 1) * sizeof *ids);
    if (ids != NULL) r->ids = ids;
    uint32_t *order = realloc(r->order, (set->n_rows + 1) * sizeof *order);
    if (order != NULL) r->order = order;
    if (ids == NULL || order == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for %u rows", set->n_rows);
    r->n_players = set->n_players;
    return ONNXD_OK;
}

static onnxd_status begin_remote(void *context, uint32_t worker, const struct match_set *set,
                                 const struct genome *const *genomes, const struct genome_shape *shape,
                                 struct inference *ret_inference, onnxd_error *err)
{
    struct remote *r = context;
    (void)worker;
    if (shape->recurrent)
        return error_set(err, ONNXD_ERR_UNSUPPORTED,
                         "remote: recurrent policies keep their state in this process only");
    uint64_t start_ns = monotonic_ns();
    onnxd_status status = reserve_set(r, set, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t p = 0; p < set->n_players; p++) r->ids[p] = genomes[p]->id;
    if (r->n_loaded + set->n_players > KEPT_MODELS) status = unload_others(r, r->ids, set->n_players, err);
    uint32_t n_sent = 0;
    for (uint32_t p = 0; p < set->n_players && status == ONNXD_OK; p++) {
        if (is_in(r->loaded, r->n_loaded, genomes[p]->id)) continue;
        status = load_genome(r, p, genomes[p], shape, err);
        if (status == ONNXD_OK && ++n_sent % REPOSITORY_REQUESTS == 0) status = exchange_all(r, err);
    }
    if (status == ONNXD_OK) status = exchange_all(r, err);
    r->stats.load_ns += monotonic_ns() - start_ns;
    if (status == ONNXD_OK) *ret_inference = (struct inference){.context = r, .run = run_remote};
    return status;
}

struct contest_backend remote_backend(struct remote *remote)
{
    return (struct contest_backend){
        .context = remote, .n_genomes_a_set = GENOMES_A_SET, .n_workers = 1, .begin = begin_remote};
}

void remote_free(struct remote *r)
{
    if (r == NULL) return;
    onnxd_error err;
    /* A server that is gone has nothing left to unload. */
    if (r->n_loaded > 0 && !r->broken && unload_others(r, NULL, 0, &err) != ONNXD_OK) r->n_loaded = 0;
    for (uint32_t i = 0; r->connections != NULL && i < r->options.concurrency; i++) {
        http_client_done(&r->connections[i].client);
        free(r->connections[i].requests);
    }
    free(r->connections);
    free(r->polls);
    free(r->loaded);
    free(r->ids);
    free(r->order);
    buf_done(&r->body);
    free(r);
}
