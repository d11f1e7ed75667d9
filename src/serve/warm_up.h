/* serve/warm_up.h - a version's first runs, before requests come.
 *
 * Threads: the one that loads. */
#ifndef SERVE_WARM_UP_H
#define SERVE_WARM_UP_H

#include "serve/runner.h"

/* A run that takes longer holds an event loop up. */
#define WARM_UP_LONG_RUN_NS NS_PER_MS

/* Runs the batch sizes from 1 on zeros, up to settings.warm_up_rows and for a quarter of a second, so that no
 * request pays for planning. A model may refuse zeros, and serves all the same. *ret_long: whether a run of
 * max_batch rows takes longer than WARM_UP_LONG_RUN_NS; untouched when that cannot be told, may be NULL.
 * ONNXD_ERR_NOMEM and ONNXD_ERR_LIMIT, of planning too. */
ONNXD_MUST_USE onnxd_status warm_up(struct runner *runner, bool *ret_long, onnxd_error *err);

#endif
