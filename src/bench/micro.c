#include "bench/micro.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum { DEFAULT_SAMPLES = 100, DEFAULT_RESAMPLES = 100000, LEAST_SAMPLES = 10 };

#define DEFAULT_WARM_UP_S 0.3
#define DEFAULT_SECONDS   2.0
#define MOST_SECONDS      3600.0

static onnxd_status complete_options(struct micro_options *o, onnxd_error *err)
{
    if (o->warm_up_s == 0) o->warm_up_s = DEFAULT_WARM_UP_S;
    if (o->seconds == 0) o->seconds = DEFAULT_SECONDS;
    if (o->n_samples == 0) o->n_samples = DEFAULT_SAMPLES;
    if (o->n_resamples == 0) o->n_resamples = DEFAULT_RESAMPLES;
    if (!(o->warm_up_s > 0 && o->warm_up_s <= MOST_SECONDS) ||
        !(o->seconds > 0 && o->seconds <= MOST_SECONDS))
        return error_set(err, ONNXD_ERR_ARGUMENT, "micro: warm-up and time: expected up to %.0f s",
                         MOST_SECONDS);
    if (o->n_samples < LEAST_SAMPLES || o->n_samples > MICRO_MAX_SAMPLES)
        return error_set(err, ONNXD_ERR_ARGUMENT, "micro: samples: expected %d..%d, got %u", LEAST_SAMPLES,
                         MICRO_MAX_SAMPLES, o->n_samples);
    return ONNXD_OK;
}

/* ---- one case, one round -------------------------------------------------------------------------- */

static onnxd_status time_calls(const struct micro_case *c, const struct clock *clock, uint64_t n,
                               double *ret_ns, onnxd_error *err)
{
    uint64_t start_ns = clock_now_ns(clock);
    onnxd_status status = c->run(c->context, n, err);
    *ret_ns = (double)(clock_now_ns(clock) - start_ns);
    return status;
}

/* Doubles the calls until the time is over; tells what a call took over the latter half of it. */
static onnxd_status warm_up(const struct micro_case *c, const struct micro_options *o, double *ret_call_ns,
                            onnxd_error *err)
{
    double total_ns = 0, ns = 0;
    uint64_t n = 1;
    for (;; n *= 2) {
        onnxd_status status = time_calls(c, &o->clock, n, &ns, err);
        if (status != ONNXD_OK) return status;
        total_ns += ns;
        if (total_ns >= o->warm_up_s * 1e9 || n >= (uint64_t)1 << 40) break;
    }
    *ret_call_ns = fmax(ns / (double)n, 1e-3);
    return ONNXD_OK;
}

/* Calls in each of the n samples of a round: of rising number where there is time for it. */
struct plan {
    uint64_t first, step;
};

static struct plan make_plan(double call_ns, double seconds, uint32_t n)
{
    double linear = n * (n + 1.0) / 2, calls = seconds * 1e9 / call_ns;
    if (calls >= linear / 2) {
        uint64_t d = calls > linear ? (uint64_t)(calls / linear) : 1;
        return (struct plan){d, d};
    }
    return (struct plan){calls > n ? (uint64_t)(calls / n) : 1, 0};
}

static onnxd_status sample_round(const struct micro_case *c, const struct micro_options *o, uint32_t n,
                                 struct micro_result *r, onnxd_error *err)
{
    double call_ns = 0;
    onnxd_status status = warm_up(c, o, &call_ns, err);
    if (status != ONNXD_OK) return status;
    double seconds = o->seconds / MICRO_ROUNDS;
    struct plan plan = make_plan(call_ns, seconds, n);
    if (r->n_samples > 0) { /* the rounds are sampled alike, or their samples could not be put together */
        plan.first = (uint64_t)r->calls[0];
        plan.step = r->is_slope ? plan.first : 0;
    }
    uint64_t calls = plan.first;
    r->is_slope = plan.step > 0;
    uint64_t start_ns = clock_now_ns(&o->clock);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++, calls += plan.step) {
        /* A call of seconds: fewer samples, but never fewer than five of a round. */
        if (i >= LEAST_SAMPLES / 2 && !r->is_slope &&
            (double)(clock_now_ns(&o->clock) - start_ns) > 1.5e9 * seconds)
            break;
        double *ns = &r->times_ns[r->n_samples];
        status = time_calls(c, &o->clock, calls, ns, err);
        r->calls[r->n_samples] = (double)calls;
        r->call_ns[r->n_samples++] = *ns / (double)calls;
        r->n_calls += calls;
    }
    return status;
}

static double estimate(const struct micro_result *r, uint32_t first, uint32_t n)
{
    if (r->is_slope) return sample_slope_through_origin(r->calls + first, r->times_ns + first, n).slope;
    return sample_mean(r->call_ns + first, n);
}

static onnxd_status measure_round(const struct micro_case *c, const struct micro_options *o, uint32_t round,
                                  struct micro_result *r, onnxd_error *err)
{
    uint32_t first = r->n_samples;
    uint32_t n = round == 0 ? o->n_samples / MICRO_ROUNDS : o->n_samples - o->n_samples / MICRO_ROUNDS;
    onnxd_status status = sample_round(c, o, n, r, err);
    if (status == ONNXD_OK)
        r->round_ns[round] = estimate(r, first, r->n_samples - first);
    else
        error_prefix(err, "%s: ", c->name);
    return status;
}

