/* bench/html_page.h - the frame of our reports: one HTML page that needs no other file and no script,
 * readable in light and dark.
 *
 * Classes of its style: table td.v value, td.e explanation, .n numbers to the right, p.s a note, p.b a
 * finding (p.b.w: a doubtful one, p.b.x: a bad one), div.w a table that may be wider than the page.
 *
 * Threads: no state. */
#ifndef BENCH_HTML_PAGE_H
#define BENCH_HTML_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

void html_page_begin(struct buf *buf, const char *title); /* up to the heading, the title being it */
void html_page_end(struct buf *buf);

/* Text, safe within elements and attributes. */
void html_escape(struct buf *buf, const char *text);

/* ---- points in time, with their spread ---- */

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
