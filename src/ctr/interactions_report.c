/* What was found, as text, JSON and a page. */
#include <math.h>
#include <stdlib.h>

#include "ctr/interactions.h"
#include "json/json_writer.h"
#include "stats/html_page.h"

enum { STRONGEST = 10, STRONGEST_ON_PAGE = 30, MAX_NAMES = 1 << 16 };

void interaction_name(const struct interactions *in, const struct interaction *i, struct buf *out)
{
    for (uint32_t f = 0; f < i->of.n; f++) {
        if (f > 0) buf_append_char(out, '*');
        buf_append_text(out, in->rows->fields[i->of.fields[f]].name);
    }
}

void interactions_cross(const struct interactions *in, struct buf *out)
{
    const char *comma = "";
    for (uint32_t n = 0; n < in->n_found; n++) {
        const struct interaction *i = &in->all[in->order[n]];
        if (!interaction_is_for_cross(in, i)) continue;
        buf_append_text(out, comma);
        interaction_name(in, i, out);
        comma = ",";
    }
}

/* The standard deviation of the missed effect in log-odds. */
static double deviation(const struct interaction *i)
{
    return i->score.variance > 0 ? sqrt(i->score.variance) : 0;
}

static int by_strength(const void *a, const void *b)
{
    const struct interaction *x = *(const struct interaction *const *)a;
    const struct interaction *y = *(const struct interaction *const *)b;
    if (x->first_z != y->first_z) return x->first_z > y->first_z ? -1 : 1;
    return (x > y) - (x < y);
}

/* All by falling z when first scored; NULL without memory. The caller frees. */
static const struct interaction **sorted(const struct interactions *in)
{
    const struct interaction **list = malloc((in->n + 1u) * sizeof *list);
    for (uint32_t i = 0; list != NULL && i < in->n; i++) list[i] = &in->all[i];
    if (list != NULL) qsort(list, in->n, sizeof *list, by_strength);
    return list;
}

static double n_positive(const struct interactions *in)
{
    double n = 0;
    for (uint64_t i = 0; i < in->rows->n; i++) n += (double)in->rows->label[i];
    return n;
}

/* ---- text ---- */

static const char *remark(const struct interactions *in, const struct interaction *i)
{
    if (i->of.n == 1) return "  (a single field: the model underfits it)";
    return interaction_is_for_cross(in, i) ? "" : "  (cannot be crossed)";
}

static void found_text(const struct interactions *in, struct buf *out)
{
    if (in->n_found == 0) {
        buf_append_text(out, "nothing stands out\n");
        return;
    }
    buf_append_text(out, "found, each when those above it were taken out of the residuals\n"
                         "       z  deviation  chance      cells  fields\n");
    for (uint32_t n = 0; n < in->n_found; n++) {
        const struct interaction *i = &in->all[in->order[n]];
        buf_printf(out, "%8.1f  %9.3f  %-7.1g  %8llu  ", i->score.z, deviation(i), i->chance,
                   (unsigned long long)i->score.n_cells);
        interaction_name(in, i, out);
        buf_append_text(out, remark(in, i));
        buf_append_char(out, '\n');
    }
}

static void rest_text(const struct interactions *in, struct buf *out)
{
    const struct interaction **list = sorted(in);
    uint32_t n_shown = 0;
    buf_append_text(out, "\nstrongest of the rest\n first z   last z     cells  fields\n");
    for (uint32_t i = 0; list != NULL && i < in->n && n_shown < STRONGEST; i++) {
        if (list[i]->found > 0) continue;
        buf_printf(out, "%8.1f %8.1f  %8llu  ", list[i]->first_z, list[i]->score.z,
                   (unsigned long long)list[i]->score.n_cells);
        interaction_name(in, list[i], out);
        buf_append_char(out, '\n');
        n_shown++;
    }
    free(list);
}

/* What a reader would stumble over. */
static void notes_text(const struct interactions *in, struct buf *out)
{
    bool number = false;
    for (uint32_t n = 0; n < in->n_found; n++) {
        const struct interaction *i = &in->all[in->order[n]];
        for (uint32_t f = 0; f < i->of.n; f++) number |= in->rows->fields[i->of.fields[f]].is_number;
    }
    if (number) buf_append_text(out, "a number has no ids: given as quantile+log it can be crossed\n");
    if (in->without_triples)
        buf_printf(out, "%u fields: triples of more than %d are not tested; choose some fields for them\n",
                   in->rows->n_fields, INTERACTIONS_TRIPLE_FIELDS);
    if (in->n_not_tested > 0)
        buf_printf(out, "%u combinations are not tested: a row may have more than %d values of them\n",
                   in->n_not_tested, INTERACTION_MAX_CELLS_A_ROW);
}

void interactions_text(const struct interactions *in, struct buf *out)
{
    buf_printf(out, "%llu rows, %.0f of them positive; %u combinations of %u fields tested\n\n",
               (unsigned long long)in->rows->n, n_positive(in), in->n, in->rows->n_fields);
    found_text(in, out);
    rest_text(in, out);
    buf_append_char(out, '\n');
    notes_text(in, out);
    buf_append_text(out, "for fit --cross:\n");
    interactions_cross(in, out);
    buf_append_char(out, '\n');
}

/* ---- JSON ---- */

static void write_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_f64(w, value);
}

