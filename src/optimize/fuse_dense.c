/* MatMul, Gemm and two-term Einsum with constant float32 weights become onnxd.Dense, which then takes in
 * what follows it: added constants (bias), one added tensor of the same shape, and the activation. */
#include "optimize/passes.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "kernels/kernels.h"

/* What is gathered about one future Dense node. */
struct dense {
    uint32_t x, w, c;  /* values; c: added tensor or GRAPH_NONE */
    uint32_t out;      /* value it computes so far */
    uint32_t last;     /* index of the last node it replaces */
    uint32_t n_merged; /* of nodes */
    uint32_t merged[8];
    float *bias; /* [n] or NULL */
    int64_t n;
    bool transposed;
    enum f32_activation act;
    float alpha;
};

static const onnxd_tensor *constant_of(const struct graph *graph, uint32_t value)
{
    return value == GRAPH_NONE ? NULL : graph->values[value].info.constant;
}

static bool is_weight_matrix(const onnxd_tensor *w)
{
    return w != NULL && w->type == ONNXD_FLOAT32 && w->rank == 2 && w->dims[0] > 0 && w->dims[1] > 0;
}

/* ---- where it starts ----------------------------------------------------------------------------- */

static bool starts_as_matmul(const struct graph *graph, const struct node *node, struct dense *d)
{
    if (!node_is(node, "MatMul") || !is_weight_matrix(constant_of(graph, node->in[1]))) return false;
    if (graph->values[node->in[0]].info.rank < 2) return false;
    d->w = node->in[1];
    return true;
}

/* "..k,kn->..n": the first term's last letter is summed with the weights' first or second. */
static bool starts_as_einsum(const struct graph *graph, const struct node *node, struct dense *d)
{
    const struct attribute *a = node_attribute(node, "equation");
    if (!node_is(node, "Einsum") || node->n_in != 2 || a == NULL || a->kind != ATTRIBUTE_STRING) return false;
    if (!is_weight_matrix(constant_of(graph, node->in[1]))) return false;
    char text[64];
    size_t n = 0;
    for (size_t i = 0; i < a->s.len; i++) {
        if (a->s.data[i] == ' ') continue;
        if (n + 1 >= sizeof text) return false;
        text[n++] = a->s.data[i];
    }
    text[n] = 0;
    const char *comma = strchr(text, ','), *arrow = strstr(text, "->");
    if (comma == NULL || arrow == NULL || arrow - comma != 3 || comma - text < 2) return false;
    size_t lead = (size_t)(comma - text) - 1;
    char k = text[lead], w0 = comma[1], w1 = comma[2];
    const char *result = arrow + 2;
    d->transposed = w1 == k;
    char kept = d->transposed ? w0 : w1;
    if ((w0 != k && w1 != k) || w0 == w1 || strlen(result) != lead + 1) return false;
    if (strncmp(text, result, lead) != 0 || result[lead] != kept || memchr(text, kept, lead + 1) != NULL)
        return false;
    for (size_t i = 0; i < lead; i++)
        if (strchr(text + i + 1, text[i]) < comma && strchr(text + i + 1, text[i]) != NULL) return false;
    d->w = node->in[1];
    return true;
}

/* Weights times alpha, as a new constant. */
static uint32_t scaled_weights(struct graph *graph, uint32_t w, float alpha)
{
    const onnxd_tensor *from = constant_of(graph, w);
    onnxd_tensor *to = arena_memdup(graph->arena, from, sizeof *from);
    int64_t n = onnxd_tensor_n_elements(from);
    float *data = arena_alloc_array(graph->arena, (size_t)n, sizeof *data);
    if (to == NULL || data == NULL) return GRAPH_NONE;
    for (int64_t i = 0; i < n; i++) data[i] = ((const float *)from->data)[i] * alpha;
    to->data = data;
    return graph_add_constant(graph, NULL, to);
}

static bool add_bias(struct graph *graph, struct dense *d, const onnxd_tensor *b, float beta);

