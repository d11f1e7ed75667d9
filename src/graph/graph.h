/* graph/graph.h - the intermediate form of a model: values, nodes, attributes.
 *
 * A graph is a list of nodes in an order in which they can run. Nodes name the values they read and
 * write by index. What is known about a value before a run stands in its value_info: type, shape with
 * symbolic dimensions, and contents when they are constant or are small integers derived from shapes.
 *
 * Subgraphs (bodies of If, Loop, Scan) are graphs of their own. A body is closed: what it reads from an
 * enclosing graph is listed in `captures`, and stands behind the node's own inputs in the outer graph.
 *
 * Ownership: everything lies in the graph's arena, which belongs to the model; nothing is freed alone.
 * Threads:   built by one thread, then read by any. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

#define GRAPH_NONE UINT32_MAX /* no value: an optional input or output left out */

/* ---- dimensions ---------------------------------------------------------------------------------- */

#define DIM_CONSTANT 0u         /* dim.symbol of a known size */
#define DIM_UNKNOWN  UINT32_MAX /* dim.symbol of a size nothing is known about */

/* A dimension: exactly n, or n times the size that a symbol stands for, or unknown. Symbols are numbered
 * from 1 per model; equal symbols are equal sizes in one run. */
struct dim {
    int64_t n;
    uint32_t symbol;
};

static inline struct dim dim_constant(int64_t n)
{
    return (struct dim){n, DIM_CONSTANT};
}
static inline struct dim dim_unknown(void)
{
    return (struct dim){-1, DIM_UNKNOWN};
}
static inline bool dim_is_constant(struct dim d)
{
    return d.symbol == DIM_CONSTANT;
}
static inline bool dim_is_known(struct dim d)
{
    return d.symbol != DIM_UNKNOWN;
}
/* Certainly equal; two unknown dimensions are not. */
static inline bool dim_equal(struct dim a, struct dim b)
{
    return dim_is_known(a) && a.symbol == b.symbol && a.n == b.n;
}
/* Product; unknown when it would hold two symbols or overflow. */
struct dim dim_mul(struct dim a, struct dim b);
/* Exact quotient; unknown when it is not known to be whole. */
struct dim dim_div(struct dim a, struct dim b);
struct dim dim_add(struct dim a, struct dim b);

/* What is known about a value before a run. */
struct value_info {
    onnxd_type type;      /* ONNXD_UNDEFINED: unknown; the item type for containers is in item_type */
    onnxd_type item_type; /* of a sequence's or optional's elements, when known */
    int32_t rank;         /* -1: unknown */
    struct dim dims[ONNXD_MAX_RANK];
    const onnxd_tensor *constant; /* contents, when they are the same in every run */
    const struct dim
        *contents;       /* [n_contents] of an integer or bool value of rank 0 or 1 whose elements follow */
    uint32_t n_contents; /* from shapes; NULL when not tracked. Set beside constant where both apply */
};

/* {0} is a value of which the rank is known to be 0: start from this instead. */
static inline struct value_info value_info_unknown(void)
{
    return (struct value_info){.rank = -1};
}

/* Exactly this tensor's type and shape (and, if `constant`, contents; the tensor must outlive the info). */
struct value_info value_info_of_tensor(const onnxd_tensor *tensor, bool constant);

/* All dimensions known and constant: copies them and returns true. */
bool value_info_static_dims(const struct value_info *info, int64_t *ret_dims);

/* The constant tensor that integer contents make when all of them are constant; NULL otherwise. */
const onnxd_tensor *value_info_constant(const struct value_info *info, struct arena *arena);

/* Elements as a dim (a product of dims); unknown when rank or a factor is. */
struct dim value_info_n_elements(const struct value_info *info);

/* ---- attributes ---------------------------------------------------------------------------------- */

enum attribute_kind {
    ATTRIBUTE_FLOAT,
    ATTRIBUTE_INT,
    ATTRIBUTE_STRING,
    ATTRIBUTE_TENSOR,
    ATTRIBUTE_GRAPH,
    ATTRIBUTE_FLOATS,
    ATTRIBUTE_INTS,
    ATTRIBUTE_STRINGS,
    ATTRIBUTE_TYPE /* a TypeProto: kept as value_info */
};

struct graph;

struct attribute {
    const char *name;
    enum attribute_kind kind;
    size_t n; /* elements of a list */
    union {
        float f;
        int64_t i;
        onnxd_string s;
        const onnxd_tensor *tensor;
        struct graph *graph;
        const float *floats;
        const int64_t *ints;
        const onnxd_string *strings;
        const struct value_info *type;
    };
};

/* ---- nodes and graphs ---------------------------------------------------------------------------- */

struct op_def; /* ops/op.h: what the node's operator is and does */

