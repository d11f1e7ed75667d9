#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "protocol/v2_meta.h"
#include "serve/admin_link.h"
#include "serve/exchange.h"
#include "serve/model_path.h"

/* ---- index ------------------------------------------------------------------------------------------ */

static void answer_index(struct exchange *exchange)
{
    static const char *const states[] = {[REPOSITORY_READY] = "READY",
                                         [REPOSITORY_LOADING] = "LOADING",
                                         [REPOSITORY_UNAVAILABLE] = "UNAVAILABLE"};
    struct worker *worker = exchange->worker;
    struct http_view body = exchange->request->body;
    onnxd_error err;
    bool ready_only = false;
    onnxd_status status = v2_index_request_read(body.p, body.n, &ready_only, &err);
    if (status != ONNXD_OK) {
        exchange_fail_status(exchange, status, err.message);
        return;
    }
    struct repository_entry *entries = calloc(INDEX_MAX_ENTRIES, sizeof *entries);
    struct v2_index_entry *told = calloc(INDEX_MAX_ENTRIES, sizeof *told);
    char(*numbers)[24] = calloc(INDEX_MAX_ENTRIES, sizeof *numbers);
    if (entries == NULL || told == NULL || numbers == NULL) {
        exchange_fail(exchange, 503, "out of memory");
    } else {
        uint32_t n = repository_index(worker->config->repository, entries, INDEX_MAX_ENTRIES), n_told = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (ready_only && entries[i].state != REPOSITORY_READY) continue;
            snprintf(numbers[n_told], sizeof *numbers, "%llu", (unsigned long long)entries[i].version);
            told[n_told] = (struct v2_index_entry){.name = entries[i].name,
                                                   .version = numbers[n_told],
                                                   .state = states[entries[i].state],
                                                   .reason = entries[i].reason};
            n_told++;
        }
        buf_reset(&worker->body);
        v2_index_write(told, n_told, &worker->body);
        exchange_answer(exchange, 200, NULL, NULL);
    }
    free(entries);
    free(told);
    free(numbers);
}

/* ---- load and unload: answered when the repository's thread is through ------------------------------ */

struct waiting {               /* a job and the request behind it */
    struct repository_job job; /* first: who frees the job frees it all */
    struct worker *worker;
    struct http_ticket ticket;
    uint64_t received_ns;
};

static uint16_t status_of_job(onnxd_status status)
{
    switch (status) {
    case ONNXD_OK: return 200;
    case ONNXD_ERR_NOT_FOUND: return 404;
    case ONNXD_ERR_NOMEM:
    case ONNXD_ERR_BUSY:
    case ONNXD_ERR_CANCELLED: return 503;
    case ONNXD_ERR_TIMEOUT: return 504;
    case ONNXD_ERR_INTERNAL: return 500;
    default: return 400;
    }
}

/* On the worker's thread again. */
static void answer_job(struct loop_task *task)
{
    struct waiting *waiting = (struct waiting *)(void *)((char *)task -
                                                         offsetof(struct repository_job, task));
    struct repository_job *job = &waiting->job;
    struct worker *worker = waiting->worker;
    struct exchange_later later = {.ticket = waiting->ticket,
                                   .route = ROUTE_V2,
                                   .method = "POST",
                                   .path = "/v2/repository",
                                   .received_ns = waiting->received_ns};
    if (job->status == ONNXD_OK)
        exchange_answer_later(worker, &later, 200, "");
    else
        exchange_answer_later(worker, &later, status_of_job(job->status), job->err.message);
    atomic_fetch_sub(&worker->n_jobs, 1);
    repository_job_free(job);
}

static void on_done(struct repository_job *job)
{
    const struct waiting *waiting = job->context;
    job->task.run = answer_job;
    waiting->worker->post(waiting->worker->post_context, &job->task);
}

/* The request as an order. */
static onnxd_status make_order(enum admin_verb verb, const char *name, const struct v2_load_request *request,
                               struct admin_order **ret_order, onnxd_error *err)
{
    uint32_t n = verb == ADMIN_LOAD ? request->n_files : 0;
    struct admin_file *files = calloc(n + 1, sizeof *files);
    if (files == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        const struct v2_load_file *file = &request->files[i];
        files[i] = (struct admin_file){strtoull(file->path.data, NULL, 10), file->bytes, file->n};
    }
    onnxd_status status = admin_order_create(verb, name, request->config.data, request->config.len, files, n,
                                             ret_order, err);
    free(files);
    return status;
}

