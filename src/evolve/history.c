#include "evolve/history.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

void history_init(struct history *h)
{
    *h = (struct history){0};
}

void history_done(struct history *h)
{
    free(h->generations);
    free(h->species);
    history_init(h);
}

onnxd_status history_add(struct history *h, const struct run *run, onnxd_error *err)
{
    const struct population *p = run->population;
    if (h->n == h->capacity) {
        uint32_t capacity = h->capacity == 0 ? 128 : h->capacity * 2;
        struct history_generation *grown = realloc(h->generations, capacity * sizeof *grown);
        if (grown == NULL)
            return error_set(err, ONNXD_ERR_NOMEM, "report: no memory for %u generations", capacity);
        h->generations = grown;
        h->capacity = capacity;
    }
    if (h->n_species + p->n_species > h->species_capacity) {
        uint32_t capacity = (h->n_species + p->n_species) * 2;
        struct history_species *grown = realloc(h->species, capacity * sizeof *grown);
        if (grown == NULL)
            return error_set(err, ONNXD_ERR_NOMEM, "report: no memory for %u species", capacity);
        h->species = grown;
        h->species_capacity = capacity;
    }
    h->generations[h->n++] = (struct history_generation){
        .stats = run->stats, .first_species = h->n_species, .n_species = p->n_species};
    for (uint32_t s = 0; s < p->n_species; s++)
        h->species[h->n_species++] = (struct history_species){.id = p->species[s].id,
                                                              .n_members = p->species[s].n_members};
    return ONNXD_OK;
}

enum { CHART_WIDTH = 860, CHART_HEIGHT = 260, CHART_LEFT = 60, CHART_BOTTOM = 24 };

struct chart {
    const struct history *history;
    struct buf *out;
    double low, high;
};

static double chart_x(const struct chart *c, uint32_t i)
{
    double n = c->history->n > 1 ? c->history->n - 1 : 1;
    return CHART_LEFT + i / n * (CHART_WIDTH - CHART_LEFT - 10);
}

static double chart_y(const struct chart *c, double value)
{
    double range = c->high > c->low ? c->high - c->low : 1;
    return 10 + (1 - (value - c->low) / range) * (CHART_HEIGHT - CHART_BOTTOM - 10);
}

static void chart_begin(const struct chart *c, const char *title)
{
    buf_printf(
        c->out,
        "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
        "font-size=\"11\">\n",
        title, CHART_WIDTH, CHART_HEIGHT, CHART_WIDTH, CHART_HEIGHT);
    for (int i = 0; i <= 4; i++) {
        double value = c->low + (c->high - c->low) * i / 4, y = chart_y(c, value);
        buf_printf(
            c->out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" "
            "text-anchor=\"end\">%.4g</text>\n",
            CHART_LEFT, CHART_WIDTH - 10, y, y, CHART_LEFT - 6, y + 4, value);
    }
    uint32_t n = c->history->n;
    for (uint32_t i = 0; i <= 4 && n > 0; i++) {
        uint32_t at = (n - 1) * i / 4;
        buf_printf(c->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%u</text>\n", chart_x(c, at),
                   CHART_HEIGHT - 6, c->history->generations[at].stats.generation + 1);
    }
}

typedef double (*series_fn)(const struct run_generation_stats *stats);

static double best_of(const struct run_generation_stats *s)
{
    return s->best_fitness;
}
static double mean_of(const struct run_generation_stats *s)
{
    return s->mean_fitness;
}
static double hidden_of(const struct run_generation_stats *s)
{
    return s->mean_hidden;
}
static double links_of(const struct run_generation_stats *s)
{
    return s->mean_enabled;
}

