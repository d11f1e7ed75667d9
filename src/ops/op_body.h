/* ops/op_body.h - what operators with bodies (Loop, Scan, SequenceMap) share.
 *
 * Ownership: structures live in the run's arena; body_arena is freed by body_arena_done.
 * Threads:   one run at a time. */
#ifndef OPS_OP_BODY_H
#define OPS_OP_BODY_H

#include "ops/op.h"

/* The body has this many inputs and outputs. ONNXD_ERR_MODEL names the attribute. */
ONNXD_MUST_USE onnxd_status body_check(const struct node *node, const char *attribute, uint32_t n_in,
                                       uint32_t n_out, onnxd_error *err);

/* Output `out` has the types that the body's output has; its shape is left to the run. */
void body_shapes(struct op_shapes *s, uint32_t out, const struct graph *body, uint32_t body_output);

/* An arena for the results of one iteration, within what the run's own arena may still take. */
void body_arena_init(struct arena *arena, const struct op_run *run);

/* Equal tensors laid one after another along a new axis of the output, in any order. */
struct body_stack {
    onnxd_tensor tensor; /* the whole; data NULL until the first one is put */
    uint32_t axis;
    int64_t n; /* size along the axis */
};

/* Puts `slice` at position `at`; the first one decides type and shape, and memory for n slices is taken
 * from the run's arena. ONNXD_ERR_SHAPE, ONNXD_ERR_TYPE when a later one differs; ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status body_stack_put(struct op_run *run, struct body_stack *stack, int64_t at,
                                           const onnxd_tensor *slice, onnxd_error *err);

/* No slice will come: an empty tensor of the type and shape that the body declares. */
ONNXD_MUST_USE onnxd_status body_stack_empty(struct op_run *run, struct body_stack *stack,
                                             const struct value_info *info, onnxd_error *err);

/* Doubles the room for slices; axis 0 only. */
ONNXD_MUST_USE onnxd_status body_stack_grow(struct op_run *run, struct body_stack *stack, onnxd_error *err);

/* A boolean or integer input of one element. */
bool body_scalar_bool(const onnxd_tensor *tensor);

#endif