/* ---- figures ------------------------------------------------------------------------------------- */

static onnxd_status summarise(struct micro_result *r, const struct micro_options *o, struct rng *rng,
                              onnxd_error *err)
{
    const struct bootstrap_options b = {.n_resamples = o->n_resamples};
    double *sorted = calloc(r->n_samples, sizeof *sorted);
    if (sorted == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "micro: no memory for %u samples", r->n_samples);
    for (uint32_t i = 0; i < r->n_samples; i++) sorted[i] = r->call_ns[i];
    sample_sort(sorted, r->n_samples);
    r->median_ns = sample_median(sorted, r->n_samples);
    r->outliers = sample_outliers(sorted, r->n_samples);
    r->sd_ns = sample_sd(sorted, r->n_samples);
    free(sorted);
    double least = fmin(r->round_ns[0], r->round_ns[1]);
    r->own_noise = least > 0 ? fabs(r->round_ns[0] - r->round_ns[1]) / least : 0;
    if (!r->is_slope)
        return bootstrap_interval(r->call_ns, r->n_samples, bootstrap_mean, b, rng, &r->ns, err);
    r->r2 = sample_slope_through_origin(r->calls, r->times_ns, r->n_samples).r2;
    return bootstrap_slope(r->calls, r->times_ns, r->n_samples, b, rng, &r->ns, err);
}

static double measure_noise(const struct micro_suite *suite)
{
    double noise = MICRO_LEAST_NOISE, *all = calloc(suite->n_results, sizeof *all);
    for (uint32_t i = 0; i < suite->n_results && all != NULL; i++) all[i] = suite->results[i].own_noise;
    if (all != NULL && suite->n_results > 0) {
        sample_sort(all, suite->n_results);
        noise = fmax(noise, sample_quantile(all, suite->n_results, 0.95));
    }
    free(all);
    return noise;
}

static onnxd_status prepare(struct micro_suite *suite, const struct micro_case *cases, uint32_t n_cases,
                            uint32_t n_samples, onnxd_error *err)
{
    suite->results = calloc(n_cases + 1u, sizeof *suite->results);
    suite->n_results = suite->results != NULL ? n_cases : 0;
    bool ok = suite->results != NULL;
    for (uint32_t i = 0; i < n_cases && ok; i++) {
        struct micro_result *r = &suite->results[i];
        *r = (struct micro_result){.name = cases[i].name, .unit = cases[i].unit, .units = cases[i].units};
        r->calls = calloc(3 * (size_t)n_samples, sizeof *r->calls);
        ok = r->calls != NULL;
        if (!ok) break;
        r->times_ns = r->calls + n_samples;
        r->call_ns = r->calls + 2 * (size_t)n_samples;
    }
    return ok ? ONNXD_OK : error_set(err, ONNXD_ERR_NOMEM, "micro: no memory for %u cases", n_cases);
}

onnxd_status micro_run(const struct micro_case *cases, uint32_t n_cases, const struct micro_options *options,
                       micro_progress_fn progress, void *context, struct micro_suite *ret, onnxd_error *err)
{
    struct micro_options o = *options;
    struct micro_suite suite = {0};
    onnxd_status status = complete_options(&o, err);
    if (status == ONNXD_OK) status = prepare(&suite, cases, n_cases, o.n_samples, err);
    for (uint32_t round = 0; round < MICRO_ROUNDS; round++)
        for (uint32_t k = 0; k < n_cases && status == ONNXD_OK; k++) {
            uint32_t i = round % 2 == 0 ? k : n_cases - 1 - k;
            if (progress != NULL)
                progress(context, cases[i].name, round * n_cases + k, MICRO_ROUNDS * n_cases);
            status = measure_round(&cases[i], &o, round, &suite.results[i], err);
        }
    struct rng rng = rng_seed(o.seed);
    for (uint32_t i = 0; i < n_cases && status == ONNXD_OK; i++)
        status = summarise(&suite.results[i], &o, &rng, err);
    if (status != ONNXD_OK) {
        micro_suite_done(&suite);
        return status;
    }
    suite.noise = measure_noise(&suite);
    *ret = suite;
    return ONNXD_OK;
}

void micro_suite_done(struct micro_suite *suite)
{
    for (uint32_t i = 0; i < suite->n_results; i++) free(suite->results[i].calls);
    free(suite->results);
    *suite = (struct micro_suite){0};
}

onnxd_status micro_repeat(const struct micro_case *c, uint64_t n, onnxd_error *err)
{
    onnxd_status status = c->run(c->context, n, err);
    __asm__ volatile("" : : : "memory"); /* this function stays on the stack until the case is done */
    return status;
}

void micro_to_run(const struct micro_suite *suite, struct bench_run *run)
{
    for (uint32_t i = 0; i < suite->n_results; i++) {
        const struct micro_result *r = &suite->results[i];
        bench_run_figure(run, r->name, "ns", BENCH_LOWER, r->ns, r->call_ns, r->n_samples);
    }
    bench_run_value(run, "A/A noise", "%", BENCH_NEITHER, 100 * suite->noise);
}
