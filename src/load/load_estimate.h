/* load/load_estimate.h - how sure the percentiles of a run are.
 *
 * Requests close in time share their fate (a pause delays hundreds at once), so resampling single requests
 * would claim far too much. The run's equal intervals are resampled instead, whole, with replacement (a block
 * bootstrap: Kuensch 1989, with blocks that do not overlap); each resample is a run that could have been. The
 * middle 95 % of its percentiles is the interval. It needs intervals much longer than the pauses, and at
 * least ten of them.
 *
 * Works on exact samples where all were kept, else on the buckets of the intervals' histograms.
 *
 * Threads: pure functions but for *rng. */
#ifndef LOAD_LOAD_ESTIMATE_H
#define LOAD_LOAD_ESTIMATE_H

#include "base/rng.h"
#include "load/load_result.h"

#define LOAD_MIN_BLOCKS 10

/* Fills result->estimates from its samples, or from by_interval[n_intervals] where there are none (may be
 * NULL then: points alone). Quantiles with fewer than ten samples above them get no interval.
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status load_estimate(struct load_result *result,
                                          const struct histogram *const *by_interval, struct rng *rng,
                                          onnxd_error *err);

#endif
