#include "ops/tree_ensemble.h"

#include <string.h>

#include "ops/elements.h"
#include "base/lookup.h"
#include "ops/op.h"
#include "tensor/dtype.h"

enum { MAX_NODES = 1 << 28, MAX_ID = INT32_MAX };

/* The lists of the attributes, each [n] but for the weights. */
struct source {
    const int64_t *tree_ids, *node_ids, *features, *true_ids, *false_ids, *missing;
    const onnxd_string *modes;
    const double *values;
    size_t n;
    const int64_t *weight_trees, *weight_nodes, *weight_ids; /* [n_weights] */
    const double *weights;
    size_t n_weights;
    bool values_f64, weights_f64;
};

struct build {
    const struct node *node;
    struct source s;
    struct tree_ensemble *e;
    struct arena scratch;
    int64_t *keys;          /* [n] tree number << 32 | node id */
    struct lookup *by_key;  /* place in the lists */
    struct lookup *by_tree; /* of tree ids */
    uint32_t *packed;       /* [n] where a listed node went, or UINT32_MAX */
    bool *is_child;         /* [n] */
};

const double *tree_float_list(const struct node *node, const char *name, struct arena *arena, size_t *ret_n,
                              bool *ret_f64)
{
    char tensor_name[64];
    size_t length = strlen(name);
    memcpy(tensor_name, name, length);
    memcpy(tensor_name + length, "_as_tensor", sizeof "_as_tensor");
    const onnxd_tensor *tensor = node_attribute_tensor(node, tensor_name);
    *ret_f64 = false;
    if (tensor != NULL && (tensor->type == ONNXD_FLOAT32 || tensor->type == ONNXD_FLOAT64) &&
        onnxd_tensor_n_elements(tensor) > 0) {
        *ret_n = (size_t)onnxd_tensor_n_elements(tensor);
        *ret_f64 = tensor->type == ONNXD_FLOAT64;
        double *list = arena_alloc_array(arena, *ret_n, sizeof *list);
        if (list != NULL) elements_load(LANE_F64, tensor->type, tensor->data, 0, 1, (int64_t)*ret_n, list);
        return list;
    }
    const float *floats = node_attribute_floats(node, name, ret_n);
    if (floats == NULL) return NULL;
    double *list = arena_alloc_array(arena, *ret_n, sizeof *list);
    for (size_t i = 0; list != NULL && i < *ret_n; i++) list[i] = (double)floats[i];
    return list;
}

/* ---- reading the lists --------------------------------------------------------------------------- */

static onnxd_status no_room(const struct build *b, onnxd_error *err)
{
    return op_error(err, b->node, ONNXD_ERR_LIMIT, "no room for %zu tree nodes", b->s.n);
}

static onnxd_status list_of(const struct build *b, const char *prefix, const char *name, size_t n,
                            const int64_t **ret, onnxd_error *err)
{
    char full[64];
    size_t n_list, length = strlen(prefix);
    memcpy(full, prefix, length);
    memcpy(full + length, name, strlen(name) + 1);
    *ret = node_attribute_ints(b->node, full, &n_list);
    if (n_list == n && (n == 0 || *ret != NULL)) return ONNXD_OK;
    return op_error(err, b->node, ONNXD_ERR_MODEL, "attribute '%s' has %zu entries, expected %zu", full,
                    n_list, n);
}

