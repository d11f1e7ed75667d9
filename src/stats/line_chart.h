/* stats/line_chart.h - line charts as SVG, for reports that need no other file.
 *
 * The grid takes the page's colours --line and --axis where it has them.
 *
 * Threads: no state. */
#ifndef STATS_LINE_CHART_H
#define STATS_LINE_CHART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct chart_line {
    const char *name;
    const char *colour; /* any of CSS, such as #2563eb, or var(--c1) where the page has light and dark ones */
    const double *y;    /* [n]; NAN leaves a gap */
};

struct line_chart {
    const char *title, *x_name;
    const double *x; /* [n], rising */
    uint32_t n;
    struct chart_line lines[4];
    uint32_t n_lines;
    bool log_y;                 /* y > 0 */
    bool free_y;                /* the axis need not begin at 0 */
    const char *const *x_ticks; /* names at x 0, 1, 2, ... instead of numbers; NULL: numbers */
    uint32_t n_x_ticks;
    void (*format_y)(double y, char *out, size_t size);
};

void line_chart_svg(const struct line_chart *chart, struct buf *buf);

#endif
