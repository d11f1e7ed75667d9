/* ops/op.h - the contract between an operator and the engine.
 *
 * An operator family is one file with a table of op_def, listed in ops/op_families.h. For each node the
 * engine calls
 *   check    once at load: attributes present and of the right kind and range, which optional inputs
 *            exist. Everything wrong with the node itself is said here, naming node and attribute.
 *            (Counts of inputs and outputs are checked by the engine beforehand from the op_def.)
 *   shapes   whenever input shapes become known, symbolically or exactly: fills the outputs' value_info.
 *            Every violation of the operator's type and shape rules is said here (a type may still be
 *            ONNXD_UNDEFINED: unknown). May leave dimensions unknown.
 *   pack     optional, once per model, after optimisation: turns constant inputs into node->packed.
 *   prepare  optional, once per program, all shapes exact: chooses the function to run, reserves
 *            workspace, precomputes strides and index tables into plan->state.
 *   run      computes the outputs. Never allocates, except through op_allocate_output and op_allocate,
 *            which only operators with OP_DYNAMIC may use.
 *
 * The same functions serve constant folding, planned programs, subgraph bodies and dynamic shapes:
 * an operator does not know which.
 *
 * Errors:  messages name the node by op_error() and the input or attribute at fault.
 * Threads: op tables and node->packed are read by many threads; a plan and a run belong to one. */
#ifndef OPS_OP_H
#define OPS_OP_H

#include "base/arena.h"
#include "graph/graph.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

/* ---- shapes -------------------------------------------------------------------------------------- */

struct op_shapes {
    const struct node *node;
    const struct value_info *const *in; /* [n_in]; NULL where an optional input is left out */
    uint32_t n_in;
    struct value_info *out; /* [n_out], all unknown on entry */
    uint32_t n_out;
    struct graph *graph; /* for graph_add_symbol of new sizes; NULL when all inputs are exact */
    struct arena *arena; /* for contents */
};

/* Elements of a constant or symbolic integer input (int64 or int32, rank 0 or 1). Returns true when
 * every element is known at least symbolically; *ret_values then points to *ret_n dims. */
bool shapes_contents(struct op_shapes *s, uint32_t in, const struct dim **ret_values, uint32_t *ret_n);

/* The same, all elements constant: at most `max` into values. False when any is not known. */
bool shapes_ints(struct op_shapes *s, uint32_t in, int64_t *values, uint32_t max, uint32_t *ret_n);

/* in present, and its rank known. */
static inline bool shapes_has(const struct op_shapes *s, uint32_t in)
{
    return in < s->n_in && s->in[in] != NULL;
}
static inline bool shapes_known(const struct op_shapes *s, uint32_t in)
{
    return shapes_has(s, in) && s->in[in]->rank >= 0;
}

void shapes_set_type(struct op_shapes *s, uint32_t out, onnxd_type type);
/* Type and shape of `out` from input `in`. */
void shapes_copy(struct op_shapes *s, uint32_t out, uint32_t in);
void shapes_set(struct op_shapes *s, uint32_t out, onnxd_type type, int32_t rank, const struct dim *dims);
/* Numpy broadcast of two infos into dims; ONNXD_ERR_SHAPE when constant dimensions clash or the rank is
 * too high. *ret_rank is -1 when an input's rank is unknown. */
ONNXD_MUST_USE onnxd_status shapes_broadcast(struct op_shapes *s, const struct value_info *a,
                                             const struct value_info *b, struct dim *ret_dims,
                                             int32_t *ret_rank, onnxd_error *err);

/* Symbolic contents of an output: a fresh array of n dims to fill, or NULL (then simply leave them out).
 * For at most SHAPES_MAX_CONTENTS elements. Does nothing for constants: the engine folds those itself. */
#define SHAPES_MAX_CONTENTS 64
struct dim *shapes_set_contents(struct op_shapes *s, uint32_t out, uint32_t n);

/* ---- programs ------------------------------------------------------------------------------------ */

struct op_run;
typedef onnxd_status (*op_run_fn)(struct op_run *run, onnxd_error *err);

