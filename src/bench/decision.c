#include "bench/decision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench/bench_run.h"

const char *const decision_factor_names[DECISION_N_FACTORS] = {"latency", "throughput", "resources",
                                                               "complexity"};

static const struct part {
    unsigned bit;
    double points;
} parts[] = {
    {DECISION_SERVER, 30}, {DECISION_NETWORK, 20}, {DECISION_BATCHING, 15}, {DECISION_OTHER_RUNTIME, 10}};

/* ---- weights ------------------------------------------------------------------------------------- */

struct decision_weights decision_weights_default(void)
{
    return (struct decision_weights){{40, 30, 20, 10}};
}

static bool read_weight(const char **at, double *ret)
{
    char *end = NULL;
    if ((**at < '0' || **at > '9') && **at != '.')
        return false; /* no sign, no blank, no word such as "nan" */
    double value = strtod(*at, &end);
    if (end == *at || !(value >= 0 && value <= 100) || (*end != 0 && (*end != ',' || end[1] == 0)))
        return false;
    *at = end + (*end == ',');
    *ret = value;
    return true;
}

/* The factor that `*at` names, with its '='; `otherwise` where none is named. */
static int read_factor(const char **at, int otherwise)
{
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        size_t n = strlen(decision_factor_names[f]);
        if (strncmp(*at, decision_factor_names[f], n) != 0 || (*at)[n] != '=') continue;
        *at += n + 1;
        return f;
    }
    return otherwise;
}

onnxd_status decision_weights_parse(const char *text, struct decision_weights *ret, onnxd_error *err)
{
    struct decision_weights w;
    bool given[DECISION_N_FACTORS] = {false};
    const char *at = text;
    double sum = 0;
    int n = 0;
    for (; *at != 0 && n < DECISION_N_FACTORS; n++) {
        int f = read_factor(&at, n);
        if (given[f] || !read_weight(&at, &w.of[f])) break;
        given[f] = true;
        sum += w.of[f];
    }
    if (*at != 0 || n != DECISION_N_FACTORS)
        return error_set(
            err, ONNXD_ERR_ARGUMENT,
            "weights: expected four numbers from 0 to 100, for latency, throughput, resources and "
            "complexity, got '%.60s'",
            text);
    if (fabs(sum - 100) > 1e-6)
        return error_set(err, ONNXD_ERR_ARGUMENT, "weights: expected them to sum to 100, these sum to %g",
                         sum);
    *ret = w;
    return ONNXD_OK;
}

/* ---- scores -------------------------------------------------------------------------------------- */

/* What a factor is scored by: the smaller the better. For complexity the points lost. */
static double raw(const struct decision_option *o, int factor)
{
    switch (factor) {
    case DECISION_LATENCY: return sqrt(o->p50_us * o->p99_us);
    case DECISION_THROUGHPUT: return 1 / o->rows_per_s;
    case DECISION_RESOURCES: return sqrt(o->cpu_us_per_row * o->memory_bytes);
    default: {
        double lost = 0;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (o->parts & parts[i].bit) lost += parts[i].points;
        return lost;
    }
    }
}

static double score(double x, double best, int factor)
{
    if (factor == DECISION_COMPLEXITY) return 100 - x;
    return 100 * fmax(0, 1 - log10(x / best) / 3);
}

static bool dominates(const struct decision_option *a, const struct decision_option *b)
{
    bool better = false;
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        double x = raw(a, f), y = raw(b, f);
        if (x > y) return false;
        better |= x < y;
    }
    return better;
}

static onnxd_status check_options(const struct decision *d, onnxd_error *err)
{
    if (d->n == 0 || d->n > DECISION_MAX_OPTIONS)
        return error_set(err, ONNXD_ERR_ARGUMENT, "decision: expected 1..%d options", DECISION_MAX_OPTIONS);
    for (uint32_t i = 0; i < d->n; i++) {
        const struct decision_option *o = &d->options[i];
        const double measured[] = {o->p50_us,     o->p95_us,         o->p99_us,
                                   o->rows_per_s, o->cpu_us_per_row, o->memory_bytes};
        static const char *const names[] = {"p50", "p95", "p99", "rows a second", "CPU a row", "memory"};
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (!(measured[k] > 0) || !isfinite(measured[k]))
                return error_set(err, ONNXD_ERR_ARGUMENT, "decision: %s: %s was not measured", o->name,
                                 names[k]);
    }
    return ONNXD_OK;
}

static void fill_scores(struct decision *d)
{
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        double best = INFINITY;
        for (uint32_t i = 0; i < d->n; i++) best = fmin(best, raw(&d->options[i], f));
        for (uint32_t i = 0; i < d->n; i++) d->options[i].scores[f] = score(raw(&d->options[i], f), best, f);
    }
    for (uint32_t i = 0; i < d->n; i++) {
        struct decision_option *o = &d->options[i];
        o->total = 0;
        o->dominated_by = -1;
        for (int f = 0; f < DECISION_N_FACTORS; f++) o->total += d->weights.of[f] * o->scores[f] / 100;
        for (uint32_t k = 0; k < d->n && o->dominated_by < 0; k++)
            if (dominates(&d->options[k], o)) o->dominated_by = (int)k;
    }
}