static onnxd_status read_source(struct build *b, const char *leaf, onnxd_error *err)
{
    struct source *s = &b->s;
    size_t n_values, n_missing;
    char name[32];
    s->modes = node_attribute_strings(b->node, "nodes_modes", &s->n);
    if (s->n == 0 || s->n > MAX_NODES)
        return op_error(err, b->node, ONNXD_ERR_MODEL, "attribute 'nodes_modes' has %zu entries", s->n);
    onnxd_status status = list_of(b, "nodes_", "treeids", s->n, &s->tree_ids, err);
    if (status == ONNXD_OK) status = list_of(b, "nodes_", "nodeids", s->n, &s->node_ids, err);
    if (status == ONNXD_OK) status = list_of(b, "nodes_", "featureids", s->n, &s->features, err);
    if (status == ONNXD_OK) status = list_of(b, "nodes_", "truenodeids", s->n, &s->true_ids, err);
    if (status == ONNXD_OK) status = list_of(b, "nodes_", "falsenodeids", s->n, &s->false_ids, err);
    if (status != ONNXD_OK) return status;
    s->values = tree_float_list(b->node, "nodes_values", &b->scratch, &n_values, &s->values_f64);
    if (s->values == NULL || n_values != s->n)
        return op_error(err, b->node, ONNXD_ERR_MODEL,
                        "attribute 'nodes_values' has %zu entries, expected %zu", n_values, s->n);
    s->missing = node_attribute_ints(b->node, "nodes_missing_value_tracks_true", &n_missing);
    if (s->missing != NULL && n_missing != s->n) s->missing = NULL;
    memcpy(name, leaf, strlen(leaf));
    memcpy(name + strlen(leaf), "_weights", sizeof "_weights");
    s->weights = tree_float_list(b->node, name, &b->scratch, &s->n_weights, &s->weights_f64);
    if (s->n_weights > MAX_NODES || (s->n_weights > 0 && s->weights == NULL))
        return op_error(err, b->node, ONNXD_ERR_LIMIT, "no room for %zu weights", s->n_weights);
    name[strlen(leaf) + 1] = 0; /* "class_" */
    status = list_of(b, name, "treeids", s->n_weights, &s->weight_trees, err);
    if (status == ONNXD_OK) status = list_of(b, name, "nodeids", s->n_weights, &s->weight_nodes, err);
    if (status == ONNXD_OK) status = list_of(b, name, "ids", s->n_weights, &s->weight_ids, err);
    return status;
}

static enum tree_mode mode_of(onnxd_string text)
{
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
    for (int m = TREE_LEQ; m <= TREE_LEAF; m++)
        if (text.len == strlen(names[m]) && memcmp(text.data, names[m], text.len) == 0)
            return (enum tree_mode)m;
    return (enum tree_mode)(TREE_LEAF + 1);
}

static uint32_t find(const struct build *b, int64_t tree_id, int64_t node_id)
{
    uint32_t tree = lookup_int(b->by_tree, tree_id);
    if (tree == LOOKUP_NONE || node_id < 0 || node_id > MAX_ID) return LOOKUP_NONE;
    return lookup_int(b->by_key, (int64_t)((uint64_t)tree << 32 | (uint64_t)node_id));
}

static onnxd_status index_nodes(struct build *b, onnxd_error *err)
{
    const struct source *s = &b->s;
    b->keys = arena_alloc_array(&b->scratch, s->n, sizeof *b->keys);
    b->packed = arena_alloc_array(&b->scratch, s->n, sizeof *b->packed);
    b->is_child = arena_alloc_array(&b->scratch, s->n, sizeof *b->is_child);
    b->by_tree = lookup_of_ints(&b->scratch, s->tree_ids, s->n);
    if (b->keys == NULL || b->packed == NULL || b->is_child == NULL || b->by_tree == NULL)
        return no_room(b, err);
    for (size_t i = 0; i < s->n; i++) {
        if (s->node_ids[i] < 0 || s->node_ids[i] > MAX_ID)
            return op_error(err, b->node, ONNXD_ERR_MODEL, "node id %lld", (long long)s->node_ids[i]);
        b->keys[i] = (int64_t)((uint64_t)lookup_int(b->by_tree, s->tree_ids[i]) << 32 |
                               (uint64_t)s->node_ids[i]);
        b->packed[i] = UINT32_MAX;
    }
    b->by_key = lookup_of_ints(&b->scratch, b->keys, s->n);
    if (b->by_key == NULL) return no_room(b, err);
    for (size_t i = 0; i < s->n; i++) {
        if (lookup_int(b->by_key, b->keys[i]) != i)
            return op_error(err, b->node, ONNXD_ERR_MODEL, "node %lld of tree %lld is listed twice",
                            (long long)s->node_ids[i], (long long)s->tree_ids[i]);
        enum tree_mode mode = mode_of(s->modes[i]);
        if (mode > TREE_LEAF)
            return op_error(err, b->node, ONNXD_ERR_MODEL, "unknown mode '%.*s'", (int)s->modes[i].len,
                            s->modes[i].data);
        if (mode == TREE_LEAF) continue;
        uint32_t children[2] = {find(b, s->tree_ids[i], s->false_ids[i]),
                                find(b, s->tree_ids[i], s->true_ids[i])};
        for (int c = 0; c < 2; c++) {
            if (children[c] == LOOKUP_NONE || children[c] == i)
                return op_error(err, b->node, ONNXD_ERR_MODEL, "node %lld of tree %lld has no child %lld",
                                (long long)s->node_ids[i], (long long)s->tree_ids[i],
                                (long long)(c == 0 ? s->false_ids[i] : s->true_ids[i]));
            b->is_child[children[c]] = true;
        }
    }
    return ONNXD_OK;
}

