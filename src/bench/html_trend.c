#include "bench/html_trend.h"

#include <math.h>

#include "bench/bench_run.h"
#include "stats/html_page.h"

enum { WIDTH = 760, HEIGHT = 170, LEFT = 78, RIGHT = 16, TOP = 30, BOTTOM = 24 };

struct scale {
    double low, high;
};

static struct scale find_scale(const struct html_trend *t)
{
    struct scale s = {INFINITY, -INFINITY};
    for (uint32_t i = 0; i < t->n; i++) {
        s.low = fmin(s.low, t->points[i].low);
        s.high = fmax(s.high, t->points[i].high);
    }
    if (t->band_low < t->band_high) {
        s.low = fmin(s.low, t->band_low);
        s.high = fmax(s.high, t->band_high);
    }
    /* The whole scale from zero would flatten what a trend is looked at for; a tenth about the values shows
     * it without making a hair into a mountain. */
    double middle = (s.low + s.high) / 2, half = fmax((s.high - s.low) * 0.6, fabs(middle) * 0.05);
    if (!(half > 0)) half = 1;
    return (struct scale){middle - half, middle + half};
}

static double place_y(const struct scale *s, double y)
{
    return HEIGHT - BOTTOM - (y - s->low) / (s->high - s->low) * (HEIGHT - TOP - BOTTOM);
}

static double place_x(uint32_t i, uint32_t n)
{
    return n < 2 ? (LEFT + WIDTH - RIGHT) / 2.0
                 : LEFT + 14 + (double)i / (n - 1) * (WIDTH - LEFT - RIGHT - 28);
}

static void draw_frame(const struct html_trend *t, const struct scale *s, struct buf *buf)
{
    buf_append_text(buf, "<svg viewBox='0 0 760 170' role='img' aria-label='");
    html_escape(buf, t->title);
    buf_printf(buf, "'>\n<text x='%d' y='16' class='t'>", LEFT);
    html_escape(buf, t->title);
    buf_append_text(buf, "</text>\n");
    if (t->band_low < t->band_high)
        buf_printf(buf, "<rect class='a' x='%d' width='%d' y='%.1f' height='%.1f'/>\n", LEFT,
                   WIDTH - LEFT - RIGHT, place_y(s, t->band_high),
                   place_y(s, t->band_low) - place_y(s, t->band_high));
    for (int k = 0; k <= 2; k++) {
        double value = s->low + (s->high - s->low) * (0.1 + 0.4 * k);
        char text[48];
        bench_format_value(value, t->unit, text, sizeof text);
        buf_printf(buf,
                   "<line class='g' x1='%d' x2='%d' y1='%.1f' y2='%.1f'/><text x='%d' y='%.1f' "
                   "text-anchor='end'>%s</text>\n",
                   LEFT, WIDTH - RIGHT, place_y(s, value), place_y(s, value), LEFT - 8, place_y(s, value) + 4,
                   text);
    }
}

void html_trend_svg(const struct html_trend *t, struct buf *buf)
{
    if (t->n == 0) return;
    struct scale s = find_scale(t);
    draw_frame(t, &s, buf);
    buf_append_text(buf, "<path class='p' d='");
    for (uint32_t i = 0; i < t->n; i++)
        buf_printf(buf, "%c%.1f %.1f", i == 0 ? 'M' : 'L', place_x(i, t->n), place_y(&s, t->points[i].value));
    buf_append_text(buf, "'/>\n");
    for (uint32_t i = 0; i < t->n; i++) {
        const struct html_point *p = &t->points[i];
        double x = place_x(i, t->n);
        if (p->low < p->high)
            buf_printf(buf, "<line class='i' x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/>", x, x,
                       place_y(&s, p->low), place_y(&s, p->high));
        buf_printf(buf, "<circle class='%s' cx='%.1f' cy='%.1f' r='%s'><title>", p->marked ? "k" : "d", x,
                   place_y(&s, p->value), p->marked ? "5" : "3.5");
        html_escape(buf, p->label);
        buf_append_text(buf, "</title></circle>\n");
    }
    buf_printf(buf,
               "<text x='%d' y='%d'>oldest</text><text x='%d' y='%d' text-anchor='end'>latest</text></svg>\n",
               LEFT, HEIGHT - 6, WIDTH - RIGHT, HEIGHT - 6);
}
