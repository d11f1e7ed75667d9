/* Attention blocks become onnxd.MultiHead, and the projections that feed one become one product.
 *
 * Two spellings are known. Exporters of "split" code put the heads first:
 *     Concat0(Unsqueeze0(Split(x))) for q, k and v; Einsum or MatMul; Softmax; MatMul; Split0; Concat
 * and those of "reshape" code keep the batch first:
 *     Transpose(Reshape(x)) for q, k and v; MatMul; Softmax; MatMul; Transpose; Reshape
 * with a constant factor on the scores or not. A residual sum and ReLU behind the block are taken in. */
#include "optimize/passes.h"

#include <string.h>

#include "base/error.h"

enum { MAX_HEADS = 64 };

struct part { /* q, k, v or the residual: rows of `value` from `column` on */
    uint32_t value;
    uint32_t column;
};

struct block {
    struct part q, k, v, r; /* r.value may be GRAPH_NONE */
    uint32_t n_heads, size;
    float scale;
    bool relu;
    uint32_t out;     /* the value it computes */
    uint32_t leading; /* dimensions of 1 in front of it */
    uint32_t last;    /* index of the node that computes it so far */
};

static bool dim_is(struct dim d, int64_t n)
{
    return dim_is_constant(d) && d.n == n;
}

static bool axis_is(const struct graph *graph, const struct node *node, int64_t otherwise, int64_t want)
{
    int64_t axis = node_attribute_int(node, "axis", otherwise);
    int32_t rank = info_of(graph, node->in[0])->rank;
    return rank >= 0 && (axis < 0 ? axis + rank : axis) == (want < 0 ? want + rank : want);
}

/* ---- heads in front ------------------------------------------------------------------------------ */

/* Concat, axis 0, of Unsqueeze, axis 0, of every output of a Split along the last axis, in order. */
static bool splits_heads(const struct graph *graph, uint32_t value, uint32_t *ret_source, uint32_t *ret_heads,
                         uint32_t *ret_size)
{
    const struct node *concat = producer_of(graph, value), *split = NULL;
    if (!node_is(concat, "Concat") || node_attribute_int(concat, "axis", 1) != 0 || concat->n_in > MAX_HEADS)
        return false;
    for (uint32_t i = 0; i < concat->n_in; i++) {
        const struct node *unsqueeze = producer_of(graph, concat->in[i]);
        if (!node_is(unsqueeze, "Unsqueeze") || !dim_is(info_of(graph, concat->in[i])->dims[0], 1) ||
            info_of(graph, concat->in[i])->rank != info_of(graph, unsqueeze->in[0])->rank + 1)
            return false;
        const struct node *from = producer_of(graph, unsqueeze->in[0]);
        if (!node_is(from, "Split") || (split != NULL && from != split) || from->n_out != concat->n_in ||
            from->out[i] != unsqueeze->in[0])
            return false;
        split = from;
    }
    if (split == NULL || !axis_is(graph, split, 0, -1)) return false;
    const struct value_info *x = info_of(graph, split->in[0]), *first = info_of(graph, split->out[0]);
    struct dim size = first->dims[first->rank - 1];
    if (x->rank < 2 || !dim_is_constant(size) || !dim_is(x->dims[x->rank - 1], size.n * concat->n_in))
        return false;
    *ret_source = split->in[0];
    *ret_heads = concat->n_in;
    *ret_size = (uint32_t)size.n;
    return true;
}

/* Split, axis 0, into single heads, joined again along the last axis. */
static bool joins_heads(const struct graph *graph, struct block *b)
{
    uint32_t at;
    const struct node *split = only_reader(graph, b->out, &at), *concat = NULL;
    if (!node_is(split, "Split") || !axis_is(graph, split, 0, 0) || split->n_out != b->n_heads) return false;
    for (uint32_t i = 0; i < split->n_out; i++) {
        const struct node *reader = split->out[i] == GRAPH_NONE ? NULL
                                                                : only_reader(graph, split->out[i], &at);
        if (!node_is(reader, "Concat") || (concat != NULL && reader != concat) ||
            reader->n_in != b->n_heads || reader->in[i] != split->out[i])
            return false;
        concat = reader;
    }
    if (concat == NULL || !axis_is(graph, concat, 1, -1)) return false;
    b->out = concat->out[0];
    b->last = at;
    b->leading = 1;
    return true;
}

/* ---- batch in front ------------------------------------------------------------------------------ */

