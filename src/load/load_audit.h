/* load/load_audit.h - may the figures of a run be believed? And do they keep what was promised? */
#ifndef LOAD_LOAD_AUDIT_H
#define LOAD_LOAD_AUDIT_H

#include "load/load_machine.h"
#include "load/load_result.h"

/* Fills result->audit. `busiest`: the share of one CPU that the busiest load thread used. */
void load_audit_fill(struct load_result *result, const struct load_machine *before,
                     const struct load_machine *after, double busiest);

/* ---- service level objectives: "p99<1ms,rps>10000,errors<0.1%" ---- */

#define LOAD_MAX_OBJECTIVES 16

enum load_measure { LOAD_QUANTILE, LOAD_MEAN, LOAD_MAX, LOAD_RPS, LOAD_ERRORS };

struct load_objective {
    enum load_measure measure;
    double quantile; /* of LOAD_QUANTILE: 0.99 */
    bool below;      /* expected below the bound, else above */
    double bound;    /* nanoseconds, requests a second, or a share */
    char text[48];   /* as written */
    double found;    /* after load_slo_check; NAN: too few samples to say */
    bool kept;
};

/* Measures: p50, p90, p99, p99.9, ... mean, max (with us, ms, s), rps, errors (a share, or with %);
 * operators < <= > >=. ONNXD_ERR_ARGUMENT. */
ONNXD_MUST_USE onnxd_status load_slo_parse(const char *text, struct load_objective *ret, uint32_t *ret_n,
                                           onnxd_error *err);

/* Fills `found` and `kept`; returns whether all are kept. A quantile with too few samples is not kept. */
bool load_slo_check(const struct load_result *result, struct load_objective *objectives, uint32_t n);

#endif
