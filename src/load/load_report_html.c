/* The result as one HTML page: a table that explains itself, three charts, no script and no other file. */
#include <math.h>
#include <stdio.h>

#include "stats/line_chart.h"
#include "load/load_report.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
    "content='width=device-width'>\n"
    "<title>onnxd bench load</title><style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:#1d2430;max-width:820px;margin:2em auto;padding:0 1em}\n"
    "h1{font-size:1.4em;margin-bottom:0}h2{font-size:1.1em;margin-top:2em}p.s{color:#5a6472;margin-top:.2em}"
    "\n"
    "table{border-collapse:collapse;width:100%}td,th{padding:.35em .6em;border-bottom:1px solid "
    "#e3e6ea;text-align:left;vertical-align:top}\n"
    "td.v{white-space:nowrap;font-variant-numeric:tabular-nums;font-weight:600}td.e{color:#5a6472}\n"
    "svg{width:100%;height:auto;margin-top:.6em}svg text{font:11px system-ui,sans-serif;fill:#5a6472}svg "
    "text.t{font-size:14px;fill:#1d2430}\n"
    ".b{padding:.7em 1em;border-left:4px solid "
    "#1b8a5a;background:#eef8f3}.b.w{border-color:#c77700;background:#fdf5e8}\n"
    "</style></head><body>\n";

static void append_escaped(struct buf *buf, const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '<')
            buf_append_text(buf, "&lt;");
        else if (*text == '>')
            buf_append_text(buf, "&gt;");
        else if (*text == '&')
            buf_append_text(buf, "&amp;");
        else if (*text == '\'')
            buf_append_text(buf, "&#39;");
        else
            buf_append_char(buf, *text);
    }
}

static void row(struct buf *buf, const char *name, const char *value, const char *explanation)
{
    buf_append_text(buf, "<tr><td>");
    append_escaped(buf, name);
    buf_append_text(buf, "</td><td class='v'>");
    append_escaped(buf, value);
    buf_append_text(buf, "</td><td class='e'>");
    append_escaped(buf, explanation);
    buf_append_text(buf, "</td></tr>\n");
}

static void time_row(struct buf *buf, const struct load_result *r, double q, const char *name,
                     const char *explanation)
{
    char value[32];
    load_format_time(histogram_quantile(&r->record->response, q), value, sizeof value);
    row(buf, name, quantile_has_enough(r->record->response.n, q) ? value : "too few samples", explanation);
}

static void headline_table(struct buf *buf, const struct load_result *r)
{
    char value[64];
    bool open = load_is_open(&r->options);
    buf_append_text(buf, "<h2>Results</h2><table>\n");
    snprintf(value, sizeof value, "%.0f /s", load_rate(r));
    row(buf, "Throughput", value, "Good replies in a second, up to the last answer.");
    snprintf(value, sizeof value, "%.4g %%", load_error_share(r->record) * 100);
    row(buf, "Errors", value,
        "Requests that broke, timed out, were never sent, or got a status of 400 and above.");
    time_row(buf, r, 0.5, "p50",
             "Half of all requests were answered faster than this: the usual experience.");
    time_row(
        buf, r, 0.99, "p99",
        "One request in a hundred took longer. A page that makes a hundred requests meets it every time.");
    time_row(buf, r, 0.999, "p99.9",
             "One in a thousand took longer: pauses, queues and other processes show here.");
    load_format_time((double)r->record->response.max, value, sizeof value);
    row(buf, "Longest", value, "The slowest request of the run.");
    if (open) {
        load_format_time(histogram_quantile(&r->record->service, 0.99), value, sizeof value);
        row(buf, "Service time p99", value,
            "Counted from the sending instead of the due time. It hides waiting that the server causes; "
            "compare it with p99 above.");
    }
    buf_append_text(buf, "</table>\n");
}

static void audit_table(struct buf *buf, const struct load_result *r)
{
    const struct load_audit *a = &r->audit;
    char value[64];
    buf_append_text(buf, "<h2>Can these figures be trusted?</h2>\n");
    buf_printf(buf, "<p class='b%s'>", a->client_limited ? " w" : "");
    append_escaped(buf, a->verdict);
    buf_append_text(buf, "</p><table>\n");
    if (a->rate_asked > 0) {
        snprintf(value, sizeof value, "%.0f of %.0f /s", a->rate_reached, a->rate_asked);
        row(buf, "Rate", value, "Answered, of those that fell due by the clock.");
        snprintf(value, sizeof value, "%.3f %%", a->late_share * 100);
        row(buf, "Sent late", value,
            "Left the client more than 1 ms after they were due though a connection was free: the client "
            "lacked CPU.");
        snprintf(value, sizeof value, "%.3f %%", a->waited_share * 100);
        row(buf, "Waited", value,
            "Found every connection busy when they were due. Their waiting is part of the response times.");
    } else {
        snprintf(value, sizeof value, "%.1f", a->littles_connections);
        row(buf, "Little's law", value,
            "Mean latency times rate must equal the requests under way; if not, times are measured wrongly.");
    }
    snprintf(value, sizeof value, "%.2f us", a->client_cpu_us);
    row(buf, "Client CPU a request", value, "What generating the load cost.");
    snprintf(value, sizeof value, "%.0f %%", a->client_busy * 100);
    row(buf, "Busiest client thread", value,
        "Near 100 % of a CPU the client, not the server, sets the limit.");
    snprintf(value, sizeof value, "%.2f of %u", a->other_cpus, a->n_cpus);
    row(buf, "CPUs used by others", value, "All other processes of this machine, a local server included.");
    snprintf(value, sizeof value, "%.2f", a->steal_cpus);
    row(buf, "CPUs withheld", value,
        "Taken away by the hypervisor of a virtual machine; disturbs every figure.");
    buf_append_text(buf, "</table>\n");
}

