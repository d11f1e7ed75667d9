/* Runs of elementwise operators and reductions become onnxd.Chain.
 *
 * A group grows along the nodes' order: a node joins when it reads a member's result, all its values share
 * the members' dimension 0 (the rows), and no node outside would have to run between two members. The group
 * runs where its last member stood. A lone reduction becomes a chain, too: its kernels are the fast ones. */
#include "optimize/passes.h"

#include <string.h>

#include "base/error.h"
#include "kernels/kernels.h"
#include "ops/chain.h"
#include "ops/row_dims.h"
#include "optimize/row_layout.h"

enum { MAX_MEMBERS = 32, MAX_OUTPUTS = 4, MAX_INPUTS = 64, MAX_WIDTH = 16384 };

struct member {
    uint32_t node; /* index */
    uint32_t result;
    enum chain_kind kind;
    int function;
    uint32_t a, b; /* values */
    int64_t width, outer, n, c;
    bool scalar;
    float alpha, beta;
};

struct group {
    struct member members[MAX_MEMBERS];
    uint32_t n;
    struct dim rows;
};

/* ---- which kernel -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum f32_unary function;
    float alpha, beta; /* defaults of the attributes */
} unary_ops[] = {
    {"Abs", F32_UNARY_abs, 0, 0},
    {"Neg", F32_UNARY_neg, 0, 0},
    {"Sqrt", F32_UNARY_sqrt, 0, 0},
    {"Reciprocal", F32_UNARY_reciprocal, 0, 0},
    {"Floor", F32_UNARY_floor, 0, 0},
    {"Ceil", F32_UNARY_ceil, 0, 0},
    {"Exp", F32_UNARY_exp, 0, 0},
    {"Log", F32_UNARY_log, 0, 0},
    {"Erf", F32_UNARY_erf, 0, 0},
    {"Tanh", F32_UNARY_tanh, 0, 0},
    {"Sigmoid", F32_UNARY_sigmoid, 0, 0},
    {"Relu", F32_UNARY_relu, 0, 0},
    {"LeakyRelu", F32_UNARY_leaky_relu, 0.01f, 0},
    {"Elu", F32_UNARY_elu, 1, 0},
    {"Softplus", F32_UNARY_softplus, 0, 0},
    {"Softsign", F32_UNARY_softsign, 0, 0},
    {"HardSigmoid", F32_UNARY_hard_sigmoid, 0.2f, 0.5f},
};

static const struct {
    const char *name;
    enum f32_binary function;
} binary_ops[] = {
    {"Add", F32_BINARY_add},
    {"Sub", F32_BINARY_sub},
    {"Mul", F32_BINARY_mul},
    {"Div", F32_BINARY_div},
};

