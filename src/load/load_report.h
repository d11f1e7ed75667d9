/* load/load_report.h - a run's result as text, JSON, CSV, Markdown and a page of its own.
 *
 * All append to a buffer; one that was full is told by buf->failed. Objectives may be NULL when n is 0.
 * Threads: no state. */
#ifndef LOAD_LOAD_REPORT_H
#define LOAD_LOAD_REPORT_H

#include "base/buf.h"
#include "load/load_audit.h"
#include "load/load_result.h"

void load_report_text(const struct load_result *r, const struct load_objective *o, uint32_t n,
                      struct buf *buf);
void load_report_json(const struct load_result *r, const struct load_objective *o, uint32_t n,
                      struct buf *buf);
void load_report_csv(const struct load_result *r, struct buf *buf); /* the course: a line an interval */
void load_report_markdown(const struct load_result *r, const struct load_objective *o, uint32_t n,
                          struct buf *buf);
void load_report_html(const struct load_result *r, const struct load_objective *o, uint32_t n,
                      struct buf *buf);

/* "31.2us", "4.51ms", "1.20s" */
void load_format_time(double ns, char *out, size_t size);

/* "p99<1ms: kept, found 312us" */
void load_format_objective(const struct load_objective *o, char *out, size_t size);

/* Where the percentiles come from, and how sure they are: "exact, of 12345 samples; 95 % intervals by ..." */
void load_format_basis(const struct load_result *r, char *out, size_t size);

/* "64 connections, closed loop, 10s" */
void load_describe(const struct load_result *r, char *out, size_t size);

#endif
