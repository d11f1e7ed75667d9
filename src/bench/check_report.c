/* The text and JSON forms of a check (bench_check.h). */
#include <string.h>

#include "bench/bench_check.h"
#include "json/json_writer.h"

const char *check_change_name(enum check_change change)
{
    static const char *const names[] = {"new", "same", "better", "worse", "too noisy"};
    return names[change];
}

void check_text(const struct check_result *r, struct buf *buf)
{
    size_t width = 6;
    for (uint32_t i = 0; i < r->n_figures; i++)
        if (strlen(r->figures[i].name) > width) width = strlen(r->figures[i].name);
    if (width > 60) width = 60;
    buf_printf(buf, "%s  %s\n", r->run->suite, r->run->settings);
    buf_printf(buf, "onnxd %s %s on %s; %u earlier runs alike\n", r->run->version, r->run->commit,
               r->run->machine.cpu, r->n_alike);
    buf_printf(buf, "%-*s %11s %11s %8s %7s %8s  %s\n", (int)width, "figure", "latest", "median", "change",
               "noise", "p", "verdict");
    for (uint32_t i = 0; i < r->n_figures; i++) {
        const struct check_figure *f = &r->figures[i];
        char latest[32], median[32] = "-";
        bench_format_value(f->latest, f->unit, latest, sizeof latest);
        if (f->verdict == CHECK_NEW) {
            buf_printf(buf, "%-*s %11s %11s %8s %7s %8s  new\n", (int)width, f->name, latest, median, "-",
                       "-", "-");
            continue;
        }
        bench_format_value(f->median, f->unit, median, sizeof median);
        buf_printf(buf, "%-*s %11s %11s %+7.1f%% %6.1f%% %8.4f  %s\n", (int)width, f->name, latest, median,
                   100 * f->change, 100 * f->noise, f->p, check_change_name(f->verdict));
    }
    buf_printf(buf, "%s: %s\n", bench_verdict_name(r->verdict), r->reason);
}

static void write_text(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    json_string(w, text);
}

static void write_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_f64(w, value);
}

void check_json(const struct check_result *r, struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    write_text(&w, "suite", r->run->suite);
    write_text(&w, "settings", r->run->settings);
    write_text(&w, "version", r->run->version);
    write_text(&w, "commit", r->run->commit);
    write_text(&w, "machine", r->run->machine.id);
    write_number(&w, "runs_alike", r->n_alike);
    write_text(&w, "verdict", bench_verdict_name(r->verdict));
    write_number(&w, "exit_code", (double)r->verdict);
    write_text(&w, "reason", r->reason);
    json_key(&w, "figures");
    json_begin_array(&w);
    for (uint32_t i = 0; i < r->n_figures; i++) {
        const struct check_figure *f = &r->figures[i];
        json_begin_object(&w);
        write_text(&w, "name", f->name);
        write_text(&w, "unit", f->unit);
        write_number(&w, "latest", f->latest);
        write_number(&w, "median", f->median);
        write_number(&w, "change", f->change);
        write_number(&w, "noise", f->noise);
        write_number(&w, "p", f->p);
        write_number(&w, "runs", f->n_runs);
        write_text(&w, "verdict", check_change_name(f->verdict));
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
}
