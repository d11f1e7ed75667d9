/* graph/onnx_scope.h - names to values while a file is read.
 *
 * A scope is one graph, body or function call being read. A name is looked up in its own scope and then
 * in the enclosing ones; finding it further out makes the value a capture of every body in between.
 * Private to the reader. */
#ifndef GRAPH_ONNX_SCOPE_H
#define GRAPH_ONNX_SCOPE_H

#include <onnx/onnx.pb-c.h>

#include "base/map.h"
#include "graph/graph.h"

#define ONNX_LEFT_OUT (GRAPH_NONE - 1) /* a function's formal input for which the caller gives nothing */

struct onnx_reader {
    struct arena *arena;
    const char *folder; /* for external data, or NULL */
    const Onnx__ModelProto *model;
    struct graph *symbols; /* the main graph, which numbers the symbols of all */
    uint32_t n_nodes, body_depth, function_depth;
    onnxd_error *err;
};

struct onnx_scope {
    struct graph *graph;
    struct map names;              /* value index by name, or ONNX_LEFT_OUT */
    struct onnx_scope *outer;      /* the enclosing graph of a body, or NULL */
    struct node *owner;            /* the node whose body this is, or NULL */
    const Onnx__NodeProto *call;   /* the function call being written out, or NULL */
    struct onnx_scope *call_scope; /* where that call stands */
    bool is_function;              /* this scope is that call's own */
    const char *prefix;            /* of names inside a function call */
    Onnx__OperatorSetIdProto *const *opsets;
    size_t n_opsets;
};

/* A new value under this name; a second definition is ONNXD_ERR_MODEL. `info` may be NULL (unknown). */
ONNXD_MUST_USE onnxd_status onnx_scope_define(struct onnx_reader *r, struct onnx_scope *scope,
                                              const char *name, const struct value_info *info,
                                              uint32_t *ret_value);

/* Lets a function's formal name stand for a value of the caller (ONNX_LEFT_OUT: none). */
ONNXD_MUST_USE onnxd_status onnx_scope_alias(struct onnx_reader *r, struct onnx_scope *scope,
                                             const char *name, uint32_t value);

/* True when the name is already bound to a formal output of the function being written out. */
bool onnx_scope_takes_formal(struct onnx_scope *scope, const char *name);

/* The value of this name as seen from the scope's graph; GRAPH_NONE when there is none, ONNX_LEFT_OUT when
 * it is a formal input for which the caller gave nothing. */
ONNXD_MUST_USE onnxd_status onnx_scope_find(struct onnx_reader *r, struct onnx_scope *scope, const char *name,
                                            uint32_t *ret_value);

#endif
