/* serve/version.h - one version of a model, loaded and warm, with a place to run for each worker.
 *
 * A version is built and warmed away from the serving threads and then published in a catalog; from
 * then on only its lanes change, each used by one worker. It goes when the last catalog and the last
 * request under way let go of it.
 *
 * Ownership: reference counted; version_create gives one reference.
 * Threads:   any may hold references; lane i belongs to worker i, runner i to compute thread i. */
#ifndef SERVE_VERSION_H
#define SERVE_VERSION_H

#include <stdatomic.h>

#include "protocol/schema.h"
#include "serve/compute_queue.h"
#include "serve/model_backend.h"
#include "serve/raw_fields.h"
#include "serve/telemetry.h"

#define VERSION_NAME_BYTES 128

struct lane;

#define VERSION_MAX_PREFERRED 16
#define VERSION_WARM_UP_ALL   65536u

enum version_place {
    VERSION_PLACE_AUTO,   /* by the time that a full run takes at load */
    VERSION_PLACE_LOOP,   /* on the event loops */
    VERSION_PLACE_THREADS /* on compute threads */
};

struct version_settings {
    onnxd_model_options model;
    uint32_t max_batch;          /* rows of one run */
    uint32_t max_queue_size;     /* requests that wait for their turn, for each worker */
    uint64_t max_queue_delay_ns; /* how long a request may wait for others to share its run; 0: not at all */
    uint32_t preferred[VERSION_MAX_PREFERRED]; /* rows that are run without waiting further, rising */
    uint32_t n_preferred;
    uint32_t warm_up_rows;    /* batch sizes 1.. that are run at load; 0: none */
    enum version_place place; /* where it is run */
    uint64_t max_answer_bytes;
};

struct version {
    _Atomic uint32_t refs;
    char name[VERSION_NAME_BYTES];
    uint64_t number;
    const struct model_backend *backend;
    void *model;
    struct raw_fields raw_fields; /* the description beside the model's file */
    struct protocol_schema schema;
    struct version_settings settings;
    onnxd_io_info *ios;                /* inputs, then outputs: copies that the schema borrows */
    int64_t *index_below;              /* of all inputs that have indices, one behind the other; or NULL */
    bool shares_runs;                  /* rows of several requests may share a run */
    bool one_row_a_run;                /* the batch dimension is fixed at 1 */
    const struct telemetry *telemetry; /* NULL: it has no series yet */
    uint32_t process;                  /* of those that share it */
    struct telemetry_model stats;      /* its series */
    struct telemetry_field *unknowns;  /* [fields of the description] their series; or NULL */
    bool on_threads;                   /* every run is made on compute threads: lanes have no sessions */
    uint32_t n_lanes;
    struct lane **lanes; /* by worker */
    uint32_t n_runners;
    struct runner **runners;    /* by compute thread; made by that thread when there is none */
    struct compute_queue queue; /* of jobs for those */
};

struct version_host {              /* where it will live */
    uint32_t n_workers, n_compute; /* both from 1 */
    const struct telemetry *telemetry;
    uint32_t process; /* of those that share it */
};

struct version_source {
    const char *path; /* of the model file, or NULL: */
    const void *bytes;
    size_t n_bytes;
};

/* Loads, decides where it is run, plans a session for each thread of that kind and runs each batch size once.
 * Errors of model loading and planning; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status version_create(const struct model_backend *backend, const char *name,
                                           uint64_t number, const struct version_source *source,
                                           const struct version_settings *settings,
                                           const struct version_host *host, struct version **ret_version,
                                           onnxd_error *err);

/* Counts what a request's rows hold of values that the feature description does not know. */
void version_count_unknowns(const struct version *version, const struct protocol_rows *rows,
                            struct telemetry_writer *writer);

/* The runner of a compute thread, on that thread. Errors of planning; ONNXD_ERR_NOMEM. */
struct runner;
ONNXD_MUST_USE onnxd_status version_runner(struct version *version, uint32_t thread,
                                           struct runner **ret_runner, onnxd_error *err);

/* Rows that are worth a run before the delay has passed. */
static inline uint32_t version_least_batch(const struct version_settings *settings)
{
    return settings->n_preferred > 0 ? settings->preferred[0] : settings->max_batch;
}

/* Rows of the next run when `n` wait: the largest preferred number up to it, else all that fit. */
uint32_t version_best_batch(const struct version_settings *settings, uint32_t n);

struct version *version_ref(struct version *version);
void version_unref(struct version *version); /* takes NULL */

#endif
