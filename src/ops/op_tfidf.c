/* TfIdfVectorizer: counts n-grams of a pool in rows of tokens.
 *
 * The pool becomes a tree at load: tokens are numbered, and a table leads from (node, token) to the node one
 * token further. A row is then walked once for each skip distance. As in ONNX Runtime, weights belong
 * to columns of the output.
 * Source: ONNX operator specification, ai.onnx, TfIdfVectorizer-9. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "base/lookup.h"

static const char *const modes[] = {"TF", "IDF", "TFIDF", NULL};
enum { MODE_TF, MODE_IDF, MODE_TFIDF };

struct pool {
    struct lookup *tokens; /* of the pool's tokens: a token's number is the place of its first occurrence */
    struct lookup *edges;  /* of edge_keys: node << 32 | token; edge e leads to node e + 1 (0 is the root) */
    int64_t *edge_keys;    /* [n_edges] */
    int64_t *columns;      /* [n_edges + 1] of the n-gram that ends at a node, or -1 */
    size_t n_edges;
    int64_t n_columns, min_length, max_length, max_skip;
    const float *weights; /* [n_columns], NULL: all 1 */
    int mode;
};

/* ---- building ------------------------------------------------------------------------------------ */

struct pool_source {
    const int64_t *ints;
    const onnxd_string *strings;
    const int64_t *counts, *indexes;
    size_t n, n_counts, n_indexes;
};

static struct pool_source source_of(const struct node *node)
{
    struct pool_source s = {0};
    s.ints = node_attribute_ints(node, "pool_int64s", &s.n);
    if (s.ints == NULL) s.strings = node_attribute_strings(node, "pool_strings", &s.n);
    s.counts = node_attribute_ints(node, "ngram_counts", &s.n_counts);
    s.indexes = node_attribute_ints(node, "ngram_indexes", &s.n_indexes);
    return s;
}

static int64_t pool_width(const struct pool_source *s)
{
    int64_t most = -1;
    for (size_t i = 0; i < s->n_indexes; i++) most = s->indexes[i] > most ? s->indexes[i] : most;
    return most + 1;
}

static onnxd_status check_lengths(const struct node *node, const struct pool_source *s, onnxd_error *err)
{
    int64_t min = node_attribute_int(node, "min_gram_length", 0);
    int64_t max = node_attribute_int(node, "max_gram_length", 0);
    if (min < 1 || max < min || max > (int64_t)s->n_counts)
        return op_error(err, node, ONNXD_ERR_MODEL, "n-gram lengths %lld..%lld, expected 1..%zu",
                        (long long)min, (long long)max, s->n_counts);
    size_t n_grams = 0;
    for (size_t i = 0; i < s->n_counts; i++) {
        int64_t end = i + 1 < s->n_counts ? s->counts[i + 1] : (int64_t)s->n;
        int64_t n = end - s->counts[i];
        if (s->counts[i] < 0 || end > (int64_t)s->n || n < 0 || n % (int64_t)(i + 1) != 0)
            return op_error(err, node, ONNXD_ERR_MODEL, "ngram_counts do not divide a pool of %zu", s->n);
        n_grams += (size_t)n / (i + 1);
    }
    if (n_grams != s->n_indexes)
        return op_error(err, node, ONNXD_ERR_MODEL, "pool has %zu n-grams, ngram_indexes %zu", n_grams,
                        s->n_indexes);
    return ONNXD_OK;
}

static onnxd_status check_tfidf(const struct node *node, onnxd_error *err)
{
    struct pool_source s = source_of(node);
    size_t n_weights;
    const float *weights = node_attribute_floats(node, "weights", &n_weights);
    onnxd_status status = check_attributes(node, err);
    if (status == ONNXD_OK) status = check_word(node, "mode", modes, err);
    if (status != ONNXD_OK) return status;
    if (s.n == 0 || s.n >= INT32_MAX || s.counts == NULL || s.indexes == NULL)
        return op_error(err, node, ONNXD_ERR_MODEL, "the pool, ngram_counts or ngram_indexes is missing");
    for (size_t i = 0; i < s.n_indexes; i++)
        if (s.indexes[i] < 0 || s.indexes[i] >= INT32_MAX)
            return op_error(err, node, ONNXD_ERR_MODEL, "ngram_indexes holds %lld", (long long)s.indexes[i]);
    if (weights != NULL && (int64_t)n_weights < pool_width(&s))
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu weights for %lld columns", n_weights,
                        (long long)pool_width(&s));
    if (node_attribute_int(node, "max_skip_count", 0) < 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "max_skip_count is negative");
    return check_lengths(node, &s, err);
}