/* ---- packing ------------------------------------------------------------------------------------- */

static onnxd_status pack_node(struct build *b, uint32_t listed, uint32_t at, onnxd_error *err)
{
    const struct source *s = &b->s;
    struct tree_ensemble *e = b->e;
    enum tree_mode mode = mode_of(s->modes[listed]);
    e->modes[at] = (uint8_t)mode;
    e->nodes[at] = (struct tree_node){.value = (float)s->values[listed], .child = {at, at}};
    if (e->values != NULL) e->values[at] = s->values[listed];
    if (mode == TREE_LEAF) return ONNXD_OK;
    int64_t feature = s->features[listed];
    if (feature < 0 || feature >= MAX_ID)
        return op_error(err, b->node, ONNXD_ERR_MODEL, "node %lld of tree %lld reads feature %lld",
                        (long long)s->node_ids[listed], (long long)s->tree_ids[listed], (long long)feature);
    e->nodes[at].feature = (uint32_t)feature;
    if (feature + 1 > (int64_t)e->n_features) e->n_features = (uint32_t)feature + 1;
    if (s->missing != NULL && s->missing[listed] == 1) {
        e->nodes[at].feature |= TREE_MISSING_TRUE;
        e->same_mode = false;
    }
    if (e->mode == TREE_LEAF) e->mode = mode;
    if (mode != e->mode) e->same_mode = false;
    return ONNXD_OK;
}

struct pending {
    uint32_t listed, parent; /* the node, and where in the packed list its parent is */
    int side;
};

/* Packs the tree below `root`. Every node has one parent: one that is met twice closes a cycle. */
static onnxd_status pack_tree(struct build *b, uint32_t root, struct pending *stack, onnxd_error *err)
{
    const struct source *s = &b->s;
    struct tree_ensemble *e = b->e;
    size_t n = 0;
    stack[n++] = (struct pending){root, UINT32_MAX, 0};
    while (n > 0) {
        struct pending next = stack[--n];
        uint32_t at = e->n_nodes;
        if (b->packed[next.listed] != UINT32_MAX)
            return op_error(err, b->node, ONNXD_ERR_MODEL, "node %lld of tree %lld has two parents",
                            (long long)s->node_ids[next.listed], (long long)s->tree_ids[next.listed]);
        b->packed[next.listed] = at;
        e->n_nodes++;
        onnxd_status status = pack_node(b, next.listed, at, err);
        if (status != ONNXD_OK) return status;
        if (next.parent != UINT32_MAX) e->nodes[next.parent].child[next.side] = at;
        if (e->modes[at] == TREE_LEAF) continue;
        int64_t tree = s->tree_ids[next.listed];
        stack[n++] = (struct pending){find(b, tree, s->false_ids[next.listed]), at, 0};
        stack[n++] = (struct pending){find(b, tree, s->true_ids[next.listed]), at, 1};
    }
    return ONNXD_OK;
}

static onnxd_status pack_trees(struct build *b, struct arena *arena, onnxd_error *err)
{
    const struct source *s = &b->s;
    struct tree_ensemble *e = b->e;
    e->nodes = arena_alloc_array(arena, s->n, sizeof *e->nodes);
    e->modes = arena_alloc_array(arena, s->n, sizeof *e->modes);
    e->roots = arena_alloc_array(arena, s->n, sizeof *e->roots);
    if (s->values_f64) e->values = arena_alloc_array(arena, s->n, sizeof *e->values);
    struct pending *stack = arena_alloc_array(&b->scratch, s->n + 2, sizeof *stack);
    bool *has_root = arena_alloc_array(&b->scratch, s->n, sizeof *has_root);
    if (e->nodes == NULL || e->modes == NULL || e->roots == NULL || stack == NULL || has_root == NULL ||
        (s->values_f64 && e->values == NULL))
        return no_room(b, err);
    e->mode = TREE_LEAF;
    e->same_mode = true;
    for (size_t i = 0; i < s->n; i++) {
        if (b->is_child[i]) continue;
        uint32_t tree = lookup_int(b->by_tree, s->tree_ids[i]);
        if (has_root[tree])
            return op_error(err, b->node, ONNXD_ERR_MODEL, "tree %lld has two roots",
                            (long long)s->tree_ids[i]);
        has_root[tree] = true;
        e->roots[e->n_trees++] = e->n_nodes;
        onnxd_status status = pack_tree(b, (uint32_t)i, stack, err);
        if (status != ONNXD_OK) return status;
    }
    if (e->n_nodes == s->n) return ONNXD_OK;
    return op_error(err, b->node, ONNXD_ERR_MODEL, "a tree has a cycle: %zu nodes cannot be reached",
                    s->n - e->n_nodes);
}

