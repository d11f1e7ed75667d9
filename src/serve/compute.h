/* serve/compute.h - threads for what would hold an event loop up.
 *
 * Models whose run takes longer than a millisecond, large requests and large bodies leave the loop as jobs.
 * Each version has a bounded queue; the threads take turns among versions, and in a turn run what waits of
 * one version: first a run of whole requests, then one slice (max_batch rows) of one large request. So single
 * rows pass requests of many rows, and models do not starve each other. A job whose deadline has passed, or
 * whose client has gone, is not run, and not run on.
 *
 * Sessions belong to the threads: version->runners[i] is used by thread i alone.
 *
 *     compute_create(n, &telemetry, process, &clock, &compute, &err);
 *     compute_submit(compute, job, &err);        // job->done follows, on a compute thread
 *     compute_free(compute);                     // ends the threads; what still waits is done as cancelled
 *
 * Threads: submit from any; create and free from one. */
#ifndef SERVE_COMPUTE_H
#define SERVE_COMPUTE_H

#include "serve/job.h"
#include "serve/telemetry.h"

struct compute;

/* n_threads 1..: thread i counts as worker telemetry->n_workers + i of its process. 0: no thread is started
 * and compute_step does the work, as thread 0. `telemetry` is borrowed. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status compute_create(uint32_t n_threads, const struct telemetry *telemetry,
                                           uint32_t process, const struct clock *clock,
                                           struct compute **ret_compute, onnxd_error *err);
void compute_free(struct compute *compute); /* takes NULL */

/* Queues a job, which is the threads' until job->done is called. ONNXD_ERR_BUSY: the version's queue is full
 * (the job stays the caller's). */
ONNXD_MUST_USE onnxd_status compute_submit(struct compute *compute, struct job *job, onnxd_error *err);

struct compute_task { /* other work that would hold an event loop up; embedded in what it is about */
    struct compute_task *next;
    void (*run)(struct compute_task *task); /* on a compute thread; the task is its own again */
};

/* Has it run before the next turn of a model. It is run in any case, by compute_free at the latest. */
void compute_run(struct compute *compute, struct compute_task *task);

/* One task or turn, on the caller's thread. False: nothing is due. */
bool compute_step(struct compute *compute);

#endif
