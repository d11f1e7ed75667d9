#include "bench/bench_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stats/sample.h"
#include "stats/significance.h"

#define PI 3.14159265358979323846

static onnxd_status complete_options(struct check_options *o, onnxd_error *err)
{
    if (o->window == 0) o->window = CHECK_WINDOW;
    if (o->least == 0) o->least = 0.02;
    if (o->significance == 0) o->significance = 0.025;
    if (o->unstable == 0) o->unstable = 0.25;
    if (o->window < CHECK_MIN_RUNS || o->window > CHECK_MAX_WINDOW)
        return error_set(err, ONNXD_ERR_ARGUMENT, "check: window: expected %d..%d runs, got %u",
                         CHECK_MIN_RUNS, CHECK_MAX_WINDOW, o->window);
    if (!(o->least > 0 && o->least < 10) || !(o->significance > 0 && o->significance < 0.5) ||
        !(o->unstable > 0 && o->unstable < 10))
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "check: expected shares up to 10 and a significance of less than 0.5");
    return ONNXD_OK;
}

/* ---- one figure ---------------------------------------------------------------------------------- */

/* Values of earlier runs, the latest `window` of them; returns how many. */
static uint32_t gather(const struct bench_run *const *runs, uint32_t n, const char *name, uint32_t window,
                       double *values)
{
    uint32_t found = 0;
    for (uint32_t i = n; i-- > 0 && found < window;) {
        const struct bench_figure *f = bench_run_find(runs[i], name);
        if (f != NULL) values[found++] = f->value.point;
    }
    return found;
}

/* The median of at most CHECK_LEVEL numbers, or of `window` distances; scratch: [n]. */
static double median_of(const double *values, uint32_t n, double *scratch)
{
    memcpy(scratch, values, n * sizeof *values);
    sample_sort(scratch, n);
    return sample_median(scratch, n);
}

/* values[n]: the earlier runs, the latest first. */
static double relative_noise(const double *values, uint32_t n, double level, const struct interval *latest)
{
    double distances[CHECK_MAX_WINDOW], scratch[CHECK_MAX_WINDOW];
    uint32_t n_level = n < CHECK_LEVEL ? n : CHECK_LEVEL;
    for (uint32_t i = 0; i + 1 < n; i++) distances[i] = fabs(values[i] - values[i + 1]);
    double noise = 1.4826 / sqrt(2) * median_of(distances, n - 1, scratch);
    for (uint32_t i = 0; i < n_level; i++) distances[i] = fabs(values[i] - level);
    noise = fmax(noise, 1.4826 * median_of(distances, n_level, scratch));
    return fmax(noise, (latest->high - latest->low) / 2 / 1.96) / fabs(level);
}

static double degrees(uint32_t n)
{
    return fmin(7, 1.5 + 0.3 * n);
}

struct judge {                           /* of one run's figures */
    const struct bench_run *const *runs; /* [n] earlier ones alike */
    uint32_t n, window;
    double values[CHECK_MAX_WINDOW];
    uint32_t limit_of; /* the number of runs that `limit` is for: figures mostly have the same */
    double limit;      /* of t, 97.5 % */
};

static double limit_for(struct judge *j, uint32_t n)
{
    if (j->limit_of != n) j->limit = student_t_quantile(0.975, degrees(n));
    j->limit_of = n;
    return j->limit;
}

/* Sets everything but the corrected p and the verdict. */
static void judge_figure(struct judge *j, const struct bench_figure *latest, struct check_figure *ret)
{
    *ret = (struct check_figure){.name = latest->name,
                                 .unit = latest->unit,
                                 .better = latest->better,
                                 .latest = latest->value.point,
                                 .low = latest->value.point,
                                 .high = latest->value.point,
                                 .p = 1};
    uint32_t n_values = ret->n_runs = gather(j->runs, j->n, latest->name, j->window, j->values);
    if (n_values < CHECK_MIN_RUNS) return;
    uint32_t n_level = n_values < CHECK_LEVEL ? n_values : CHECK_LEVEL;
    double scratch[CHECK_LEVEL];
    ret->median = median_of(j->values, n_level, scratch);
    if (ret->median == 0) return; /* no ratio to zero */
    ret->change = ret->latest / ret->median - 1;
    ret->noise = relative_noise(j->values, n_values, ret->median, &latest->value);
    double scale = ret->noise * sqrt(1 + PI / 2 / n_level), worse = ret->better == BENCH_HIGHER ? -1 : 1;
    double reach = scale * limit_for(j, n_values) * fabs(ret->median);
    ret->low = ret->median - reach;
    ret->high = ret->median + reach;
    double t = worse * ret->change;
    if (scale > 0)
        ret->p = 1 - student_t_cdf(t / scale, degrees(n_values));
    else
        ret->p = t > 0 ? 0 : 1;
}

