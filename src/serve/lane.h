/* serve/lane.h - the batcher: requests of one model version on one worker, grouped into runs.
 *
 * Within a wake-up requests add their rows to a common batch (lane->store, then lane_add). lane_run runs
 * them, up to max_batch rows at a time, and answers each through the sink. A row that the model refuses fails
 * its own request alone: when a shared run fails, each of its requests is run by itself.
 *
 * Where the settings ask for a delay, calls may stay over several wake-ups: lane_due_ns tells until when, and
 * lane_keep makes copies of what goes with the wake-up.
 *
 * Calls with more than max_batch rows, and all calls of a version that is run on compute threads, are not for
 * lanes (see serve/job.h).
 *
 * Ownership: a lane belongs to its version.
 * Threads:   one worker. */
#ifndef SERVE_LANE_H
#define SERVE_LANE_H

#include "serve/call.h"
#include "serve/runner.h"

struct lane;

struct lane_sink {
    void *context;
    void (*answer)(void *context, struct lane *lane, const struct call *call,
                   const struct call_result *result);
    bool (*is_waiting)(void *context, const struct call *call); /* false: nobody wants the answer any more */
    void (*ran)(void *context, struct lane *lane, uint32_t n_rows, uint64_t ns); /* one run was made */
};

struct lane {
    struct version *version; /* not counted: the version owns the lane */
    struct runner *runner;   /* owned; NULL: the version is run on compute threads */
    struct row_store store;
    struct call *calls;
    uint32_t n_calls, capacity_calls;
    uint32_t n_kept;        /* of the calls: own what they point to */
    bool has_priorities;    /* one of the calls names a priority */
    bool has_alone;         /* one of the calls does not go by rows */
    struct lane *next_busy; /* the worker's list of lanes with something to run */
    bool is_busy, is_held;  /* kept by the worker: in its list, version held over wake-ups */
};

/* Takes over `runner` (freed on failure too). ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status lane_create(struct version *version, struct runner *runner,
                                        struct lane **ret_lane, onnxd_error *err);
void lane_free(struct lane *lane); /* takes NULL */

/* True when a call of so many rows is for a lane, false when for a job. */
bool lane_takes(const struct lane *lane, uint32_t n_rows);

/* Takes a call whose rows were just read into lane->store. On failure those rows are dropped:
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status lane_add(struct lane *lane, const struct call *call, onnxd_error *err);

/* True when the calls at hand fill a run, so that running now is better than gathering more. */
bool lane_is_full(const struct lane *lane);

/* When the calls must be run at the latest: 0 means now. */
uint64_t lane_due_ns(const struct lane *lane);

/* Copies what the calls point to outside the lane. False: out of memory; run them now. */
bool lane_keep(struct lane *lane);

/* Runs and answers all gathered calls. */
void lane_run(struct lane *lane, const struct lane_sink *sink, const struct clock *clock);

/* Fails everything that waits, such as when the server stops. */
void lane_cancel(struct lane *lane, const struct lane_sink *sink);

#endif
