#include "evolve/remote_inference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "evolve/remote_models.h"

enum {
    GENOMES_A_SET = 256, /* the more matches run side by side, the more rows of one policy share a request */
    MAX_BODY = 64 << 20,
    TEXT_BYTES = 512
};

struct request { /* for rows of one player */
    uint32_t player;
    uint32_t first, n; /* rows, in order[] */
};

struct remote {
    struct remote_link link;
    struct remote_models models;
    uint32_t batch_size;
    struct remote_stats stats;
    struct buf body;
    /* of the set under way */
    struct network_compiler compiler;
    struct arena arena; /* holds what follows */
    struct player {
        uint64_t id;
        uint32_t n_state; /* values a row remembers from one tick to the next; 0: none */
        float *state;     /* [rows of this player, n_state] */
    } * players;
    uint32_t *order;          /* [n_rows] rows in the order asked */
    struct request *requests; /* [n_rows] */
    const struct row_batch *batch;
};

onnxd_status remote_create(const struct remote_options *options, struct remote **ret_remote, onnxd_error *err)
{
    if (options->batch < 1 || options->batch > 65536 || options->concurrency < 1 ||
        options->concurrency > 1024)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "remote: batch %u and concurrency %u, expected 1..65536 and 1..1024", options->batch,
                         options->concurrency);
    struct remote *r = calloc(1, sizeof *r);
    if (r == NULL) return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory");
    onnxd_status status = remote_link_init(&r->link, options->url, options->concurrency, err);
    if (status != ONNXD_OK) {
        free(r);
        return status;
    }
    r->batch_size = options->batch;
    remote_models_init(&r->models, &r->link);
    buf_init(&r->body, MAX_BODY);
    arena_init(&r->arena, 0);
    *ret_remote = r;
    return ONNXD_OK;
}

void remote_free(struct remote *r)
{
    if (r == NULL) return;
    onnxd_error err;
    /* A server that is gone has nothing left to unload. */
    if (!r->link.broken && remote_models_unload(&r->models, &err) != ONNXD_OK) r->link.broken = true;
    remote_models_done(&r->models);
    remote_link_done(&r->link);
    network_compiler_done(&r->compiler);
    arena_done(&r->arena);
    buf_done(&r->body);
    free(r);
}

const struct remote_stats *remote_stats_of(const struct remote *remote)
{
    return &remote->stats;
}

