#include "bench/trend_report.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "bench/html_trend.h"
#include "stats/html_page.h"

/* ---- words for newcomers ------------------------------------------------------------------------- */

static const struct suite_words {
    const char *suite, *words;
} suites[] = {
    {"engine", "The native engine alone in one process on one core: the time of a call for each batch size, "
               "and how many "
               "times faster it is than ONNX Runtime on the same rows."},
    {"micro",
     "The parts of a request's way, each measured alone: parsing, running the model, writing the answer."},
    {"load", "A load generator asks a server over HTTP and measures its answers."},
    {"single", "One server process under load, with the processor time and memory it took."},
    {"multi", "Several server processes behind a load balancer under load, and how well they scale."},
    {"modes", "The same model and rows in the caller's process and through a server: what the way of "
              "deployment costs."},
};

static const char *words_of(const char *suite)
{
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
        if (strcmp(suites[i].suite, suite) == 0) return suites[i].words;
    return "A measurement of the user's own.";
}

static const char *explain(const struct check_figure *f)
{
    static const struct {
        const char *part, *words;
    } known[] = {
        {"p99.9", "One answer in a thousand took longer than this: pauses and queues show here."},
        {"p99", "One answer in a hundred took longer than this: what an unlucky caller waits."},
        {"p95", "One answer in twenty took longer than this."},
        {"p90", "One answer in ten took longer than this."},
        {"p50", "Half of all answers came faster than this: the usual case."},
        {"rows a second",
         "Rows answered in a second, of one caller that asks again as soon as it is answered."},
        {"CPU", "Processor time spent; what is left is free for others."},
        {"memory", "Memory held in RAM."},
        {"ONNX Runtime over native",
         "How many times longer ONNX Runtime takes for the same rows: above 1 the native engine is faster."},
        {"A/A noise", "How far two measurements of the same code lay apart: smaller changes mean nothing."},
        {"instructions",
         "Machine instructions executed, counted by a simulator: the same on every machine of this kind."},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(f->name, known[i].part) != NULL) return known[i].words;
    if (f->better == BENCH_LOWER)
        return strcmp(f->unit, "ns") == 0 || strcmp(f->unit, "us") == 0 ? "Time taken: less is better."
                                                                        : "Less is better.";
    return f->better == BENCH_HIGHER ? "More is better."
                                     : "Told for information; neither more nor less is better.";
}

/* ---- charts -------------------------------------------------------------------------------------- */

static void format_when(int64_t unix_ms, char *out, size_t size)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || strftime(out, size, "%Y-%m-%d %H:%M UTC", &utc) == 0)
        snprintf(out, size, "-");
}

static void append_chart(const struct check_series *series, const struct check_figure *f, struct buf *buf)
{
    struct html_point points[TREND_MAX_POINTS];
    char labels[TREND_MAX_POINTS][160], title[160];
    uint32_t n = 0, first = series->n > TREND_MAX_POINTS ? series->n - TREND_MAX_POINTS : 0;
    for (uint32_t i = first; i < series->n; i++) {
        const struct bench_run *run = series->runs[i];
        const struct bench_figure *figure = bench_run_find(run, f->name);
        char value[32], when[32];
        if (figure == NULL) continue;
        bench_format_value(figure->value.point, figure->unit, value, sizeof value);
        format_when(run->unix_ms, when, sizeof when);
        snprintf(labels[n], sizeof labels[n], "%s, %s, onnxd %.20s %.40s%s%s", value, when, run->version,
                 run->commit, run->verdict != BENCH_OK ? ", " : "",
                 run->verdict != BENCH_OK ? bench_verdict_name(run->verdict) : "");
        points[n] = (struct html_point){.value = figure->value.point,
                                        .low = figure->value.low,
                                        .high = figure->value.high,
                                        .label = labels[n],
                                        .marked = run->verdict != BENCH_OK ||
                                                  (i == series->n - 1 && f->verdict == CHECK_WORSE)};
        n++;
    }
    snprintf(title, sizeof title, "%s", f->name);
    struct html_trend trend = {.title = title, .unit = f->unit, .points = points, .n = n};
    if (f->n_runs >= CHECK_MIN_RUNS) trend.band_low = f->low, trend.band_high = f->high;
    html_trend_svg(&trend, buf);
}

