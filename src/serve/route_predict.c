#include "serve/exchange.h"

#include <string.h>

struct version *exchange_model(struct exchange *exchange)
{
    const struct catalog *catalog = exchange->worker->catalog;
    char name[VERSION_NAME_BYTES];
    struct version *version = NULL;
    if (exchange->request->query.n == 0 ||
        !http_query_get(exchange->request->query, "model", name, sizeof name)) {
        version = catalog_first(catalog);
        if (version == NULL) exchange_fail(exchange, 503, "no model is loaded");
        return version;
    }
    version = catalog_find(catalog, name, strlen(name), 0);
    if (version == NULL) exchange_fail(exchange, 404, "model '%s' is not served", name);
    return version;
}

void route_predict(struct exchange *exchange)
{
    exchange_serve(exchange, exchange_model(exchange), CALL_PREDICT);
}

void route_infer(struct exchange *exchange)
{
    exchange_serve(exchange, exchange_model(exchange), CALL_INFER);
}
