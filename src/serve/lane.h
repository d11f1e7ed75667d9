/* serve/lane.h - the batcher: requests of one model version on one worker, grouped into runs.
 *
 * Within a wake-up requests add their rows to a common batch (lane_rows, then lane_add). lane_run runs
 * them, up to max_batch rows at a time, and answers each through the sink. A row that the model
 * refuses fails its own request alone: when a shared run fails, each of its requests is run by itself.
 *
 * A request with more than max_batch rows does not hold the others up: it is set aside, and each
 * lane_run runs one slice of one such request, in turn.
 *
 * Ownership: a lane belongs to its version.
 * Threads:   one worker. */
#ifndef SERVE_LANE_H
#define SERVE_LANE_H

#include "base/arena.h"
#include "base/buf.h"
#include "net/http_host.h"
#include "protocol/schema.h"
#include "protocol/v2_request.h"
#include "serve/version.h"

enum call_form { CALL_PREDICT, CALL_INFER, CALL_V1, CALL_V2 };

struct call { /* one request under way */
    struct http_ticket ticket;
    uint32_t first_row, n_rows;
    uint8_t form;                /* enum call_form */
    bool many;                   /* answer a list; CALL_V1: answer columns */
    bool alone;                  /* CALL_V2: run by itself on v2->inputs, which do not go by rows */
    const struct v2_request *v2; /* CALL_V2: in the lane's arena */
    struct http_view path;       /* for the access log; valid as long as the request, copied when set aside */
    uint64_t received_ns;
    uint64_t parsed_ns;
    uint64_t deadline_ns; /* not run after it; UINT64_MAX: none */
};

struct call_result { /* what became of a call */
    onnxd_status status;
    const char *message; /* when status is not ONNXD_OK */
    /* when it is: the request's rows are first_row.. of outputs that hold n_rows_run */
    const onnxd_tensor *outputs;
    uint32_t n_rows_run, first_row;
    uint64_t run_start_ns, run_end_ns;
};

struct lane_sink {
    void *context;
    void (*answer)(void *context, struct lane *lane, const struct call *call,
                   const struct call_result *result);
    bool (*is_waiting)(void *context, const struct call *call); /* false: nobody wants the answer any more */
    void (*ran)(void *context, struct lane *lane, uint32_t n_rows, uint64_t ns); /* one run was made */
};

struct bulk; /* a request set aside */

struct lane {
    struct version *version; /* not counted: the version owns the lane */
    void *session;
    struct protocol_rows rows;
    void **data; /* rows.data */
    struct arena strings;
    struct call *calls;
    uint32_t n_calls, capacity_calls;
    onnxd_tensor *in, *out, *slices; /* slices: for who answers, [n_outputs] */
    struct bulk *bulk, *last_bulk;   /* queue */
    uint32_t n_bulk;
    struct lane *next_busy;          /* the worker's list of lanes with something to run */
    bool is_busy, is_held, has_more; /* kept by the worker: in its list, version held, large ones remain */
};

ONNXD_MUST_USE onnxd_status lane_create(struct version *version, struct lane **ret_lane, onnxd_error *err);
void lane_free(struct lane *lane); /* takes NULL */

/* Where a request's parser appends its rows. */
static inline struct protocol_rows *lane_rows(struct lane *lane)
{
    return &lane->rows;
}

/* Takes a request whose rows [call->first_row, rows.n) were just appended. On failure those rows are dropped:
 * ONNXD_ERR_BUSY (too many large requests wait), ONNXD_ERR_NOMEM, ONNXD_ERR_ARGUMENT (no rows). */
ONNXD_MUST_USE onnxd_status lane_add(struct lane *lane, const struct call *call, onnxd_error *err);

/* True when the calls at hand fill a run, so that running now is better than gathering more. */
bool lane_is_full(const struct lane *lane);

/* Runs all gathered calls and one slice of a large one. True when large ones remain. */
bool lane_run(struct lane *lane, const struct lane_sink *sink, const struct clock *clock);

/* Fails everything that waits, such as when the server stops. */
void lane_cancel(struct lane *lane, const struct lane_sink *sink);

#endif
