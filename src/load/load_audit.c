#include "load/load_audit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "json/decimal.h"

#define BUSY_LIMIT   0.9  /* a load thread that uses more of a CPU than this is the bottleneck */
#define RATE_LIMIT   0.99 /* of the rate asked for */
#define LATE_LIMIT   0.01 /* of all requests */
#define FULL_LIMIT   0.97 /* of all CPUs, busy */
#define STEAL_LIMIT  0.02 /* of all CPUs */
#define LITTLE_LIMIT 0.02

static void decide(struct load_audit *a, const struct load_result *r)
{
    const struct load_options *o = &r->options;
    size_t size = sizeof a->verdict;
    double under_way = (double)o->n_connections * o->pipeline;
    double own_cpus = r->elapsed_s > 0 ? (double)r->record->cpu_ns / 1e9 / r->elapsed_s : 0;
    /* What is under way when time is up is in no figure: that weighs in short runs of long requests. */
    double ends = r->elapsed_s > 0 ? 2 * histogram_mean(&r->record->response) / 1e9 / r->elapsed_s : 0;
    a->client_limited = true;
    if (r->record->n_done == 0) {
        snprintf(a->verdict, size, "No request was answered within the measured time.");
    } else if (load_is_open(o) && a->rate_reached < RATE_LIMIT * a->rate_asked &&
               a->client_busy > BUSY_LIMIT) {
        snprintf(a->verdict, size, "The client could not send %.0f requests/s: use more threads.",
                 a->rate_asked);
    } else if (load_is_open(o) && a->late_share > LATE_LIMIT) {
        snprintf(a->verdict, size,
                 "%.1f %% of the requests left more than 1 ms late though a connection was free: the client "
                 "lacked CPU. "
                 "Use a quieter machine or more threads.",
                 a->late_share * 100);
    } else if (a->steal_cpus > STEAL_LIMIT * a->n_cpus) {
        snprintf(a->verdict, size, "The hypervisor withheld %.2f CPUs: repeat the run.", a->steal_cpus);
    } else if (!load_is_open(o) && a->client_busy > BUSY_LIMIT) {
        snprintf(a->verdict, size,
                 "The busiest client thread used %.0f %% of a CPU: the server may be able to do more. "
                 "Compare server CPU per request, or use more threads.",
                 a->client_busy * 100);
    } else if (!load_is_open(o) && !o->new_connections && load_n_errors(r->record) == 0 &&
               fabs(a->littles_connections / under_way - 1) > LITTLE_LIMIT + ends) {
        snprintf(a->verdict, size,
                 "Little's law gives %.1f requests under way where there were %.0f: the times are not to be "
                 "trusted.",
                 a->littles_connections, under_way);
    } else if (load_is_open(o) && a->rate_reached < RATE_LIMIT * a->rate_asked) {
        a->client_limited = false;
        snprintf(a->verdict, size,
                 "The server answered %.0f of %.0f requests/s, the last %.2f s after the end: it is "
                 "overloaded, and times "
                 "grow with the length of the run.",
                 a->rate_reached, a->rate_asked, r->lag_s);
    } else if (own_cpus + a->other_cpus > FULL_LIMIT * a->n_cpus) {
        a->client_limited = false;
        snprintf(
            a->verdict, size,
            "All %u CPUs were busy, %.2f of them with other processes: unless that is the server alone, they "
            "disturbed these figures.",
            a->n_cpus, a->other_cpus);
    } else {
        a->client_limited = false;
        snprintf(a->verdict, size, "Nothing casts doubt on these figures.");
    }
}

void load_audit_fill(struct load_result *result, const struct load_machine *before,
                     const struct load_machine *after, double busiest)
{
    struct load_audit *a = &result->audit;
    const struct load_record *r = result->record;
    double elapsed = result->elapsed_s > 0 ? result->elapsed_s : 1e-9;
    *a = (struct load_audit){.client_busy = busiest, .n_cpus = after->n_cpus};
    /* Answers that came after the last request was due took that long to come. */
    a->rate_reached = (double)r->n_done / (elapsed + result->lag_s);
    if (load_is_open(&result->options)) a->rate_asked = (double)r->n_due / elapsed;
    a->late_share = r->n_due > 0 ? (double)r->n_late / (double)r->n_due : 0;
    a->waited_share = r->n_due > 0 ? (double)r->n_waited / (double)r->n_due : 0;
    a->littles_connections = histogram_mean(&r->response) / 1e9 * a->rate_reached;
    a->client_cpu_us = r->n_done > 0 ? (double)r->cpu_ns / 1e3 / (double)r->n_done : 0;
    if (before->known && after->known) {
        /* The machine's counters run from before the warm-up. */
        double span = elapsed + (double)result->options.warm_up_ns / 1e9;
        double others = (after->busy_s - before->busy_s) - (after->own_s - before->own_s);
        a->other_cpus = others > 0 ? others / span : 0;
        a->steal_cpus = (after->steal_s - before->steal_s) / span;
    }
    decide(a, result);
}