/* ---- all figures of a run ------------------------------------------------------------------------ */

static int compare_p(const void *a, const void *b)
{
    double x = (*(const struct check_figure *const *)a)->p, y = (*(const struct check_figure *const *)b)->p;
    return (x > y) - (x < y);
}

static bool is_judged(const struct check_figure *f)
{
    return f->n_runs >= CHECK_MIN_RUNS && f->median != 0 && f->better != BENCH_NEITHER;
}

/* Holm's correction over the figures that can be judged; `sorted` is scratch for all of them. */
static void correct(struct check_figure *figures, uint32_t n, double unstable, struct check_figure **sorted)
{
    uint32_t n_judged = 0;
    double least = 0;
    for (uint32_t i = 0; i < n; i++)
        if (is_judged(&figures[i]) && figures[i].noise <= unstable) sorted[n_judged++] = &figures[i];
    qsort(sorted, n_judged, sizeof *sorted, compare_p);
    for (uint32_t i = 0; i < n_judged; i++) {
        least = fmax(least, fmin(1, sorted[i]->p * (n_judged - i)));
        sorted[i]->p = least;
    }
}

static void decide(struct check_figure *f, const struct check_options *o)
{
    double worse = f->better == BENCH_HIGHER ? -f->change : f->change, threshold = fmax(o->least, f->noise);
    if (!is_judged(f))
        f->verdict = f->n_runs < CHECK_MIN_RUNS ? CHECK_NEW : CHECK_SAME;
    else if (f->noise > o->unstable)
        f->verdict = CHECK_NOISY;
    else if (f->p < o->significance && worse > threshold)
        f->verdict = CHECK_WORSE;
    else if (-worse > threshold && (f->latest < f->low || f->latest > f->high))
        f->verdict = CHECK_BETTER;
    else
        f->verdict = CHECK_SAME;
}

static void conclude(struct check_result *r)
{
    uint32_t n[CHECK_NOISY + 1] = {0};
    const struct check_figure *worst = NULL;
    for (uint32_t i = 0; i < r->n_figures; i++) {
        const struct check_figure *f = &r->figures[i];
        n[f->verdict]++;
        if (f->verdict == CHECK_WORSE && (worst == NULL || fabs(f->change) > fabs(worst->change))) worst = f;
    }
    if (r->run->verdict > BENCH_REGRESSION) {
        r->verdict = r->run->verdict;
        snprintf(r->reason, sizeof r->reason, "%s: %.180s", bench_verdict_name(r->verdict), r->run->remark);
    } else if (r->n_alike < CHECK_MIN_RUNS) {
        snprintf(r->reason, sizeof r->reason,
                 "nothing to compare with yet: %u earlier runs alike, %d are needed", r->n_alike,
                 CHECK_MIN_RUNS);
    } else if (worst != NULL) {
        r->verdict = BENCH_REGRESSION;
        snprintf(r->reason, sizeof r->reason, "%u of %u figures worse, most of all '%.100s' by %.1f %%",
                 n[CHECK_WORSE], r->n_figures, worst->name, 100 * fabs(worst->change));
    } else if (n[CHECK_NOISY] > 0 && n[CHECK_SAME] + n[CHECK_BETTER] == 0) {
        r->verdict = BENCH_UNSTABLE;
        snprintf(r->reason, sizeof r->reason, "earlier runs differ too much to tell anything");
    } else {
        snprintf(r->reason, sizeof r->reason, "no figure is worse than noise explains%s",
                 n[CHECK_BETTER] > 0 ? "; some are better" : "");
    }
}

