/* serve/access_log.h - a line for each answered request, as text or JSON.
 *
 *     POST /predict 200 0.05ms
 *     {"method":"POST","path":"/predict","status":200,"ms":0.051}
 *
 * A request's traceparent (W3C Trace Context), where it has a well-formed one, is taken over: trace=00-...
 * behind the text, "traceparent" in JSON, so that a line can be found by the trace of the caller.
 *
 * Threads: the worker's. */
#ifndef SERVE_ACCESS_LOG_H
#define SERVE_ACCESS_LOG_H

#include "base/buf.h"
#include "net/http_message.h"

struct access_record {
    const char *method;
    struct http_view path, trace; /* as they came: anything */
    uint16_t status;
    uint64_t ns; /* from the first byte to the answer */
};

/* Appends a line; nothing when it does not fit. */
void access_log_append(struct buf *out, const struct access_record *record, bool json);

#endif
