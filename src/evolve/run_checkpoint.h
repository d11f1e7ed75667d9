/* evolve/run_checkpoint.h - a run between two generations as a file, and back.
 *
 * A resumed run goes on bit for bit like the one that was never interrupted: population, hall of fame,
 * ratings, counters, champion and history of refused genomes are all in the file, whose
 * frame is base/seal.h. The caller gives the same options again, since functions and threads are not in the
 * file; task, seed, success test and contest must agree with it, and the parameters are taken from it.
 *
 * Ownership, threads: as run.h. */
#ifndef EVOLVE_RUN_CHECKPOINT_H
#define EVOLVE_RUN_CHECKPOINT_H

#include "base/seal.h"
#include "evolve/run.h"

#define CHECKPOINT_MAX_BYTES ((size_t)1 << 30)

extern const struct seal run_checkpoint_seal; /* the frame */

/* Appends the run. ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status run_save(const struct run *run, struct buf *out, onnxd_error *err);

/* The caller frees *ret_run. ONNXD_ERR_FORMAT (damaged), ONNXD_ERR_ARGUMENT (of another run), _NOMEM, _LIMIT.
 */
ONNXD_MUST_USE onnxd_status run_load(const void *bytes, size_t n, const struct run_options *options,
                                     struct run **ret_run, onnxd_error *err);

/* The same by path; the file is replaced at once or not at all. */
ONNXD_MUST_USE onnxd_status run_save_file(const struct run *run, const char *path, onnxd_error *err);
ONNXD_MUST_USE onnxd_status run_load_file(const char *path, const struct run_options *options,
                                          struct run **ret_run, onnxd_error *err);

#endif
