#include "bench/modes_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "protocol/row_client.h"
#include "protocol/v2_response.h"

#define BODY_LIMIT   ((size_t)256 << 20)
#define ANSWER_LIMIT ((size_t)256 << 20)
#define START_NS     (30 * NS_PER_S)
#define CALL_NS      (30 * NS_PER_S)

static const char *engine_word(onnxd_engine engine)
{
    return engine == ONNXD_ENGINE_ONNXRUNTIME ? "onnxruntime" : "native";
}

/* ---- engines and their servers ------------------------------------------------------------------- */

onnxd_status modes_engine_open(struct modes_engine *e, const char *model, onnxd_engine engine,
                               onnxd_error *err)
{
    const onnxd_model_options options = {.engine = engine};
    *e = (struct modes_engine){.engine = engine};
    return onnxd_model_load(model, &options, &e->model, err);
}

static onnxd_status find_port(struct modes_engine *e, onnxd_error *err)
{
    char line[128];
    onnxd_status status = child_wait_text(&e->server, "listening on http://127.0.0.1:", START_NS, line,
                                          sizeof line, err);
    if (status != ONNXD_OK) return status;
    unsigned long port = strtoul(strrchr(line, ':') + 1, NULL, 10);
    if (port == 0 || port > 65535)
        return error_set(err, ONNXD_ERR_IO, "onnxd serve: no port in '%.60s'", line);
    return net_address_tcp("127.0.0.1", (uint16_t)port, &e->address, err);
}

onnxd_status modes_engine_serve(struct modes_engine *e, const struct modes_options *o, uint32_t most_rows,
                                onnxd_error *err)
{
    char program[4096], model[4096], workers[16], batch[16], bytes[24];
    if (e->server.pid != 0) return ONNXD_OK;
    onnxd_status status = ONNXD_OK;
    if (o->program == NULL)
        status = child_own_program(program, sizeof program, err);
    else
        snprintf(program, sizeof program, "%s", o->program);
    if (status != ONNXD_OK) return status;
    if ((size_t)snprintf(model, sizeof model, "m=%s", o->model) >= sizeof model)
        return error_set(err, ONNXD_ERR_ARGUMENT, "%.100s...: the path is too long", o->model);
    snprintf(workers, sizeof workers, "%u", o->workers);
    snprintf(batch, sizeof batch, "%u", most_rows < 64 ? 64 : most_rows);
    snprintf(bytes, sizeof bytes, "%zu", BODY_LIMIT);
    const char *const argv[] = {
        program, "serve",     "--model", model,         "--engine", engine_word(e->engine), "--port",
        "0",     "--workers", workers,   "--max-batch", batch,      "--max-body-bytes",     bytes,
        NULL};
    status = child_start(&(struct child_options){.argv = argv}, &e->server, err);
    if (status == ONNXD_OK) status = find_port(e, err);
    return status;
}

void modes_engine_close(struct modes_engine *e)
{
    child_stop(&e->server, 2 * NS_PER_S);
    onnxd_model_unref(e->model);
    *e = (struct modes_engine){0};
}

/* ---- calls --------------------------------------------------------------------------------------- */

/* Numbers of a row over all outputs; 0 when an output has no fixed size. */
static size_t count_values(const struct protocol_schema *schema)
{
    size_t n = 0;
    for (uint32_t j = 0; j < schema->n_outputs; j++) {
        if (schema->outputs[j].row_elements == 0 || !checked_add_size(n, schema->outputs[j].row_elements, &n))
            return 0;
    }
    return n;
}

static onnxd_status connect_remote(struct modes_call *c, const struct modes_engine *e, onnxd_error *err)
{
    const struct http_client_options options = {.max_body_bytes = ANSWER_LIMIT};
    onnxd_status status = http_client_init(&c->client, &options, err);
    if (status == ONNXD_OK) status = http_client_connect(&c->client, &e->address, err);
    return status;
}

onnxd_status modes_call_open(struct modes_call *c, const struct modes_engine *e, struct modes_kind kind,
                             enum modes_protocol protocol, const struct protocol_schema *schema,
                             onnxd_error *err)
{
    const onnxd_session_options options = {.max_batch = kind.batch};
    size_t n_answers = 0;
    *c = (struct modes_call){.kind = kind, .protocol = protocol, .schema = schema, .client = {.fd = -1}};
    buf_init(&c->body, BODY_LIMIT);
    arena_init(&c->arena, ANSWER_LIMIT);
    c->n_values = count_values(schema);
    if (c->n_values == 0 || !checked_mul_size(c->n_values, kind.batch, &n_answers))
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "the model's outputs have no fixed size a row");
    c->in = calloc(schema->n_inputs + 1u, sizeof *c->in);
    c->out = calloc(schema->n_outputs + 1u, sizeof *c->out);
    c->answers = calloc(n_answers, sizeof *c->answers);
    if (c->in == NULL || c->out == NULL || c->answers == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for the answers");
    onnxd_status status = row_batch_init(&c->input, schema, kind.batch, err);
    if (status != ONNXD_OK) return status;
    row_batch_tensors(&c->input, schema, 0, kind.batch, c->in);
    return kind.remote ? connect_remote(c, e, err)
                       : onnxd_session_create(e->model, &options, &c->session, err);
}

void modes_call_close(struct modes_call *c)
{
    if (c->schema == NULL) return;
    onnxd_session_free(c->session);
    if (c->kind.remote) http_client_done(&c->client);
    row_batch_done(&c->input);
    buf_done(&c->body);
    arena_done(&c->arena);
    free(c->in);
    free(c->out);
    free(c->answers);
    *c = (struct modes_call){0};
}

