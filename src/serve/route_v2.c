#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/v2_meta.h"
#include "serve/exchange.h"
#include "serve/model_path.h"

#define MAX_VERSIONS_TOLD 256

static bool is_get(const struct exchange *exchange)
{
    return exchange->request->method == HTTP_METHOD_GET || exchange->request->method == HTTP_METHOD_HEAD;
}

static bool wants_method(struct exchange *exchange, bool get)
{
    bool fits = get ? is_get(exchange) : exchange->request->method == HTTP_METHOD_POST;
    if (!fits) exchange_refuse_method(exchange, get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
    return fits;
}

struct version *exchange_find(struct exchange *exchange, const struct model_path *path)
{
    const struct catalog *catalog = exchange->worker->catalog;
    struct version *version = catalog_find(catalog, path->name, strlen(path->name), path->version);
    if (version != NULL) return version;
    if (path->version > 0 && catalog_find(catalog, path->name, strlen(path->name), 0) != NULL)
        exchange_fail(exchange, 404, "model '%s' has no version %llu", path->name,
                      (unsigned long long)path->version);
    else
        exchange_fail(exchange, 404, "model '%s' is not served", path->name);
    return NULL;
}

/* ---- metadata --------------------------------------------------------------------------------------- */

static void server_metadata(struct exchange *exchange)
{
    static const char *const extensions[] = {"binary_tensor_data", "statistics", "model_repository"};
    if (!wants_method(exchange, true)) return;
    buf_reset(&exchange->worker->body);
    v2_server_write("onnxd", ONNXD_VERSION, extensions, sizeof extensions / sizeof *extensions,
                    &exchange->worker->body);
    exchange_answer(exchange, 200, NULL, NULL);
}

static void model_metadata(struct exchange *exchange, const struct version *version, uint64_t asked)
{
    const struct catalog *catalog = exchange->worker->catalog;
    char numbers[MAX_VERSIONS_TOLD][24];
    const char *texts[MAX_VERSIONS_TOLD];
    uint32_t n = 0;
    for (uint32_t i = catalog->n; i-- > 0 && n < MAX_VERSIONS_TOLD;) {
        const struct version *other = catalog->versions[i];
        if (strcmp(other->name, version->name) != 0 || (asked > 0 && other->number != asked)) continue;
        snprintf(numbers[n], sizeof numbers[n], "%llu", (unsigned long long)other->number);
        texts[n] = numbers[n];
        n++;
    }
    buf_reset(&exchange->worker->body);
    v2_model_write(&version->schema, version->name, texts, n, &exchange->worker->body);
    exchange_answer(exchange, 200, NULL, NULL);
}

static void model_ready(struct exchange *exchange, const struct version *version)
{
    buf_reset(&exchange->worker->body);
    v2_flag_write(version->name, "ready", true, &exchange->worker->body);
    exchange_answer(exchange, 200, NULL, NULL);
}

/* ---- statistics ------------------------------------------------------------------------------------- */

static struct v2_duration duration(const struct telemetry *telemetry, struct metric time)
{
    struct metrics_histogram_view view;
    metrics_histogram_read(telemetry->metrics, time, &view);
    return (struct v2_duration){view.n, view.sum};
}

static uint64_t count(const struct telemetry *telemetry, struct metric metric)
{
    return (uint64_t)metrics_read(telemetry->metrics, metric);
}

/* The counters of one version over all threads of all processes. Returns how many batches[] were filled. */
static uint32_t gather_batches(const struct telemetry *telemetry, const struct version *version,
                               struct v2_batch_stats *batches, uint64_t *ret_last_ms)
{
    struct telemetry_size sizes[TELEMETRY_N_SIZES];
    uint32_t n = 0;
    telemetry_read_sizes(telemetry, &version->stats, sizes, ret_last_ms);
    for (uint32_t i = 0; i < TELEMETRY_N_SIZES; i++)
        if (sizes[i].runs > 0)
            batches[n++] = (struct v2_batch_stats){.batch_size = telemetry_size_rows(i),
                                                   .compute_infer = {sizes[i].runs, sizes[i].ns}};
    return n;
}

static void gather_stats(const struct telemetry *telemetry, const struct version *version,
                         struct v2_batch_stats *batches, struct v2_stats *stats)
{
    const struct telemetry_model *model = &version->stats;
    stats->inference_count = count(telemetry, model->rows);
    stats->execution_count = count(telemetry, model->runs);
    stats->success = duration(telemetry, model->time[STAGE_REQUEST]);
    for (uint32_t r = 0; r < N_FAIL_REASONS; r++) stats->fail.count += count(telemetry, model->failure[r]);
    stats->queue = duration(telemetry, model->time[STAGE_QUEUE]);
    stats->compute_input = duration(telemetry, model->time[STAGE_PARSE]);
    stats->compute_infer = duration(telemetry, model->time[STAGE_RUN]);
    stats->compute_output = duration(telemetry, model->time[STAGE_WRITE]);
    stats->n_batches = gather_batches(telemetry, version, batches, &stats->last_inference_ms);
    stats->batches = batches;
}

/* `only` NULL: every version of every model. */
static void statistics(struct exchange *exchange, const struct version *only, uint64_t asked)
{
    const struct catalog *catalog = exchange->worker->catalog;
    struct v2_stats stats[MAX_VERSIONS_TOLD];
    char numbers[MAX_VERSIONS_TOLD][24];
    uint32_t n = 0;
    struct v2_batch_stats(*batches)[TELEMETRY_N_SIZES] = calloc(catalog->n + 1, sizeof *batches);
    if (batches == NULL) {
        exchange_fail(exchange, 503, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < catalog->n && n < MAX_VERSIONS_TOLD; i++) {
        const struct version *version = catalog->versions[i];
        if (only != NULL && strcmp(version->name, only->name) != 0) continue;
        if (asked > 0 && version->number != asked) continue;
        snprintf(numbers[n], sizeof numbers[n], "%llu", (unsigned long long)version->number);
        stats[n] = (struct v2_stats){.name = version->name, .version = numbers[n]};
        gather_stats(exchange->worker->config->telemetry, version, batches[n], &stats[n]);
        n++;
    }
    buf_reset(&exchange->worker->body);
    v2_stats_write(stats, n, &exchange->worker->body);
    free(batches);
    exchange_answer(exchange, 200, NULL, NULL);
}

/* ---- paths ------------------------------------------------------------------------------------------ */

static void model_route(struct exchange *exchange, struct http_view rest)
{
    struct model_path path;
    if (!model_path_read(rest, '/', &path)) {
        exchange_fail(exchange, 404,
                      "no route %.*s: expected /v2/models/NAME[/versions/N][/infer|ready|stats]",
                      (int)(exchange->request->path.n < 200 ? exchange->request->path.n : 200),
                      exchange->request->path.p);
        return;
    }
    bool is_infer = HTTP_VIEW_IS(path.verb, "infer");
    if (!is_infer && path.verb.n > 0 && !HTTP_VIEW_IS(path.verb, "ready") &&
        !HTTP_VIEW_IS(path.verb, "stats")) {
        exchange_fail(exchange, 404, "no route %.*s",
                      (int)(exchange->request->path.n < 200 ? exchange->request->path.n : 200),
                      exchange->request->path.p);
        return;
    }
    if (!wants_method(exchange, !is_infer)) return;
    struct version *version = exchange_find(exchange, &path);
    if (version == NULL) return;
    if (is_infer)
        exchange_serve(exchange, version, CALL_V2);
    else if (path.verb.n == 0)
        model_metadata(exchange, version, path.version);
    else if (HTTP_VIEW_IS(path.verb, "ready"))
        model_ready(exchange, version);
    else
        statistics(exchange, version, path.version);
}

void route_v2(struct exchange *exchange)
{
    static const char models[] = "/v2/models/", repository[] = "/v2/repository/";
    struct http_view path = exchange->request->path;
    size_t n_models = sizeof models - 1, n_repository = sizeof repository - 1;
    if (HTTP_VIEW_IS(path, "/v2") || HTTP_VIEW_IS(path, "/v2/"))
        server_metadata(exchange);
    else if (HTTP_VIEW_IS(path, "/v2/models/stats"))
        statistics(exchange, NULL, 0);
    else if (path.n > n_models && memcmp(path.p, models, n_models) == 0)
        model_route(exchange, (struct http_view){path.p + n_models, path.n - n_models});
    else if (path.n > n_repository && memcmp(path.p, repository, n_repository) == 0)
        route_repository(exchange, (struct http_view){path.p + n_repository, path.n - n_repository});
    else
        exchange_fail(exchange, 404, "no route %.*s", (int)(path.n < 200 ? path.n : 200), path.p);
}
