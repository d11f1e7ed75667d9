/* support/operators_doc.h - docs/operators.md: every operator the engine knows and what its tests say.
 *
 * Threads: one at a time. */
#ifndef SUPPORT_OPERATORS_DOC_H
#define SUPPORT_OPERATORS_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include <onnx/onnx.pb-c.h>

#include "base/buf.h"

enum { OPERATORS_MAX = 1024 };

struct operator_tally {
    const char *domain, *name;
    uint32_t n_tests, n_passed;
    uint32_t types; /* bit per onnxd_type of the inputs of models that passed and hold this operator alone */
};

struct operators_tally {
    struct operator_tally operators[OPERATORS_MAX];
    uint32_t n;
};

/* Every operator of the engine's table, then those that only tests name. */
void operators_tally_init(struct operators_tally *tally);

/* Counts a test's result for each operator of its model, bodies included. */
void operators_tally_add(struct operators_tally *tally, const Onnx__ModelProto *model, bool passed);

/* The document. groups: lines for the table of groups. excluded: lines "NAME reason" of tests not expected.
 */
void operators_doc_write(const struct operators_tally *tally, const char *groups, const char *excluded,
                         struct buf *ret_text);

#endif
