/* bench/load_history.h - a load run as it is kept (bench/bench_run.h). */
#ifndef BENCH_LOAD_HISTORY_H
#define BENCH_LOAD_HISTORY_H

#include "bench/bench_run.h"
#include "load/load_result.h"

/* Settings, figures and verdict of a load. The rate and the median carry one sample for each interval of the
 * run. */
void load_history_fill(struct bench_run *run, const struct load_result *result);

#endif