static void append_figure_row(const struct check_figure *f, struct buf *buf)
{
    char latest[32];
    bench_format_value(f->latest, f->unit, latest, sizeof latest);
    buf_append_text(buf, "<tr><td>");
    html_escape(buf, f->name);
    buf_printf(buf, "</td><td class='n v'>%s</td><td class='n'>", latest);
    if (f->verdict != CHECK_NEW) buf_printf(buf, "%+.1f %%", 100 * f->change);
    buf_append_text(buf, "</td><td class='n'>");
    if (f->verdict != CHECK_NEW) buf_printf(buf, "%.1f %%", 100 * f->noise);
    buf_printf(buf, "</td><td>%s</td><td class='e'>%s</td></tr>\n", check_change_name(f->verdict),
               explain(f));
}

static void append_machine(const struct bench_run *run, struct buf *buf)
{
    char when[32];
    format_when(run->unix_ms, when, sizeof when);
    buf_append_text(buf, "<p class='s'>");
    html_escape(buf, run->settings[0] != 0 ? run->settings : "default settings");
    buf_printf(buf, "<br>latest run %s, onnxd ", when);
    html_escape(buf, run->version);
    buf_append_char(buf, ' ');
    html_escape(buf, run->commit);
    buf_append_text(buf, "; ");
    html_escape(buf, run->machine.cpu);
    buf_printf(buf, ", %u CPUs (", run->machine.n_cpus);
    html_escape(buf, run->machine.caches);
    buf_append_text(buf, "), kernels ");
    html_escape(buf, run->machine.isa);
    buf_append_text(buf, ", ");
    html_escape(buf, run->machine.kernel);
    buf_append_text(buf, ", ");
    html_escape(buf, run->machine.compiler);
    buf_append_text(buf, ", ");
    html_escape(buf, run->machine.flags);
    if (run->load >= 0) buf_printf(buf, "; %.1f processes ready to run when it began", run->load);
    buf_append_text(buf, "</p>\n");
}

static void append_series(const struct check_series *series, const struct check_result *r, struct buf *buf)
{
    const char *mood = r->verdict == BENCH_OK ? "" : r->verdict == BENCH_REGRESSION ? " x" : " w";
    buf_append_text(buf, "<h2>");
    html_escape(buf, r->run->suite);
    buf_printf(buf, "</h2>\n<p>%s</p>\n", words_of(r->run->suite));
    append_machine(r->run, buf);
    buf_printf(buf, "<p class='b%s'><b>%s</b>: ", mood, bench_verdict_name(r->verdict));
    html_escape(buf, r->reason);
    buf_append_text(
        buf, ".</p>\n<div class='w'><table><tr><th>figure</th><th class='n'>latest</th><th "
             "class='n'>change</th><th class='n'>noise</th><th>verdict</th><th>what it says</th></tr>\n");
    for (uint32_t i = 0; i < r->n_figures; i++) append_figure_row(&r->figures[i], buf);
    buf_append_text(buf, "</table></div>\n");
    if (series->n < 2) return;
    buf_printf(buf, "<details%s><summary>The course of %u figures over %u runs</summary>\n",
               r->n_figures <= 24 ? " open" : "", r->n_figures, series->n);
    for (uint32_t i = 0; i < r->n_figures; i++) append_chart(series, &r->figures[i], buf);
    buf_append_text(buf, "</details>\n");
}

/* ---- whole histories ----------------------------------------------------------------------------- */

typedef void (*series_fn)(const struct check_series *series, const struct check_result *result,
                          struct buf *buf);