static const struct {
    const char *name;
    enum f32_reduce function;
} reduce_ops[] = {
    {"ReduceSum", F32_REDUCE_sum},    {"ReduceMean", F32_REDUCE_mean},
    {"ReduceMax", F32_REDUCE_max},    {"ReduceMin", F32_REDUCE_min},
    {"ReduceL1", F32_REDUCE_sum_abs}, {"ReduceSumSquare", F32_REDUCE_sum_square},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- how the operands lie ------------------------------------------------------------------------ */

enum lie { LIES_FULL, LIES_COLUMN, LIES_LINE, LIES_SCALAR, LIES_OTHERWISE };

/* How a value is spread over the result's shape; *ret_c is the length of a line for COLUMN and LINE. */
static enum lie lie_of(const struct value_info *x, const struct value_info *out, int64_t *ret_c)
{
    *ret_c = row_width(out);
    if (x->constant != NULL) {
        int64_t n = onnxd_tensor_n_elements(x->constant), suffix = 1;
        if (n == 1) return LIES_SCALAR;
        for (int32_t i = 0; i < x->rank; i++) {
            int32_t at = out->rank - x->rank + i;
            int64_t size = x->dims[i].n;
            if (at < 1 || (suffix > 1 && size != out->dims[at].n)) return LIES_OTHERWISE;
            if (size == 1 && suffix == 1 && out->dims[at].n != 1) continue;
            if (size != out->dims[at].n) return LIES_OTHERWISE;
            suffix *= size;
        }
        *ret_c = suffix;
        return suffix == n ? LIES_LINE : LIES_OTHERWISE;
    }
    if (x->rank != out->rank) return LIES_OTHERWISE;
    int32_t i = 0;
    while (i < out->rank && dim_equal(x->dims[i], out->dims[i])) i++;
    if (i == out->rank) return LIES_FULL;
    int64_t c = 1;
    for (; i < out->rank; i++) {
        if (!dim_is_constant(x->dims[i]) || x->dims[i].n != 1) return LIES_OTHERWISE;
        c *= out->dims[i].n;
    }
    *ret_c = c;
    return LIES_COLUMN;
}

static bool describe_binary(const struct graph *graph, const struct node *node, struct member *m)
{
    const struct value_info *out = info_of(graph, m->result);
    int64_t ca, cb;
    m->a = node->in[0];
    m->b = node->in[1];
    enum lie a = lie_of(info_of(graph, m->a), out, &ca), b = lie_of(info_of(graph, m->b), out, &cb);
    if (a == LIES_OTHERWISE || b == LIES_OTHERWISE || (a != LIES_FULL && b != LIES_FULL)) return false;
    m->c = a == LIES_FULL ? cb : ca;
    m->scalar = a == LIES_SCALAR || b == LIES_SCALAR;
    if (a == LIES_FULL)
        m->kind = b == LIES_FULL ? CHAIN_VV : b == LIES_COLUMN ? CHAIN_VS : CHAIN_VC;
    else
        m->kind = a == LIES_COLUMN ? CHAIN_SV : CHAIN_CV;
    m->outer = m->width / m->c;
    return true;
}

/* The axes must be one run of dimensions behind the rows. */
static bool describe_reduce(const struct graph *graph, const struct node *node, struct member *m)
{
    const struct value_info *x = info_of(graph, node->in[0]);
    size_t n;
    const int64_t *axes = node_attribute_ints(node, "axes", &n);
    const onnxd_tensor *t = node->n_in > 1 && node->in[1] != GRAPH_NONE
                                ? info_of(graph, node->in[1])->constant
                                : NULL;
    bool reduced[ONNXD_MAX_RANK] = {false};
    if (axes == NULL && t != NULL && t->type == ONNXD_INT64) {
        axes = t->data;
        n = (size_t)onnxd_tensor_n_elements(t);
    }
    if (axes == NULL || n == 0) return false;
    for (size_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + x->rank : axes[i];
        if (axis < 1 || axis >= x->rank) return false;
        reduced[axis] = true;
    }
    int32_t first = 1, last;
    while (!reduced[first]) first++;
    for (last = first; last < x->rank && reduced[last]; last++) {
    }
    m->outer = m->n = m->c = 1;
    for (int32_t i = 1; i < x->rank; i++) {
        if (i >= last && reduced[i]) return false;
        if (i < first)
            m->outer *= x->dims[i].n;
        else if (i < last)
            m->n *= x->dims[i].n;
        else
            m->c *= x->dims[i].n;
    }
    m->a = m->b = node->in[0];
    m->kind = m->c == 1 ? CHAIN_REDUCE_INNER : CHAIN_REDUCE_OUTER;
    return true;
}

/* What the node would be as a member; false when it cannot be one. */
static bool describe(const struct graph *graph, uint32_t i, struct member *m)
{
    const struct node *node = graph->nodes[i];
    if (node->domain[0] != 0 || node->n_in == 0 || node->n_out != 1 || node->opset < 7) return false;
    *m = (struct member){.node = i, .result = node->out[0]};
    const struct value_info *out = info_of(graph, m->result);
    uint32_t width = row_width(out);
    if (out->type != ONNXD_FLOAT32 || out->rank < 1 || !dim_is_known(out->dims[0]) || width == 0 ||
        width > MAX_WIDTH)
        return false;
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (node->in[k] == GRAPH_NONE) return false;
        const struct value_info *in = info_of(graph, node->in[k]);
        if (in->constant != NULL) continue;
        if (in->type != ONNXD_FLOAT32 || in->rank < 1 || !dim_equal(in->dims[0], out->dims[0]) ||
            row_width(in) == 0 || row_width(in) > MAX_WIDTH)
            return false;
    }
    m->width = m->c = width;
    m->outer = m->n = 1;
    for (size_t k = 0; k < COUNT(unary_ops); k++)
        if (node_is(node, unary_ops[k].name)) {
            m->kind = CHAIN_UNARY;
            m->function = unary_ops[k].function;
            m->a = m->b = node->in[0];
            m->alpha = node_attribute_float(node, "alpha", unary_ops[k].alpha);
            m->beta = node_attribute_float(node, "beta", unary_ops[k].beta);
            return info_of(graph, node->in[0])->constant == NULL;
        }
    for (size_t k = 0; k < COUNT(binary_ops); k++)
        if (node_is(node, binary_ops[k].name)) {
            m->function = binary_ops[k].function;
            return describe_binary(graph, node, m);
        }
    for (size_t k = 0; k < COUNT(reduce_ops); k++)
        if (node_is(node, reduce_ops[k].name)) {
            m->function = reduce_ops[k].function;
            return info_of(graph, node->in[0])->constant == NULL && describe_reduce(graph, node, m);
        }
    return false;
}

