/* ops/unary.h - elementwise functions of one operand, one per lane.
 *
 * Threads: pure functions. */
#ifndef OPS_UNARY_H
#define OPS_UNARY_H

#include <stdbool.h>
#include <stdint.h>

/* out[i] = f(x[i]) for i < n. Operand, parameters and out have the lane's type (out is uint8 for those that
 * answer a question). params: [UNARY_PARAMS], in the order of unary_op.params. out may be x. */
enum { UNARY_PARAMS = 2 };
typedef void (*unary_fn)(const void *x, void *out, int64_t n, const void *params);

struct unary_op {
    const char *name;
    unary_fn fn[4]; /* by lane; NULL: not defined there */
    bool asks;      /* out is bool */
    bool in_f64;    /* integers are computed in double */
    struct {
        const char *name; /* float attribute; NULL: none */
        float otherwise;
    } params[UNARY_PARAMS];
};

/* NULL: no such operator. approximate_tanh chooses Gelu's second form. */
const struct unary_op *unary_find(const char *name, bool approximate_tanh);

#endif
