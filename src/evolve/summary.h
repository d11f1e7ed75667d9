/* evolve/summary.h - what many runs of one task showed, beside what is published about it.
 *
 * Ownership: summary_done frees. Threads: one at a time. */
#ifndef EVOLVE_SUMMARY_H
#define EVOLVE_SUMMARY_H

#include "evolve/run.h"

struct summary {
    const struct task *task;
    enum success_test success;
    uint32_t n, capacity;
    struct run_result *results; /* [n] */
    uint64_t *elapsed_ns;       /* [n] */
    uint64_t peak_memory_bytes; /* of the process, at the latest run's end */
};

ONNXD_MUST_USE onnxd_status summary_init(struct summary *summary, const struct task *task,
                                         enum success_test success, uint32_t n_runs, onnxd_error *err);
void summary_done(struct summary *summary);

/* At most n_runs times. */
void summary_add(struct summary *summary, const struct run *run, uint64_t elapsed_ns);

/* A table for people; for contests what matches took, for other tasks evaluations with their spread and a 95
 * % interval of the mean, sizes of champions, speed; `published` adds rows of the literature.
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status summary_print(const struct summary *summary, bool published, struct buf *out,
                                          onnxd_error *err);

#endif
