#include "serve/exchange.h"

#include <stdio.h>
#include <strings.h>

#include "json/json_writer.h"

/* Made by cmake/embed_page.cmake from serve/dashboard. */
extern const unsigned char dashboard_page[];
extern const size_t dashboard_page_bytes;
extern const char dashboard_page_policy[];

bool route_root_is_page(const struct http_request *request)
{
    static const char html[] = "text/html";
    struct http_view accept = request->headers[HTTP_HEADER_ACCEPT];
    for (size_t i = 0; i + sizeof html - 1 <= accept.n; i++)
        if (strncasecmp(accept.p + i, html, sizeof html - 1) == 0) return true;
    return false;
}

static void answer_page(struct exchange *exchange)
{
    char headers[1024];
    struct buf *body = &exchange->worker->body;
    snprintf(headers, sizeof headers,
             "Content-Security-Policy: %s\r\nVary: Accept\r\nCache-Control: no-cache\r\n"
             "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n",
             dashboard_page_policy);
    buf_reset(body);
    buf_append(body, dashboard_page, dashboard_page_bytes);
    if (body->failed)
        exchange_fail(exchange, 503, "the page does not fit: --max-answer-bytes");
    else
        exchange_answer(exchange, 200, "text/html; charset=utf-8", headers);
}

/* For programs. */
static void answer_list(struct exchange *exchange)
{
    const struct catalog *catalog = exchange->worker->catalog;
    struct json_writer w;
    buf_reset(&exchange->worker->body);
    json_writer_init(&w, &exchange->worker->body, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "name");
    json_string(&w, "onnxd");
    json_key(&w, "version");
    json_string(&w, ONNXD_VERSION);
    json_key(&w, "models");
    json_begin_array(&w);
    for (uint32_t i = 0; i < catalog->n; i++) {
        json_begin_object(&w);
        json_key(&w, "name");
        json_string(&w, catalog->versions[i]->name);
        json_key(&w, "version");
        json_u64(&w, catalog->versions[i]->number);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    exchange_answer(exchange, 200, NULL, "Vary: Accept\r\n");
}

void route_root(struct exchange *exchange)
{
    if (route_root_is_page(exchange->request))
        answer_page(exchange);
    else
        answer_list(exchange);
}
