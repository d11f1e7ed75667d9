#include "stats/line_chart.h"

#include <math.h>
#include <stdio.h>

#define WIDTH  760
#define HEIGHT 280
#define LEFT   78
#define RIGHT  16
#define TOP    34
#define BOTTOM 44

struct scale {
    double x0, x1, y0, y1; /* y as drawn: log10 when the axis is logarithmic */
    bool log_y;
};

static double place_x(const struct scale *s, double x)
{
    return LEFT + (x - s->x0) / (s->x1 - s->x0) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct scale *s, double y)
{
    if (s->log_y) y = log10(y);
    return HEIGHT - BOTTOM - (y - s->y0) / (s->y1 - s->y0) * (HEIGHT - TOP - BOTTOM);
}

static bool drawable(const struct line_chart *c, double y)
{
    return isfinite(y) && (!c->log_y || y > 0);
}

/* 1, 2 or 5 times a power of ten, so that about five steps cover the span. */
static double round_step(double span)
{
    double power = pow(10, floor(log10(span / 5))), ratio = span / 5 / power;
    return power * (ratio > 5 ? 10 : ratio > 2 ? 5 : ratio > 1 ? 2 : 1);
}

static struct scale find_scale(const struct line_chart *c)
{
    struct scale s = {c->x[0], c->x[c->n - 1], INFINITY, -INFINITY, c->log_y};
    for (uint32_t l = 0; l < c->n_lines; l++)
        for (uint32_t i = 0; i < c->n; i++) {
            double y = c->lines[l].y[i];
            if (!drawable(c, y)) continue;
            if (c->log_y) y = log10(y);
            s.y0 = fmin(s.y0, y);
            s.y1 = fmax(s.y1, y);
        }
    if (!(s.y0 <= s.y1)) s.y0 = s.y1 = 0;
    if (c->log_y) {
        s.y0 = floor(s.y0);
        s.y1 = fmax(ceil(s.y1), s.y0 + 1);
    } else if (c->free_y && s.y1 > s.y0) {
        double step = round_step(s.y1 - s.y0);
        s.y0 = floor(s.y0 / step) * step;
        s.y1 += 0.04 * (s.y1 - s.y0);
    } else {
        s.y0 = 0;
        s.y1 = s.y1 > 0 ? s.y1 * 1.08 : 1;
    }
    if (!(s.x1 > s.x0)) s.x1 = s.x0 + 1;
    return s;
}

static void draw_y_axis(const struct line_chart *c, const struct scale *s, struct buf *buf)
{
    double step = c->log_y ? 1 : round_step(s->y1 - s->y0);
    for (double y = s->y0; y <= s->y1 + step * 1e-6; y += step) {
        char text[24];
        double value = c->log_y ? pow(10, y) : y, at = place_y(s, value);
        c->format_y(value, text, sizeof text);
        buf_printf(buf,
                   "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' style='stroke:var(--line,#e3e6ea)'/>"
                   "<text x='%d' y='%.1f' text-anchor='end'>%s</text>\n",
                   LEFT, WIDTH - RIGHT, at, at, LEFT - 8, at + 4, text);
    }
}

static void draw_x_axis(const struct line_chart *c, const struct scale *s, struct buf *buf)
{
    double step = c->x_ticks != NULL ? 1 : round_step(s->x1 - s->x0);
    uint32_t i = 0;
    for (double x = c->x_ticks != NULL ? 0 : s->x0; x <= s->x1 + step * 1e-6; x += step, i++) {
        char text[24];
        if (c->x_ticks != NULL && i >= c->n_x_ticks) break;
        snprintf(text, sizeof text, "%g", x);
        buf_printf(buf,
                   "<line x1='%.1f' x2='%.1f' y1='%d' y2='%d' style='stroke:var(--axis,#9aa3ad)'/>"
                   "<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n",
                   place_x(s, x), place_x(s, x), HEIGHT - BOTTOM, HEIGHT - BOTTOM + 5, place_x(s, x),
                   HEIGHT - BOTTOM + 18, c->x_ticks != NULL ? c->x_ticks[i] : text);
    }
    buf_printf(buf, "<text x='%d' y='%d' text-anchor='middle'>%s</text>\n", (WIDTH + LEFT) / 2, HEIGHT - 8,
               c->x_name);
}

static void draw_line(const struct line_chart *c, const struct scale *s, const struct chart_line *line,
                      struct buf *buf)
{
    bool pen_down = false;
    buf_printf(buf, "<path fill='none' stroke-width='2' style='stroke:%s' d='", line->colour);
    for (uint32_t i = 0; i < c->n; i++) {
        bool visible = drawable(c, line->y[i]);
        if (visible)
            buf_printf(buf, "%c%.1f %.1f", pen_down ? 'L' : 'M', place_x(s, c->x[i]), place_y(s, line->y[i]));
        pen_down = visible;
    }
    buf_append_text(buf, "'/>\n");
}

void line_chart_svg(const struct line_chart *c, struct buf *buf)
{
    if (c->n == 0) return;
    struct scale s = find_scale(c);
    buf_printf(
        buf,
        "<svg viewBox='0 0 %d %d' role='img' aria-label='%s'>\n<text x='%d' y='18' class='t'>%s</text>\n",
        WIDTH, HEIGHT, c->title, LEFT, c->title);
    draw_y_axis(c, &s, buf);
    draw_x_axis(c, &s, buf);
    int x = WIDTH - RIGHT;
    for (uint32_t l = c->n_lines; l-- > 0;) {
        draw_line(c, &s, &c->lines[l], buf);
        if (c->n_lines < 2) continue;
        buf_printf(buf, "<text x='%d' y='18' text-anchor='end' style='fill:%s'>%s</text>\n", x,
                   c->lines[l].colour, c->lines[l].name);
        x -= 80;
    }
    buf_append_text(buf, "</svg>\n");
}
