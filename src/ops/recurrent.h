/* ops/recurrent.h - what RNN, GRU and LSTM share: their attributes, shapes, activations and the cell.
 *
 * Threads: pure functions on the caller's structures. */
#ifndef OPS_RECURRENT_H
#define OPS_RECURRENT_H

#include "ops/elements.h"
#include "ops/op.h"
#include "ops/unary.h"

enum recurrent { RECURRENT_RNN, RECURRENT_GRU, RECURRENT_LSTM };

enum { RECURRENT_MAX_ACTIVATIONS = 6 };

struct recurrent_shape {
    enum recurrent kind;
    enum lane lane; /* LANE_F32 or LANE_F64 */
    int64_t steps, batch, inputs, hidden;
    int64_t gates; /* 1, 3 or 4 blocks of `hidden` */
    int64_t directions;
    bool reverse;     /* of the first direction */
    bool batch_first; /* layout 1 */
    bool coupled;     /* LSTM: input_forget */
    bool linear_before_reset;
    double clip;                                              /* 0: none */
    struct unary_call activations[RECURRENT_MAX_ACTIVATIONS]; /* of the first direction, then the second */
};

enum recurrent recurrent_kind(const struct node *node);
int64_t recurrent_gates(enum recurrent kind);
int64_t recurrent_directions(const struct node *node);

/* Attributes: kinds, direction, activations. */
ONNXD_MUST_USE onnxd_status recurrent_check(const struct node *node, onnxd_error *err);
ONNXD_MUST_USE onnxd_status recurrent_infer(struct op_shapes *s, onnxd_error *err);

/* From exact X and R. */
void recurrent_plan(const struct node *node, const onnxd_tensor *x, const onnxd_tensor *r,
                    struct recurrent_shape *ret);

/* One row of the batch: gates [gates * hidden] before activation, state h and (LSTM) c [hidden], updated.
 * LSTM: extra is its peepholes [3 * hidden] (i, o, f) or NULL. GRU: extra is the product h * R of the hidden
 * gate, bias included where linear_before_reset; gates holds z and r after activation then. room: [hidden].
 */
void recurrent_cell(const struct recurrent_shape *s, const struct unary_call *a, void *gates, void *h,
                    void *c, const void *extra, void *room);

/* GRU: activates z and r of one row and, unless linear_before_reset, leaves r * h in room. */
void recurrent_reset(const struct recurrent_shape *s, const struct unary_call *a, void *gates, const void *h,
                     void *room);

#endif
