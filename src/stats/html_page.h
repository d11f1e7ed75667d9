/* stats/html_page.h - the frame of our reports: one HTML page that needs no other file and no script,
 * readable in light and dark.
 *
 * Classes of its style: table td.v value, td.e explanation, td.u text that may break anywhere, .n numbers to
 * the right, p.s a note, p.b a finding (p.b.w: a doubtful one, p.b.x: a bad one), div.w a table that may be
 * wider than the page.
 *
 * Threads: no state. */
#ifndef STATS_HTML_PAGE_H
#define STATS_HTML_PAGE_H

#include "base/buf.h"

/* Up to the heading. Charts may take the colours --c1 to --c4. */
void html_page_begin(struct buf *buf, const char *title, const char *heading);
void html_page_end(struct buf *buf);

/* Text, safe within elements and attributes. */
void html_escape(struct buf *buf, const char *text);

#endif
