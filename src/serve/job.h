/* serve/job.h - a request that leaves its event loop: it owns all it needs, from its body to its answer.
 *
 * Made by a worker, run by compute threads (serve/compute.h), answered by the worker again.
 *
 * Ownership: whoever holds it, one at a time; job_free ends it. It holds a reference on its version.
 * Threads:   one at a time, but for is_unwanted. */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include <stdatomic.h>

#include "serve/call.h"
#include "serve/runner.h"

struct job {
    struct job *next;        /* of the queue or list it is in */
    struct version *version; /* a reference */
    struct call call;        /* its views lie in `kept` */
    struct call_body body;   /* in `kept` until it is read */
    char *kept;
    size_t n_kept;
    void *owner;                     /* the worker's */
    struct job *next_out, *prev_out; /* the owner's */
    _Atomic bool is_unwanted;        /* set by the owner at any time: nobody waits for its answer */
    void (*done)(struct job *job);   /* called by the thread that ended it; the job is the owner's again */

    bool is_read, is_run; /* is_run: a failure is one of the run, not of the body */
    struct row_store store;
    uint32_t n_done;       /* rows that were run */
    char **results;        /* [n_outputs]: gathered from slices; NULL before the first */
    onnxd_tensor *outputs; /* the same as tensors of n_rows */
    uint64_t run_start_ns, run_ns, parse_ns, write_ns;

    onnxd_status status; /* what came of it */
    onnxd_error err;
    struct buf answer;
    size_t header_bytes; /* of the answer's JSON part, or V2_ALL_JSON */
};

/* Copies the body and the call's views. NULL: out of memory. */
struct job *job_create(struct version *version, const struct call *call, const struct call_body *body);
void job_free(struct job *job); /* takes NULL */

/* Bytes that it holds while it waits. */
static inline size_t job_bytes(const struct job *job)
{
    return job->n_kept;
}

/* Reads the body unless that was done. False: job->status says why not. */
bool job_read(struct job *job, const struct clock *clock);

/* Fills status and err, as of a run. */
__attribute__((format(printf, 3, 4))) void job_fail(struct job *job, onnxd_status status, const char *format,
                                                    ...);

/* Writes the answer to a run that holds its rows from first_row on. `slices` is scratch. */
void job_write(struct job *job, const struct call_result *result, onnxd_tensor *slices,
               const struct clock *clock);

/* Keeps the outputs of a run of the next n rows. False: job->status says why not. */
bool job_gather(struct job *job, const onnxd_tensor *outputs, const struct run *run, uint32_t n);

/* Writes the answer to what was gathered. */
void job_write_gathered(struct job *job, onnxd_tensor *slices, const struct clock *clock);

#endif