static void format_rate(double y, char *out, size_t size)
{
    snprintf(out, size, "%g/s", y);
}

static void percentile_chart(struct buf *buf, const struct load_result *r)
{
    static const char *const ticks[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"};
    enum { N = 121 };
    double x[N], response[N], service[N];
    uint32_t n = 0;
    for (; n < N; n++) { /* x counts nines: 2 is 99 % */
        x[n] = n / 20.0;
        double q = 1 - pow(10, -x[n]);
        if (n > 20 && !quantile_has_enough(r->record->response.n, q)) break;
        response[n] = histogram_quantile(&r->record->response, q);
        service[n] = histogram_quantile(&r->record->service, q);
    }
    struct line_chart chart = {.title = "Time by percentile",
                               .x_name = "share of requests that were faster",
                               .x = x,
                               .n = n,
                               .lines = {{"response", "#2563eb", response}, {"service", "#9aa3ad", service}},
                               .n_lines = load_is_open(&r->options) ? 2 : 1,
                               .log_y = true,
                               .x_ticks = ticks,
                               .n_x_ticks = sizeof ticks / sizeof ticks[0],
                               .format_y = load_format_time};
    line_chart_svg(&chart, buf);
    buf_append_text(buf, "<p class='s'>Read to the right for rarer, slower requests. A flat line is an even "
                         "server; a step is a pause or "
                         "a queue. The line ends where fewer than ten samples are left.</p>\n");
}

static void course_charts(struct buf *buf, const struct load_result *r)
{
    double x[LOAD_N_INTERVALS], rate[LOAD_N_INTERVALS], asked[LOAD_N_INTERVALS];
    double p50[LOAD_N_INTERVALS], p99[LOAD_N_INTERVALS], max[LOAD_N_INTERVALS];
    for (uint32_t i = 0; i < r->n_intervals; i++) {
        const struct load_interval *interval = &r->intervals[i];
        x[i] = i * r->interval_s;
        rate[i] = (double)interval->n / r->interval_s;
        asked[i] = load_rate_at(&r->options, (int64_t)((x[i] + r->interval_s / 2) * 1e9));
        p50[i] = interval->n > 0 ? interval->p50_ns : NAN;
        p99[i] = interval->n > 0 ? interval->p99_ns : NAN;
        max[i] = interval->n > 0 ? interval->max_ns : NAN;
    }
    struct line_chart times = {
        .title = "Response time over the run",
        .x_name = "seconds",
        .x = x,
        .n = r->n_intervals,
        .lines = {{"p50", "#2563eb", p50}, {"p99", "#c77700", p99}, {"longest", "#b42318", max}},
        .n_lines = 3,
        .log_y = true,
        .format_y = load_format_time};
    struct line_chart rates = {.title = "Replies a second",
                               .x_name = "seconds",
                               .x = x,
                               .n = r->n_intervals,
                               .lines = {{"answered", "#2563eb", rate}, {"asked", "#9aa3ad", asked}},
                               .n_lines = load_is_open(&r->options) ? 2 : 1,
                               .format_y = format_rate};
    line_chart_svg(&times, buf);
    buf_append_text(buf, "<p class='s'>Requests are shown when they were answered. A rise that lasts means "
                         "that the server falls behind.</p>\n");
    line_chart_svg(&rates, buf);
}

void load_report_html(const struct load_result *r, const struct load_objective *o, uint32_t n,
                      struct buf *buf)
{
    char what[160];
    load_describe(r, what, sizeof what);
    buf_append_text(buf, head);
    buf_append_text(buf, "<h1>");
    append_escaped(buf, r->url);
    buf_append_text(buf, "</h1><p class='s'>");
    append_escaped(buf, what);
    buf_printf(buf, "; measured for %.1f s after %.1f s of warm-up; %llu requests</p>\n", r->elapsed_s,
               (double)r->options.warm_up_ns / 1e9, (unsigned long long)r->record->n_done);
    headline_table(buf, r);
    if (n > 0) buf_append_text(buf, "<h2>Objectives</h2><table>\n");
    for (uint32_t i = 0; i < n; i++) {
        char found[128];
        load_format_objective(&o[i], found, sizeof found);
        row(buf, o[i].text, o[i].kept ? "kept" : "broken", found);
    }
    if (n > 0) buf_append_text(buf, "</table>\n");
    percentile_chart(buf, r);
    course_charts(buf, r);
    audit_table(buf, r);
    buf_append_text(buf, "</body></html>\n");
}
