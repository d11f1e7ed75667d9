/* support/served.h - a server with one model in this process, and a client to it. */
#ifndef SUPPORT_SERVED_H
#define SUPPORT_SERVED_H

#include "net/http_client.h"
#include "serve/service.h"

struct served {
    struct service *service;
    struct telemetry telemetry;
    struct http_client client;
};

struct seen { /* an answer */
    uint16_t status;
    char body[1 << 16];
};

/* Starts it with one worker and the native engine; the test fails when it cannot. */
void served_start(struct served *served, const char *model_path);
void served_stop(struct served *served);

/* Whether it would start. */
onnxd_status served_try(const char *model_path, onnxd_error *err);

/* One request; body may be NULL. */
void served_call(struct served *served, enum http_method method, const char *path, const char *body,
                 struct seen *ret_seen);

#endif