/* Weights sorted by node, in listed order within a node. */
static onnxd_status pack_weights(struct build *b, int64_t n_outputs, struct arena *arena, onnxd_error *err)
{
    const struct source *s = &b->s;
    struct tree_ensemble *e = b->e;
    e->first_weight = arena_alloc_array(arena, s->n + 2, sizeof *e->first_weight);
    e->weights = arena_alloc_array(arena, s->n_weights, sizeof *e->weights);
    if (s->weights_f64) e->weights_f64 = arena_alloc_array(arena, s->n_weights, sizeof *e->weights_f64);
    uint32_t *node_of = arena_alloc_array(&b->scratch, s->n_weights, sizeof *node_of);
    if (e->first_weight == NULL || e->weights == NULL || node_of == NULL ||
        (s->weights_f64 && e->weights_f64 == NULL))
        return no_room(b, err);
    e->n_weights = (uint32_t)s->n_weights;
    e->only_output = s->n_weights > 0 ? (uint32_t)s->weight_ids[0] : 0;
    uint32_t *ends = e->first_weight + 1; /* counts first, then each node's next free place, then its end */
    for (size_t i = 0; i < s->n_weights; i++) {
        uint32_t listed = find(b, s->weight_trees[i], s->weight_nodes[i]);
        if (listed == LOOKUP_NONE)
            return op_error(err, b->node, ONNXD_ERR_MODEL,
                            "a weight belongs to node %lld of tree %lld, which is absent",
                            (long long)s->weight_nodes[i], (long long)s->weight_trees[i]);
        if (s->weight_ids[i] < 0 || s->weight_ids[i] >= n_outputs)
            return op_error(err, b->node, ONNXD_ERR_MODEL, "a weight belongs to output %lld of %lld",
                            (long long)s->weight_ids[i], (long long)n_outputs);
        if (s->weight_ids[i] != s->weight_ids[0]) e->only_output = UINT32_MAX;
        if (s->weights[i] < 0) e->negative_weight = true;
        node_of[i] = b->packed[listed];
        ends[node_of[i] + 1]++;
    }
    for (uint32_t n = 0; n < e->n_nodes; n++) ends[n + 1] += ends[n];
    for (size_t i = 0; i < s->n_weights; i++) {
        uint32_t at = ends[node_of[i]]++;
        e->weights[at] = (struct tree_weight){(uint32_t)s->weight_ids[i], (float)s->weights[i]};
        if (e->weights_f64 != NULL) e->weights_f64[at] = s->weights[i];
    }
    return ONNXD_OK;
}

/* With one output a leaf needs no list: its sum stands in the node. */
static void fold_weights(struct tree_ensemble *e)
{
    e->one_output = e->only_output == 0 && e->weights_f64 == NULL;
    for (uint32_t n = 0; e->one_output && n < e->n_nodes; n++) {
        if (e->modes[n] != TREE_LEAF) continue;
        float sum = 0;
        for (uint32_t w = e->first_weight[n]; w < e->first_weight[n + 1]; w++) sum += e->weights[w].weight;
        e->nodes[n].value = sum;
    }
}

onnxd_status tree_ensemble_build(const struct node *node, const char *leaf, int64_t n_outputs,
                                 struct arena *arena, struct tree_ensemble **ret, onnxd_error *err)
{
    struct build b = {.node = node};
    size_t limit = arena->limit_bytes;
    arena_init(&b.scratch, limit);
    b.e = arena_alloc_zeroed(arena, sizeof *b.e);
    onnxd_status status = b.e == NULL ? no_room(&b, err) : read_source(&b, leaf, err);
    if (status == ONNXD_OK) status = index_nodes(&b, err);
    if (status == ONNXD_OK) status = pack_trees(&b, arena, err);
    if (status == ONNXD_OK) status = pack_weights(&b, n_outputs, arena, err);
    if (status == ONNXD_OK) {
        fold_weights(b.e);
        *ret = b.e;
    }
    arena_done(&b.scratch);
    return status;
}
