/* serve/runner.h - a session of a version and the tensors around it: where runs are made.
 *
 * Ownership: borrows the version, which owns its runners.
 * Threads:   one at a time. */
#ifndef SERVE_RUNNER_H
#define SERVE_RUNNER_H

#include "base/clock.h"
#include "serve/row_store.h"
#include "serve/version.h"

struct runner {
    struct version *version;
    void *session;
    onnxd_tensor *in, *out;    /* out: of the last run */
    onnxd_tensor *slices;      /* [n_outputs], for who writes answers */
    struct row_store gathered; /* for rows of several requests */
};

struct run { /* what came of one */
    onnxd_status status;
    onnxd_error err;
    uint64_t start_ns, end_ns;
};

/* `runner` keeps its address. Errors of planning; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status runner_init(struct runner *runner, struct version *version, onnxd_error *err);
void runner_done(struct runner *runner); /* takes a zeroed one */

/* Rows first..first+n of data[n_inputs] in one run. */
void runner_run_rows(struct runner *runner, void *const *data, uint32_t first, uint32_t n,
                     const struct clock *clock, struct run *ret);

/* inputs[n_inputs] as they are. */
void runner_run_tensors(struct runner *runner, const onnxd_tensor *inputs, const struct clock *clock,
                        struct run *ret);

/* Whether a failure may be the fault of single rows, so that others deserve a run without them. */
bool run_failed_by_input(onnxd_status status);

#endif
