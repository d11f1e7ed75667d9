/* The text and CSV forms of a micro suite (micro_baseline.h). */
#include <stdio.h>
#include <string.h>

#include "bench/micro_baseline.h"

static void append_outliers(const struct micro_result *r, struct buf *buf)
{
    const struct sample_outliers *o = &r->outliers;
    size_t low = o->n_low_mild + o->n_low_severe, high = o->n_high_mild + o->n_high_severe;
    size_t severe = o->n_low_severe + o->n_high_severe;
    if (low + high == 0)
        buf_printf(buf, " %-16s", "-");
    else {
        char text[64];
        int n = snprintf(text, sizeof text, "%zu low %zu high", low, high);
        if (severe > 0) snprintf(text + n, sizeof text - (size_t)n, ", %zu !", severe);
        buf_printf(buf, " %-16s", text);
    }
}

static void append_change(const struct micro_comparison *c, struct buf *buf)
{
    if (c->change == MICRO_NO_BASELINE) {
        buf_append_text(buf, "  new");
        return;
    }
    buf_printf(buf, "  %+.1f %% [%+.1f, %+.1f] p=%.3f %s", 100 * c->relative.point, 100 * c->relative.low,
               100 * c->relative.high, c->p, micro_change_name(c->change));
}

static int name_width(const struct micro_suite *suite)
{
    size_t width = 4;
    for (uint32_t i = 0; i < suite->n_results; i++) {
        size_t n = strlen(suite->results[i].name);
        if (n > width) width = n;
    }
    return width > 60 ? 60 : (int)width;
}

void micro_report_text(const struct micro_suite *suite, const struct micro_comparison *changes,
                       struct buf *buf)
{
    int width = name_width(suite);
    buf_printf(buf, "%-*s  %-30s %-10s %-18s %6s %-16s%s\n", width, "case", "time of a call [95 % interval]",
               "median", "rate", "A/A", "outliers", changes != NULL ? "  change" : "");
    for (uint32_t i = 0; i < suite->n_results; i++) {
        const struct micro_result *r = &suite->results[i];
        char point[32], low[32], high[32], median[32], rate[32] = "-", time[128];
        bench_format_value(r->ns.point, "ns", point, sizeof point);
        bench_format_value(r->ns.low, "ns", low, sizeof low);
        bench_format_value(r->ns.high, "ns", high, sizeof high);
        bench_format_value(r->median_ns, "ns", median, sizeof median);
        if (r->units > 0) {
            bench_format_value(r->units / r->ns.point * 1e9, "1/s", rate, sizeof rate - 8);
            char *slash = strrchr(rate, '/');
            if (slash != NULL) snprintf(slash, (size_t)(rate + sizeof rate - slash), "%s/s", r->unit);
        }
        snprintf(time, sizeof time, "%s [%s, %s]", point, low, high);
        buf_printf(buf, "%-*s  %-30s %-10s %-18s %5.1f%%", width, r->name, time, median, rate,
                   100 * r->own_noise);
        append_outliers(r, buf);
        if (changes != NULL) append_change(&changes[i], buf);
        while (buf->n > 0 && buf->data[buf->n - 1] == ' ') buf->n--;
        buf_append_char(buf, '\n');
    }
    buf_printf(
        buf,
        "time: slope of a line through samples of rising numbers of calls, or their mean where a call is "
        "long;\nA/A: difference of two rounds of the same code; noise of this suite %.1f %%; outliers lie "
        "1.5 (!: 3)\ninterquartile ranges beyond the quartiles and are counted, not removed.\n",
        100 * suite->noise);
}

void micro_report_csv(const struct micro_suite *suite, const struct micro_comparison *changes,
                      struct buf *buf)
{
    buf_append_text(buf,
                    "name,ns,low_ns,high_ns,median_ns,sd_ns,method,r2,samples,calls,units,unit,aa_noise,"
                    "low_severe,low_mild,high_mild,high_severe,change,change_low,change_high,p,verdict\n");
    for (uint32_t i = 0; i < suite->n_results; i++) {
        const struct micro_result *r = &suite->results[i];
        const struct sample_outliers *o = &r->outliers;
        buf_append_char(buf, '"');
        for (const char *c = r->name; *c != 0; c++) {
            if (*c == '"') buf_append_char(buf, '"');
            buf_append_char(buf, *c);
        }
        buf_printf(buf, "\",%.6g,%.6g,%.6g,%.6g,%.6g,%s,%.6f,%u,%llu,%g,%s,%.5f,%zu,%zu,%zu,%zu", r->ns.point,
                   r->ns.low, r->ns.high, r->median_ns, r->sd_ns, r->is_slope ? "slope" : "mean", r->r2,
                   r->n_samples, (unsigned long long)r->n_calls, r->units, r->units > 0 ? r->unit : "",
                   r->own_noise, o->n_low_severe, o->n_low_mild, o->n_high_mild, o->n_high_severe);
        if (changes != NULL && changes[i].change != MICRO_NO_BASELINE)
            buf_printf(buf, ",%.5f,%.5f,%.5f,%.5f,%s\n", changes[i].relative.point, changes[i].relative.low,
                       changes[i].relative.high, changes[i].p, micro_change_name(changes[i].change));
        else
            buf_append_text(buf, ",,,,,\n");
    }
}
