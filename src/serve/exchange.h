/* serve/exchange.h - one request at its handler, and how handlers answer. */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include "serve/worker.h"

struct exchange {
    struct worker *worker;
    struct http_request *request; /* its body unpacked */
    struct http_ticket ticket;
    enum http_route_id route;
};

/* Answers with what worker->body holds. content_type NULL: JSON; headers: whole lines, or NULL. */
void exchange_answer(struct exchange *exchange, uint16_t status, const char *content_type,
                     const char *headers);

/* Answers {"error":"..."}. */
__attribute__((format(printf, 3, 4))) void exchange_fail(struct exchange *exchange, uint16_t status,
                                                         const char *format, ...);

/* The same for a status of the library: its HTTP status and, where it is worth trying again, Retry-After. */
void exchange_fail_status(struct exchange *exchange, onnxd_status status, const char *message);

struct exchange_later { /* a request that is answered in a later wake-up; what it points to is for the log */
    struct http_ticket ticket;
    enum http_route_id route;
    const char *method, *path;
    struct http_view trace;
    uint64_t received_ns;
};

/* Answers such a request. content_type NULL: JSON. */
void exchange_send_later(struct worker *worker, const struct exchange_later *later, uint16_t status,
                         const char *content_type, const struct buf *body);

/* The same with status 200 and an empty body, or an error with a message. */
void exchange_answer_later(struct worker *worker, const struct exchange_later *later, uint16_t status,
                           const char *message);

/* What a fault of a request's body is answered with, and what a failed run. */
uint16_t http_status_of_body(onnxd_status status);
uint16_t http_status_of_run(onnxd_status status);

/* The model a query names with model=M, or the first. Answers and returns NULL when there is none. */
struct version *exchange_model(struct exchange *exchange);

/* Reads the body for a version (NULL: already answered) and has it run: in the version's lane or by a compute
 * thread. */
void exchange_serve(struct exchange *exchange, struct version *version, enum call_form form);

/* Refuses the method, or tells an OPTIONS request what is allowed, such as "POST, OPTIONS". */
void exchange_refuse_method(struct exchange *exchange, const char *allow);

/* Handlers of the routes, in route_*.c. */
void route_predict(struct exchange *exchange);
void route_infer(struct exchange *exchange);
void route_health(struct exchange *exchange);
void route_metrics(struct exchange *exchange);
void route_metrics_answer(struct worker *worker); /* what scrapes have come to since the wake-up before */
void route_metrics_drop(struct worker *worker);   /* the same when nobody can be answered any more */
void route_root(struct exchange *exchange);
void route_live(struct exchange *exchange);
void route_ready(struct exchange *exchange);

/* Whether / answers with the page: the client takes HTML. The page holds no figures of its own, so no key is
 * asked for; what it reads asks for one. */
bool route_root_is_page(const struct http_request *request);

/* The version a path names; answers 404 and returns NULL when there is none. */
struct model_path;
struct version *exchange_find(struct exchange *exchange, const struct model_path *path);

/* What stands behind /v2/repository/. */
void route_repository(struct exchange *exchange, struct http_view rest);

/* Paths below /v2 and /v1. */
void route_v2(struct exchange *exchange);
void route_v1(struct exchange *exchange);

/* Finds and calls the handler. */
void route_request(struct exchange *exchange);

/* For handlers: a lane with calls is run at the wake-up's end, or at once. */
void worker_mark_busy(struct worker *worker, struct lane *lane);
void worker_run_lane(struct worker *worker, struct lane *lane);
void worker_count_failure(struct worker *worker, const struct version *version, onnxd_status status);

/* Gives a request to the compute threads. ONNXD_ERR_BUSY, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status worker_submit(struct worker *worker, struct version *version,
                                          const struct call *call, const struct call_body *body,
                                          onnxd_error *err);

struct answered { /* a request, when its answer was handed over */
    enum http_route_id route;
    const char *method;
    struct http_view path, trace;
    uint16_t status;
    uint64_t received_ns, now_ns;
};

/* Counts and logs it. */
void worker_note_answer(struct worker *worker, const struct answered *answered);

#endif