/* ---- growing a group ----------------------------------------------------------------------------- */

static int member_of_node(const struct group *g, uint32_t node)
{
    for (uint32_t k = 0; k < g->n; k++)
        if (g->members[k].node == node) return (int)k;
    return -1;
}

static int member_of_value(const struct group *g, uint32_t value)
{
    for (uint32_t k = 0; k < g->n; k++)
        if (g->members[k].result == value) return (int)k;
    return -1;
}

/* Some node outside the group that stands before `until` reads a member's result. */
static bool is_read_before(const struct graph *graph, const struct group *g, uint32_t until)
{
    for (uint32_t i = g->members[0].node + 1; i < until; i++) {
        const struct node *node = graph->nodes[i];
        if (node->removed || member_of_node(g, i) >= 0) continue;
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++)
            if (node->in[k] != GRAPH_NONE && member_of_value(g, node->in[k]) >= 0) return true;
    }
    return false;
}

static void grow(const struct graph *graph, uint32_t i, struct group *g)
{
    for (uint32_t j = i + 1; j < graph->n_nodes && g->n < MAX_MEMBERS; j++) {
        struct member m;
        const struct node *node = graph->nodes[j];
        bool reads_member = false;
        if (node->removed) continue;
        for (uint32_t k = 0; k < node->n_in && !reads_member; k++)
            reads_member = node->in[k] != GRAPH_NONE && member_of_value(g, node->in[k]) >= 0;
        /* A node beside the group that reads what a member reads may join, too: it saves a pass. */
        bool same_input = node->n_in > 0 && node->in[0] == g->members[0].a;
        if (!reads_member && !same_input) continue;
        if (!describe(graph, j, &m) || !dim_equal(info_of(graph, m.result)->dims[0], g->rows)) continue;
        if (is_read_before(graph, g, j)) return;
        g->members[g->n++] = m;
    }
}

/* ---- writing the node ---------------------------------------------------------------------------- */

static bool leaves_group(const struct graph *graph, const struct group *g, uint32_t value)
{
    for (uint32_t j = 0; j < graph->n_outputs; j++)
        if (graph->outputs[j] == value) return true;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        if (node->removed || member_of_node(g, i) >= 0) continue;
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++)
            if (node->in[k] == value) return true;
    }
    return false;
}

struct writer {
    uint32_t inputs[MAX_INPUTS], n_inputs, n_rowed;
    uint32_t outputs[MAX_OUTPUTS], n_outputs;
    int64_t leaving[MAX_OUTPUTS];
    int64_t code[MAX_MEMBERS * CHAIN_FIELDS];
    float alphas[MAX_MEMBERS * 2];
};

static void add_input(struct writer *w, uint32_t value)
{
    for (uint32_t i = 0; i < w->n_inputs; i++)
        if (w->inputs[i] == value) return;
    w->inputs[w->n_inputs++] = value;
}