struct node {
    const char *name;   /* never NULL; made up from the operator when the file has none */
    const char *domain; /* "" for ai.onnx */
    const char *op_type;
    int64_t opset; /* version of the domain that is in force for this node */
    uint32_t *in;  /* [n_in + n_captured] value indices; captured values behind the inputs */
    uint32_t n_in;
    uint32_t n_captured; /* values that the node's bodies read from this graph, each once */
    uint32_t *out;       /* [n_out] */
    uint32_t n_out;
    struct attribute *attributes;
    uint32_t n_attributes;
    const struct op_def *op; /* set when the graph is bound to the operator table */
    void *packed;            /* what op->pack made of constant inputs, or NULL */
    bool removed;            /* dropped by a pass; gone after graph_compact */
};

struct value {
    const char *name; /* unique in its graph, never NULL */
    struct value_info info;
    uint32_t producer; /* index of the node that writes it, or GRAPH_NONE (input, constant, captured) */
    uint32_t n_uses;   /* readers among nodes and graph outputs; kept by graph_count_uses */
};

/* A body's captured value: `outer` is its position in the owning node's `in`, n_in and beyond. */
struct capture {
    uint32_t outer;
    uint32_t inner; /* value in the body */
};

struct graph {
    struct arena *arena;
    const char *name;
    struct value *values;
    uint32_t n_values, values_capacity;
    struct node **nodes; /* in topological order */
    uint32_t n_nodes, nodes_capacity;
    uint32_t *inputs; /* without initializers, except those a caller may override */
    uint32_t n_inputs;
    uint32_t *outputs;
    uint32_t n_outputs;
    struct capture *captures; /* bodies only */
    uint32_t n_captures;
    const char **symbols; /* names of symbols, [n_symbols]; entry 0 unused; shared by bodies of a model */
    uint32_t n_symbols, symbols_capacity;
};

/* NULL past the arena's limit. */
struct graph *graph_create(struct arena *arena);

/* Adds a value with this name (copied; NULL makes one up). GRAPH_NONE past the arena's limit. */
uint32_t graph_add_value(struct graph *graph, const char *name, const struct value_info *info);

/* Adds a constant value; tensor must live as long as the graph. */
uint32_t graph_add_constant(struct graph *graph, const char *name, const onnxd_tensor *tensor);

/* Appends a node with n_in inputs and n_out outputs (indices to be filled by the caller). NULL: no memory. */
struct node *graph_add_node(struct graph *graph, const char *domain, const char *op_type, const char *name,
                            uint32_t n_in, uint32_t n_out);

/* Inserts a new node before node number `at`. */
struct node *graph_insert_node(struct graph *graph, uint32_t at, const char *domain, const char *op_type,
                               const char *name, uint32_t n_in, uint32_t n_out);

/* A fresh symbol (name may be NULL), or DIM_UNKNOWN past the limit. */
uint32_t graph_add_symbol(struct graph *graph, const char *name);

/* Recomputes producer and n_uses of every value. */
void graph_count_uses(struct graph *graph);

/* Makes every reader of `from` (nodes, outputs) read `to`. */
void graph_replace_uses(struct graph *graph, uint32_t from, uint32_t to);

/* Drops removed nodes, then nodes none of whose outputs are read, until nothing changes. */
void graph_compact(struct graph *graph);

/* Orders nodes so that each runs after those it reads from. ONNXD_ERR_MODEL names a node on a cycle. */
ONNXD_MUST_USE onnxd_status graph_sort(struct graph *graph, onnxd_error *err);

/* Attribute look-ups. The typed forms return the default when the attribute is absent; op->check has made
 * sure that a present one has the right kind, and they return the default if it has another. */
const struct attribute *node_attribute(const struct node *node, const char *name);
int64_t node_attribute_int(const struct node *node, const char *name, int64_t otherwise);
float node_attribute_float(const struct node *node, const char *name, float otherwise);
/* NULL and *ret_n = 0 when absent. */
const int64_t *node_attribute_ints(const struct node *node, const char *name, size_t *ret_n);
const float *node_attribute_floats(const struct node *node, const char *name, size_t *ret_n);
const onnxd_string *node_attribute_strings(const struct node *node, const char *name, size_t *ret_n);
/* True when the string attribute is present and equals text. */
bool node_attribute_is(const struct node *node, const char *name, const char *text);
const onnxd_tensor *node_attribute_tensor(const struct node *node, const char *name);
struct graph *node_attribute_graph(const struct node *node, const char *name);

/* Adds or replaces an attribute (optimiser passes); false: no memory. */
bool node_set_int(struct graph *graph, struct node *node, const char *name, int64_t value);
bool node_set_float(struct graph *graph, struct node *node, const char *name, float value);
bool node_set_floats(struct graph *graph, struct node *node, const char *name, const float *values, size_t n);
bool node_set_ints(struct graph *graph, struct node *node, const char *name, const int64_t *values, size_t n);

#endif
