#include <stdio.h>
#include <string.h>

#include "protocol/v1_body.h"
#include "serve/exchange.h"
#include "serve/model_path.h"

#define MAX_VERSIONS_TOLD 256

static void status(struct exchange *exchange, const struct version *version, uint64_t asked)
{
    const struct catalog *catalog = exchange->worker->catalog;
    char numbers[MAX_VERSIONS_TOLD][24];
    const char *texts[MAX_VERSIONS_TOLD], *states[MAX_VERSIONS_TOLD];
    uint32_t n = 0;
    for (uint32_t i = 0; i < catalog->n && n < MAX_VERSIONS_TOLD; i++) {
        const struct version *other = catalog->versions[i];
        if (strcmp(other->name, version->name) != 0 || (asked > 0 && other->number != asked)) continue;
        snprintf(numbers[n], sizeof numbers[n], "%llu", (unsigned long long)other->number);
        texts[n] = numbers[n];
        states[n++] = "AVAILABLE";
    }
    buf_reset(&exchange->worker->body);
    v1_status_write(texts, states, n, &exchange->worker->body);
    exchange_answer(exchange, 200, NULL, NULL);
}

static void metadata(struct exchange *exchange, const struct version *version)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)version->number);
    buf_reset(&exchange->worker->body);
    v1_metadata_write(&version->schema, version->name, number, &exchange->worker->body);
    exchange_answer(exchange, 200, NULL, NULL);
}

void route_v1(struct exchange *exchange)
{
    static const char models[] = "/v1/models/";
    size_t n_models = sizeof models - 1;
    const struct http_request *request = exchange->request;
    struct http_view text = request->path;
    struct model_path path;
    bool ok = text.n > n_models && memcmp(text.p, models, n_models) == 0 &&
              model_path_read((struct http_view){text.p + n_models, text.n - n_models}, ':', &path);
    bool is_predict = ok && HTTP_VIEW_IS(path.verb, "predict"),
         is_metadata = ok && HTTP_VIEW_IS(path.verb, "metadata");
    if (!ok || (path.verb.n > 0 && !is_predict && !is_metadata)) {
        exchange_fail(exchange, 404,
                      "no route %.*s: expected /v1/models/NAME[/versions/N][:predict|/metadata]",
                      (int)(text.n < 200 ? text.n : 200), text.p);
        return;
    }
    bool is_get = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    if (is_predict ? request->method != HTTP_METHOD_POST : !is_get) {
        exchange_refuse_method(exchange, is_predict ? "POST, OPTIONS" : "GET, HEAD, OPTIONS");
        return;
    }
    struct version *version = exchange_find(exchange, &path);
    if (version == NULL) return;
    if (is_predict)
        exchange_serve(exchange, version, CALL_V1);
    else if (is_metadata)
        metadata(exchange, version);
    else
        status(exchange, version, path.version);
}