/* The name of the first file that is not VERSION/model.onnx, or NULL. */
static const onnxd_string *find_odd_file(const struct v2_load_request *request)
{
    static const char end[] = "/model.onnx";
    size_t n_end = sizeof end - 1;
    for (uint32_t i = 0; i < request->n_files; i++) {
        const onnxd_string *path = &request->files[i].path;
        bool ok = path->len > n_end && path->len - n_end <= 18 && path->data[0] != '0' &&
                  memcmp(path->data + path->len - n_end, end, n_end) == 0;
        for (size_t k = 0; ok && k < path->len - n_end; k++)
            ok = path->data[k] >= '0' && path->data[k] <= '9';
        if (!ok) return path;
    }
    return NULL;
}

static void submit(struct exchange *exchange, enum admin_verb verb, const char *name,
                   const struct v2_load_request *request)
{
    struct worker *worker = exchange->worker;
    onnxd_error err = {.message = "out of memory"};
    struct waiting *waiting = calloc(1, sizeof *waiting);
    onnxd_status status = waiting != NULL ? ONNXD_OK : ONNXD_ERR_NOMEM;
    if (status == ONNXD_OK) {
        *waiting = (struct waiting){.job = {.verb = REPOSITORY_PERFORM, .done = on_done, .context = waiting},
                                    .worker = worker,
                                    .ticket = exchange->ticket,
                                    .received_ns = exchange->request->first_byte_ns};
        status = make_order(verb, name, request, &waiting->job.order, &err);
    }
    if (status == ONNXD_OK) {
        atomic_fetch_add(&worker->n_jobs, 1);
        status = worker->config->link != NULL
                     ? admin_link_submit(worker->config->link, &waiting->job, &err)
                     : repository_submit(worker->config->repository, &waiting->job, &err);
        if (status == ONNXD_OK) return;
        atomic_fetch_sub(&worker->n_jobs, 1);
    }
    if (waiting != NULL) repository_job_free(&waiting->job);
    exchange_fail_status(exchange, status, err.message);
}

static void change_model(struct exchange *exchange, struct http_view rest)
{
    struct model_path path;
    struct http_view body = exchange->request->body;
    bool ok = model_path_read(rest, '/', &path) && path.version == 0;
    bool load = ok && HTTP_VIEW_IS(path.verb, "load"), unload = ok && HTTP_VIEW_IS(path.verb, "unload");
    if (!load && !unload) {
        exchange_fail(exchange, 404, "no route: expected /v2/repository/models/NAME/load or /unload");
        return;
    }
    if (exchange->request->method != HTTP_METHOD_POST) {
        exchange_refuse_method(exchange, "POST, OPTIONS");
        return;
    }
    if (!exchange->worker->config->admin) {
        exchange_fail(exchange, 403,
                      "loading and unloading by request is off: start the server with --admin");
        return;
    }
    struct arena arena;
    struct v2_load_request request;
    onnxd_error err;
    arena_init(&arena, 4 * body.n + (1u << 20));
    onnxd_status status = v2_load_request_read(body.p, body.n, &arena, &request, &err);
    const onnxd_string *odd = status == ONNXD_OK ? find_odd_file(&request) : NULL;
    if (status != ONNXD_OK)
        exchange_fail_status(exchange, status, err.message);
    else if (odd != NULL)
        exchange_fail(exchange, 400, "parameters.file:%.*s: expected file:<version>/model.onnx",
                      (int)(odd->len < 100 ? odd->len : 100), odd->data);
    else
        submit(exchange, load ? ADMIN_LOAD : ADMIN_UNLOAD, path.name, &request);
    arena_done(&arena);
}

void route_repository(struct exchange *exchange, struct http_view rest)
{
    static const char models[] = "models/";
    size_t n_models = sizeof models - 1;
    if (HTTP_VIEW_IS(rest, "index")) {
        if (exchange->request->method == HTTP_METHOD_POST)
            answer_index(exchange);
        else
            exchange_refuse_method(exchange, "POST, OPTIONS");
        return;
    }
    if (rest.n > n_models && memcmp(rest.p, models, n_models) == 0) {
        rest.p += n_models;
        rest.n -= n_models;
        change_model(exchange, rest);
        return;
    }
    exchange_fail(exchange, 404, "no route %.*s",
                  (int)(exchange->request->path.n < 200 ? exchange->request->path.n : 200),
                  exchange->request->path.p);
}
