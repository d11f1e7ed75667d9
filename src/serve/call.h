/* serve/call.h - one request for inference between its body and its answer, in whichever form it came.
 *
 * Threads: no state. */
#ifndef SERVE_CALL_H
#define SERVE_CALL_H

#include "base/buf.h"
#include "net/http_host.h"
#include "protocol/v2_request.h"
#include "serve/row_store.h"
#include "serve/version.h"

enum call_form { CALL_PREDICT, CALL_INFER, CALL_V1, CALL_V2 };

struct call {
    struct http_ticket ticket;
    uint32_t first_row, n_rows;  /* in the rows it was read into */
    uint8_t form;                /* enum call_form */
    bool many;                   /* answer a list; CALL_V1: answer columns */
    bool alone;                  /* CALL_V2: run by itself on v2->inputs, which do not go by rows */
    const struct v2_request *v2; /* CALL_V2: in the arena of those rows */
    struct http_view path;       /* for the access log; valid as long as the request */
    struct http_view trace;      /* its traceparent; the same */
    uint64_t received_ns;        /* its first byte */
    uint64_t complete_ns;        /* its last */
    uint64_t parsed_ns;          /* when it began to wait for its run */
    uint64_t deadline_ns;        /* not run after it; UINT64_MAX: none */
};

struct call_result { /* what became of a call */
    onnxd_status status;
    const char *message; /* when status is not ONNXD_OK */
    /* when it is: the request's rows are first_row.. of outputs that hold n_rows_run */
    const onnxd_tensor *outputs;
    uint32_t n_rows_run, first_row;
    uint64_t run_start_ns, run_end_ns;
};

struct call_body { /* a request's body, as it came */
    struct http_view text;
    size_t header_bytes; /* CALL_V2: Inference-Header-Content-Length, or V2_ALL_JSON */
};

/* Reads a body of call->form: appends its rows to store->rows and fills first_row, n_rows, many, alone and
 * v2; a request that asks for less time gets an earlier deadline. On failure the rows are as before. Errors
 * of the body, which name the field; ONNXD_ERR_ARGUMENT: no rows. */
ONNXD_MUST_USE onnxd_status call_read(const struct version *version, const struct call_body *body,
                                      struct row_store *store, struct call *call, onnxd_error *err);

/* Appends the answer's body to `out`. slices[n_outputs] is scratch. *ret_header_bytes is told where binary
 * tensors follow, else V2_ALL_JSON. ONNXD_ERR_LIMIT; ONNXD_ERR_INTERNAL for what JSON cannot hold, which is
 * the model's doing. */
ONNXD_MUST_USE onnxd_status call_write(const struct version *version, const struct call *call,
                                       const struct call_result *result, onnxd_tensor *slices,
                                       struct buf *out, size_t *ret_header_bytes, onnxd_error *err);

/* The order in which calls are run: smaller first. What names no priority comes last. */
static inline uint64_t call_rank(const struct call *call)
{
    return call->v2 != NULL && call->v2->priority > 0 ? call->v2->priority : UINT64_MAX;
}

#endif