static bool permutes(const struct node *node, int64_t a, int64_t b, int64_t c, int64_t d)
{
    size_t n;
    const int64_t *perm = node_is(node, "Transpose") ? node_attribute_ints(node, "perm", &n) : NULL;
    return perm != NULL && n == 4 && perm[0] == a && perm[1] == b && perm[2] == c && perm[3] == d;
}

/* Transpose of Reshape [batch, t, heads * size] to [batch, t, heads, size]. */
static bool reshapes_heads(const struct graph *graph, uint32_t value, bool keys_last, uint32_t *ret_source,
                           uint32_t *ret_heads, uint32_t *ret_size)
{
    const struct node *transpose = producer_of(graph, value);
    if (transpose == NULL || !(keys_last ? permutes(transpose, 0, 2, 3, 1) : permutes(transpose, 0, 2, 1, 3)))
        return false;
    const struct node *reshape = producer_of(graph, transpose->in[0]);
    if (!node_is(reshape, "Reshape")) return false;
    const struct value_info *x = info_of(graph, reshape->in[0]), *y = info_of(graph, reshape->out[0]);
    if (x->rank != 3 || y->rank != 4 || !dim_equal(x->dims[0], y->dims[0]) ||
        !dim_equal(x->dims[1], y->dims[1]) || !dim_is_constant(y->dims[2]) || !dim_is_constant(y->dims[3]))
        return false;
    *ret_source = reshape->in[0];
    *ret_heads = (uint32_t)y->dims[2].n;
    *ret_size = (uint32_t)y->dims[3].n;
    return true;
}

static bool unreshapes_heads(const struct graph *graph, struct block *b)
{
    uint32_t at;
    const struct node *transpose = only_reader(graph, b->out, &at);
    if (transpose == NULL || !permutes(transpose, 0, 2, 1, 3)) return false;
    const struct node *reshape = only_reader(graph, transpose->out[0], &at);
    if (!node_is(reshape, "Reshape")) return false;
    const struct value_info *x = info_of(graph, reshape->in[0]), *y = info_of(graph, reshape->out[0]);
    if (y->rank != 3 || !dim_equal(x->dims[0], y->dims[0]) || !dim_equal(x->dims[1], y->dims[1]))
        return false;
    b->out = reshape->out[0];
    b->last = at;
    return true;
}

/* ---- scores -------------------------------------------------------------------------------------- */

static bool constant_number(const struct graph *graph, uint32_t value, float *ret)
{
    const onnxd_tensor *t = info_of(graph, value)->constant;
    if (t == NULL || t->type != ONNXD_FLOAT32 || onnxd_tensor_n_elements(t) != 1) return false;
    *ret = *(const float *)t->data;
    return true;
}

/* "bnik,bnjk->bnij", whatever the letters. */
static bool multiplies_rows(const struct node *node)
{
    const struct attribute *a = node_attribute(node, "equation");
    char t[32];
    size_t n = 0;
    if (!node_is(node, "Einsum") || node->n_in != 2 || a == NULL || a->kind != ATTRIBUTE_STRING) return false;
    for (size_t i = 0; i < a->s.len && n < sizeof t - 1; i++)
        if (a->s.data[i] != ' ') t[n++] = a->s.data[i];
    t[n] = 0;
    return n == 15 && t[4] == ',' && t[9] == '-' && t[10] == '>' && t[0] == t[5] && t[1] == t[6] &&
           t[3] == t[8] && memcmp(t, t + 11, 3) == 0 && t[14] == t[7] && t[2] != t[7] && t[2] != t[3] &&
           t[3] != t[7] && t[0] != t[1] && memchr(t + 2, t[0], 2) == NULL && memchr(t + 2, t[1], 2) == NULL &&
           t[7] != t[0] && t[7] != t[1];
}

/* From the softmax back to q and k: a constant factor, and the product. */
static const struct node *find_scores(const struct graph *graph, uint32_t value, float *ret_scale)
{
    const struct node *node = producer_of(graph, value);
    float number;
    *ret_scale = 1;
    if ((node_is(node, "Mul") || node_is(node, "Div")) && graph->values[value].n_uses == 1) {
        int side = constant_number(graph, node->in[1], &number) ? 0 : 1;
        if (side == 1 && (node_is(node, "Div") || !constant_number(graph, node->in[0], &number))) return NULL;
        *ret_scale = node_is(node, "Div") ? 1 / number : number;
        value = node->in[side];
        node = producer_of(graph, value);
    }
    return node != NULL && graph->values[value].n_uses == 1 ? node : NULL;
}