onnxd_status remote_unload(struct remote *remote, onnxd_error *err)
{
    onnxd_status status = remote_models_unload(&remote->models, err);
    remote->stats.compute_ns = remote->models.compute_ns;
    return status;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static float *state_of(const struct remote *r, const struct player *player, uint32_t row)
{
    uint32_t first = r->batch->first_row[player - r->players];
    return player->state + (size_t)(row - first) * player->n_state;
}

/* The answer in the protocol's binary form: a JSON head, whose length a header tells, then the rows' outputs
 * and, from a recurrent policy, what the rows are to remember. */
static onnxd_status on_rows(void *context, uint32_t item, const struct http_client_response *response,
                            onnxd_error *err)
{
    enum { ROW_BYTES = ARENA_N_OUTPUTS * sizeof(float) };
    struct remote *r = context;
    const struct request *request = &r->requests[item];
    const struct player *player = &r->players[request->player];
    const struct http_view *length = &response->headers[HTTP_HEADER_INFERENCE_LENGTH];
    size_t state_bytes = player->n_state * sizeof(float);
    size_t head = 0, want = request->n * (ROW_BYTES + state_bytes);
    for (size_t i = 0;
         i < length->n && length->p[i] >= '0' && length->p[i] <= '9' && head <= response->body.n; i++)
        head = head * 10 + (size_t)(length->p[i] - '0');
    if (length->n == 0 || head > response->body.n || response->body.n - head != want)
        return error_set(
            err, ONNXD_ERR_FORMAT,
            "remote: asked for %u rows of %d values and %u to remember, got %zu bytes with a head of %zu",
            request->n, ARENA_N_OUTPUTS, player->n_state, response->body.n, head);
    const char *from = response->body.p + head, *state_from = from + request->n * (size_t)ROW_BYTES;
    for (uint32_t i = 0; i < request->n; i++) {
        uint32_t row = r->order[request->first + i];
        memcpy(r->batch->out + (size_t)row * ARENA_N_OUTPUTS, from + (size_t)i * ROW_BYTES, ROW_BYTES);
        if (state_bytes > 0) memcpy(state_of(r, player, row), state_from + i * state_bytes, state_bytes);
    }
    return ONNXD_OK;
}

static void append_inputs(struct remote *r, const struct request *request)
{
    for (uint32_t i = 0; i < request->n; i++)
        buf_append(&r->body, r->batch->in + (size_t)r->order[request->first + i] * ARENA_N_INPUTS,
                   ARENA_N_INPUTS * sizeof(float));
}

/* A model with one input takes nothing but its rows; one with a state takes two binary tensors behind a head
 * that says so, in the order of the outputs asked. ret_headers: [TEXT_BYTES]. */
static void write_body(struct remote *r, const struct request *request, char *ret_headers)
{
    const struct player *player = &r->players[request->player];
    char head[TEXT_BYTES];
    int n_head = 0;
    buf_reset(&r->body);
    if (player->n_state > 0)
        n_head = snprintf(
            head, sizeof head,
            "{\"inputs\":[{\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[%u,%u],\"parameters\":{"
            "\"binary_data_size\":%zu}},{\"name\":\"state\",\"datatype\":\"FP32\",\"shape\":[%u,%u],"
            "\"parameters\":{\"binary_data_size\":%zu}}],\"outputs\":[{\"name\":\"output\"},"
            "{\"name\":\"next_state\"}],\"parameters\":{\"binary_data_output\":true}}",
            request->n, (unsigned)ARENA_N_INPUTS, request->n * ARENA_N_INPUTS * sizeof(float), request->n,
            player->n_state, request->n * player->n_state * sizeof(float));
    buf_append(&r->body, head, (size_t)n_head);
    snprintf(ret_headers, TEXT_BYTES, "Inference-Header-Content-Length: %d\r\n", n_head);
    append_inputs(r, request);
    for (uint32_t i = 0; player->n_state > 0 && i < request->n; i++)
        buf_append(&r->body, state_of(r, player, r->order[request->first + i]),
                   player->n_state * sizeof(float));
}

static onnxd_status queue_request(struct remote *r, uint32_t number, onnxd_error *err)
{
    const struct request *request = &r->requests[number];
    char path[TEXT_BYTES], headers[TEXT_BYTES];
    snprintf(path, sizeof path, "/v2/models/g%llu/infer", (unsigned long long)r->players[request->player].id);
    write_body(r, request, headers);
    if (r->body.failed) return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for a request");
    const struct http_client_request http = {.method = HTTP_METHOD_POST,
                                             .path = path,
                                             .content_type = "application/octet-stream",
                                             .headers = headers,
                                             .body = r->body.data,
                                             .n_body = r->body.n};
    r->stats.n_requests++;
    r->stats.n_rows += request->n;
    return remote_link_queue(&r->link, number, &http, on_rows, r, number, err);
}

static onnxd_status run_remote(void *context, const struct row_batch *batch, onnxd_error *err)
{
    struct remote *r = context;
    uint32_t n_order = 0, n_sent = 0;
    onnxd_status status = ONNXD_OK;
    uint64_t start_ns = monotonic_ns();
    r->batch = batch;
    for (uint32_t p = 0; p < batch->n_players && status == ONNXD_OK; p++) {
        struct request request = {.player = p, .first = n_order};
        for (uint32_t row = batch->first_row[p]; row < batch->first_row[p + 1]; row++) {
            if (batch->live[row]) r->order[n_order++] = row;
            request.n = n_order - request.first;
            bool last = row + 1 == batch->first_row[p + 1];
            if (request.n == 0 || (request.n < r->batch_size && !last)) continue;
            r->requests[n_sent] = request;
            status = queue_request(r, n_sent++, err);
            if (status != ONNXD_OK) break;
            request.first = n_order;
        }
    }
    if (status == ONNXD_OK) status = remote_link_exchange(&r->link, err);
    r->stats.http_ns += monotonic_ns() - start_ns;
    return status;
}

/* ---- sets --------------------------------------------------------------------------------------------- */

/* What player p's rows remember: what its network's nodes held after the tick before, nothing at first. */
static onnxd_status reserve_state(struct remote *r, const struct match_set *set, uint32_t p,
                                  const struct genome *genome, const struct genome_shape *shape,
                                  onnxd_error *err)
{
    struct player *player = &r->players[p];
    struct network network;
    *player = (struct player){.id = genome->id};
    if (!shape->recurrent) return ONNXD_OK;
    onnxd_status status = network_compile(&r->compiler, genome, shape, &r->arena, &network, err);
    if (status != ONNXD_OK || !network.recurrent) return status;
    size_t n_values = (size_t)(set->first_row[p + 1] - set->first_row[p]) * network.n_nodes;
    player->n_state = network.n_nodes;
    player->state = arena_alloc_array(&r->arena, n_values + 1, sizeof *player->state);
    if (player->state == NULL) return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for states");
    memset(player->state, 0, n_values * sizeof *player->state);
    return ONNXD_OK;
}

static onnxd_status reserve_set(struct remote *r, const struct match_set *set,
                                const struct genome *const *genomes, const struct genome_shape *shape,
                                onnxd_error *err)
{
    arena_reset(&r->arena);
    r->players = arena_alloc_array(&r->arena, set->n_players + 1, sizeof *r->players);
    r->order = arena_alloc_array(&r->arena, set->n_rows + 1, sizeof *r->order);
    r->requests = arena_alloc_array(&r->arena, set->n_rows + 1, sizeof *r->requests);
    if (r->players == NULL || r->order == NULL || r->requests == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for %u rows", set->n_rows);
    onnxd_status status = ONNXD_OK;
    for (uint32_t p = 0; p < set->n_players && status == ONNXD_OK; p++)
        status = reserve_state(r, set, p, genomes[p], shape, err);
    return status;
}

static onnxd_status begin_remote(void *context, uint32_t worker, const struct match_set *set,
                                 const struct genome *const *genomes, const struct genome_shape *shape,
                                 struct inference *ret_inference, onnxd_error *err)
{
    struct remote *r = context;
    (void)worker;
    uint64_t start_ns = monotonic_ns();
    onnxd_status status = reserve_set(r, set, genomes, shape, err);
    if (status == ONNXD_OK) status = remote_models_load(&r->models, genomes, set->n_players, shape, err);
    r->stats.n_loads = r->models.n_loads;
    r->stats.compute_ns = r->models.compute_ns;
    r->stats.load_ns += monotonic_ns() - start_ns;
    if (status == ONNXD_OK) *ret_inference = (struct inference){.context = r, .run = run_remote};
    return status;
}

struct contest_backend remote_backend(struct remote *remote)
{
    return (struct contest_backend){
        .context = remote, .n_genomes_a_set = GENOMES_A_SET, .n_workers = 1, .begin = begin_remote};
}
