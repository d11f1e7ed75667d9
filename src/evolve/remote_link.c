#include "evolve/remote_link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { TIMEOUT_MS = 30000 };

struct waiting { /* a request that is under way */
    remote_answer_fn on_answer;
    void *context;
    uint32_t item;
};

struct remote_connection {
    struct http_client client;
    struct remote_link *link;
    struct waiting *waiting; /* [capacity] in the order sent */
    uint32_t n, next, capacity;
};

static onnxd_status parse_url(struct remote_link *link, const char *url, onnxd_error *err)
{
    static const char PREFIX[] = "http://";
    const char *host = strncmp(url, PREFIX, sizeof PREFIX - 1) == 0 ? url + sizeof PREFIX - 1 : NULL;
    const char *colon = host == NULL ? NULL : strrchr(host, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (colon == NULL || colon == host || (size_t)(colon - host) >= sizeof link->host || port == 0 ||
        port > 65535 || (*end != 0 && strcmp(end, "/") != 0))
        return error_set(err, ONNXD_ERR_ARGUMENT, "url: expected http://HOST:PORT, got '%.100s'", url);
    memcpy(link->host, host, (size_t)(colon - host));
    link->port = (uint16_t)port;
    return ONNXD_OK;
}

onnxd_status remote_link_init(struct remote_link *link, const char *url, uint32_t n_connections,
                              onnxd_error *err)
{
    const struct http_client_options options = {.max_pipelined = 65536};
    struct net_address address;
    *link = (struct remote_link){.n_connections = n_connections};
    onnxd_status status = parse_url(link, url, err);
    if (status == ONNXD_OK) status = net_address_tcp(link->host, link->port, &address, err);
    if (status != ONNXD_OK) return status;
    link->connections = calloc(n_connections, sizeof *link->connections);
    link->polls = calloc(n_connections, sizeof *link->polls);
    if (link->connections == NULL || link->polls == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "remote: no memory");
    for (uint32_t i = 0; i < n_connections && status == ONNXD_OK; i++) {
        link->connections[i].link = link;
        status = http_client_init(&link->connections[i].client, &options, err);
        if (status == ONNXD_OK) status = http_client_connect(&link->connections[i].client, &address, err);
    }
    if (status != ONNXD_OK) remote_link_done(link);
    return status;
}

void remote_link_done(struct remote_link *link)
{
    for (uint32_t i = 0; link->connections != NULL && i < link->n_connections; i++) {
        http_client_done(&link->connections[i].client);
        free(link->connections[i].waiting);
    }
    free(link->connections);
    free(link->polls);
    *link = (struct remote_link){0};
}

static bool push_waiting(struct remote_connection *c, struct waiting waiting)
{
    if (c->n == c->capacity) {
        uint32_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        struct waiting *grown = realloc(c->waiting, capacity * sizeof *grown);
        if (grown == NULL) return false;
        c->waiting = grown;
        c->capacity = capacity;
    }
    c->waiting[c->n++] = waiting;
    return true;
}

onnxd_status remote_link_queue(struct remote_link *link, uint32_t number,
                               const struct http_client_request *http, remote_answer_fn on_answer,
                               void *context, uint32_t item, onnxd_error *err)
{
    struct remote_connection *c = &link->connections[number % link->n_connections];
    struct http_client_request request = *http;
    request.host = link->host;
    if (!push_waiting(c, (struct waiting){.on_answer = on_answer, .context = context, .item = item}))
        return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for a request");
    onnxd_status status = http_client_queue(&c->client, &request, err);
    if (status == ONNXD_OK) link->n_waiting++;
    return status;
}

static void on_response(void *context, const struct http_client_response *response)
{
    struct remote_connection *c = context;
    struct remote_link *link = c->link;
    const struct waiting *waiting = &c->waiting[c->next++];
    onnxd_status status = ONNXD_OK;
    onnxd_error err;
    link->n_waiting--;
    if (response->status != 200) {
        size_t n = response->body.n < 200 ? response->body.n : 200;
        status = error_set(&err, ONNXD_ERR_FORMAT, "remote: the server answered %u: %.*s", response->status,
                           (int)n, n > 0 ? response->body.p : "");
    } else if (waiting->on_answer != NULL) {
        status = waiting->on_answer(waiting->context, waiting->item, response, &err);
    }
    if (status == ONNXD_OK || link->status != ONNXD_OK) return;
    link->status = status; /* the first failure is the one told */
    link->err = err;
}

/* Waits until a socket can be used, and uses all that can. */
static onnxd_status exchange_some(struct remote_link *link, onnxd_error *err)
{
    for (uint32_t i = 0; i < link->n_connections; i++) {
        const struct http_client *client = &link->connections[i].client;
        link->polls[i] = (struct pollfd){
            .fd = client->fd, .events = (short)(POLLIN | (http_client_wants_write(client) ? POLLOUT : 0))};
    }
    int n_ready = poll(link->polls, link->n_connections, TIMEOUT_MS);
    if (n_ready < 0 && errno == EINTR) return ONNXD_OK;
    if (n_ready <= 0)
        return error_set(err, n_ready == 0 ? ONNXD_ERR_TIMEOUT : ONNXD_ERR_IO,
                         "remote: no answer from %s:%u within %d s", link->host, link->port,
                         TIMEOUT_MS / 1000);
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < link->n_connections && status == ONNXD_OK; i++) {
        struct remote_connection *c = &link->connections[i];
        if (link->polls[i].revents & POLLOUT) status = http_client_write(&c->client, err);
        if (status == ONNXD_OK && link->polls[i].revents & (POLLIN | POLLHUP | POLLERR))
            status = http_client_read(&c->client, on_response, c, err);
    }
    return status;
}

onnxd_status remote_link_exchange(struct remote_link *link, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    link->status = ONNXD_OK;
    for (uint32_t i = 0; i < link->n_connections && status == ONNXD_OK; i++)
        if (http_client_wants_write(&link->connections[i].client))
            status = http_client_write(&link->connections[i].client, err);
    while (status == ONNXD_OK && link->n_waiting > 0) status = exchange_some(link, err);
    if (status != ONNXD_OK) link->broken = true;
    for (uint32_t i = 0; i < link->n_connections; i++) link->connections[i].n = link->connections[i].next = 0;
    if (status != ONNXD_OK || link->status == ONNXD_OK) return status;
    if (err != NULL) *err = link->err;
    return link->status;
}