static bool same_heads(uint32_t h1, uint32_t s1, uint32_t h2, uint32_t s2)
{
    return h1 == h2 && s1 == s2;
}

static bool match_block(const struct graph *graph, uint32_t i, struct block *b)
{
    const struct node *context = graph->nodes[i];
    uint32_t kh, ks, vh, vs;
    *b = (struct block){.r = {GRAPH_NONE, 0}, .last = i, .out = context->out[0]};
    if (!node_is(context, "MatMul")) return false;
    const struct node *softmax = producer_of(graph, context->in[0]);
    if (!node_is(softmax, "Softmax") || graph->values[softmax->out[0]].n_uses != 1 ||
        info_of(graph, softmax->out[0])->rank != 4 ||
        info_of(graph, softmax->out[0])->type != ONNXD_FLOAT32 ||
        !axis_is(graph, softmax, softmax->opset < 13 ? 1 : -1, -1))
        return false;
    const struct node *scores = find_scores(graph, softmax->in[0], &b->scale);
    if (scores == NULL) return false;
    if (multiplies_rows(scores))
        return splits_heads(graph, scores->in[0], &b->q.value, &b->n_heads, &b->size) &&
               splits_heads(graph, scores->in[1], &b->k.value, &kh, &ks) &&
               same_heads(kh, ks, b->n_heads, b->size) &&
               splits_heads(graph, context->in[1], &b->v.value, &vh, &vs) &&
               same_heads(vh, vs, b->n_heads, b->size) && joins_heads(graph, b);
    return node_is(scores, "MatMul") &&
           reshapes_heads(graph, scores->in[0], false, &b->q.value, &b->n_heads, &b->size) &&
           reshapes_heads(graph, scores->in[1], true, &b->k.value, &kh, &ks) &&
           same_heads(kh, ks, b->n_heads, b->size) &&
           reshapes_heads(graph, context->in[1], false, &b->v.value, &vh, &vs) &&
           same_heads(vh, vs, b->n_heads, b->size) && unreshapes_heads(graph, b);
}

/* ---- what follows: Squeeze of the leading 1, a residual sum, ReLU --------------------------------- */

static void take_followers(const struct graph *graph, struct block *b)
{
    uint32_t at;
    const struct node *next = only_reader(graph, b->out, &at);
    if (b->leading == 1 && (node_is(next, "Squeeze") || node_is(next, "Reshape")) &&
        same_shape(graph, next->out[0], b->q.value)) {
        b->out = next->out[0];
        b->last = at;
        b->leading = 0;
        next = only_reader(graph, b->out, &at);
    }
    if (b->leading > 0) return;
    if (node_is(next, "Add") && next->opset >= 7 && same_shape(graph, next->out[0], b->out)) {
        uint32_t other = next->in[next->in[0] == b->out ? 1 : 0];
        if (other == b->out || !same_shape(graph, other, b->out)) return;
        b->r.value = other;
        b->out = next->out[0];
        b->last = at;
        next = only_reader(graph, b->out, &at);
    }
    if (node_is(next, "Relu")) {
        b->relu = true;
        b->out = next->out[0];
        b->last = at;
    }
}

/* ---- projections of one input become one product -------------------------------------------------- */

/* The Dense node without bias, sum or activation that computes the part for this block alone. */
static struct node *projection_of(const struct graph *graph, const struct part *part)
{
    struct node *node = part->value == GRAPH_NONE ? NULL : producer_of(graph, part->value);
    if (node == NULL || graph->values[part->value].n_uses > 1) return NULL;
    if (strcmp(node->domain, "onnxd") != 0 || strcmp(node->op_type, "Dense") != 0) return NULL;
    bool plain = node->in[2] == GRAPH_NONE && node->in[3] == GRAPH_NONE &&
                 node_attribute_int(node, "activation", 0) == 0;
    return plain ? node : NULL;
}

/* Columns of a projection's weights appended to [k][n_all] from column `at`. */
static void place_weights(float *all, size_t n_all, size_t at, const onnxd_tensor *w, bool transposed)
{
    size_t k = (size_t)w->dims[transposed ? 1 : 0], n = (size_t)w->dims[transposed ? 0 : 1];
    const float *from = w->data;
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < n; j++)
            all[p * n_all + at + j] = transposed ? from[j * k + p] : from[p * n + j];
}

