/* bench/trend_report.h - a history as one page: every series of runs with the course of each figure.
 *
 * Threads: no state. */
#ifndef BENCH_TREND_REPORT_H
#define BENCH_TREND_REPORT_H

#include "bench/bench_check.h"

enum { TREND_MAX_POINTS = 100 }; /* of a chart; earlier runs are left out */

/* Appends the page. ONNXD_ERR_NOMEM, and what bench_check says. */
ONNXD_MUST_USE onnxd_status trend_report_html(const struct bench_history *history,
                                              const struct check_options *options, struct buf *buf,
                                              onnxd_error *err);

/* The latest run of each series, as a table in Markdown and as JSON. */
ONNXD_MUST_USE onnxd_status trend_report_markdown(const struct bench_history *history,
                                                  const struct check_options *options, struct buf *buf,
                                                  onnxd_error *err);
ONNXD_MUST_USE onnxd_status trend_report_json(const struct bench_history *history,
                                              const struct check_options *options, struct buf *buf,
                                              onnxd_error *err);

#endif
