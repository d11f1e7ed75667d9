/* ops/unary.h - elementwise functions of one operand, one per lane.
 *
 * Threads: pure functions. */
#ifndef OPS_UNARY_H
#define OPS_UNARY_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "ops/elements.h"

/* out[i] = f(x[i]) for i < n. Operand, parameters and out have the lane's type (out is uint8 for those that
 * answer a question). params: [UNARY_PARAMS], in the order of unary_op.params. out may be x. */
enum { UNARY_PARAMS = 2 };
typedef void (*unary_fn)(const void *x, void *out, int64_t n, const void *params);

struct unary_op {
    const char *name;
    unary_fn fn[4];  /* by lane; NULL: not defined there */
    bool asks;       /* out is bool */
    bool in_f64;     /* integers are computed in double */
    uint32_t kernel; /* 1 + enum f32_unary of the CPU's own function for LANE_F32; 0: none */
    struct {
        const char *name; /* float attribute; NULL: none */
        float otherwise;
    } params[UNARY_PARAMS];
};

/* An operator with its parameters, ready to run in a lane. */
struct unary_call {
    enum lane lane;
    unary_fn fn;
    f32_unary_fn *kernel; /* goes before fn where set */
    union {
        float f32[UNARY_PARAMS];
        double f64[UNARY_PARAMS];
        int64_t i64[UNARY_PARAMS];
        uint64_t u64[UNARY_PARAMS];
    } params;
};

/* Parameters are the operator's defaults until unary_set_param. */
struct unary_call unary_call_of(const struct unary_op *op, enum lane lane);
/* LANE_F32 and LANE_F64 only. */
void unary_set_param(struct unary_call *call, uint32_t i, double value);

static inline void unary_run(const struct unary_call *call, const void *x, void *out, int64_t n)
{
    if (call->kernel != NULL)
        call->kernel(out, x, (size_t)n, call->params.f32[0], call->params.f32[1]);
    else
        call->fn(x, out, n, &call->params);
}

/* NULL: no such operator. approximate_tanh chooses Gelu's second form. */
const struct unary_op *unary_find(const char *name, bool approximate_tanh);

#endif