static uint32_t token_of(const struct pool *pool, const struct pool_source *s, size_t at)
{
    return s->ints != NULL ? lookup_int(pool->tokens, s->ints[at])
                           : lookup_string(pool->tokens, s->strings[at]);
}

static int64_t edge_key(uint32_t node, uint32_t token)
{
    return (int64_t)((uint64_t)node << 32 | token);
}

/* Adds every n-gram as a path from the root. New edges are found by a table that is rebuilt per length,
 * since all n-grams of length n share only prefixes, which are shorter. */
static bool add_edges(struct pool *pool, const struct pool_source *s, uint32_t *ends, struct arena *arena)
{
    size_t gram = 0;
    for (size_t i = 0; i < s->n_counts; i++) {
        size_t length = i + 1, end = i + 1 < s->n_counts ? (size_t)s->counts[i + 1] : s->n;
        size_t first = (size_t)s->counts[i], n = (end - first) / length;
        bool wanted = (int64_t)length >= pool->min_length && (int64_t)length <= pool->max_length;
        memset(ends, 0, (n + 1) * sizeof *ends);
        for (size_t depth = 0; wanted && depth < length; depth++) {
            for (size_t g = 0; g < n; g++)
                pool->edge_keys[pool->n_edges + g] = edge_key(ends[g],
                                                              token_of(pool, s, first + g * length + depth));
            pool->edges = lookup_of_ints(arena, pool->edge_keys, pool->n_edges + n);
            if (pool->edges == NULL) return false;
            for (size_t g = 0; g < n; g++)
                ends[g] = lookup_int(pool->edges, pool->edge_keys[pool->n_edges + g]) + 1;
            pool->n_edges += n;
        }
        for (size_t g = 0; g < n; g++, gram++)
            if (wanted) pool->columns[ends[g]] = s->indexes[gram];
    }
    return true;
}

static struct pool *build_pool(const struct node *node, struct arena *arena)
{
    struct pool_source s = source_of(node);
    struct pool *pool = arena_alloc_zeroed(arena, sizeof *pool);
    if (pool == NULL) return NULL;
    pool->min_length = node_attribute_int(node, "min_gram_length", 1);
    pool->max_length = node_attribute_int(node, "max_gram_length", 1);
    pool->max_skip = node_attribute_int(node, "max_skip_count", 0);
    pool->mode = attribute_word(node, "mode", modes, MODE_TF);
    pool->n_columns = pool_width(&s);
    size_t n_weights;
    pool->weights = node_attribute_floats(node, "weights", &n_weights);
    pool->tokens = s.ints != NULL ? lookup_of_ints(arena, s.ints, s.n)
                                  : lookup_of_strings(arena, s.strings, s.n);
    pool->edge_keys = arena_alloc_array(arena, s.n, sizeof *pool->edge_keys);
    pool->columns = arena_alloc_array(arena, s.n + 1, sizeof *pool->columns);
    uint32_t *ends = arena_alloc_array(arena, s.n + 1, sizeof *ends);
    if (pool->tokens == NULL || pool->edge_keys == NULL || pool->columns == NULL || ends == NULL) return NULL;
    for (size_t i = 0; i <= s.n; i++) pool->columns[i] = -1;
    return add_edges(pool, &s, ends, arena) ? pool : NULL;
}

static onnxd_status pack_tfidf(struct node *node, struct graph *graph, struct arena *arena, onnxd_error *err)
{
    (void)graph;
    node->packed = build_pool(node, arena);
    return node->packed != NULL ? ONNXD_OK : op_error(err, node, ONNXD_ERR_LIMIT, "no room for the pool");
}