struct op_plan {
    const struct node *node;
    const onnxd_tensor *const
        *in; /* [n_in] exact type and dims; data set only where constant; NULL: left out */
    uint32_t n_in;
    const onnxd_tensor *const *out; /* [n_out] exact type and dims, data not yet; NULL: nobody reads it */
    uint32_t n_out;
    struct arena *arena;    /* for state; lives as long as the program */
    op_run_fn run;          /* set to op->run on entry; prepare may choose a special one */
    void *state;            /* for run */
    size_t workspace_bytes; /* scratch wanted during the run, 64-byte aligned */
    int32_t view_of;     /* output 0 is the same bytes as this input (Reshape, Identity): no step runs; -1 */
    int32_t in_place_of; /* output 0 may overwrite this input while reading it (elementwise); -1 */
};

struct op_env;

struct op_run {
    const struct node *node;
    const onnxd_tensor *const *in; /* [n_in + node->n_captured]; NULL: left out */
    uint32_t n_in;
    onnxd_tensor *const *out; /* [n_out] data to fill; NULL: nobody reads it */
    uint32_t n_out;
    void *state;
    void *workspace;
    struct op_env *env; /* for OP_DYNAMIC operators: allocation and bodies; others leave it alone */
};

/* What the engine offers to dynamic operators. */
struct op_env {
    struct arena *arena; /* results of this run; gone when the run ends */
    /* Runs a body of the node. in: the body's own inputs; captured values are taken from run->in.
     * out[n_out] become views that live in `arena` (which the caller may choose and reset). */
    onnxd_status (*run_body)(struct op_run *run, struct graph *body, const onnxd_tensor *const *in,
                             uint32_t n_in, onnxd_tensor *out, uint32_t n_out, struct arena *arena,
                             onnxd_error *err);
    uint32_t depth; /* of nested bodies */
};

/* Gives output `out` this type and shape and memory for it. OP_DYNAMIC operators only. */
ONNXD_MUST_USE onnxd_status op_allocate_output(struct op_run *run, uint32_t out, onnxd_type type,
                                               uint32_t rank, const int64_t *dims, onnxd_error *err);
/* Memory that lives as long as the run's results (characters of strings, items of sequences). NULL: limit. */
void *op_allocate(struct op_run *run, size_t n_bytes);

/* Copies a tensor with all it holds (strings, items) into an arena. */
ONNXD_MUST_USE onnxd_status op_copy_tensor(struct arena *arena, const onnxd_tensor *from,
                                           onnxd_tensor *ret_to, onnxd_error *err);

/* ---- definitions --------------------------------------------------------------------------------- */

enum {
    OP_DYNAMIC = 1, /* output shapes or contents need the run: never planned, allocates its outputs */
    OP_IMPURE = 2,  /* random: never folded */
    OP_STRINGS = 4, /* makes new strings when an output holds strings: such a node allocates characters
                       through op_allocate and is never planned */
    OP_BLANKS = 8   /* looks itself whether inputs are left out; else the first min_in are there, or all of
                       OP_ANY_NUMBER */
};

#define OP_ANY_NUMBER 255 /* of inputs or outputs */
#define OP_LATEST     INT64_MAX

struct op_def {
    const char *domain; /* "" for ai.onnx */
    const char *name;
    int64_t since, until; /* opset versions since <= v < until; OP_LATEST: no end */
    uint8_t min_in, max_in, min_out, max_out;
    uint32_t flags;
    onnxd_status (*check)(const struct node *node, onnxd_error *err); /* may be NULL */
    onnxd_status (*shapes)(struct op_shapes *s, onnxd_error *err);    /* required */
    onnxd_status (*pack)(struct node *node, struct graph *graph, struct arena *arena,
                         onnxd_error *err);                          /* may be NULL */
    onnxd_status (*prepare)(struct op_plan *plan, onnxd_error *err); /* may be NULL */
    op_run_fn run;                                                   /* required unless prepare sets it */
};

/* The operator, or NULL: not known at this version. */
const struct op_def *op_find(const char *domain, const char *name, int64_t opset);

/* Walks all definitions: i from 0 until NULL. */
const struct op_def *op_at(uint32_t i);

/* error_set with "node 'NAME' (Op): " in front. */
__attribute__((format(printf, 4, 5))) onnxd_status op_error(onnxd_error *err, const struct node *node,
                                                            onnxd_status status, const char *format, ...);

#endif
