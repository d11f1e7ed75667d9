#include "serve/exchange.h"

static bool is_ready(const struct exchange *exchange)
{
    return atomic_load_explicit(&exchange->worker->config->ready, memory_order_relaxed) &&
           exchange->worker->catalog->n > 0;
}

static void answer_text(struct exchange *exchange, uint16_t status, const char *text)
{
    buf_reset(&exchange->worker->body);
    buf_append_text(&exchange->worker->body, text);
    exchange_answer(exchange, status, NULL, status == 503 ? "Retry-After: 1\r\n" : NULL);
}

void route_health(struct exchange *exchange)
{
    if (is_ready(exchange))
        answer_text(exchange, 200, "{\"status\":\"ok\"}");
    else
        answer_text(exchange, 503, "{\"status\":\"not ready\"}");
}

void route_live(struct exchange *exchange)
{
    answer_text(exchange, 200, "{\"live\":true}");
}

void route_ready(struct exchange *exchange)
{
    if (is_ready(exchange))
        answer_text(exchange, 200, "{\"ready\":true}");
    else
        answer_text(exchange, 503, "{\"ready\":false}");
}