static int64_t operand_number(const struct writer *w, const struct group *g, uint32_t value)
{
    int member = member_of_value(g, value);
    if (member >= 0) return -1 - member;
    uint32_t i = 0;
    while (w->inputs[i] != value) i++;
    return i;
}

/* Values with rows first, then constants. False when there are too many outputs or no input with rows. */
static bool collect(const struct graph *graph, const struct group *g, struct writer *w)
{
    *w = (struct writer){0};
    for (int constants = 0; constants < 2; constants++) {
        for (uint32_t k = 0; k < g->n; k++)
            for (int side = 0; side < 2; side++) {
                uint32_t value = side == 0 ? g->members[k].a : g->members[k].b;
                bool constant = info_of(graph, value)->constant != NULL;
                if (member_of_value(g, value) < 0 && constant == (constants == 1)) add_input(w, value);
            }
        if (constants == 0) w->n_rowed = w->n_inputs;
    }
    for (uint32_t k = 0; k < g->n; k++) {
        const struct member *m = &g->members[k];
        int64_t *f = w->code + k * CHAIN_FIELDS;
        f[CHAIN_KIND] = m->kind, f[CHAIN_FUNCTION] = m->function;
        f[CHAIN_A] = operand_number(w, g, m->a), f[CHAIN_B] = operand_number(w, g, m->b);
        f[CHAIN_WIDTH] = m->width, f[CHAIN_OUTER] = m->outer, f[CHAIN_N] = m->n, f[CHAIN_C] = m->c;
        f[CHAIN_SCALAR] = m->scalar;
        w->alphas[2 * k] = m->alpha, w->alphas[2 * k + 1] = m->beta;
        if (!leaves_group(graph, g, m->result)) continue;
        if (w->n_outputs == MAX_OUTPUTS) return false;
        w->leaving[w->n_outputs] = k;
        w->outputs[w->n_outputs++] = m->result;
    }
    return w->n_rowed > 0 && w->n_outputs > 0;
}

static onnxd_status place_chain(struct pass *pass, const struct group *g, const struct writer *w)
{
    struct graph *graph = pass->graph;
    uint32_t last = g->members[g->n - 1].node;
    struct node *node = graph_add_node(graph, "onnxd", "Chain", graph->nodes[last]->name, w->n_inputs,
                                       w->n_outputs);
    if (node == NULL) return pass_no_room(pass);
    graph->n_nodes--;
    node->opset = 1;
    node->op = op_find("onnxd", "Chain", 1);
    memcpy(node->in, w->inputs, w->n_inputs * sizeof *node->in);
    memcpy(node->out, w->outputs, w->n_outputs * sizeof *node->out);
    bool ok = node_set_ints(graph, node, "code", w->code, g->n * CHAIN_FIELDS) &&
              node_set_floats(graph, node, "alphas", w->alphas, (size_t)g->n * 2) &&
              node_set_ints(graph, node, "outputs", w->leaving, w->n_outputs) &&
              node_set_int(graph, node, "n_rowed", w->n_rowed);
    for (uint32_t j = 0; j < w->n_outputs && ok; j++)
        ok = row_dims_set(graph, node, j, info_of(graph, w->outputs[j]));
    if (!ok) return pass_no_room(pass);
    for (uint32_t k = 0; k < g->n; k++) graph->nodes[g->members[k].node]->removed = true;
    graph->nodes[last] = node;
    pass->n_changes++;
    return ONNXD_OK;
}

onnxd_status pass_fuse_chain(struct pass *pass)
{
    struct graph *graph = pass->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct group g = {.n = 1};
        struct writer w;
        if (graph->nodes[i]->removed || !describe(graph, i, &g.members[0])) continue;
        g.rows = info_of(graph, g.members[0].result)->dims[0];
        grow(graph, i, &g);
        bool reduces = g.members[0].kind == CHAIN_REDUCE_INNER || g.members[0].kind == CHAIN_REDUCE_OUTER;
        if ((g.n == 1 && !reduces) || !collect(graph, &g, &w)) continue;
        onnxd_status status = place_chain(pass, &g, &w);
        if (status != ONNXD_OK) return status;
    }
    graph_compact(graph);
    return ONNXD_OK;
}
