/* The forms of a decision (decision.h). */
#include <stdio.h>
#include <string.h>

#include "bench/bench_run.h"
#include "bench/decision.h"
#include "stats/html_page.h"

static const char formula[] =
    "A measured factor has 100 points for the best option and loses a third of them with every factor of ten "
    "that an "
    "option is worse: latency by the geometric mean of p50 and p99, throughput by rows a second, resources "
    "by the "
    "geometric mean of processor time a row and resident memory of both sides. Complexity is 100 less 30 for "
    "a "
    "server process, 20 for a network between, 15 when the caller gathers batches, 10 for a foreign runtime.";

static const char *verdict_of(const struct decision *d, uint32_t i, char *text, size_t size)
{
    const struct decision_option *o = &d->options[i];
    if (i == d->best)
        snprintf(text, size, "recommended");
    else if (o->dominated_by >= 0)
        snprintf(text, size, "dominated by %s", d->options[o->dominated_by].name);
    else
        text[0] = 0;
    return text;
}

static int name_width(const struct decision *d)
{
    size_t width = 6;
    for (uint32_t i = 0; i < d->n; i++)
        if (strlen(d->options[i].name) > width) width = strlen(d->options[i].name);
    return width > 40 ? 40 : (int)width;
}

void decision_text(const struct decision *d, struct buf *buf)
{
    int width = name_width(d);
    buf_printf(buf, "%-*s", width, "option");
    for (int f = 0; f < DECISION_N_FACTORS; f++) buf_printf(buf, " %11s", decision_factor_names[f]);
    buf_printf(buf, " %7s\n%-*s", "total", width, "weight");
    for (int f = 0; f < DECISION_N_FACTORS; f++) buf_printf(buf, " %9.4g %%", d->weights.of[f]);
    buf_append_char(buf, '\n');
    for (uint32_t i = 0; i < d->n; i++) {
        char verdict[96];
        buf_printf(buf, "%-*s", width, d->options[i].name);
        for (int f = 0; f < DECISION_N_FACTORS; f++) buf_printf(buf, " %11.0f", d->options[i].scores[f]);
        buf_printf(buf, " %7.1f", d->options[i].total);
        if (verdict_of(d, i, verdict, sizeof verdict)[0] != 0) buf_printf(buf, "  %s", verdict);
        buf_append_char(buf, '\n');
    }
    buf_printf(buf, "%s\n", d->sentence);
    if (d->sensitivity[0] != 0) buf_printf(buf, "%s\n", d->sensitivity);
}

/* Bars would end a table's cell. */
static void append_cell(struct buf *buf, const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '|') buf_append_char(buf, '\\');
        buf_append_char(buf, *text);
    }
}

void decision_markdown(const struct decision *d, struct buf *buf)
{
    buf_append_text(buf, "| option |");
    for (int f = 0; f < DECISION_N_FACTORS; f++)
        buf_printf(buf, " %s (%g %%) |", decision_factor_names[f], d->weights.of[f]);
    buf_append_text(buf, " total | |\n|---|---:|---:|---:|---:|---:|---|\n");
    for (uint32_t i = 0; i < d->n; i++) {
        char verdict[96];
        buf_append_text(buf, "| ");
        append_cell(buf, d->options[i].name);
        for (int f = 0; f < DECISION_N_FACTORS; f++) buf_printf(buf, " | %.0f", d->options[i].scores[f]);
        buf_printf(buf, " | **%.1f** | ", d->options[i].total);
        append_cell(buf, verdict_of(d, i, verdict, sizeof verdict));
        buf_append_text(buf, " |\n");
    }
    buf_append_text(buf, "\n**");
    append_cell(buf, d->sentence);
    buf_printf(buf, "** %s\n\n%s\n", d->sensitivity, formula);
}

static void write_scores(struct json_writer *w, const struct decision_option *o)
{
    json_key(w, "scores");
    json_begin_object(w);
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        json_key(w, decision_factor_names[f]);
        json_fixed(w, o->scores[f], 2);
    }
    json_end_object(w);
    json_key(w, "total");
    json_fixed(w, o->total, 2);
}

void decision_json(const struct decision *d, struct json_writer *w)
{
    json_begin_object(w);
    json_key(w, "weights");
    json_begin_object(w);
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        json_key(w, decision_factor_names[f]);
        json_f64(w, d->weights.of[f]);
    }
    json_end_object(w);
    json_key(w, "options");
    json_begin_array(w);
    for (uint32_t i = 0; i < d->n; i++) {
        const struct decision_option *o = &d->options[i];
        json_begin_object(w);
        json_key(w, "name");
        json_string(w, o->name);
        write_scores(w, o);
        json_key(w, "dominated_by");
        json_string(w, o->dominated_by >= 0 ? d->options[o->dominated_by].name : NULL);
        json_end_object(w);
    }
    json_end_array(w);
    json_key(w, "recommended");
    json_string(w, d->options[d->best].name);
    json_key(w, "reason");
    json_string(w, d->sentence);
    json_key(w, "sensitivity");
    json_string(w, d->sensitivity);
    json_end_object(w);
}

void decision_html(const struct decision *d, struct buf *buf)
{
    buf_append_text(buf, "<h2>Which one?</h2>\n<p class='b'>");
    html_escape(buf, d->sentence);
    buf_append_char(buf, ' ');
    html_escape(buf, d->sensitivity);
    buf_append_text(buf, "</p>\n<div class='w'><table><tr><th>option</th>");
    for (int f = 0; f < DECISION_N_FACTORS; f++)
        buf_printf(buf, "<th class='n'>%s<br><small>weight %g %%</small></th>", decision_factor_names[f],
                   d->weights.of[f]);
    buf_append_text(buf, "<th class='n'>total</th><th></th></tr>\n");
    for (uint32_t i = 0; i < d->n; i++) {
        char verdict[96];
        buf_printf(buf, "<tr%s><td>", i == d->best ? " class='best'" : "");
        html_escape(buf, d->options[i].name);
        buf_append_text(buf, "</td>");
        for (int f = 0; f < DECISION_N_FACTORS; f++)
            buf_printf(buf, "<td class='n'><span class='bar' style='width:%.0f%%'></span>%.0f</td>",
                       d->options[i].scores[f] * 0.6, d->options[i].scores[f]);
        buf_printf(buf, "<td class='n'><b>%.1f</b></td><td>", d->options[i].total);
        html_escape(buf, verdict_of(d, i, verdict, sizeof verdict));
        buf_append_text(buf, "</td></tr>\n");
    }
    buf_printf(buf, "</table></div>\n<p class='s'>%s</p>\n", formula);
}
