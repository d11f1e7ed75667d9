#include "load/load_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/json_writer.h"

void load_format_time(double ns, char *out, size_t size)
{
    static const struct {
        double scale;
        const char *unit;
    } units[] = {{1e3, "us"}, {1e6, "ms"}, {1e9, "s"}};
    int i = ns < 1e6 ? 0 : ns < 1e9 ? 1 : 2;
    double value = ns / units[i].scale;
    snprintf(out, size, "%.*f%s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[i].unit);
}

void load_describe(const struct load_result *r, char *out, size_t size)
{
    const struct load_options *o = &r->options;
    int n = snprintf(out, size, "%u thread%s, %u connection%s, ", o->n_threads, o->n_threads == 1 ? "" : "s",
                     o->n_connections, o->n_connections == 1 ? "" : "s");
    if (n < 0 || (size_t)n >= size) return;
    out += n;
    size -= (size_t)n;
    if (load_is_open(o))
        snprintf(out, size, "open loop%s, %.0f requests/s asked%s%s", o->poisson ? " (Poisson arrivals)" : "",
                 load_requests_asked(o) / ((double)load_total_ns(o) / 1e9),
                 o->n_stages > 1 ? " on average" : "", o->new_connections ? ", a new connection each" : "");
    else
        snprintf(out, size, "closed loop%s%s", o->pipeline > 1 ? ", pipelined" : "",
                 o->new_connections ? ", a new connection each" : "");
}

/* ---- text ------------------------------------------------------------------------------------------ */

static void text_summary(struct buf *buf, const char *name, const struct histogram *h)
{
    char mean[16], sd[16], max[16];
    double m = histogram_mean(h), s = histogram_sd(h);
    load_format_time(m, mean, sizeof mean);
    load_format_time(s, sd, sizeof sd);
    load_format_time((double)h->max, max, sizeof max);
    uint64_t low = m > s ? (uint64_t)(m - s) : 0, within = histogram_count_to(h, (uint64_t)(m + s));
    if (low > 0) within -= histogram_count_to(h, low);
    buf_printf(buf, "    %-10s%9s %9s %9s %8.2f%%\n", name, mean, sd, max,
               h->n > 0 ? 100.0 * (double)within / (double)h->n : 0);
}

/* "[1.02ms, 1.31ms]", or "" where nothing is known. */
static void format_interval(const struct interval *i, char *out, size_t size)
{
    char low[16], high[16];
    out[0] = 0;
    if (!isfinite(i->low) || !isfinite(i->high)) return;
    load_format_time(i->low, low, sizeof low);
    load_format_time(i->high, high, sizeof high);
    snprintf(out, size, "[%s, %s]", low, high);
}

void load_format_basis(const struct load_result *r, char *out, size_t size)
{
    int n = r->samples != NULL
                ? snprintf(out, size, "exact, of %llu samples", (unsigned long long)r->n_samples)
                : snprintf(out, size, "from a histogram, to within 0.8 %%");
    if (n < 0 || (size_t)n >= size) return;
    if (r->estimates.n_blocks > 0)
        snprintf(out + n, size - (size_t)n, "; 95 %% intervals by resampling the run's %u intervals of %g s",
                 r->estimates.n_blocks, r->interval_s);
    else
        snprintf(out + n, size - (size_t)n, "; too short a run for intervals");
}

static void text_quantiles(struct buf *buf, const struct load_result *r)
{
    bool open = load_is_open(&r->options), sure = r->estimates.n_blocks > 0;
    char basis[160];
    buf_printf(buf, "  Latency Distribution%s%s\n", open ? "   response   service" : "",
               sure ? open ? "   95 % interval of response" : "            95 % interval" : "");
    for (int i = 0; i < LOAD_N_QUANTILES; i++) {
        char response[16], service[16], interval[48];
        load_format_time(r->estimates.quantiles[i].point, response, sizeof response);
        load_format_time(histogram_quantile(&r->record->service, load_quantiles[i].q), service,
                         sizeof service);
        format_interval(&r->estimates.quantiles[i], interval, sizeof interval);
        bool enough = quantile_has_enough(r->record->response.n, load_quantiles[i].q);
        buf_printf(buf, "    %7.3f%%  %9s", load_quantiles[i].q * 100, enough ? response : "-");
        if (open) buf_printf(buf, " %9s", enough ? service : "-");
        buf_printf(buf, "   %s\n", enough ? interval : "(fewer than ten samples above it)");
    }
    load_format_basis(r, basis, sizeof basis);
    buf_printf(buf, "    (%s)\n", basis);
}

static void text_group(struct buf *buf, const struct histogram *h)
{
    char p50[16], p99[16], max[16];
    load_format_time(histogram_quantile(h, 0.5), p50, sizeof p50);
    load_format_time(histogram_quantile(h, 0.99), p99, sizeof p99);
    load_format_time((double)h->max, max, sizeof max);
    buf_printf(buf, "%10llu %9s %9s %9s", (unsigned long long)h->n, p50,
               quantile_has_enough(h->n, 0.99) ? p99 : "-", max);
}

/* Replies by status and by target, where there is more than one of either. */
static void text_groups(struct buf *buf, const struct load_result *r, struct histogram *scratch)
{
    uint32_t n_status = 0;
    for (int i = 0; i < LOAD_N_STATUS; i++) n_status += r->record->status[i] > 0;
    if (n_status > 1) buf_append_text(buf, "  Status       Count       p50       p99       Max\n");
    for (int i = 0; i < LOAD_N_STATUS && n_status > 1; i++) {
        if (r->record->status[i] == 0) continue;
        load_record_select(r->record, UINT32_MAX, (uint16_t)i, scratch);
        buf_printf(buf, "    %d  ", i);
        text_group(buf, scratch);
        buf_append_char(buf, '\n');
    }
    if (r->n_targets > 1)
        buf_append_text(buf, "  Target       Count       p50       p99       Max    Failed\n");
    for (uint32_t i = 0; i < r->n_targets && r->n_targets > 1; i++) {
        load_record_select(r->record, i, 0, scratch);
        buf_printf(buf, "    %-3u  ", i + 1);
        text_group(buf, scratch);
        buf_printf(buf, " %9llu   %s (weight %g)\n", (unsigned long long)r->record->target_faults[i],
                   r->targets[i].url, r->targets[i].weight);
    }
}

static void text_faults(struct buf *buf, const struct load_result *r)
{
    const struct load_record *rec = r->record;
    uint64_t faults = 0;
    for (int i = 0; i < LOAD_N_FAULTS; i++) faults += rec->faults[i];
    if (faults > 0) {
        buf_append_text(buf, "  Socket errors:");
        for (int i = 0; i < LOAD_N_FAULTS; i++)
            buf_printf(buf, "%s %s %llu", i > 0 ? "," : "", load_fault_names[i],
                       (unsigned long long)rec->faults[i]);
        buf_append_char(buf, '\n');
    }
    uint64_t bad = load_n_errors(rec) - faults;
    if (bad > 0) buf_printf(buf, "  Non-2xx or 3xx responses: %llu\n", (unsigned long long)bad);
}

static void text_audit(struct buf *buf, const struct load_result *r)
{
    const struct load_audit *a = &r->audit;
    buf_append_text(buf, "  Audit\n");
    if (a->rate_asked > 0) {
        char p99[16], max[16];
        load_format_time(histogram_quantile(&r->record->lateness, 0.99), p99, sizeof p99);
        load_format_time((double)r->record->lateness.max, max, sizeof max);
        buf_printf(buf, "    rate asked %.1f/s, answered %.1f/s\n", a->rate_asked, a->rate_reached);
        buf_printf(buf, "    client behind due time: p99 %s, max %s, more than 1ms late %.3f%%\n", p99, max,
                   a->late_share * 100);
        buf_printf(buf, "    waited for a free connection: %.3f%%\n", a->waited_share * 100);
    } else {
        buf_printf(buf, "    Little's law: mean latency x rate = %.1f requests under way\n",
                   a->littles_connections);
    }
    buf_printf(buf, "    client: %.2fus CPU a request, busiest thread %.0f%% of a CPU\n", a->client_cpu_us,
               a->client_busy * 100);
    buf_printf(
        buf,
        "    machine: %u CPUs; other processes (server included) %.2f, withheld by the hypervisor %.2f\n",
        a->n_cpus, a->other_cpus, a->steal_cpus);
    buf_printf(buf, "    %s\n", a->verdict);
}

void load_format_objective(const struct load_objective *o, char *out, size_t size)
{
    char found[24];
    if (isnan(o->found))
        snprintf(found, sizeof found, "too few samples");
    else if (o->measure == LOAD_RPS)
        snprintf(found, sizeof found, "%.0f/s", o->found);
    else if (o->measure == LOAD_ERRORS)
        snprintf(found, sizeof found, "%.4g%%", o->found * 100);
    else
        load_format_time(o->found, found, sizeof found);
    snprintf(out, size, "%s: %s, found %s", o->text, o->kept ? "kept" : "BROKEN", found);
}

void load_report_text(const struct load_result *r, const struct load_objective *o, uint32_t n,
                      struct buf *buf)
{
    char what[160];
    double seconds = (double)load_total_ns(&r->options) / 1e9;
    load_describe(r, what, sizeof what);
    buf_printf(buf, "Running %gs test @ %s\n  %s\n", seconds, r->url, what);
    buf_append_text(buf, "  Statistics      Avg     Stdev       Max   +/- Stdev\n");
    text_summary(buf, load_is_open(&r->options) ? "Response" : "Latency", &r->record->response);
    if (load_is_open(&r->options)) text_summary(buf, "Service", &r->record->service);
    text_quantiles(buf, r);
    struct histogram *scratch = calloc(1, sizeof *scratch);
    if (scratch != NULL) text_groups(buf, r, scratch);
    free(scratch);
    buf_printf(buf, "  %llu requests in %.2fs, %.2fMB read\n", (unsigned long long)r->record->n_done,
               r->elapsed_s, (double)r->record->bytes_read / 1048576);
    text_faults(buf, r);
    double elapsed = r->elapsed_s > 0 ? r->elapsed_s + r->lag_s : 1;
    buf_printf(buf, "Requests/sec: %11.2f\nTransfer/sec: %9.2fMB\n", (double)r->record->n_done / elapsed,
               (double)r->record->bytes_read / 1048576 / elapsed);
    text_audit(buf, r);
    if (n > 0) buf_append_text(buf, "  Objectives\n");
    for (uint32_t i = 0; i < n; i++) {
        char line[128];
        load_format_objective(&o[i], line, sizeof line);
        buf_printf(buf, "    %s\n", line);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void json_member(struct json_writer *w, const char *name, double value)
{
    json_key(w, name);
    json_fixed(w, value, 6);
}

/* The exact samples' percentiles where `exact` has them, else the histogram's. */
static void json_times(struct json_writer *w, const char *name, const struct histogram *h,
                       const struct load_result *exact)
{
    json_key(w, name);
    json_begin_object(w);
    json_key(w, "n");
    json_u64(w, h->n);
    json_key(w, "mean");
    json_fixed(w, histogram_mean(h) / 1e3, 3);
    json_key(w, "sd");
    json_fixed(w, histogram_sd(h) / 1e3, 3);
    json_key(w, "min");
    json_fixed(w, (double)h->min / 1e3, 3);
    for (int i = 0; i < LOAD_N_QUANTILES; i++) {
        json_key(w, load_quantiles[i].name);
        if (quantile_has_enough(h->n, load_quantiles[i].q))
            json_fixed(w,
                       (exact != NULL ? load_response_quantile(exact, load_quantiles[i].q)
                                      : histogram_quantile(h, load_quantiles[i].q)) /
                           1e3,
                       3);
        else
            json_null(w);
    }
    json_key(w, "max");
    json_fixed(w, (double)h->max / 1e3, 3);
    json_end_object(w);
}

static void json_interval(struct json_writer *w, const char *name, const struct interval *i, double scale)
{
    json_key(w, name);
    if (!isfinite(i->low) || !isfinite(i->high)) {
        json_null(w);
        return;
    }
    json_begin_array(w);
    json_fixed(w, i->low * scale, 3);
    json_fixed(w, i->high * scale, 3);
    json_end_array(w);
}

static void json_estimates(struct json_writer *w, const struct load_result *r)
{
    char basis[160];
    load_format_basis(r, basis, sizeof basis);
    json_key(w, "exact_samples");
    json_bool(w, r->samples != NULL);
    json_key(w, "basis");
    json_string(w, basis);
    json_key(w, "response_us_interval_95");
    json_begin_object(w);
    for (int i = 0; i < LOAD_N_QUANTILES; i++)
        json_interval(w, load_quantiles[i].name, &r->estimates.quantiles[i], 1e-3);
    json_interval(w, "mean", &r->estimates.mean_ns, 1e-3);
    json_end_object(w);
    json_interval(w, "requests_per_s_interval_95", &r->estimates.rate, 1);
}

static void json_groups(struct json_writer *w, const struct load_result *r, struct histogram *scratch)
{
    json_key(w, "by_status");
    json_begin_object(w);
    for (int i = 0; i < LOAD_N_STATUS; i++) {
        char code[8];
        if (r->record->status[i] == 0) continue;
        snprintf(code, sizeof code, "%d", i);
        load_record_select(r->record, UINT32_MAX, (uint16_t)i, scratch);
        json_times(w, code, scratch, NULL);
    }
    json_end_object(w);
    json_key(w, "targets");
    json_begin_array(w);
    for (uint32_t i = 0; i < r->n_targets; i++) {
        json_begin_object(w);
        json_key(w, "url");
        json_string(w, r->targets[i].url);
        json_member(w, "weight", r->targets[i].weight);
        json_key(w, "failed");
        json_u64(w, r->record->target_faults[i]);
        load_record_select(r->record, i, 0, scratch);
        json_times(w, "response_us", scratch, NULL);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_audit(struct json_writer *w, const struct load_audit *a)
{
    json_key(w, "audit");
    json_begin_object(w);
    json_member(w, "rate_asked", a->rate_asked);
    json_member(w, "rate_reached", a->rate_reached);
    json_member(w, "late_share", a->late_share);
    json_member(w, "waited_share", a->waited_share);
    json_member(w, "littles_connections", a->littles_connections);
    json_member(w, "client_cpu_us_per_request", a->client_cpu_us);
    json_member(w, "client_busiest_thread", a->client_busy);
    json_member(w, "other_cpus", a->other_cpus);
    json_member(w, "steal_cpus", a->steal_cpus);
    json_key(w, "n_cpus");
    json_u64(w, a->n_cpus);
    json_key(w, "client_limited");
    json_bool(w, a->client_limited);
    json_key(w, "verdict");
    json_string(w, a->verdict);
    json_end_object(w);
}

static void json_course(struct json_writer *w, const struct load_result *r)
{
    json_key(w, "course");
    json_begin_array(w);
    for (uint32_t i = 0; i < r->n_intervals; i++) {
        const struct load_interval *interval = &r->intervals[i];
        json_begin_object(w);
        json_member(w, "at_s", i * r->interval_s);
        json_key(w, "requests");
        json_u64(w, interval->n);
        json_key(w, "errors");
        json_u64(w, interval->n_errors);
        json_member(w, "p50_us", interval->p50_ns / 1e3);
        json_member(w, "p99_us", interval->p99_ns / 1e3);
        json_member(w, "max_us", interval->max_ns / 1e3);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_counts(struct json_writer *w, const struct load_record *rec)
{
    json_key(w, "status");
    json_begin_object(w);
    for (int i = 0; i < LOAD_N_STATUS; i++) {
        if (rec->status[i] == 0) continue;
        char code[8];
        snprintf(code, sizeof code, "%d", i);
        json_key(w, code);
        json_u64(w, rec->status[i]);
    }
    json_end_object(w);
    json_key(w, "faults");
    json_begin_object(w);
    for (int i = 0; i < LOAD_N_FAULTS; i++) {
        json_key(w, load_fault_names[i]);
        json_u64(w, rec->faults[i]);
    }
    json_end_object(w);
}

static void json_objectives(struct json_writer *w, const struct load_objective *o, uint32_t n)
{
    json_key(w, "objectives");
    json_begin_array(w);
    for (uint32_t i = 0; i < n; i++) {
        json_begin_object(w);
        json_key(w, "text");
        json_string(w, o[i].text);
        json_key(w, "found");
        json_f64(w, o[i].found);
        json_key(w, "kept");
        json_bool(w, o[i].kept);
        json_end_object(w);
    }
    json_end_array(w);
}

void load_report_json(const struct load_result *r, const struct load_objective *o, uint32_t n,
                      struct buf *buf)
{
    struct json_writer w;
    char what[160];
    load_describe(r, what, sizeof what);
    json_writer_init(&w, buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "url");
    json_string(&w, r->url);
    json_key(&w, "load");
    json_string(&w, what);
    json_key(&w, "threads");
    json_u64(&w, r->options.n_threads);
    json_key(&w, "connections");
    json_u64(&w, r->options.n_connections);
    json_member(&w, "elapsed_s", r->elapsed_s);
    json_member(&w, "lag_s", r->lag_s);
    json_key(&w, "requests");
    json_u64(&w, r->record->n_done);
    json_member(&w, "requests_per_s", load_rate(r));
    json_member(&w, "error_share", load_error_share(r->record));
    json_key(&w, "bytes_read");
    json_u64(&w, r->record->bytes_read);
    json_counts(&w, r->record);
    json_times(&w, "response_us", &r->record->response, r);
    json_estimates(&w, r);
    json_times(&w, "service_us", &r->record->service, NULL);
    if (load_is_open(&r->options)) json_times(&w, "sent_late_us", &r->record->lateness, NULL);
    struct histogram *scratch = calloc(1, sizeof *scratch);
    if (scratch != NULL) json_groups(&w, r, scratch);
    free(scratch);
    json_audit(&w, &r->audit);
    json_objectives(&w, o, n);
    json_course(&w, r);
    json_end_object(&w);
    buf_append_char(buf, '\n');
}

/* ---- CSV and Markdown ------------------------------------------------------------------------------ */

void load_report_csv(const struct load_result *r, struct buf *buf)
{
    buf_append_text(buf, "at_s,requests_per_s,errors,p50_us,p99_us,max_us\n");
    for (uint32_t i = 0; i < r->n_intervals; i++) {
        const struct load_interval *interval = &r->intervals[i];
        buf_printf(buf, "%.3f,%.1f,%llu,%.3f,%.3f,%.3f\n", i * r->interval_s,
                   (double)interval->n / r->interval_s, (unsigned long long)interval->n_errors,
                   interval->p50_ns / 1e3, interval->p99_ns / 1e3, interval->max_ns / 1e3);
    }
}

void load_report_markdown(const struct load_result *r, const struct load_objective *o, uint32_t n,
                          struct buf *buf)
{
    char what[160], text[128];
    load_describe(r, what, sizeof what);
    buf_printf(buf, "### %s\n\n%s, %.1f s\n\n| measure | value |\n|---|---|\n", r->url, what, r->elapsed_s);
    buf_printf(buf, "| requests/s | %.0f |\n| errors | %.4g %% |\n", load_rate(r),
               load_error_share(r->record) * 100);
    for (int i = 0; i < LOAD_N_QUANTILES; i++) {
        bool enough = quantile_has_enough(r->record->response.n, load_quantiles[i].q);
        load_format_time(r->estimates.quantiles[i].point, text, sizeof text);
        buf_printf(buf, "| %s | %s |\n", load_quantiles[i].name, enough ? text : "too few samples");
    }
    load_format_time((double)r->record->response.max, text, sizeof text);
    buf_printf(buf, "| max | %s |\n| client CPU | %.2f us a request |\n\n%s\n", text, r->audit.client_cpu_us,
               r->audit.verdict);
    for (uint32_t i = 0; i < n; i++) {
        load_format_objective(&o[i], text, sizeof text);
        buf_printf(buf, "%s- %s\n", i == 0 ? "\n" : "", text);
    }
}
