/* The evaluation as one HTML page: tables that explain themselves, charts, no script and no other file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctr/evaluation.h"
#include "stats/html_page.h"
#include "stats/line_chart.h"

static void row(struct buf *out, const char *name, double value, const char *explanation)
{
    buf_printf(out, "<tr><td>%s</td><td class='v'>%.6g</td><td class='e'>%s</td></tr>\n", name, value,
               explanation);
}

static void results(const struct ctr_metrics *m, struct buf *out)
{
    buf_append_text(out, "<h2>Results</h2><table>\n");
    row(out, "AUC", m->auc, "The chance that a click is ranked above a row without one; 0.5 is guessing.");
    row(out, "Log loss", m->log_loss, "Mean surprise, -ln p of what happened. Lower is better.");
    row(out, "Normalised entropy", m->normalised_entropy,
        "Log loss over that of always saying the observed rate: below 1 the model knows something.");
    row(out, "Mean prediction", m->mean, "What the model expects a row to bring.");
    row(out, "Observed rate", m->observed, "What the rows brought.");
    row(out, "Calibration", m->mean / m->observed,
        "The first over the second: 1 is right, above 1 promises too much.");
    buf_append_text(out, "</table>\n");
}

static void format_rate(double y, char *out, size_t size)
{
    snprintf(out, size, "%.3g", y);
}

static void roc(const struct ctr_metrics *m, struct buf *out)
{
    struct line_chart chart = {
        .title = "ROC curve",
        .x_name = "share of rows without a click that are ranked above the threshold",
        .x = m->false_rate,
        .n = CTR_ROC_POINTS + 1,
        .lines = {{"model", "var(--c1)", m->true_rate}, {"guessing", "var(--c4)", m->false_rate}},
        .n_lines = 2,
        .format_y = format_rate};
    line_chart_svg(&chart, out);
    buf_append_text(out,
                    "<p class='s'>Upwards: the share of clicks above the same threshold. The area under the "
                    "line is the AUC.</p>\n");
}

static void calibration(const struct ctr_metrics *m, struct buf *out)
{
    double x[CTR_BUCKETS], predicted[CTR_BUCKETS], observed[CTR_BUCKETS];
    for (uint32_t i = 0; i < m->n_buckets; i++) {
        x[i] = (i + 1.0) / m->n_buckets;
        predicted[i] = m->buckets[i].mean;
        observed[i] = m->buckets[i].observed > 0 ? m->buckets[i].observed : NAN;
    }
    struct line_chart chart = {
        .title = "Calibration",
        .x_name = "rows by rising prediction, as a share of all",
        .x = x,
        .n = m->n_buckets,
        .lines = {{"observed", "var(--c2)", observed}, {"predicted", "var(--c1)", predicted}},
        .n_lines = 2,
        .log_y = true,
        .format_y = format_rate};
    line_chart_svg(&chart, out);
    buf_append_text(
        out, "<p class='s'>Where the lines part, probabilities are off for rows of that kind. Buckets "
             "without a click have no observed point.</p>\n<table><tr><th class='n'>rows</th><th "
             "class='n'>from</th><th class='n'>to</th><th class='n'>predicted</th><th class='n'>observed"
             "</th></tr>\n");
    for (uint32_t i = 0; i < m->n_buckets; i++) {
        const struct ctr_bucket *b = &m->buckets[i];
        buf_printf(
            out,
            "<tr><td class='n'>%llu</td><td class='n'>%.4g</td><td class='n'>%.4g</td><td class='n'>%.4g</td>"
            "<td class='n'>%.4g</td></tr>\n",
            (unsigned long long)b->n, b->low, b->high, b->mean, b->observed);
    }
    buf_append_text(out, "</table>\n");
}

static void fields(const struct evaluation *e, struct buf *out)
{
    if (e->n_fields == 0) return;
    buf_append_text(
        out, "<h2>Fields</h2><p class='s'>The AUC that is left when the field is taken from other rows at "
             "random. Fields that say the same cover for each other.</p>\n<table><tr><th>field</th><th "
             "class='n'>AUC</th><th class='n'>change</th></tr>\n");
    for (uint32_t i = 0; i < e->n_fields; i++) {
        buf_append_text(out, "<tr><td>");
        html_escape(out, e->fields[i].name);
        buf_printf(out, "</td><td class='n'>%.5f</td><td class='n'>%+.5f</td></tr>\n", e->fields[i].auc,
                   e->fields[i].auc - e->metrics.auc);
    }
    buf_append_text(out, "</table>\n");
}

/* Validation points are far apart: their line joins them over the points between. */
static void fill_between(const double *x, double *y, uint32_t n)
{
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(y[i])) continue;
        for (uint32_t j = last == UINT32_MAX ? i : last + 1; j < i; j++)
            y[j] = y[last] + (y[i] - y[last]) * (x[j] - x[last]) / (x[i] - x[last]);
        last = i;
    }
}

static void course(const struct evaluation_source *source, struct buf *out)
{
    uint32_t n = source->n_course;
    double *columns = n < 2 ? NULL : malloc(4 * (size_t)n * sizeof *columns);
    if (columns == NULL) return;
    double *x = columns, *train = x + n, *valid = train + n, *auc = valid + n;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = (double)source->course[i].n_rows / 1e6;
        train[i] = source->course[i].train_loss;
        valid[i] = source->course[i].valid_loss;
        auc[i] = source->course[i].valid_auc;
    }
    fill_between(x, valid, n);
    fill_between(x, auc, n);
    buf_append_text(out, "<h2>Training</h2>\n");
    struct line_chart losses = {
        .title = "Log loss",
        .x_name = "million rows trained on",
        .x = x,
        .n = n,
        .lines = {{"training", "var(--c4)", train}, {"validation", "var(--c1)", valid}},
        .n_lines = 2,
        .free_y = true,
        .format_y = format_rate};
    struct line_chart ranks = {.title = "AUC on validation rows",
                               .x_name = "million rows trained on",
                               .x = x,
                               .n = n,
                               .lines = {{"AUC", "var(--c1)", auc}},
                               .n_lines = 1,
                               .free_y = true,
                               .format_y = format_rate};
    line_chart_svg(&losses, out);
    buf_append_text(
        out, "<p class='s'>With down-sampling the training loss is that of the rows that were kept, and "
             "stands above the validation loss.</p>\n");
    line_chart_svg(&ranks, out);
    free(columns);
}

void evaluation_html(const struct evaluation *e, const struct evaluation_source *source, struct buf *out)
{
    html_page_begin(out, "deepfm_train eval", source->model);
    buf_append_text(out, "<p class='s'>");
    html_escape(out, source->data);
    buf_printf(out, ": %llu rows, %.0f of them positive</p>\n", (unsigned long long)e->metrics.n,
               e->metrics.n_positive);
    results(&e->metrics, out);
    roc(&e->metrics, out);
    calibration(&e->metrics, out);
    fields(e, out);
    course(source, out);
    html_page_end(out);
}