/* Earlier runs that may be compared with the last: alike, and believed when they were made. */
static uint32_t find_alike(const struct bench_run *const *runs, uint32_t n, uint32_t window,
                           const struct bench_run **ret)
{
    uint32_t found = 0;
    for (uint32_t i = n - 1; i-- > 0 && found < window;) {
        bool believed = runs[i]->verdict == BENCH_OK || runs[i]->verdict == BENCH_OBJECTIVE_BROKEN;
        if (believed && bench_history_alike(runs[i], runs[n - 1])) ret[found++] = runs[i];
    }
    for (uint32_t i = 0; i < found / 2; i++) {
        const struct bench_run *swap = ret[i];
        ret[i] = ret[found - 1 - i];
        ret[found - 1 - i] = swap;
    }
    return found;
}

onnxd_status bench_check(const struct bench_run *const *runs, uint32_t n, const struct check_options *options,
                         struct check_result *ret, onnxd_error *err)
{
    struct check_options o = *options;
    const struct bench_run *alike[CHECK_MAX_WINDOW];
    onnxd_status status = complete_options(&o, err);
    if (status != ONNXD_OK) return status;
    if (n == 0) return error_set(err, ONNXD_ERR_ARGUMENT, "check: there is no run");
    struct check_result r = {.run = runs[n - 1], .n_figures = runs[n - 1]->n_figures};
    r.n_alike = find_alike(runs, n, o.window, alike);
    r.figures = calloc(r.n_figures + 1u, sizeof *r.figures);
    struct check_figure **sorted = calloc(r.n_figures + 1u, sizeof *sorted);
    if (r.figures == NULL || sorted == NULL) {
        free(r.figures);
        free(sorted);
        return error_set(err, ONNXD_ERR_NOMEM, "check: no memory for %u figures", r.n_figures);
    }
    struct judge j = {.runs = alike, .n = r.n_alike, .window = o.window};
    for (uint32_t i = 0; i < r.n_figures; i++) judge_figure(&j, &r.run->figures[i], &r.figures[i]);
    correct(r.figures, r.n_figures, o.unstable, sorted);
    for (uint32_t i = 0; i < r.n_figures; i++) decide(&r.figures[i], &o);
    free(sorted);
    conclude(&r);
    *ret = r;
    return ONNXD_OK;
}

void check_result_done(struct check_result *result)
{
    free(result->figures);
    *result = (struct check_result){0};
}

/* ---- histories ----------------------------------------------------------------------------------- */

onnxd_status check_sort_out(const struct bench_history *history, struct check_all *ret, onnxd_error *err)
{
    uint32_t n = history->n_runs, *series_of = calloc(n + 1u, sizeof *series_of);
    struct check_all all = {.series = calloc(n + 1u, sizeof *all.series),
                            .memory = calloc(n + 1u, sizeof *all.memory)};
    if (series_of == NULL || all.series == NULL || all.memory == NULL) {
        free(series_of);
        check_all_done(&all);
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for %u runs", n);
    }
    /* From the latest back, so that each series is known by its latest run and the newest comes first. */
    const struct bench_run **latest = all.memory; /* of each series; overwritten below */
    for (uint32_t i = n; i-- > 0;) {
        uint32_t s = 0;
        while (s < all.n && !bench_history_alike(latest[s], &history->runs[i])) s++;
        if (s == all.n) latest[all.n++] = &history->runs[i];
        series_of[i] = s;
        all.series[s].n++;
    }
    const struct bench_run **at = all.memory;
    for (uint32_t s = 0; s < all.n; s++) {
        all.series[s].runs = at;
        at += all.series[s].n;
        all.series[s].n = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct check_series *series = &all.series[series_of[i]];
        series->runs[series->n++] = &history->runs[i];
    }
    free(series_of);
    for (uint32_t s = 0; s < all.n / 2; s++) {
        struct check_series swap = all.series[s];
        all.series[s] = all.series[all.n - 1 - s];
        all.series[all.n - 1 - s] = swap;
    }
    *ret = all;
    return ONNXD_OK;
}

void check_all_done(struct check_all *all)
{
    free(all->series);
    free((void *)all->memory);
    *all = (struct check_all){0};
}
