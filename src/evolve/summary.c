#include "evolve/summary.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "evolve/run_telemetry.h"
#include "stats/bootstrap.h"
#include "stats/sample.h"

struct published {
    const char *task, *who;
    const char *solved, *evaluations, *sd, *worst, *hidden, *links, *generalization;
};

/* Sources: Stanley and Miikkulainen (2002), Gomez, Schmidhuber and Miikkulainen (2008). */
static const struct published PUBLISHED[] = {
    {"xor", "Stanley and Miikkulainen 2002", "100/100", "4755", "2553", "13459", "2.35", "7.48", "-"},
    {"pole2", "Stanley and Miikkulainen 2002", "-", "3600", "-", "-", "-", "-", "-"},
    {"pole2", "CoSyNE 2008", "-", "954", "-", "-", "-", "-", "-"},
    {"pole2-novel", "Stanley and Miikkulainen 2002", "-", "33184", "-", "-", "-", "-", "286"},
    {"pole2-novel", "CoSyNE 2008", "-", "3416", "-", "-", "-", "-", "-"},
};

onnxd_status summary_init(struct summary *s, const struct task *task, enum success_test success,
                          uint32_t n_runs, onnxd_error *err)
{
    struct run_result *results = calloc(n_runs, sizeof *results);
    uint64_t *elapsed_ns = calloc(n_runs, sizeof *elapsed_ns);
    if (results == NULL || elapsed_ns == NULL) {
        free(results);
        free(elapsed_ns);
        return error_set(err, ONNXD_ERR_NOMEM, "summary: no memory for %u runs", n_runs);
    }
    *s = (struct summary){
        .task = task, .success = success, .capacity = n_runs, .results = results, .elapsed_ns = elapsed_ns};
    return ONNXD_OK;
}

void summary_done(struct summary *s)
{
    free(s->results);
    free(s->elapsed_ns);
    *s = (struct summary){0};
}

void summary_add(struct summary *s, const struct run *run, uint64_t elapsed_ns)
{
    if (s->n == s->capacity) return;
    s->peak_memory_bytes = peak_memory_bytes();
    s->results[s->n] = run->result;
    s->elapsed_ns[s->n++] = elapsed_ns;
}

struct totals {
    double generations, evaluations, steps, seconds, hidden, links, generalization, confirmations;
    uint32_t n_solved;
};

static struct totals total(const struct summary *s)
{
    struct totals t = {0};
    for (uint32_t i = 0; i < s->n; i++) {
        const struct run_result *r = &s->results[i];
        t.n_solved += r->solved;
        t.generations += r->n_generations;
        t.evaluations += (double)r->n_evaluations;
        t.steps += (double)r->n_steps;
        t.seconds += (double)s->elapsed_ns[i] / 1e9;
        t.hidden += r->n_hidden;
        t.links += r->n_enabled;
        t.generalization += r->generalization;
        t.confirmations += r->n_confirmations;
    }
    return t;
}

static void print_row(struct buf *out, const char *who, const char *solved, const char *evaluations,
                      const char *sd, const char *median, const char *worst, const char *hidden,
                      const char *links, const char *gen)
{
    buf_printf(out, "%-30s %8s %11s %7s %7s %7s %7s %7s %8s\n", who, solved, evaluations, sd, median, worst,
               hidden, links, gen);
}

static void print_table(const struct summary *s, const struct totals *t, double *sorted, bool published,
                        struct buf *out)
{
    char cell[8][32];
    uint32_t n = s->n;
    print_row(out, "", "solved", "evals mean", "sd", "median", "worst", "hidden", "links", "general.");
    snprintf(cell[0], 32, "%u/%u", t->n_solved, n);
    snprintf(cell[1], 32, "%.0f", t->evaluations / n);
    snprintf(cell[2], 32, "%.0f", sample_sd(sorted, n));
    snprintf(cell[3], 32, "%.0f", sample_median(sorted, n));
    snprintf(cell[4], 32, "%.0f", sorted[n - 1]);
    snprintf(cell[5], 32, "%.2f", t->hidden / n);
    snprintf(cell[6], 32, "%.2f", t->links / n);
    snprintf(cell[7], 32, "%.0f", t->generalization / n);
    print_row(out, "neat_train", cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6],
              t->generalization > 0 ? cell[7] : "-");
    for (size_t i = 0; published && i < sizeof PUBLISHED / sizeof PUBLISHED[0]; i++) {
        const struct published *p = &PUBLISHED[i];
        if (task_find(p->task) == s->task)
            print_row(out, p->who, p->solved, p->evaluations, p->sd, "-", p->worst, p->hidden, p->links,
                      p->generalization);
    }
}