static bool starts_as_gemm(struct graph *graph, const struct node *node, struct dense *d)
{
    if (!node_is(node, "Gemm") || node_attribute_int(node, "transA", 0) != 0) return false;
    const onnxd_tensor *w = constant_of(graph, node->in[1]);
    if (!is_weight_matrix(w) || node->opset < 7) return false;
    d->transposed = node_attribute_int(node, "transB", 0) != 0;
    d->n = w->dims[d->transposed ? 0 : 1];
    float alpha = node_attribute_float(node, "alpha", 1), beta = node_attribute_float(node, "beta", 1);
    uint32_t c = node->n_in > 2 ? node->in[2] : GRAPH_NONE;
    if (c != GRAPH_NONE && !add_bias(graph, d, constant_of(graph, c), beta)) return false;
    d->w = alpha == 1 ? node->in[1] : scaled_weights(graph, node->in[1], alpha);
    return d->w != GRAPH_NONE;
}

static bool start_dense(struct graph *graph, uint32_t i, struct dense *d)
{
    const struct node *node = graph->nodes[i];
    *d = (struct dense){.c = GRAPH_NONE, .last = i, .n_merged = 1, .merged = {i}};
    if (node->n_in < 2 || node->in[0] == GRAPH_NONE || node->in[1] == GRAPH_NONE) return false;
    if (graph->values[node->in[0]].info.type != ONNXD_FLOAT32 || constant_of(graph, node->in[0]) != NULL)
        return false;
    if (!starts_as_matmul(graph, node, d) && !starts_as_einsum(graph, node, d) &&
        !starts_as_gemm(graph, node, d))
        return false;
    const onnxd_tensor *w = constant_of(graph, d->w);
    d->n = w->dims[d->transposed ? 0 : 1];
    d->x = node->in[0];
    d->out = node->out[0];
    return true;
}

/* [b, t, k] reshaped to [b*t, k], multiplied, and reshaped back to [b, t, n] is a product of [b, t, k]. */
static void drop_flattening(struct graph *graph, struct dense *d)
{
    uint32_t at;
    const struct node *before = producer_of(graph, d->x), *after = only_reader(graph, d->out, &at);
    if (!node_is(before, "Reshape") || !node_is(after, "Reshape") || after->in[0] != d->out) return;
    const struct value_info *x = &graph->values[before->in[0]].info, *flat = &graph->values[d->x].info;
    const struct value_info *y = &graph->values[after->out[0]].info;
    if (x->rank < 2 || y->rank != x->rank || !dim_equal(x->dims[x->rank - 1], flat->dims[flat->rank - 1]) ||
        !dim_equal(y->dims[y->rank - 1], dim_constant(d->n)))
        return;
    for (int32_t i = 0; i + 1 < x->rank; i++)
        if (!dim_equal(x->dims[i], y->dims[i])) return;
    d->x = before->in[0];
    d->out = after->out[0];
    d->last = at;
    d->merged[d->n_merged++] = at;
}

/* ---- what it takes in ---------------------------------------------------------------------------- */

/* A constant of shape [n], [1, .., n] or of one element becomes part of the bias. */
static bool add_bias(struct graph *graph, struct dense *d, const onnxd_tensor *b, float beta)
{
    if (b == NULL || b->type != ONNXD_FLOAT32) return false;
    int64_t elements = onnxd_tensor_n_elements(b);
    if (elements != 1 && (elements != d->n || b->rank == 0 || b->dims[b->rank - 1] != d->n)) return false;
    if (d->bias == NULL) d->bias = arena_alloc_array(graph->arena, (size_t)d->n, sizeof *d->bias);
    if (d->bias == NULL) return false;
    for (int64_t i = 0; i < d->n; i++) d->bias[i] += beta * ((const float *)b->data)[elements == 1 ? 0 : i];
    return true;
}

static bool take_add(struct graph *graph, struct dense *d, const struct node *node)
{
    if (!node_is(node, "Add") || node->opset < 7) return false;
    if (!same_shape(graph, d->out, node->out[0])) return false;
    uint32_t other = node->in[0] == d->out ? node->in[1] : node->in[0];
    if (other == d->out) return false;
    if (add_bias(graph, d, constant_of(graph, other), 1)) return true;
    if (d->c != GRAPH_NONE || constant_of(graph, other) != NULL || !same_shape(graph, other, d->out))
        return false;
    d->c = other;
    return true;
}

