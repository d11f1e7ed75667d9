/* /metrics: its text takes milliseconds where there are many models, so that a compute thread writes it. */
#include <stdlib.h>
#include <string.h>

#include "serve/compute.h"
#include "serve/exchange.h"

#define MAX_SCRAPES 8u /* of one worker at a time */
#define TRACE_BYTES 64u

struct scrape {
    struct compute_task task; /* first */
    struct scrape *next;
    struct worker *worker;
    struct exchange_later later;
    char trace[TRACE_BYTES];
    struct buf text;
};

static void free_scrape(struct scrape *scrape)
{
    buf_done(&scrape->text);
    free(scrape);
}

/* On a compute thread. */
static void write_text(struct compute_task *task)
{
    struct scrape *scrape = (struct scrape *)(void *)task;
    struct worker *worker = scrape->worker;
    (void)telemetry_write(worker->config->telemetry, &scrape->text); /* the text remembers a failure */
    scrape->next = atomic_load(&worker->scraped);
    while (!atomic_compare_exchange_weak(&worker->scraped, &scrape->next, scrape)) {
    }
    if (worker->wake != NULL) worker->wake(worker->post_context);
}

void route_metrics(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    const struct http_request *request = exchange->request;
    struct http_view trace = request->headers[HTTP_HEADER_TRACEPARENT];
    struct scrape *scrape = worker->n_scrapes < MAX_SCRAPES ? calloc(1, sizeof *scrape) : NULL;
    if (scrape == NULL) {
        exchange_fail(exchange, 503, "too many requests for metrics at once, or out of memory");
        return;
    }
    if (trace.n > TRACE_BYTES) trace.n = 0;
    if (trace.n > 0) memcpy(scrape->trace, trace.p, trace.n);
    scrape->task.run = write_text;
    scrape->worker = worker;
    scrape->later = (struct exchange_later){.ticket = exchange->ticket,
                                            .route = exchange->route,
                                            .method = http_method_name(request->method),
                                            .path = "/metrics",
                                            .trace = {scrape->trace, trace.n},
                                            .received_ns = request->first_byte_ns};
    buf_init(&scrape->text, worker->config->max_answer_bytes);
    worker->n_scrapes++;
    atomic_fetch_add(&worker->n_jobs, 1);
    compute_run(worker->config->compute, &scrape->task);
}

void route_metrics_answer(struct worker *worker)
{
    struct scrape *scrape = atomic_exchange(&worker->scraped, NULL), *next;
    for (; scrape != NULL; scrape = next) {
        next = scrape->next;
        if (scrape->text.failed)
            exchange_answer_later(worker, &scrape->later, 503, "the text does not fit: --max-answer-bytes");
        else
            exchange_send_later(worker, &scrape->later, 200, "text/plain; version=0.0.4; charset=utf-8",
                                &scrape->text);
        worker->n_scrapes--;
        atomic_fetch_sub(&worker->n_jobs, 1);
        free_scrape(scrape);
    }
}

void route_metrics_drop(struct worker *worker)
{
    struct scrape *scrape = atomic_exchange(&worker->scraped, NULL), *next;
    for (; scrape != NULL; scrape = next) {
        next = scrape->next;
        free_scrape(scrape);
    }
}