static void write_one(struct json_writer *w, const struct interactions *in, const struct interaction *i)
{
    json_begin_object(w);
    json_key(w, "fields");
    json_begin_array(w);
    for (uint32_t f = 0; f < i->of.n; f++) json_string(w, in->rows->fields[i->of.fields[f]].name);
    json_end_array(w);
    json_key(w, "found");
    json_u64(w, i->found);
    write_number(w, "z", i->score.z);
    write_number(w, "first_z", i->first_z);
    write_number(w, "variance", i->score.variance);
    write_number(w, "chance", i->chance);
    json_key(w, "cells");
    json_u64(w, i->score.n_cells);
    json_key(w, "for_cross");
    json_bool(w, interaction_is_for_cross(in, i));
    json_end_object(w);
}

onnxd_status interactions_json(const struct interactions *in, const struct interactions_source *source,
                               struct buf *out, onnxd_error *err)
{
    struct json_writer w;
    struct buf cross;
    buf_init(&cross, MAX_NAMES);
    interactions_cross(in, &cross);
    json_writer_init(&w, out, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "model");
    json_string(&w, source->model);
    json_key(&w, "data");
    json_string(&w, source->data);
    json_key(&w, "rows");
    json_u64(&w, in->rows->n);
    write_number(&w, "positive", n_positive(in));
    write_number(&w, "threshold", in->threshold);
    json_key(&w, "cross");
    json_string_n(&w, cross.data, cross.n);
    json_key(&w, "found");
    json_begin_array(&w);
    for (uint32_t n = 0; n < in->n_found; n++) write_one(&w, in, &in->all[in->order[n]]);
    json_end_array(&w);
    json_key(&w, "tested");
    json_begin_array(&w);
    for (uint32_t i = 0; i < in->n; i++) write_one(&w, in, &in->all[i]);
    json_end_array(&w);
    json_end_object(&w);
    buf_done(&cross);
    return json_writer_finish(&w, err);
}

/* ---- a page ---- */

static void name_html(const struct interactions *in, const struct interaction *i, struct buf *out)
{
    for (uint32_t f = 0; f < i->of.n; f++) {
        if (f > 0) buf_append_text(out, " &times; ");
        html_escape(out, in->rows->fields[i->of.fields[f]].name);
    }
}

static void bar_html(double z, double most, struct buf *out)
{
    buf_printf(out, "<td class='n'>%.1f</td><td><span class='bar' style='width:%.0fpx'></span></td>", z,
               most > 0 && z > 0 ? 200 * z / most : 0);
}

static void found_html(const struct interactions *in, struct buf *out)
{
    double most = 0;
    for (uint32_t n = 0; n < in->n_found; n++) most = fmax(most, in->all[in->order[n]].score.z);
    buf_append_text(out,
                    "<h2>Found</h2>\n<p class='s'>In this order, each when those above it were taken out of "
                    "the residuals. The deviation is that of the missed effect in log-odds.</p>\n"
                    "<table><tr><th>fields</th><th class='n'>z</th><th></th><th class='n'>deviation"
                    "</th><th class='n'>chance</th><th class='n'>cells</th></tr>\n");
    for (uint32_t n = 0; n < in->n_found; n++) {
        const struct interaction *i = &in->all[in->order[n]];
        buf_append_text(out, "<tr><td>");
        name_html(in, i, out);
        buf_append_text(out, remark(in, i));
        buf_append_text(out, "</td>");
        bar_html(i->score.z, most, out);
        buf_printf(out, "<td class='n'>%.3f</td><td class='n'>%.1g</td><td class='n'>%llu</td></tr>\n",
                   deviation(i), i->chance, (unsigned long long)i->score.n_cells);
    }
    buf_append_text(out, "</table>\n");
}

static void all_html(const struct interactions *in, struct buf *out)
{
    const struct interaction **list = sorted(in);
    if (list == NULL) return;
    buf_append_text(out,
                    "<h2>Strongest of all</h2>\n<p class='s'>By z before anything of their kind was taken "
                    "out: single fields first, then pairs and triples.</p>\n<table><tr><th>fields</th>"
                    "<th class='n'>first z</th><th></th><th class='n'>last z</th></tr>\n");
    for (uint32_t i = 0; i < in->n && i < STRONGEST_ON_PAGE; i++) {
        buf_append_text(out, list[i]->found > 0 ? "<tr class='best'><td>" : "<tr><td>");
        name_html(in, list[i], out);
        buf_append_text(out, "</td>");
        bar_html(list[i]->first_z, list[0]->first_z, out);
        buf_printf(out, "<td class='n'>%.1f</td></tr>\n", list[i]->score.z);
    }
    buf_append_text(out, "</table>\n");
    free(list);
}

void interactions_html(const struct interactions *in, const struct interactions_source *source,
                       struct buf *out)
{
    struct buf cross;
    buf_init(&cross, MAX_NAMES);
    interactions_cross(in, &cross);
    buf_append_char(&cross, 0);
    html_page_begin(out, "deepfm_train interactions", source->model);
    buf_append_text(out, "<p class='s'>");
    html_escape(out, source->data);
    buf_printf(out, ": %llu rows, %.0f of them positive; %u combinations of %u fields tested</p>\n",
               (unsigned long long)in->rows->n, n_positive(in), in->n, in->rows->n_fields);
    if (cross.n > 1) {
        buf_append_text(out, "<p class='b'>fit --cross <b>");
        html_escape(out, cross.data);
        buf_append_text(out, "</b></p>\n");
    } else {
        buf_append_text(out, "<p class='b'>There is nothing to cross.</p>\n");
    }
    if (in->n_found > 0) found_html(in, out);
    all_html(in, out);
    html_page_end(out);
    buf_done(&cross);
}
