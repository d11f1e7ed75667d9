/* load/load_run.h - runs a load and audits it.
 *
 *     load_run(&options, targets, n_targets, on_progress, NULL, &result, &err);
 *     load_report_text(&result, &buf);
 *     load_result_done(&result);
 *
 * Threads: one caller; load_run starts and joins its own threads. */
#ifndef LOAD_LOAD_RUN_H
#define LOAD_LOAD_RUN_H

#include "load/load_result.h"
#include "load/load_target.h"

struct load_progress {
    double elapsed_s, total_s; /* since the start of the warm-up, and all of it */
    bool warming_up;
    const struct load_interval *intervals; /* [n_intervals] whole so far */
    uint32_t n_intervals;
    double interval_s;
    uint64_t n_done;
};

/* Called about ten times a second from the calling thread. Returning false ends the run early; what was
 * measured until then is kept. */
typedef bool (*load_progress_fn)(void *context, const struct load_progress *progress);

/* Connects to every server first: ONNXD_ERR_IO when nothing answers there. ONNXD_ERR_ARGUMENT (options,
 * targets), ONNXD_ERR_LIMIT (too few file descriptors; the message says how to raise them), ONNXD_ERR_NOMEM,
 * ONNXD_ERR_NOT_FOUND (host), ONNXD_ERR_FORMAT (certificates). `fn` may be NULL. */
ONNXD_MUST_USE onnxd_status load_run(const struct load_options *options, const struct load_target *targets,
                                     uint32_t n_targets, load_progress_fn fn, void *context,
                                     struct load_result *ret, onnxd_error *err);

#endif