static void chart_line(const struct chart *c, series_fn series, const char *colour, const char *name,
                       int place)
{
    buf_append_text(c->out, "<polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"");
    buf_printf(c->out, "%s\" points=\"", colour);
    for (uint32_t i = 0; i < c->history->n; i++)
        buf_printf(c->out, "%.1f,%.1f ", chart_x(c, i),
                   chart_y(c, series(&c->history->generations[i].stats)));
    buf_printf(c->out, "\"/><text x=\"%d\" y=\"24\" fill=\"%s\">%s</text>\n", CHART_LEFT + 14 + place * 130,
               colour, name);
}

static void two_lines(const struct history *h, struct buf *out, const char *title, series_fn a,
                      const char *name_a, series_fn b, const char *name_b)
{
    struct chart c = {.history = h, .out = out, .low = INFINITY, .high = -INFINITY};
    for (uint32_t i = 0; i < h->n; i++) {
        const struct run_generation_stats *s = &h->generations[i].stats;
        c.low = fmin(c.low, fmin(a(s), b(s)));
        c.high = fmax(c.high, fmax(a(s), b(s)));
    }
    if (h->n == 0) c.low = c.high = 0;
    if (c.low > 0 && c.low < c.high / 2) c.low = 0;
    chart_begin(&c, title);
    chart_line(&c, a, "#2166ac", name_a, 0);
    chart_line(&c, b, "#b2182b", name_b, 1);
    buf_append_text(out, "</svg>\n");
}

/* Members of species `id` in generation i, and how many stand below it. */
static void species_band(const struct history *h, uint32_t i, uint32_t id, uint32_t *ret_below,
                         uint32_t *ret_size)
{
    const struct history_generation *g = &h->generations[i];
    *ret_below = *ret_size = 0;
    for (uint32_t s = 0; s < g->n_species; s++) {
        const struct history_species *species = &h->species[g->first_species + s];
        if (species->id < id) *ret_below += species->n_members;
        if (species->id == id) *ret_size = species->n_members;
    }
}

/* One species as a band from its first to its last generation. */
static void draw_species(const struct chart *c, uint32_t id, uint32_t first)
{
    uint32_t below, size, last = first;
    while (last + 1 < c->history->n) {
        species_band(c->history, last + 1, id, &below, &size);
        if (size == 0) break;
        last++;
    }
    buf_printf(c->out, "<polygon fill=\"hsl(%u,55%%,62%%)\" stroke=\"white\" stroke-width=\"0.5\" points=\"",
               id * 137 % 360);
    double step = chart_x(c, 1) - chart_x(c, 0);
    for (uint32_t i = first; i <= last; i++) {
        species_band(c->history, i, id, &below, &size);
        buf_printf(c->out, "%.1f,%.1f ", chart_x(c, i), chart_y(c, below + size));
    }
    species_band(c->history, last, id, &below, &size);
    buf_printf(c->out, "%.1f,%.1f ", chart_x(c, last) + step * 0.6, chart_y(c, below));
    for (uint32_t i = last + 1; i-- > first;) {
        species_band(c->history, i, id, &below, &size);
        buf_printf(c->out, "%.1f,%.1f ", chart_x(c, i), chart_y(c, below));
    }
    buf_printf(c->out, "\"><title>species %u</title></polygon>\n", id);
}

static void species_chart(const struct history *h, uint32_t n_genomes, struct buf *out)
{
    struct chart c = {.history = h, .out = out, .low = 0, .high = n_genomes};
    chart_begin(&c, "Species: members over generations, oldest at the bottom");
    uint32_t next_id = 0; /* species numbers rise: all below were drawn */
    for (uint32_t i = 0; i < h->n; i++) {
        const struct history_generation *g = &h->generations[i];
        for (uint32_t s = 0; s < g->n_species; s++) {
            uint32_t id = h->species[g->first_species + s].id;
            if (id < next_id) continue;
            draw_species(&c, id, i);
            next_id = id + 1;
        }
    }
    buf_append_text(out, "</svg>\n");
}

static void figures(const struct run *run, struct buf *out)
{
    const struct run_result *r = &run->result;
    buf_printf(out, "<table><tr><th>task</th><td>%s</td></tr><tr><th>seed</th><td>%llu</td></tr>",
               run->options.task->title, (unsigned long long)run->options.seed);
    buf_printf(out, "<tr><th>result</th><td>%s after %u generations, %llu evaluations, %llu steps</td></tr>",
               run->options.task->is_contest ? "trained"
               : r->solved                   ? "solved"
                                             : "not solved",
               r->n_generations, (unsigned long long)r->n_evaluations, (unsigned long long)r->n_steps);
    buf_printf(out, "<tr><th>champion</th><td>fitness %.6g, %u hidden nodes, %u enabled links</td></tr>",
               r->fitness, r->n_hidden, r->n_enabled);
    if (r->generalization > 0)
        buf_printf(out, "<tr><th>generalization</th><td>%u of 625 starts</td></tr>", r->generalization);
    buf_append_text(out, "</table>\n");
}

onnxd_status history_report(const struct history *h, const struct run *run, const char *network_svg,
                            struct buf *out, onnxd_error *err)
{
    buf_printf(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>neat_train: %s</title>\n"
        "<style>body{font:14px sans-serif;margin:24px;max-width:1000px}th{text-align:left;padding-right:16px}"
        "pre{background:#f4f4f4;padding:12px;overflow:auto}h2{margin-top:28px;font-size:17px}</style></head>"
        "<body>\n<h1>neat_train: %s</h1>\n",
        run->options.task->name, run->options.task->title);
    figures(run, out);
    two_lines(h, out, "Fitness over generations", best_of, "best", mean_of, "mean");
    species_chart(h, run->population->n_genomes, out);
    two_lines(h, out, "Complexity: mean over the population", hidden_of, "hidden nodes", links_of,
              "enabled links");
    buf_printf(out, "<h2>Champion</h2>\n%s\n<h2>Parameters</h2>\n<pre>", network_svg);
    neat_params_print(&run->options.params, "parameters of this run", out);
    buf_append_text(out, "</pre>\n</body></html>\n");
    return out->failed ? error_set(err, ONNXD_ERR_LIMIT, "report: larger than its buffer") : ONNXD_OK;
}