static bool take_activation(struct dense *d, const struct node *node)
{
    if (node_is(node, "Relu"))
        d->act = F32_ACT_RELU;
    else if (node_is(node, "Sigmoid"))
        d->act = F32_ACT_SIGMOID;
    else if (node_is(node, "Tanh"))
        d->act = F32_ACT_TANH;
    else if (node_is(node, "LeakyRelu"))
        d->act = F32_ACT_LEAKY_RELU;
    else
        return false;
    d->alpha = node_attribute_float(node, "alpha", 0.01f);
    return true;
}

static void take_followers(struct graph *graph, struct dense *d)
{
    uint32_t at;
    while (d->act == F32_ACT_NONE && d->n_merged < 8) {
        struct node *next = only_reader(graph, d->out, &at);
        if (next == NULL || next->out[0] == GRAPH_NONE) return;
        if (!take_add(graph, d, next) && !take_activation(d, next)) return;
        d->out = next->out[0];
        d->last = at;
        d->merged[d->n_merged++] = at;
    }
}

/* ---- the new node -------------------------------------------------------------------------------- */

static uint32_t bias_value(struct graph *graph, const struct dense *d)
{
    onnxd_tensor *tensor = arena_alloc_zeroed(graph->arena, sizeof *tensor);
    if (tensor == NULL) return GRAPH_NONE;
    *tensor = (onnxd_tensor){.type = ONNXD_FLOAT32, .rank = 1, .dims = {d->n}, .data = d->bias};
    return graph_add_constant(graph, NULL, tensor);
}

/* The value comes from a product that ends in a ReLU, seen through nodes that keep the elements. */
static bool comes_from_relu(const struct graph *graph, uint32_t value)
{
    const struct node *node = producer_of(graph, value);
    while (node_is(node, "Reshape") || node_is(node, "Flatten") || node_is(node, "Squeeze") ||
           node_is(node, "Unsqueeze"))
        node = producer_of(graph, node->in[0]);
    if (node_is(node, "Relu")) return true;
    return node != NULL && strcmp(node->domain, "onnxd") == 0 && strcmp(node->op_type, "Dense") == 0 &&
           node_attribute_int(node, "activation", 0) == F32_ACT_RELU;
}

static onnxd_status place_dense(struct pass *pass, const struct dense *d)
{
    struct graph *graph = pass->graph;
    const char *name = graph->nodes[d->merged[0]]->name;
    struct node *node = graph_add_node(graph, "onnxd", "Dense", name, 4, 1);
    if (node == NULL) return pass_no_room(pass);
    graph->n_nodes--; /* it goes where the last node it replaces stood */
    node->opset = 1;
    node->op = op_find("onnxd", "Dense", 1);
    node->in[0] = d->x;
    node->in[1] = d->w;
    node->in[3] = d->c;
    node->out[0] = d->out;
    if (d->bias != NULL) {
        node->in[2] = bias_value(graph, d);
        if (node->in[2] == GRAPH_NONE) return pass_no_room(pass);
    }
    if (!node_set_int(graph, node, "transposed", d->transposed) ||
        !node_set_int(graph, node, "activation", d->act) || !node_set_float(graph, node, "alpha", d->alpha) ||
        !node_set_int(graph, node, "after_relu", comes_from_relu(graph, d->x)))
        return pass_no_room(pass);
    for (uint32_t i = 0; i < d->n_merged; i++) graph->nodes[d->merged[i]]->removed = true;
    graph->nodes[d->last] = node;
    graph_count_uses(graph);
    pass->n_changes++;
    return ONNXD_OK;
}

onnxd_status pass_fuse_dense(struct pass *pass)
{
    struct graph *graph = pass->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct dense d;
        if (graph->nodes[i]->removed || graph->nodes[i]->domain[0] != 0 || !start_dense(graph, i, &d))
            continue;
        drop_flattening(graph, &d);
        take_followers(graph, &d);
        onnxd_status status = place_dense(pass, &d);
        if (status != ONNXD_OK) return status;
    }
    graph_compact(graph);
    return ONNXD_OK;
}
