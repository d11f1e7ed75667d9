/* bench/decision.h - which way to run a model? Scores from measurements, by a formula that is told.
 *
 * Four factors, each 0 to 100 points:
 *   latency     x = geometric mean of p50 and p99 of the time to an answer
 *   throughput  x = 1 / rows a second
 *   resources   x = geometric mean of processor time a row and resident memory, both sides together
 *   complexity  100 less the points of what must be run and written besides (decision_parts)
 * A measured factor has 100 points for the best option, and loses a third of them with every factor of ten
 * that x is worse: points = 100 max(0, 1 - log10(x / best) / 3). A total is the weighted mean.
 *
 * An option is dominated when another is at least as good in every factor and better in one: no weights make
 * it the better choice. Options within DECISION_TIE points of the highest total count as equal, and the
 * simplest of them is recommended.
 *
 * Ownership: plain values; names are borrowed. Threads: pure functions. */
#ifndef BENCH_DECISION_H
#define BENCH_DECISION_H

#include "base/buf.h"
#include "json/json_writer.h"
#include "onnxd/status.h"

enum { DECISION_MAX_OPTIONS = 32 };

#define DECISION_TIE 2.0

enum decision_factor {
    DECISION_LATENCY,
    DECISION_THROUGHPUT,
    DECISION_RESOURCES,
    DECISION_COMPLEXITY,
    DECISION_N_FACTORS
};
extern const char *const decision_factor_names[DECISION_N_FACTORS];

enum decision_parts { /* what an option needs besides the caller's own process, and what that costs in points
                       */
                      DECISION_SERVER = 1,       /* a second process to deploy, watch and upgrade: 30 */
                      DECISION_NETWORK = 2,      /* time-outs, retries, encoding: 20 */
                      DECISION_BATCHING = 4,     /* the caller must gather rows: 15 */
                      DECISION_OTHER_RUNTIME = 8 /* a library besides onnxd's own: 10 */
};

struct decision_weights {
    double of[DECISION_N_FACTORS]; /* in per cent; they sum to 100 */
};

/* 40, 30, 20, 10. */
struct decision_weights decision_weights_default(void);

/* "40,30,20,10" in the order of the factors, or "latency=50,throughput=20,..." with all four named. Each
 * 0..100 and together 100. ONNXD_ERR_ARGUMENT. */
ONNXD_MUST_USE onnxd_status decision_weights_parse(const char *text, struct decision_weights *ret,
                                                   onnxd_error *err);

struct decision_option {
    const char *name;
    double p50_us, p95_us, p99_us; /* time to an answer */
    double rows_per_s;
    double cpu_us_per_row; /* both sides */
    double memory_bytes;   /* resident, both sides */
    unsigned parts;        /* of enum decision_parts */
    /* found by decision_make */
    double scores[DECISION_N_FACTORS], total;
    int dominated_by; /* number of an option, or -1 */
};

struct decision {
    struct decision_weights weights;
    struct decision_option options[DECISION_MAX_OPTIONS];
    uint32_t n;
    uint32_t best;         /* the recommended one */
    char sentence[512];    /* the recommendation with its reason */
    char sensitivity[256]; /* what other weights would change */
};

/* Scores d->options[n] by d->weights. ONNXD_ERR_ARGUMENT: no option, or a measurement that is not above 0,
 * named.
 */
ONNXD_MUST_USE onnxd_status decision_make(struct decision *d, onnxd_error *err);

void decision_text(const struct decision *d, struct buf *buf);
void decision_markdown(const struct decision *d, struct buf *buf);
void decision_json(const struct decision *d, struct json_writer *w); /* an object */
void decision_html(const struct decision *d, struct buf *buf);       /* a section, without head and style */

#endif
