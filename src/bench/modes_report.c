/* The forms of a modes suite (modes_suite.h). */
#include <stdio.h>
#include <string.h>

#include "stats/html_page.h"
#include "bench/modes_suite.h"
#include "json/json_writer.h"

struct texts { /* one mode's figures for people */
    char p50[24], p95[24], p99[24], rate[24], rate_low[24], rate_high[24], memory[24], own[24], server[24];
};

static struct texts texts_of(const struct modes_figures *f)
{
    struct texts t;
    bench_format_value(f->p50_us * 1e3, "ns", t.p50, sizeof t.p50);
    bench_format_value(f->p95_us * 1e3, "ns", t.p95, sizeof t.p95);
    if (f->p99_is_sound)
        bench_format_value(f->p99_us * 1e3, "ns", t.p99, sizeof t.p99);
    else
        snprintf(t.p99, sizeof t.p99, "too few");
    bench_format_value(f->rows_per_s.point, "1/s", t.rate, sizeof t.rate);
    bench_format_value(f->rows_per_s.low, "1/s", t.rate_low, sizeof t.rate_low);
    bench_format_value(f->rows_per_s.high, "1/s", t.rate_high, sizeof t.rate_high);
    bench_format_value(f->own_memory_bytes + f->server_memory_bytes, "bytes", t.memory, sizeof t.memory);
    snprintf(t.own, sizeof t.own, "%.3g", f->own_cpu_us);
    snprintf(t.server, sizeof t.server, f->kind.remote ? "%.3g" : "-", f->server_cpu_us);
    return t;
}

void modes_to_run(const struct modes_suite *suite, struct bench_run *run)
{
    for (uint32_t i = 0; i < suite->n_figures; i++) {
        const struct modes_figures *f = &suite->figures[i];
        char name[80];
        snprintf(name, sizeof name, "%s, rows a second", f->name);
        bench_run_figure(run, name, "1/s", BENCH_HIGHER, f->rows_per_s, f->slice_rates, f->n_slices);
        snprintf(name, sizeof name, "%s, p50", f->name);
        bench_run_value(run, name, "ns", BENCH_LOWER, f->p50_us * 1e3);
        snprintf(name, sizeof name, "%s, p99", f->name);
        if (f->p99_is_sound) bench_run_value(run, name, "ns", BENCH_LOWER, f->p99_us * 1e3);
        snprintf(name, sizeof name, "%s, CPU a row", f->name);
        bench_run_value(run, name, "ns", BENCH_LOWER, (f->own_cpu_us + f->server_cpu_us) * 1e3);
        snprintf(name, sizeof name, "%s, memory", f->name);
        bench_run_value(run, name, "bytes", BENCH_LOWER, f->own_memory_bytes + f->server_memory_bytes);
    }
}

void modes_report_text(const struct modes_suite *suite, struct buf *buf)
{
    int width = 6;
    for (uint32_t i = 0; i < suite->n_figures; i++)
        if ((int)strlen(suite->figures[i].name) > width) width = (int)strlen(suite->figures[i].name);
    buf_printf(buf, "%-*s %9s %9s %9s  %-28s %11s %11s %9s %9s\n", width, "mode", "p50", "p95", "p99",
               "rows a second [95 %]", "CPU us/row", "server", "memory", "max diff");
    for (uint32_t i = 0; i < suite->n_figures; i++) {
        const struct modes_figures *f = &suite->figures[i];
        struct texts t = texts_of(f);
        char rate[80];
        snprintf(rate, sizeof rate, "%s [%s, %s]", t.rate, t.rate_low, t.rate_high);
        buf_printf(buf, "%-*s %9s %9s %9s  %-28s %11s %11s %9s %9.1e\n", width, f->name, t.p50, t.p95, t.p99,
                   rate, t.own, t.server, t.memory, f->worst_difference);
    }
    buf_append_text(
        buf, "times: from having rows to having their answers; one caller, one call under way; CPU us/row "
             "of this process,\nserver: of the server's beside it; memory: resident, both sides; max diff: "
             "of answers to those in process.\n");
    if (suite->skipped[0] != 0) buf_printf(buf, "left out: %s\n", suite->skipped);
    buf_append_char(buf, '\n');
    decision_text(&suite->decision, buf);
}

void modes_report_markdown(const struct modes_suite *suite, struct buf *buf)
{
    buf_append_text(buf, "| mode | p50 | p95 | p99 | rows a second | CPU us a row, own | server | memory |\n"
                         "|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (uint32_t i = 0; i < suite->n_figures; i++) {
        struct texts t = texts_of(&suite->figures[i]);
        buf_printf(buf, "| %s | %s | %s | %s | %s [%s, %s] | %s | %s | %s |\n", suite->figures[i].name, t.p50,
                   t.p95, t.p99, t.rate, t.rate_low, t.rate_high, t.own, t.server, t.memory);
    }
    buf_append_char(buf, '\n');
    decision_markdown(&suite->decision, buf);
}