/* ---- the recommendation -------------------------------------------------------------------------- */

static uint32_t find_top(const struct decision *d, int except)
{
    uint32_t top = d->n;
    for (uint32_t i = 0; i < d->n; i++)
        if ((int)i != except && (top == d->n || d->options[i].total > d->options[top].total)) top = i;
    return top;
}

/* Among the options that count as equal to the top: the simplest, then the one with more points. */
static uint32_t find_best(const struct decision *d)
{
    uint32_t best = find_top(d, -1);
    double limit = d->options[best].total - DECISION_TIE;
    for (uint32_t i = 0; i < d->n; i++) {
        const struct decision_option *o = &d->options[i], *b = &d->options[best];
        if (o->total < limit) continue;
        double simpler = o->scores[DECISION_COMPLEXITY] - b->scores[DECISION_COMPLEXITY];
        if (simpler > 0 || (simpler == 0 && o->total > b->total)) best = i;
    }
    return best;
}

static void tell_factor(const struct decision_option *a, const struct decision_option *b, int factor,
                        char *out, size_t size)
{
    char x[32], y[32];
    switch (factor) {
    case DECISION_LATENCY:
        bench_format_value(a->p99_us * 1e3, "ns", x, sizeof x);
        bench_format_value(b->p99_us * 1e3, "ns", y, sizeof y);
        snprintf(out, size, "its p99 is %s against %s", x, y);
        break;
    case DECISION_THROUGHPUT:
        snprintf(out, size, "it answers %.0f rows a second against %.0f", a->rows_per_s, b->rows_per_s);
        break;
    case DECISION_RESOURCES:
        bench_format_value(a->memory_bytes, "bytes", x, sizeof x);
        bench_format_value(b->memory_bytes, "bytes", y, sizeof y);
        snprintf(out, size, "it takes %.3g us of processor time a row and %s against %.3g us and %s",
                 a->cpu_us_per_row, x, b->cpu_us_per_row, y);
        break;
    default: snprintf(out, size, "it is simpler to run"); break;
    }
}

/* The factor that sets a apart from b most, by its weight. */
static int widest_factor(const struct decision *d, const struct decision_option *a,
                         const struct decision_option *b)
{
    int widest = DECISION_COMPLEXITY;
    double most = 0;
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        double gain = d->weights.of[f] * (a->scores[f] - b->scores[f]);
        if (gain > most) most = gain, widest = f;
    }
    return widest;
}

static void write_sentence(struct decision *d)
{
    const struct decision_option *best = &d->options[d->best];
    uint32_t second = find_top(d, (int)d->best);
    char why[256];
    if (second == d->n) {
        snprintf(d->sentence, sizeof d->sentence, "%s is the only option measured.", best->name);
        return;
    }
    const struct decision_option *other = &d->options[second];
    tell_factor(best, other, widest_factor(d, best, other), why, sizeof why);
    if (best->total < other->total + DECISION_TIE && best->total > other->total - DECISION_TIE)
        snprintf(d->sentence, sizeof d->sentence,
                 "%s is recommended: it and %s count as equal (%.0f and %.0f points), and it is the %s; %s.",
                 best->name, other->name, best->total, other->total,
                 best->scores[DECISION_COMPLEXITY] > other->scores[DECISION_COMPLEXITY] ? "simpler"
                                                                                        : "better scored",
                 why);
    else
        snprintf(d->sentence, sizeof d->sentence,
                 "%s is recommended with %.0f of 100 points, %.0f ahead of %s: %s.", best->name, best->total,
                 best->total - other->total, other->name, why);
}

/* Which factors would choose another option if they counted alone. */
static void write_sensitivity(struct decision *d)
{
    size_t n = 0;
    d->sensitivity[0] = 0;
    for (int f = 0; f < DECISION_N_FACTORS; f++) {
        uint32_t top = d->best;
        for (uint32_t i = 0; i < d->n; i++)
            if (d->options[i].scores[f] > d->options[top].scores[f] + DECISION_TIE) top = i;
        if (top == d->best) continue;
        int more = snprintf(d->sensitivity + n, sizeof d->sensitivity - n, "%s%s if only %s counted",
                            n == 0 ? "It would be " : ", ", d->options[top].name, decision_factor_names[f]);
        if (more < 0 || (size_t)more >= sizeof d->sensitivity - n - 2) return;
        n += (size_t)more;
    }
    snprintf(d->sensitivity + n, sizeof d->sensitivity - n, "%s",
             n > 0      ? "."
             : d->n > 1 ? "No other weights would change that."
                        : "");
}

onnxd_status decision_make(struct decision *d, onnxd_error *err)
{
    onnxd_status status = check_options(d, err);
    if (status != ONNXD_OK) return status;
    fill_scores(d);
    d->best = find_best(d);
    write_sentence(d);
    write_sensitivity(d);
    return ONNXD_OK;
}
