/* bench/micro.h - how long does a function take? With an answer that can be trusted.
 *
 *     static onnxd_status parse(void *context, uint64_t n, onnxd_error *err)
 *     {
 *         for (uint64_t i = 0; i < n; i++) micro_keep(parse_once(context));
 *         return ONNXD_OK;
 *     }
 *     struct micro_case cases[] = {{.name = "parse", .run = parse, .context = &body}};
 *     struct micro_suite suite;
 *     micro_run(cases, 1, &(struct micro_options){0}, NULL, NULL, &suite, &err);
 *     printf("%.1f ns\n", suite.results[0].ns.point);
 *     micro_suite_done(&suite);
 *
 * Each case is warmed up, then sampled: n samples of d, 2d, 3d ... calls. The time of a call is the slope of
 * a straight line through the origin (least squares), so that what the reading of the clock costs, the same
 * in every sample, does not count; its 95 % interval comes from 100,000 bootstrap resamples of the pairs.
 * Where so many calls would take too long, every sample has the same number of calls and the mean counts.
 * Outliers are labelled by Tukey's fences and never removed. (The method is that of Criterion.)
 *
 * All cases are measured in two rounds, the second in reverse order. Each round is a measurement of its own
 * of the same code, so their difference is noise: an A/A test in every run. The suite's noise is the 95 %
 * quantile of these differences over its cases, at least 1 %; no smaller change is called one.
 *
 * Ownership: micro_suite_done frees. Cases and names are borrowed and must outlive the suite.
 * Threads:   one; what it runs is its own affair. */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include "base/buf.h"
#include "base/clock.h"
#include "bench/bench_run.h"
#include "stats/sample.h"

enum { MICRO_ROUNDS = 2, MICRO_MAX_SAMPLES = 1000 };

#define MICRO_LEAST_NOISE 0.01

struct micro_case {
    const char *name;
    double units;     /* of work in a call, for rates: rows, bytes; 0: none */
    const char *unit; /* "rows" */
    void *context;
    onnxd_status (*run)(void *context, uint64_t n, onnxd_error *err); /* calls the function n times */
};

struct micro_options {    /* {0} selects the defaults */
    double warm_up_s;     /* of each case and round; 0 means 0.3 */
    double seconds;       /* of sampling of each case, all rounds together; 0 means 2 */
    uint32_t n_samples;   /* of each case, all rounds together, 10..1000; 0 means 100 */
    uint32_t n_resamples; /* 0 means 100,000 */
    uint64_t seed;        /* of the resampling */
    struct clock clock;   /* {0}: real */
};

struct micro_result {
    const char *name, *unit;
    double units;
    struct interval ns; /* of a call, 95 % */
    double median_ns, sd_ns;
    double r2; /* share of the spread that the line explains; 0 for a mean */
    bool is_slope;
    double round_ns[MICRO_ROUNDS];
    double own_noise; /* relative difference of the rounds */
    struct sample_outliers outliers;
    uint64_t n_calls; /* of all samples together */
    uint32_t n_samples;
    double *calls, *times_ns, *call_ns; /* [n_samples]; call_ns is their quotient */
};

struct micro_suite {
    struct micro_result *results; /* [n_results] in the order of the cases */
    uint32_t n_results;
    double noise;
};

/* Called before each case of each round; may be NULL. done of all. */
typedef void (*micro_progress_fn)(void *context, const char *name, uint32_t done, uint32_t all);

/* ONNXD_ERR_ARGUMENT (options), ONNXD_ERR_NOMEM, and what a case says, its name in front. */
ONNXD_MUST_USE onnxd_status micro_run(const struct micro_case *cases, uint32_t n_cases,
                                      const struct micro_options *options, micro_progress_fn progress,
                                      void *context, struct micro_suite *ret, onnxd_error *err);
void micro_suite_done(struct micro_suite *suite);

/* Makes the compiler believe that a value is used. */
static inline void micro_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

/* Calls the case n times: a name for tools that count what happens inside it (bench/check). */
__attribute__((noinline)) ONNXD_MUST_USE onnxd_status micro_repeat(const struct micro_case *c, uint64_t n,
                                                                   onnxd_error *err);

/* Adds every result as a figure "NAME" in ns with its samples, and the noise in %. */
void micro_to_run(const struct micro_suite *suite, struct bench_run *run);

#endif
