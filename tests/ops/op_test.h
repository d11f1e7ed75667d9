/* ops/op_test.h - run one operator on tensors made by a test.
 *
 *     struct op_test t;
 *     op_test_start(&t, "Einsum", 13);
 *     op_test_string(&t, "equation", "ij,jk->ik");
 *     op_test_input(&t, ONNXD_FLOAT32, 2, (int64_t[]){2, 3}, a);
 *     op_test_input(&t, ONNXD_FLOAT32, 2, (int64_t[]){3, 4}, b);
 *     assert_ok(op_test_run(&t, 1, &err), err);
 *     const float *c = t.out[0].data;
 *     op_test_end(&t);
 *
 * Ownership: input data is borrowed; results live until op_test_end.
 * Threads:   one at a time. */
#ifndef TESTS_OPS_OP_TEST_H
#define TESTS_OPS_OP_TEST_H

#include "support/test.h"

#include <stdlib.h>

#include "base/arena.h"
#include "graph/graph.h"
#include "ops/op.h"
#include "ops/op_evaluate.h"

enum { OP_TEST_MAX = 8, OP_TEST_LIMIT_BYTES = 1 << 26 };

struct op_test {
    struct node node;
    struct attribute attributes[OP_TEST_MAX];
    uint32_t values[2 * OP_TEST_MAX];
    onnxd_tensor in[OP_TEST_MAX], out[OP_TEST_MAX];
    const onnxd_tensor *given[OP_TEST_MAX]; /* NULL: left out */
    struct arena arena;
    struct evaluator *evaluator;
};

static inline void op_test_start(struct op_test *t, const char *op_type, int64_t opset)
{
    memset(t, 0, sizeof *t);
    t->node = (struct node){.name = "n",
                            .domain = "",
                            .op_type = op_type,
                            .opset = opset,
                            .in = t->values,
                            .out = t->values + OP_TEST_MAX,
                            .attributes = t->attributes};
    for (uint32_t i = 0; i < 2 * OP_TEST_MAX; i++) t->values[i] = i;
    arena_init(&t->arena, OP_TEST_LIMIT_BYTES);
    t->evaluator = malloc(sizeof *t->evaluator);
    assert_non_null(t->evaluator);
    evaluator_init(t->evaluator, OP_TEST_LIMIT_BYTES);
}

static inline void op_test_end(struct op_test *t)
{
    evaluator_done(t->evaluator);
    free(t->evaluator);
    arena_done(&t->arena);
}

static inline struct attribute *op_test_attribute(struct op_test *t, const char *name,
                                                  enum attribute_kind kind)
{
    struct attribute *a = &t->attributes[t->node.n_attributes++];
    *a = (struct attribute){.name = name, .kind = kind};
    return a;
}

static inline void op_test_int(struct op_test *t, const char *name, int64_t value)
{
    op_test_attribute(t, name, ATTRIBUTE_INT)->i = value;
}

static inline void op_test_float(struct op_test *t, const char *name, float value)
{
    op_test_attribute(t, name, ATTRIBUTE_FLOAT)->f = value;
}

static inline void op_test_ints(struct op_test *t, const char *name, const int64_t *values, size_t n)
{
    struct attribute *a = op_test_attribute(t, name, ATTRIBUTE_INTS);
    a->ints = values;
    a->n = n;
}

static inline void op_test_string(struct op_test *t, const char *name, const char *text)
{
    op_test_attribute(t, name, ATTRIBUTE_STRING)->s = (onnxd_string){text, strlen(text)};
}

static inline void op_test_input(struct op_test *t, onnxd_type type, uint32_t rank, const int64_t *dims,
                                 void *data)
{
    onnxd_tensor *in = &t->in[t->node.n_in];
    *in = (onnxd_tensor){.type = type, .rank = rank, .data = data};
    if (rank > 0) memcpy(in->dims, dims, rank * sizeof *dims);
    t->given[t->node.n_in++] = in;
}

/* Checks the node as loading does, then runs it. */
static inline onnxd_status op_test_run(struct op_test *t, uint32_t n_out, onnxd_error *err)
{
    t->node.n_out = n_out;
    t->node.op = op_find("", t->node.op_type, t->node.opset);
    assert_non_null(t->node.op);
    onnxd_status status = t->node.op->check != NULL ? t->node.op->check(&t->node, err) : ONNXD_OK;
    return status == ONNXD_OK ? evaluate_node(t->evaluator, &t->node, t->given, t->out, &t->arena, err)
                              : status;
}

/* Fails unless every float is within the tolerance of its reference in double. */
static inline void op_test_expect(const onnxd_tensor *got, const double *want, int64_t n, double tolerance)
{
    assert_int_equal(got->type, ONNXD_FLOAT32);
    assert_int_equal(onnxd_tensor_n_elements(got), n);
    for (int64_t i = 0; i < n; i++) {
        double x = (double)((const float *)got->data)[i], d = x - want[i];
        if (!(d <= tolerance && d >= -tolerance))
            fail_msg("element %lld is %.9g, expected %.9g", (long long)i, x, want[i]);
    }
}

#endif