/* ---- running ------------------------------------------------------------------------------------- */

static onnxd_status shapes_tfidf(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct pool_source source = source_of(s->node);
    uint32_t types = source.ints != NULL ? TYPES_INDEX : TYPE_BIT(ONNXD_STRING);
    struct dim dims[2] = {dim_unknown(), dim_constant(pool_width(&source))};
    onnxd_status status = infer_type(s, 0, types, err);
    shapes_set_type(s, 0, ONNXD_FLOAT32);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank > 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, at most 2", in->rank);
    if (in->rank == 2) dims[0] = in->dims[0];
    shapes_set(s, 0, ONNXD_FLOAT32, in->rank == 2 ? 2 : 1, in->rank == 2 ? dims : dims + 1);
    return ONNXD_OK;
}

static onnxd_status prepare_tfidf(struct op_plan *plan, onnxd_error *err)
{
    plan->state = plan->node->packed != NULL ? plan->node->packed : build_pool(plan->node, plan->arena);
    if (plan->state == NULL) return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for the pool");
    const onnxd_tensor *in = plan->in[0];
    int64_t n = onnxd_tensor_n_elements(in);
    plan->workspace_bytes = (size_t)(n + 1) * sizeof(uint32_t);
    return ONNXD_OK;
}

/* n-grams that begin at each token, `skip` apart. */
static void count_row(const struct pool *pool, const uint32_t *tokens, int64_t n, float *out)
{
    int64_t min_length = pool->min_length;
    for (int64_t skip = 1; skip <= pool->max_skip + 1 && skip <= n; skip++) {
        for (int64_t start = 0; start + skip * (min_length - 1) < n; start++) {
            uint32_t at = 0;
            int64_t length = 1;
            for (int64_t i = start; i < n && length <= pool->max_length; i += skip, length++) {
                uint32_t edge = tokens[i] == LOOKUP_NONE ? LOOKUP_NONE
                                                         : lookup_int(pool->edges, edge_key(at, tokens[i]));
                if (edge == LOOKUP_NONE) break;
                at = edge + 1;
                if (length >= min_length && pool->columns[at] >= 0) out[pool->columns[at]] += 1;
            }
        }
        /* Single tokens do not depend on the distance: they are counted once. */
        if (min_length == 1 && ++min_length > pool->max_length) break;
    }
}

static void weigh_row(const struct pool *pool, float *out)
{
    if (pool->mode == MODE_TF) return;
    for (int64_t i = 0; i < pool->n_columns; i++) {
        float weight = pool->weights != NULL ? pool->weights[i] : 1;
        out[i] = pool->mode == MODE_TFIDF ? out[i] * weight : out[i] > 0 ? weight : 0;
    }
}

static onnxd_status run_tfidf(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct pool *pool = run->state;
    const onnxd_tensor *in = run->in[0];
    uint32_t *tokens = run->workspace;
    int64_t n = onnxd_tensor_n_elements(in), n_rows = in->rank == 2 ? in->dims[0] : 1;
    float *out = run->out[0]->data;
    for (int64_t i = 0; i < n; i++)
        tokens[i] = in->type == ONNXD_STRING
                        ? lookup_string(pool->tokens, ((const onnxd_string *)in->data)[i])
                        : lookup_int(pool->tokens, element_i64(in, i));
    memset(out, 0, onnxd_tensor_n_bytes(run->out[0]));
    for (int64_t row = 0; row < n_rows && pool->edges != NULL; row++) {
        count_row(pool, tokens + row * (n / n_rows), n / n_rows, out + row * pool->n_columns);
        weigh_row(pool, out + row * pool->n_columns);
    }
    return ONNXD_OK;
}

const struct op_def ops_tfidf[] = {
    {"", "TfIdfVectorizer", 9, OP_LATEST, 1, 1, 1, 1, 0, check_tfidf, shapes_tfidf, pack_tfidf, prepare_tfidf,
     run_tfidf},
    {0},
};