/* A figure of each run as mean and 95 % interval over runs. */
static onnxd_status print_interval(const struct summary *s, const char *what,
                                   double (*figure)(const struct summary *, uint32_t), struct buf *out,
                                   onnxd_error *err)
{
    double *x = calloc(s->n, sizeof *x);
    if (x == NULL) return error_set(err, ONNXD_ERR_NOMEM, "summary: no memory for %u runs", s->n);
    for (uint32_t i = 0; i < s->n; i++) x[i] = figure(s, i);
    struct rng rng = rng_seed(1);
    struct interval mean;
    onnxd_status status = bootstrap_interval(x, s->n, bootstrap_mean, (struct bootstrap_options){0}, &rng,
                                             &mean, err);
    if (status == ONNXD_OK && s->n > 1)
        buf_printf(out, "%-36s %12.6g  (%.6g..%.6g)\n", what, mean.point, mean.low, mean.high);
    else if (status == ONNXD_OK)
        buf_printf(out, "%-36s %12.6g\n", what, mean.point);
    free(x);
    return status;
}

static double generation_rate(const struct summary *s, uint32_t i)
{
    return s->results[i].n_generations / ((double)s->elapsed_ns[i] / 1e9);
}

static double match_rate(const struct summary *s, uint32_t i)
{
    return (double)s->results[i].n_matches / ((double)s->elapsed_ns[i] / 1e9);
}

static double row_rate(const struct summary *s, uint32_t i)
{
    double inference_ns = (double)s->results[i].inference_ns;
    return inference_ns > 0 ? (double)s->results[i].n_steps / (inference_ns / 1e9) : 0;
}

static double tick_us(const struct summary *s, uint32_t i)
{
    return s->results[i].n_ticks > 0 ? (double)s->results[i].tick_ns / 1e3 / (double)s->results[i].n_ticks
                                     : 0;
}

static double inference_ms(const struct summary *s, uint32_t i)
{
    return (double)s->results[i].inference_ns / 1e6 / s->results[i].n_generations;
}

static onnxd_status print_contest(const struct summary *s, struct buf *out, onnxd_error *err)
{
    static const struct {
        const char *what;
        double (*figure)(const struct summary *, uint32_t);
    } FIGURES[] = {
        {"generations a second", generation_rate},
        {"matches a second", match_rate},
        {"rows a second of inference time", row_rate},
        {"tick of a set of matches, us", tick_us},
        {"inference time of a generation, ms", inference_ms},
    };
    buf_printf(out, "task %s (%s), %u runs%s\n", s->task->name, s->task->title, s->n,
               s->n > 1 ? ", means with 95 % intervals" : "");
    onnxd_status status = ONNXD_OK;
    for (size_t i = 0; i < sizeof FIGURES / sizeof FIGURES[0] && status == ONNXD_OK; i++)
        status = print_interval(s, FIGURES[i].what, FIGURES[i].figure, out, err);
    buf_printf(out, "%-36s %12.1f\n", "peak memory, MiB", (double)s->peak_memory_bytes / (1 << 20));
    return status;
}

onnxd_status summary_print(const struct summary *s, bool published, struct buf *out, onnxd_error *err)
{
    if (s->n == 0) return ONNXD_OK;
    if (s->task->is_contest) return print_contest(s, out, err);
    double *sorted = calloc(s->n, sizeof *sorted);
    if (sorted == NULL) return error_set(err, ONNXD_ERR_NOMEM, "summary: no memory for %u runs", s->n);
    for (uint32_t i = 0; i < s->n; i++) sorted[i] = (double)s->results[i].n_evaluations;
    struct rng rng = rng_seed(1);
    struct interval mean;
    onnxd_status status = bootstrap_interval(sorted, s->n, bootstrap_mean, (struct bootstrap_options){0},
                                             &rng, &mean, err);
    if (status == ONNXD_OK) {
        struct totals t = total(s);
        sample_sort(sorted, s->n);
        buf_printf(out, "task %s (%s), success test %s\n", s->task->name, s->task->title,
                   s->task != &TASK_XOR        ? "the task's own"
                   : s->success == SUCCESS_CLS ? "CLS"
                                               : "SSE");
        print_table(s, &t, sorted, published, out);
        buf_printf(out,
                   "mean evaluations %.0f, 95 %% interval %.0f..%.0f; %.1f generations; %.1f confirmations\n",
                   mean.point, mean.low, mean.high, t.generations / s->n, t.confirmations / s->n);
        buf_printf(out, "%.2f s: %.0f generations/s, %.0f evaluations/s, %.2f million steps/s, whole loop\n",
                   t.seconds, t.generations / t.seconds, t.evaluations / t.seconds,
                   t.steps / t.seconds / 1e6);
    }
    free(sorted);
    return status;
}
