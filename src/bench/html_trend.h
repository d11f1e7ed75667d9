/* bench/html_trend.h - points in time, with their spread, as a small chart of a page.
 *
 * Threads: no state. */
#ifndef BENCH_HTML_TREND_H
#define BENCH_HTML_TREND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct html_point {
    double value, low, high; /* low and high equal to value: no spread known */
    const char *label;       /* what a reader sees on pointing at it */
    bool marked;             /* drawn apart: a run to look at */
};

struct html_trend {
    const char *title, *unit; /* a unit of bench_format_value */
    const struct html_point *points;
    uint32_t n;
    double band_low, band_high; /* drawn behind the points; equal: none */
};

/* One small chart of points in their order, the latest at the right. */
void html_trend_svg(const struct html_trend *trend, struct buf *buf);

#endif