static void write_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_fixed(w, value, 4);
}

static void write_mode(struct json_writer *w, const struct modes_figures *f)
{
    json_begin_object(w);
    json_key(w, "name");
    json_string(w, f->name);
    json_key(w, "engine");
    json_string(w, f->engine == ONNXD_ENGINE_ONNXRUNTIME ? "onnxruntime" : "native");
    json_key(w, "remote");
    json_bool(w, f->kind.remote);
    json_key(w, "batch");
    json_u64(w, f->kind.batch);
    write_number(w, "p50_us", f->p50_us);
    write_number(w, "p95_us", f->p95_us);
    json_key(w, "p99_us");
    if (f->p99_is_sound)
        json_fixed(w, f->p99_us, 4);
    else
        json_null(w);
    write_number(w, "rows_per_s", f->rows_per_s.point);
    write_number(w, "rows_per_s_low", f->rows_per_s.low);
    write_number(w, "rows_per_s_high", f->rows_per_s.high);
    write_number(w, "own_cpu_us_per_row", f->own_cpu_us);
    write_number(w, "server_cpu_us_per_row", f->server_cpu_us);
    write_number(w, "own_memory_bytes", f->own_memory_bytes);
    write_number(w, "server_memory_bytes", f->server_memory_bytes);
    json_key(w, "calls");
    json_u64(w, f->n_calls);
    json_key(w, "max_difference");
    json_f64(w, f->worst_difference);
    json_end_object(w);
}

void modes_report_json(const struct modes_suite *suite, const struct bench_run *run, struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "suite");
    json_string(&w, "modes");
    json_key(&w, "version");
    json_string(&w, run->version);
    json_key(&w, "commit");
    json_string(&w, run->commit);
    json_key(&w, "cpu");
    json_string(&w, run->machine.cpu);
    json_key(&w, "settings");
    json_string(&w, run->settings);
    json_key(&w, "modes");
    json_begin_array(&w);
    for (uint32_t i = 0; i < suite->n_figures; i++) write_mode(&w, &suite->figures[i]);
    json_end_array(&w);
    json_key(&w, "decision");
    decision_json(&suite->decision, &w);
    json_end_object(&w);
    buf_append_char(buf, '\n');
}

void modes_report_html(const struct modes_suite *suite, const struct bench_run *run, struct buf *buf)
{
    html_page_begin(buf, "In process or remote?", "In process or remote?");
    buf_append_text(
        buf, "<p class='s'>The same model and rows, computed in the caller's process and through a server on "
             "the same machine, in turns. ");
    html_escape(buf, run->settings);
    buf_append_text(buf, "; onnxd ");
    html_escape(buf, run->version);
    buf_append_text(buf, " on ");
    html_escape(buf, run->machine.cpu);
    buf_append_text(
        buf, "</p>\n<h2>Measured</h2>\n<div class='w'><table><tr><th>mode</th><th class='n'>p50</th><th "
             "class='n'>p95</th><th class='n'>p99</th><th class='n'>rows a second</th><th class='n'>CPU us a "
             "row</th><th class='n'>of the server</th><th class='n'>memory</th></tr>\n");
    for (uint32_t i = 0; i < suite->n_figures; i++) {
        const struct modes_figures *f = &suite->figures[i];
        struct texts t = texts_of(f);
        buf_append_text(buf, "<tr><td>");
        html_escape(buf, f->name);
        buf_printf(buf,
                   "</td><td class='n'>%s</td><td class='n'>%s</td><td class='n'>%s</td><td "
                   "class='n'>%s<br><small>%s to "
                   "%s</small></td><td class='n'>%s</td><td class='n'>%s</td><td class='n'>%s</td></tr>\n",
                   t.p50, t.p95, t.p99, t.rate, t.rate_low, t.rate_high, t.own, t.server, t.memory);
    }
    buf_append_text(buf, "</table></div>\n<p class='s'><b>p50, p95, p99</b>: half, 95 and 99 of a hundred "
                         "calls were answered within this "
                         "time, counted from having the rows to having the answers. <b>Rows a second</b>: of "
                         "one caller that asks again "
                         "as soon as it is answered; below it the 95 % interval over the run's slices. "
                         "<b>CPU</b>: processor time that a "
                         "row costs the caller, and the server beside it. <b>Memory</b>: resident, both "
                         "sides together.</p>\n");
    decision_html(&suite->decision, buf);
    html_page_end(buf);
}