static onnxd_status merge_projections(struct pass *pass, struct block *b)
{
    struct graph *graph = pass->graph;
    struct part *parts[4] = {&b->q, &b->k, &b->v, &b->r};
    struct node *dense[4], *first = projection_of(graph, &b->q);
    uint32_t n_parts = 0;
    int64_t n_all = 0, k = 0;
    if (first == NULL) return ONNXD_OK;
    for (uint32_t i = 0; i < 4; i++) {
        struct node *node = projection_of(graph, parts[i]);
        if (i == 3 && (node == NULL || node->in[0] != first->in[0]))
            break; /* the residual may be something else */
        if (node == NULL || node->in[0] != first->in[0]) return ONNXD_OK;
        for (uint32_t m = 0; m < i; m++)
            if (dense[m] == node) return ONNXD_OK;
        const onnxd_tensor *w = info_of(graph, node->in[1])->constant;
        bool transposed = node_attribute_int(node, "transposed", 0) != 0;
        k = w->dims[transposed ? 1 : 0];
        n_all += w->dims[transposed ? 0 : 1];
        dense[n_parts++] = node;
    }
    onnxd_tensor *w_all = arena_alloc_zeroed(graph->arena, sizeof *w_all);
    float *data = arena_alloc_array(graph->arena, (size_t)(k * n_all), sizeof *data);
    if (w_all == NULL || data == NULL) return pass_no_room(pass);
    *w_all = (onnxd_tensor){.type = ONNXD_FLOAT32, .rank = 2, .dims = {k, n_all}, .data = data};
    struct value_info info = *info_of(graph, b->q.value);
    info.dims[info.rank - 1] = dim_constant(n_all);
    uint32_t column = 0, weights = graph_add_constant(graph, NULL, w_all),
             product = graph_add_value(graph, NULL, &info);
    if (weights == GRAPH_NONE || product == GRAPH_NONE) return pass_no_room(pass);
    for (uint32_t i = 0; i < n_parts; i++) {
        const onnxd_tensor *w = info_of(graph, dense[i]->in[1])->constant;
        bool transposed = node_attribute_int(dense[i], "transposed", 0) != 0;
        place_weights(data, (size_t)n_all, column, w, transposed);
        *parts[i] = (struct part){product, column};
        column += (uint32_t)w->dims[transposed ? 0 : 1];
    }
    uint32_t at = 0;
    while (graph->nodes[at] != first) at++;
    struct node *node = graph_insert_node(graph, at, "onnxd", "Dense", first->name, 4, 1);
    if (node == NULL) return pass_no_room(pass);
    node->opset = 1;
    node->op = op_find("onnxd", "Dense", 1);
    node->in[0] = first->in[0];
    node->in[1] = weights;
    node->out[0] = product;
    b->last++;
    return ONNXD_OK;
}

/* ---- the new node -------------------------------------------------------------------------------- */

static onnxd_status place_block(struct pass *pass, struct block *b)
{
    struct graph *graph = pass->graph;
    struct node *node = graph_insert_node(graph, b->last, "onnxd", "MultiHead", graph->nodes[b->last]->name,
                                          4, 1);
    if (node == NULL) return pass_no_room(pass);
    node->opset = 1;
    node->op = op_find("onnxd", "MultiHead", 1);
    node->in[0] = b->q.value;
    node->in[1] = b->k.value;
    node->in[2] = b->v.value;
    node->in[3] = b->r.value;
    bool ok = node_set_int(graph, node, "heads", b->n_heads) && node_set_int(graph, node, "size", b->size) &&
              node_set_float(graph, node, "scale", b->scale) && node_set_int(graph, node, "relu", b->relu) &&
              node_set_int(graph, node, "leading", b->leading) &&
              node_set_int(graph, node, "q_column", b->q.column) &&
              node_set_int(graph, node, "k_column", b->k.column) &&
              node_set_int(graph, node, "v_column", b->v.column) &&
              node_set_int(graph, node, "r_column", b->r.column);
    struct node *old = graph->nodes[b->last + 1];
    old->out[0] = graph_add_value(graph, NULL, info_of(graph, b->out));
    node->out[0] = b->out;
    if (!ok || old->out[0] == GRAPH_NONE) return pass_no_room(pass);
    graph_compact(graph);
    pass->n_changes++;
    return ONNXD_OK;
}

onnxd_status pass_fuse_attention(struct pass *pass)
{
    struct graph *graph = pass->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct block b;
        if (graph->nodes[i]->removed || !match_block(graph, i, &b)) continue;
        take_followers(graph, &b);
        onnxd_status status = merge_projections(pass, &b);
        if (status == ONNXD_OK) status = place_block(pass, &b);
        if (status != ONNXD_OK) return status;
        i = 0; /* node numbers have changed */
    }
    return ONNXD_OK;
}
