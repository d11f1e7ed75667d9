/* The result as one HTML page: a table that explains itself, three charts, no script and no other file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "load/load_report.h"
#include "stats/html_page.h"
#include "stats/line_chart.h"

/* `range`: how sure the value is, or "". */
static void row_with_range(struct buf *buf, const char *name, const char *value, const char *range,
                           const char *explanation)
{
    buf_append_text(buf, "<tr><td>");
    html_escape(buf, name);
    buf_append_text(buf, "</td><td class='v'>");
    html_escape(buf, value);
    if (range[0] != 0) buf_printf(buf, "<small>%s</small>", range);
    buf_append_text(buf, "</td><td class='e'>");
    html_escape(buf, explanation);
    buf_append_text(buf, "</td></tr>\n");
}

static void row(struct buf *buf, const char *name, const char *value, const char *explanation)
{
    row_with_range(buf, name, value, "", explanation);
}

static void time_row(struct buf *buf, const struct load_result *r, int quantile, const char *explanation)
{
    char value[32], low[16], high[16], range[64] = "";
    const struct interval *i = &r->estimates.quantiles[quantile];
    bool enough = quantile_has_enough(r->record->response.n, load_quantiles[quantile].q);
    load_format_time(i->point, value, sizeof value);
    if (enough && isfinite(i->low)) {
        load_format_time(i->low, low, sizeof low);
        load_format_time(i->high, high, sizeof high);
        snprintf(range, sizeof range, "%s to %s", low, high);
    }
    row_with_range(buf, load_quantiles[quantile].name, enough ? value : "too few samples", range,
                   explanation);
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
    time_row(buf, r, 0, "Half of all requests were answered faster than this: the usual experience.");
    time_row(
        buf, r, 4,
        "One request in a hundred took longer. A page that makes a hundred requests meets it every time.");
    time_row(buf, r, 5, "One in a thousand took longer: pauses, queues and other processes show here.");
    load_format_time((double)r->record->response.max, value, sizeof value);
    row(buf, "Longest", value, "The slowest request of the run.");
    if (open) {
        load_format_time(histogram_quantile(&r->record->service, 0.99), value, sizeof value);
        row(buf, "Service time p99", value,
            "Counted from the sending instead of the due time. It hides waiting that the server causes; "
            "compare it with p99 above.");
    }
    char basis[160];
    load_format_basis(r, basis, sizeof basis);
    buf_append_text(buf, "</table><p class='s'>Percentiles are ");
    html_escape(buf, basis);
    buf_append_text(buf, ". The small range below a figure holds its true value with 95 % confidence.</p>\n");
}

static void group_row(struct buf *buf, const char *name, const struct histogram *h, uint64_t n_failed)
{
    char p50[16], p99[16], max[16];
    load_format_time(histogram_quantile(h, 0.5), p50, sizeof p50);
    load_format_time(histogram_quantile(h, 0.99), p99, sizeof p99);
    load_format_time((double)h->max, max, sizeof max);
    buf_append_text(buf, "<tr><td class='u'>");
    html_escape(buf, name);
    buf_printf(buf,
               "</td><td class='v'>%llu</td><td class='v'>%s</td><td class='v'>%s</td><td class='v'>%s</td>",
               (unsigned long long)h->n, p50, quantile_has_enough(h->n, 0.99) ? p99 : "-", max);
    buf_printf(buf, "<td class='v'>%llu</td></tr>\n", (unsigned long long)n_failed);
}

/* By target and by status, where there is more than one. */
static void group_tables(struct buf *buf, const struct load_result *r, struct histogram *scratch)
{
    static const char columns[] =
        "<th>replies</th><th>p50</th><th>p99</th><th>longest</th><th>%s</th></tr>\n";
    uint32_t n_status = 0;
    for (int i = 0; i < LOAD_N_STATUS; i++) n_status += r->record->status[i] > 0;
    if (r->n_targets > 1) buf_append_text(buf, "<h2>By target</h2><table><tr><th>URL</th>");
    if (r->n_targets > 1) buf_printf(buf, columns, "failed");
    for (uint32_t i = 0; i < r->n_targets && r->n_targets > 1; i++) {
        load_record_select(r->record, i, 0, scratch);
        group_row(buf, r->targets[i].url, scratch, r->record->target_faults[i]);
    }
    if (r->n_targets > 1) buf_append_text(buf, "</table>\n");
    if (n_status < 2) return;
    buf_append_text(buf, "<h2>By status</h2><table><tr><th>status</th>");
    buf_printf(buf, columns, "errors");
    for (int i = 0; i < LOAD_N_STATUS; i++) {
        char code[8];
        if (r->record->status[i] == 0) continue;
        snprintf(code, sizeof code, "%d", i);
        load_record_select(r->record, UINT32_MAX, (uint16_t)i, scratch);
        group_row(buf, code, scratch, i >= 400 ? r->record->status[i] : 0);
    }
    buf_append_text(buf, "</table>\n");
}

static void verdict_box(struct buf *buf, const struct load_audit *a)
{
    buf_printf(buf, "<p class='b%s'>", a->client_limited ? " w" : "");
    html_escape(buf, a->verdict);
    buf_append_text(buf, "</p>\n");
}

static void audit_table(struct buf *buf, const struct load_result *r)
{
    const struct load_audit *a = &r->audit;
    char value[64];
    buf_append_text(buf, "<h2>Can these figures be trusted?</h2>\n");
    verdict_box(buf, a);
    buf_append_text(buf, "<table>\n");
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
        response[n] = load_response_quantile(r, q);
        service[n] = histogram_quantile(&r->record->service, q);
    }
    struct line_chart chart = {
        .title = "Time by percentile",
        .x_name = "share of requests that were faster",
        .x = x,
        .n = n,
        .lines = {{"response", "var(--c1)", response}, {"service", "var(--c4)", service}},
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
        .lines = {{"p50", "var(--c1)", p50}, {"p99", "var(--c2)", p99}, {"longest", "var(--c3)", max}},
        .n_lines = 3,
        .log_y = true,
        .format_y = load_format_time};
    struct line_chart rates = {.title = "Replies a second",
                               .x_name = "seconds",
                               .x = x,
                               .n = r->n_intervals,
                               .lines = {{"answered", "var(--c1)", rate}, {"asked", "var(--c4)", asked}},
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
    html_page_begin(buf, "onnxd bench load", r->url);
    buf_append_text(buf, "<p class='s'>");
    html_escape(buf, what);
    buf_printf(buf, "; measured for %.1f s after %.1f s of warm-up; %llu requests</p>\n", r->elapsed_s,
               (double)r->options.warm_up_ns / 1e9, (unsigned long long)r->record->n_done);
    if (r->audit.client_limited) verdict_box(buf, &r->audit); /* doubts come before figures */
    headline_table(buf, r);
    if (n > 0) buf_append_text(buf, "<h2>Objectives</h2><table>\n");
    for (uint32_t i = 0; i < n; i++) {
        char found[128];
        load_format_objective(&o[i], found, sizeof found);
        row(buf, o[i].text, o[i].kept ? "kept" : "broken", found);
    }
    if (n > 0) buf_append_text(buf, "</table>\n");
    struct histogram *scratch = calloc(1, sizeof *scratch);
    if (scratch != NULL) group_tables(buf, r, scratch);
    free(scratch);
    percentile_chart(buf, r);
    course_charts(buf, r);
    audit_table(buf, r);
    html_page_end(buf);
}
