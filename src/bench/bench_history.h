/* bench/bench_history.h - runs kept in an SQLite file, to be compared and drawn later.
 *
 * Tables: machine (one row for each fingerprint), run, figure; `PRAGMA application_id` and `user_version` say
 * whose file it is and in which form. A file of a later form is refused, never changed. Several processes may
 * keep runs in one file at the same time.
 *
 * A file is hostile input: what is read is checked for type, range and size, and a query may only take so
 * many steps.
 *
 * Ownership: bench_history_done frees what was read. Threads: one at a time for each file handle. */
#ifndef BENCH_BENCH_HISTORY_H
#define BENCH_BENCH_HISTORY_H

#include "bench/bench_run.h"

#define BENCH_HISTORY_MAX_RUNS 20000 /* the latest are read */

/* Appends the run; makes the file when it is absent. ONNXD_ERR_IO; ONNXD_ERR_FORMAT: not such a file;
 * ONNXD_ERR_UNSUPPORTED: of a later form; ONNXD_ERR_BUSY: locked by another; ONNXD_ERR_NOMEM;
 * ONNXD_ERR_LIMIT: the run is too large. */
ONNXD_MUST_USE onnxd_status bench_history_keep(const char *path, const struct bench_run *run,
                                               onnxd_error *err);

struct bench_history {
    struct bench_run *runs; /* [n_runs] by rising time */
    uint32_t n_runs;
    struct arena arena; /* holds all texts and samples */
};

/* Reads the runs of `suite`, or all when it is NULL. ONNXD_ERR_NOT_FOUND when there is no such file, and the
 * errors of keep. */
ONNXD_MUST_USE onnxd_status bench_history_read(const char *path, const char *suite, struct bench_history *ret,
                                               onnxd_error *err);
void bench_history_done(struct bench_history *history); /* takes a zeroed one */

/* Whether two runs may be compared: same suite, settings and machine. */
bool bench_history_alike(const struct bench_run *a, const struct bench_run *b);

#endif
