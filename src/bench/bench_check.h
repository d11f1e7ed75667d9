/* bench/bench_check.h - has the latest run of a suite become worse? Exit codes for a gate.
 *
 * The latest run is compared, figure by figure, with earlier runs that are alike (same suite, settings and
 * machine; bench_history.h) and were not in doubt themselves: the last `window` of them. A run is the unit,
 * not its samples: samples of one run share its minute of the machine, and treating them as independent is
 * what makes benchmark gates cry wolf.
 *
 * For each figure: change = latest / level - 1, the level being the rolling median of the last CHECK_LEVEL
 * runs, so that a gain of some runs ago is what a loss is measured from. Noise s is how far runs alike lie
 * apart without any change, relative: the largest of 1.4826 / sqrt(2) times the median of the distances of
 * neighbours within the window, which neither a few disturbed runs nor a lasting step up or down moves,
 *     1.4826 times the median distance of the last CHECK_LEVEL runs from the level, which sees slow drift,
 *     what the latest run's own 95 % interval says.
 * For an unchanged program t = change / (s sqrt(1 + pi / 2 k)), k runs making the level, is held against
 * Student's t with min(7, 1.5 + 0.3 n) degrees of freedom over n runs: fitted by simulation to runs of which
 * each is correlated with the one before by 0.5, as on machines that drift; independent ones alarm less (a
 * test repeats it). The probability of a change for the worse at least as large is one-sided, and those of
 * all figures of a run are corrected together (Holm 1979), so that a run with many figures does not fail by
 * their number. A regression is significant (corrected p < 0.025), larger than 2 % and larger than s.
 *
 * Threads: pure functions. */
#ifndef BENCH_BENCH_CHECK_H
#define BENCH_BENCH_CHECK_H

#include "bench/bench_history.h"

enum { CHECK_MIN_RUNS = 5, CHECK_LEVEL = 10, CHECK_WINDOW = 30, CHECK_MAX_WINDOW = 200 };

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
    double latest, median; /* median: the level; 0 when it is new */
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
