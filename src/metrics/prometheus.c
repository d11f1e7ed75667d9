/* Prometheus' text exposition format 0.0.4 of a registry. */
#include "metrics/metrics_layout.h"

/* Whole numbers without a point, others with enough digits for sums of nanoseconds. */
static void append_value(struct buf *buf, double value)
{
    if (value == (double)(int64_t)value && value < 1e15 && value > -1e15)
        buf_printf(buf, "%lld", (long long)value);
    else
        buf_printf(buf, "%.12g", value);
}

static void append_sample(struct buf *buf, const struct metrics_series *s, const char *suffix, double value)
{
    bool labels = s->labels[0] != 0;
    buf_printf(buf, "%s%s%s%s%s ", s->name, suffix, labels ? "{" : "", s->labels, labels ? "}" : "");
    append_value(buf, value);
    buf_append_char(buf, '\n');
}

static void append_histogram(const struct metrics *m, const struct metrics_series *s, uint32_t series,
                             struct buf *buf)
{
    struct metrics_histogram_view view;
    metrics_histogram_read(m, (struct metric){s->cell, series}, &view);
    uint64_t below = 0;
    for (uint32_t i = 0; i <= s->n_bounds; i++) {
        below += view.counts[i];
        buf_printf(buf, "%s_bucket{%s%sle=\"", s->name, s->labels, s->labels[0] != 0 ? "," : "");
        if (i == s->n_bounds)
            buf_append_text(buf, "+Inf");
        else
            buf_printf(buf, "%.9g", (double)s->bounds[i] * s->scale);
        buf_printf(buf, "\"} %llu\n", (unsigned long long)below);
    }
    append_sample(buf, s, "_sum", (double)view.sum * s->scale);
    append_sample(buf, s, "_count", (double)view.n);
}

static void append_head(struct buf *buf, const struct metrics_series *s)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    if (s->help[0] != 0) {
        buf_printf(buf, "# HELP %s ", s->name);
        for (const char *c = s->help; *c != 0; c++) {
            if (*c == '\\' || *c == '\n') buf_append_char(buf, '\\');
            buf_append_char(buf, *c == '\n' ? 'n' : *c);
        }
        buf_append_char(buf, '\n');
    }
    buf_printf(buf, "# TYPE %s %s\n", s->name, kinds[s->kind]);
}

static void append_family(const struct metrics *m, uint32_t family, uint32_t n_series, struct buf *buf)
{
    bool headed = false;
    for (uint32_t i = family; i < n_series; i++) {
        const struct metrics_series *s = metrics_series_at(m, i);
        if (s->family != family || s->kind == METRIC_TALLIES || atomic_load(&s->hidden)) continue;
        if (!headed) append_head(buf, metrics_series_at(m, family));
        headed = true;
        if (s->kind == METRIC_HISTOGRAM)
            append_histogram(m, s, i, buf);
        else
            append_sample(buf, s, "", (double)(int64_t)metrics_sum(m, s->cell) * s->scale);
    }
}

/* The lock is held for a family at a time: whoever registers a series does not wait for the whole text. */
void metrics_render(struct metrics *m, struct buf *buf)
{
    uint32_t n_series = atomic_load(&m->n_series);
    for (uint32_t i = 0; i < n_series; i++) {
        if (metrics_series_at(m, i)->family != i) continue;
        metrics_lock(m);
        append_family(m, i, n_series, buf);
        pthread_mutex_unlock(&m->registering);
    }
}
