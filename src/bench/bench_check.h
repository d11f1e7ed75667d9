/* bench/bench_check.h - has the latest run of a suite become worse? Exit codes for a gate.
 *
 * The latest run is compared, figure by figure, with earlier runs that are alike (same suite, settings and
 * machine; bench_history.h) and were not in doubt themselves: the last `window` of them. A run is the unit,
 * not its samples: samples of one run share its minute of the machine, and treating them as independent is
 * what makes benchmark gates cry wolf.
 *
 * For each figure: change = latest / median of the earlier ones - 1. Noise s is how far runs alike lie apart
 * without any change: 1.4826 times the median absolute deviation of the earlier runs from their median,
 * relative (a few disturbed runs do not move it), or what the latest run's own 95 % interval says when that
 * is more. For an unchanged program t = change / (s sqrt(1 + pi / 2 n)) over n earlier normal runs is
 * Student's with 0.4 n - 0.3 degrees of freedom (fitted by simulation for n from 5 to 40; a test repeats it).
 * The probability of a change for the worse at least as large is one-sided, and those of all figures of a run
 * are corrected together (Holm 1979), so that a run with many figures does not fail by their number. A
 * regression is significant (corrected p < 0.025), larger than 2 % and larger than s.
 *
 * Threads: pure functions. */
#ifndef BENCH_BENCH_CHECK_H
#define BENCH_BENCH_CHECK_H

#include "bench/bench_history.h"

enum { CHECK_MIN_RUNS = 5, CHECK_WINDOW = 30, CHECK_MAX_WINDOW = 200 };

struct check_options {   /* {0} selects the defaults */
    uint32_t window;     /* earlier runs to look at, 5..200; 0 means 30 */
    double least;        /* share; smaller changes are no regression; 0 means 0.02 */
    double significance; /* of the whole run's verdict; 0 means 0.025 */
    double unstable;     /* share; more noise than this tells nothing; 0 means 0.25 */
};

enum check_change { CHECK_NEW, CHECK_SAME, CHECK_BETTER, CHECK_WORSE, CHECK_NOISY };

struct check_figure {
    const char *name, *unit;
    enum bench_better better;
    double latest, median; /* of the earlier ones; 0 when it is new */
    double change, noise;  /* relative; noise is s */
    double p;              /* corrected, of a change for the worse */
    double low, high;      /* 95 % of unchanged runs lie between */
    uint32_t n_runs;       /* earlier runs that have it */
    enum check_change verdict;
};

struct check_result {
    const struct bench_run *run;  /* the latest */
    uint32_t n_alike;             /* earlier runs alike that count, window applied */
    struct check_figure *figures; /* [n_figures]; check_result_done frees */
    uint32_t n_figures;
    enum bench_verdict verdict;
    char reason[256];
};

/* Compares runs[n - 1] with the earlier ones alike. Verdicts, the weightiest first: what the run itself says
 * (client limited, objective broken, unstable), BENCH_REGRESSION, BENCH_UNSTABLE when no figure could be
 * judged for noise, BENCH_OK; with fewer than CHECK_MIN_RUNS earlier runs BENCH_OK, and the reason says so.
 * ONNXD_ERR_ARGUMENT (options, or n == 0), ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status bench_check(const struct bench_run *const *runs, uint32_t n,
                                        const struct check_options *options, struct check_result *ret,
                                        onnxd_error *err);
void check_result_done(struct check_result *result); /* takes a zeroed one */

const char *check_change_name(enum check_change change);

/* The table and the verdict, as text and as a JSON object. */
void check_text(const struct check_result *result, struct buf *buf);
void check_json(const struct check_result *result, struct buf *buf);

/* ---- whole histories ---- */

/* The runs of a history, sorted out: series[i] holds those alike by rising time. */
struct check_series {
    const struct bench_run **runs; /* [n] */
    uint32_t n;
};

struct check_all {
    struct check_series *series; /* [n], the one with the latest run last */
    uint32_t n;
    const struct bench_run **memory;
};

/* ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status check_sort_out(const struct bench_history *history, struct check_all *ret,
                                           onnxd_error *err);
void check_all_done(struct check_all *all); /* takes a zeroed one */

#endif