/* ---- objectives ------------------------------------------------------------------------------------ */

static const char *read_measure(const char *at, struct load_objective *o)
{
    static const struct {
        const char *name;
        enum load_measure measure;
    } words[] = {{"mean", LOAD_MEAN}, {"max", LOAD_MAX}, {"rps", LOAD_RPS}, {"errors", LOAD_ERRORS}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i].name);
        if (strncmp(at, words[i].name, n) != 0) continue;
        o->measure = words[i].measure;
        return at + n;
    }
    struct decimal d;
    const char *end = *at == 'p' ? decimal_scan(at + 1, at + strlen(at), &d) : NULL;
    o->measure = LOAD_QUANTILE;
    if (end != NULL) o->quantile = decimal_to_f64(&d) / 100;
    return end != NULL && o->quantile > 0 && o->quantile < 1 ? end : NULL;
}

static const char *read_bound(const char *at, struct load_objective *o)
{
    struct decimal d;
    const char *end = decimal_scan(at, at + strlen(at), &d);
    if (end == NULL || d.negative) return NULL;
    o->bound = decimal_to_f64(&d);
    bool is_time = o->measure == LOAD_QUANTILE || o->measure == LOAD_MEAN || o->measure == LOAD_MAX;
    if (o->measure == LOAD_ERRORS && *end == '%') {
        o->bound /= 100;
        end++;
    }
    if (!is_time) return end;
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(end, units[i].name, n) != 0) continue;
        o->bound *= units[i].ns;
        return end + n;
    }
    return NULL; /* a time needs a unit */
}

onnxd_status load_slo_parse(const char *text, struct load_objective *ret, uint32_t *ret_n, onnxd_error *err)
{
    uint32_t n = 0;
    for (const char *at = text;; at++) {
        if (n == LOAD_MAX_OBJECTIVES)
            return error_set(err, ONNXD_ERR_ARGUMENT, "slo: expected at most %d", LOAD_MAX_OBJECTIVES);
        struct load_objective *o = &ret[n];
        *o = (struct load_objective){.found = NAN};
        const char *start = at;
        at = read_measure(at, o);
        bool good = at != NULL && (*at == '<' || *at == '>');
        if (good) {
            o->below = *at == '<';
            at += 1 + (at[1] == '=');
            at = read_bound(at, o);
            good = at != NULL && (*at == 0 || *at == ',');
        }
        if (!good)
            return error_set(err, ONNXD_ERR_ARGUMENT,
                             "slo: '%.60s' is not like p99<1ms, rps>10000 or errors<0.1%%", start);
        snprintf(o->text, sizeof o->text, "%.*s", (int)(at - start), start);
        n++;
        if (*at == 0) break;
    }
    *ret_n = n;
    return ONNXD_OK;
}

static double measure(const struct load_result *r, const struct load_objective *o)
{
    const struct histogram *h = &r->record->response;
    switch (o->measure) {
    case LOAD_QUANTILE:
        return quantile_has_enough(h->n, o->quantile) ? load_response_quantile(r, o->quantile) : NAN;
    case LOAD_MEAN: return h->n > 0 ? histogram_mean(h) : NAN;
    case LOAD_MAX: return h->n > 0 ? (double)h->max : NAN;
    case LOAD_RPS: return load_rate(r);
    case LOAD_ERRORS: return load_error_share(r->record);
    }
    return NAN;
}

bool load_slo_check(const struct load_result *result, struct load_objective *objectives, uint32_t n)
{
    bool all = true;
    for (uint32_t i = 0; i < n; i++) {
        struct load_objective *o = &objectives[i];
        o->found = measure(result, o);
        o->kept = o->below ? o->found <= o->bound : o->found >= o->bound; /* NAN keeps nothing */
        all &= o->kept;
    }
    return all;
}