/* Copies one output's rows into the answers, whose row begins with the outputs before it. */
static onnxd_status take_output(struct modes_call *c, const onnxd_tensor *t, uint32_t j, size_t offset,
                                onnxd_error *err)
{
    size_t n = c->schema->outputs[j].row_elements;
    if (onnxd_tensor_n_elements(t) != (int64_t)(n * c->kind.batch))
        return error_set(err, ONNXD_ERR_SHAPE, "output '%s': expected %zu values for %u rows, got %lld",
                         c->schema->outputs[j].info->name, n * c->kind.batch, c->kind.batch,
                         (long long)onnxd_tensor_n_elements(t));
    for (uint32_t r = 0; r < c->kind.batch; r++)
        for (size_t k = 0; k < n; k++) {
            float *to = &c->answers[r * c->n_values + offset + k];
            switch (t->type) {
            case ONNXD_FLOAT32: *to = ((const float *)t->data)[r * n + k]; break;
            case ONNXD_FLOAT64: *to = (float)((const double *)t->data)[r * n + k]; break;
            case ONNXD_INT64: *to = (float)((const int64_t *)t->data)[r * n + k]; break;
            case ONNXD_INT32: *to = (float)((const int32_t *)t->data)[r * n + k]; break;
            default: *to = 0; break; /* other types are transported, not compared */
            }
        }
    return ONNXD_OK;
}

static onnxd_status run_here(struct modes_call *c, onnxd_error *err)
{
    onnxd_status status = onnxd_session_run(c->session, c->in, c->schema->n_inputs, c->out,
                                            c->schema->n_outputs, err);
    size_t offset = 0;
    for (uint32_t j = 0; j < c->schema->n_outputs && status == ONNXD_OK; j++) {
        status = take_output(c, &c->out[j], j, offset, err);
        offset += c->schema->outputs[j].row_elements;
    }
    return status;
}

static size_t header_bytes(const struct http_view *value)
{
    size_t n = 0;
    if (value->n == 0 || value->n > 12) return V2_ALL_JSON;
    for (size_t i = 0; i < value->n; i++) n = n * 10 + (size_t)(value->p[i] - '0');
    return n;
}

static onnxd_status read_binary(struct modes_call *c, const struct http_client_response *r)
{
    struct v2_response answer;
    arena_reset(&c->arena);
    onnxd_status status = v2_response_read(r->body.p, r->body.n,
                                           header_bytes(&r->headers[HTTP_HEADER_INFERENCE_LENGTH]), &c->arena,
                                           &answer, &c->error);
    if (status != ONNXD_OK) return status;
    if (answer.n_outputs != c->schema->n_outputs)
        return error_set(&c->error, ONNXD_ERR_FORMAT, "the server answered %u outputs of %u",
                         answer.n_outputs, c->schema->n_outputs);
    size_t offset = 0;
    for (uint32_t j = 0; j < answer.n_outputs && status == ONNXD_OK; j++) {
        status = take_output(c, &answer.outputs[j].tensor, j, offset, &c->error);
        offset += c->schema->outputs[j].row_elements;
    }
    return status;
}

static void on_response(void *context, const struct http_client_response *r)
{
    struct modes_call *c = context;
    if (r->status != 200)
        c->status = error_set(&c->error, ONNXD_ERR_IO, "the server answered %u: %.*s", r->status,
                              (int)(r->body.n < 200 ? r->body.n : 200), r->body.n > 0 ? r->body.p : "");
    else if (c->protocol == MODES_BINARY)
        c->status = read_binary(c, r);
    else
        c->status = row_answer_read(c->kind.batch == 1 ? ROW_FORM_PREDICT : ROW_FORM_PREDICT_MANY, r->body.p,
                                    r->body.n, c->kind.batch, c->n_values, c->answers, &c->error);
}

static onnxd_status run_remote(struct modes_call *c, onnxd_error *err)
{
    const struct v2_request_options binary = {.binary_inputs = true, .binary_outputs = true};
    size_t n_json = 0;
    char header[64];
    buf_reset(&c->body);
    onnxd_status status = c->protocol == MODES_BINARY
                              ? v2_request_write(c->schema, c->in, &binary, &c->body, &n_json, err)
                              : row_request_write(c->kind.batch == 1 ? ROW_FORM_PREDICT
                                                                     : ROW_FORM_PREDICT_MANY,
                                                  c->schema, c->in, 0, c->kind.batch, &c->body, err);
    if (status != ONNXD_OK) return status;
    snprintf(header, sizeof header, "Inference-Header-Content-Length: %zu\r\n", n_json);
    const struct http_client_request request = {
        .method = HTTP_METHOD_POST,
        .host = "127.0.0.1",
        .path = c->protocol == MODES_BINARY ? "/v2/models/m/infer" : "/predict",
        .content_type = c->protocol == MODES_BINARY ? "application/octet-stream" : NULL,
        .headers = c->protocol == MODES_BINARY ? header : NULL,
        .body = c->body.data,
        .n_body = c->body.n};
    c->status = ONNXD_OK;
    status = http_client_call(&c->client, &request, CALL_NS, on_response, c, err);
    if (status == ONNXD_OK && c->status != ONNXD_OK) {
        *err = c->error;
        status = c->status;
    }
    return status;
}

onnxd_status modes_call_run(struct modes_call *c, const struct row_pool *pool, uint32_t first,
                            onnxd_error *err)
{
    row_pool_copy(pool, first, c->kind.batch, &c->input);
    return c->kind.remote ? run_remote(c, err) : run_here(c, err);
}
