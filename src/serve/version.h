/* serve/version.h - one version of a model, loaded and warm, with a place to run for each worker.
 *
 * A version is built and warmed away from the serving threads and then published in a catalog; from
 * then on only its lanes change, each used by one worker. It goes when the last catalog and the last
 * request under way let go of it.
 *
 * Ownership: reference counted; version_create gives one reference.
 * Threads:   any may hold references; lane i belongs to worker i. */
#ifndef SERVE_VERSION_H
#define SERVE_VERSION_H

#include <stdatomic.h>

#include "protocol/schema.h"
#include "serve/model_backend.h"

#define VERSION_NAME_BYTES 128

struct lane;

struct version_settings {
    onnxd_model_options model;
    uint32_t max_batch;          /* rows of one run */
    uint32_t max_queue_size;     /* requests that wait for their turn, for each worker */
    uint64_t max_queue_delay_ns; /* how long a request may wait for others to share its run; 0: not at all */
    uint64_t max_answer_bytes;
};

struct version {
    _Atomic uint32_t refs;
    char name[VERSION_NAME_BYTES];
    uint64_t number;
    const struct model_backend *backend;
    void *model;
    struct protocol_schema schema;
    struct version_settings settings;
    onnxd_io_info *ios;  /* inputs, then outputs: copies that the schema borrows */
    bool shares_runs;    /* rows of several requests may share a run */
    bool one_row_a_run;  /* the batch dimension is fixed at 1 */
    uint32_t stats_slot; /* of the workers' counters for it */
    uint32_t n_lanes;
    struct lane **lanes; /* by worker */
};

struct version_source {
    const char *path; /* of the model file, or NULL: */
    const void *bytes;
    size_t n_bytes;
};

/* Loads, plans a session for each of n_workers and runs each batch size once. Errors of model loading and
 * planning; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status version_create(const struct model_backend *backend, const char *name,
                                           uint64_t number, const struct version_source *source,
                                           const struct version_settings *settings, uint32_t n_workers,
                                           struct version **ret_version, onnxd_error *err);

struct version *version_ref(struct version *version);
void version_unref(struct version *version); /* takes NULL */

#endif