/* Every series, the one with the latest run first. */
static onnxd_status for_each(const struct bench_history *history, const struct check_options *options,
                             series_fn fn, const char *between, struct buf *buf, onnxd_error *err)
{
    struct check_all all;
    onnxd_status status = check_sort_out(history, &all, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t s = all.n; s-- > 0 && status == ONNXD_OK;) {
        struct check_result result;
        status = bench_check(all.series[s].runs, all.series[s].n, options, &result, err);
        if (status != ONNXD_OK) break;
        fn(&all.series[s], &result, buf);
        if (s > 0) buf_append_text(buf, between);
        check_result_done(&result);
    }
    check_all_done(&all);
    if (status == ONNXD_OK && buf->failed)
        status = error_set(err, ONNXD_ERR_LIMIT, "the report is too large");
    return status;
}

onnxd_status trend_report_html(const struct bench_history *history, const struct check_options *options,
                               struct buf *buf, onnxd_error *err)
{
    html_page_begin(buf, "onnxd measurements", "onnxd measurements");
    buf_append_text(buf, "<p class='s'>How to read this. Runs with the same suite, settings and machine form "
                         "a series; only such are "
                         "compared. <b>Change</b>: the latest value against the median of the earlier runs. "
                         "<b>Noise</b>: how far runs of an "
                         "unchanged program lie apart here, as a standard deviation; a change within it "
                         "means nothing. <b>Verdict</b>: worse "
                         "or better only when the change is larger than noise and chance explain (the "
                         "probability is corrected for the number "
                         "of figures). In the charts each dot is a run, its bar the 95 % interval within the "
                         "run where one was measured, the "
                         "shaded band where 95 of 100 unchanged runs lie; red dots are runs in doubt or "
                         "worse. Point at a dot for its "
                         "value, time and version. The vertical axis does not begin at zero.</p>\n");
    if (history->n_runs == 0) buf_append_text(buf, "<p class='b w'>No run was kept yet.</p>\n");
    onnxd_status status = for_each(history, options, append_series, "", buf, err);
    html_page_end(buf);
    return status;
}

/* ---- Markdown and JSON --------------------------------------------------------------------------- */

static void append_markdown(const struct check_series *series, const struct check_result *r, struct buf *buf)
{
    (void)series;
    buf_printf(buf, "## %s\n\n%s\n\n`%s`; onnxd %s %s on %s, %u CPUs, kernels %s\n\n", r->run->suite,
               words_of(r->run->suite), r->run->settings, r->run->version, r->run->commit,
               r->run->machine.cpu, r->run->machine.n_cpus, r->run->machine.isa);
    buf_append_text(buf, "| figure | latest | 95 % | change | noise | |\n|---|---:|---:|---:|---:|---|\n");
    for (uint32_t i = 0; i < r->n_figures; i++) {
        const struct check_figure *f = &r->figures[i];
        const struct interval *v = &r->run->figures[i].value;
        char latest[32], low[32], high[32];
        bench_format_value(f->latest, f->unit, latest, sizeof latest);
        bench_format_value(v->low, f->unit, low, sizeof low);
        bench_format_value(v->high, f->unit, high, sizeof high);
        buf_printf(buf, "| %s | %s | ", f->name, latest);
        if (v->low < v->high) buf_printf(buf, "%s to %s", low, high);
        if (f->verdict != CHECK_NEW)
            buf_printf(buf, " | %+.1f %% | %.1f %% | %s |\n", 100 * f->change, 100 * f->noise,
                       check_change_name(f->verdict));
        else
            buf_append_text(buf, " | | | |\n");
    }
    buf_printf(buf, "\n**%s**: %s.\n\n", bench_verdict_name(r->verdict), r->reason);
}

static void append_json(const struct check_series *series, const struct check_result *r, struct buf *buf)
{
    (void)series;
    check_json(r, buf);
}

onnxd_status trend_report_markdown(const struct bench_history *history, const struct check_options *options,
                                   struct buf *buf, onnxd_error *err)
{
    buf_append_text(buf, "# onnxd measurements\n\n");
    return for_each(history, options, append_markdown, "", buf, err);
}

onnxd_status trend_report_json(const struct bench_history *history, const struct check_options *options,
                               struct buf *buf, onnxd_error *err)
{
    buf_append_char(buf, '[');
    onnxd_status status = for_each(history, options, append_json, ",\n", buf, err);
    buf_append_text(buf, "]\n");
    return status;
}
