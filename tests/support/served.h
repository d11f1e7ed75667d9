/* support/served.h - a server in this process, and a client to it. */
#ifndef SUPPORT_SERVED_H
#define SUPPORT_SERVED_H

#include "net/http_client.h"
#include "serve/service.h"

struct served_options {
    const struct service_model *models; /* [n_models] */
    uint32_t n_models;
    const char *repository; /* folder; NULL: none */
    bool admin;
    uint32_t n_workers;      /* 0: 1; as many compute threads */
    uint32_t max_queue_size; /* 0: 64 */
};

struct served {
    struct service *service;
    struct telemetry telemetry;
    uint16_t port; /* of 127.0.0.1 */
    struct net_address address;
    struct http_client client;
};

struct seen { /* an answer */
    uint16_t status;
    char body[1 << 16];
};

/* Starts it with the native engine and connects the client; the test fails when it cannot. */
void served_start(struct served *served, const struct served_options *options);
void served_stop(struct served *served);

/* The same with one model and one worker. */
void served_start_model(struct served *served, const char *model_path);

/* Whether it would start. */
onnxd_status served_try(const struct served_options *options, onnxd_error *err);
onnxd_status served_try_model(const char *model_path, onnxd_error *err);

/* One request; body may be NULL. */
void served_call(struct served *served, enum http_method method, const char *path, const char *body,
                 struct seen *ret_seen);

/* The callback behind served_call, for who drives the client alone; `context` is a struct seen. */
void served_see(void *context, const struct http_client_response *response);

#endif
