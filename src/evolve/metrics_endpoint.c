#include "evolve/metrics_endpoint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/http_server.h"
#include "net/net_socket.h"

enum { MAX_TEXT_BYTES = 1 << 20 };

struct metrics_endpoint {
    struct http_server *server;
    pthread_t thread;
    bool has_thread;
    _Atomic bool stopping;
    struct loop_task wake; /* ends the server's waiting */
    pthread_mutex_t lock;  /* guards text */
    struct buf text;
};

static void on_request(void *context, const struct http_request *request, struct http_ticket ticket)
{
    struct metrics_endpoint *e = context;
    static const char MISSING[] = "{\"error\":\"expected GET /metrics\"}";
    struct http_response response = {.status = 404, .body = MISSING, .n_body = sizeof MISSING - 1};
    pthread_mutex_lock(&e->lock);
    if (request->method == HTTP_METHOD_GET && HTTP_VIEW_IS(request->path, "/metrics"))
        response = (struct http_response){.status = 200,
                                          .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                          .body = e->text.data,
                                          .n_body = e->text.n};
    http_host_answer(http_server_host(e->server), ticket, &response);
    pthread_mutex_unlock(&e->lock);
}

static void on_wake(struct loop_task *task)
{
    (void)task;
}

static void *serve(void *context)
{
    struct metrics_endpoint *e = context;
    while (!atomic_load(&e->stopping)) http_server_step(e->server, LOOP_FOREVER);
    return NULL;
}

onnxd_status metrics_endpoint_start(uint16_t port, struct metrics_endpoint **ret_endpoint, uint16_t *ret_port,
                                    onnxd_error *err)
{
    struct net_address address;
    struct metrics_endpoint *e = calloc(1, sizeof *e);
    int fd = -1;
    if (e == NULL) return error_set(err, ONNXD_ERR_NOMEM, "metrics: no memory");
    pthread_mutex_init(&e->lock, NULL);
    buf_init(&e->text, MAX_TEXT_BYTES);
    e->wake.run = on_wake;
    struct http_server_options options = {.limits = http_limits_default()};
    struct http_handler handler = {.context = e, .request = on_request};
    onnxd_status status = net_address_tcp("127.0.0.1", port, &address, err);
    if (status == ONNXD_OK) status = net_listen(&address, false, &fd, &port, err);
    if (status == ONNXD_OK) status = http_server_create(&options, &handler, &e->server, err);
    if (status == ONNXD_OK) status = http_server_listen(e->server, fd, err);
    if (status != ONNXD_OK && fd >= 0) close(fd);
    if (status == ONNXD_OK) {
        e->has_thread = pthread_create(&e->thread, NULL, serve, e) == 0;
        if (!e->has_thread) status = error_set(err, ONNXD_ERR_NOMEM, "metrics: cannot start a thread");
    }
    if (status != ONNXD_OK) {
        metrics_endpoint_free(e);
        return status;
    }
    *ret_endpoint = e;
    *ret_port = port;
    return ONNXD_OK;
}

void metrics_endpoint_set(struct metrics_endpoint *e, const char *text, size_t n)
{
    pthread_mutex_lock(&e->lock);
    if (n <= MAX_TEXT_BYTES && (n <= e->text.capacity || buf_reserve(&e->text, n))) {
        buf_reset(&e->text);
        buf_append(&e->text, text, n);
    }
    pthread_mutex_unlock(&e->lock);
}

void metrics_endpoint_free(struct metrics_endpoint *e)
{
    if (e == NULL) return;
    atomic_store(&e->stopping, true);
    if (e->has_thread) {
        http_server_post(e->server, &e->wake);
        pthread_join(e->thread, NULL);
    }
    http_server_free(e->server);
    buf_done(&e->text);
    pthread_mutex_destroy(&e->lock);
    free(e);
}
