/* TreeEnsembleClassifier and TreeEnsembleRegressor of ai.onnx.ml.
 *
 * The ensemble is packed once (ops/tree_ensemble.h). Blocks of rows go through one tree after another, so
 * that a tree is read from memory once for a block; a few rows go through all trees at a time instead.
 * Scores add up in float32 in the order of the trees, as exporters' references do, unless the model or
 * its input is float64. What two classes mean follows ONNX Runtime, which is what exporters test with.
 * Source: ONNX operator specification, ai.onnx.ml, versions 1 and 3. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/ml_common.h"
#include "ops/tree_ensemble.h"

enum { BLOCK = 64, MAX_OUTPUTS = 1 << 20 };

enum aggregate { AVERAGE, SUM, MIN, MAX };
static const char *const aggregates[] = {"AVERAGE", "SUM", "MIN", "MAX", NULL};

struct tree_op {
    struct tree_ensemble *trees;
    enum aggregate aggregate;
    enum ml_transform transform;
    const double *base; /* [n_base] */
    size_t n_base, n_outputs;
    struct ml_labels labels; /* classifier */
    bool classifier, f64;
};

/* Scores of one block: an output that no leaf has named counts as absent. */
struct scores {
    float *f32;       /* [BLOCK, n_outputs]; one of the two */
    double *f64;      /* [BLOCK, n_outputs] */
    uint8_t *has;     /* [BLOCK, n_outputs] */
    double *row;      /* [n_outputs] one row being finished */
    float *out;       /* [n_outputs + 1] */
    uint32_t *leaves; /* [BLOCK] */
};

/* ---- building ------------------------------------------------------------------------------------ */

static bool is_classifier(const struct node *node)
{
    return strcmp(node->op_type, "TreeEnsembleClassifier") == 0;
}

static struct ml_labels labels_of(const struct node *node)
{
    return ml_labels_of(node, "classlabels_int64s", "classlabels_strings");
}

static int64_t count_outputs(const struct node *node)
{
    return is_classifier(node) ? (int64_t)labels_of(node).n : node_attribute_int(node, "n_targets", 1);
}

static onnxd_status check_tree(const struct node *node, onnxd_error *err)
{
    int64_t n = count_outputs(node);
    if (n < 1 || n > MAX_OUTPUTS)
        return op_error(err, node, ONNXD_ERR_MODEL, "%lld %s", (long long)n,
                        is_classifier(node) ? "class labels" : "targets");
    onnxd_status status = check_word(node, "aggregate_function", aggregates, err);
    return status != ONNXD_OK ? status : ml_check_transform(node, err);
}

static onnxd_status build(const struct node *node, struct arena *arena, struct tree_op **ret,
                          onnxd_error *err)
{
    bool base_f64;
    struct tree_op *op = arena_alloc_zeroed(arena, sizeof *op);
    if (op == NULL) return op_error(err, node, ONNXD_ERR_LIMIT, "no room for the trees");
    op->classifier = is_classifier(node);
    op->labels = labels_of(node);
    op->n_outputs = (size_t)count_outputs(node);
    op->transform = ml_transform_of(node);
    op->aggregate = (enum aggregate)attribute_word(node, "aggregate_function", aggregates, SUM);
    onnxd_status status = tree_ensemble_build(node, op->classifier ? "class" : "target",
                                              (int64_t)op->n_outputs, arena, &op->trees, err);
    if (status != ONNXD_OK) return status;
    op->base = tree_float_list(node, "base_values", arena, &op->n_base, &base_f64);
    if (op->n_base > 0 && op->base == NULL)
        return op_error(err, node, ONNXD_ERR_LIMIT, "no room for base_values");
    if (op->n_base > op->n_outputs || (op->n_base > 1 && op->n_base < op->n_outputs))
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu base_values for %zu outputs", op->n_base,
                        op->n_outputs);
    op->f64 = op->trees->values != NULL || op->trees->weights_f64 != NULL;
    *ret = op;
    return ONNXD_OK;
}

static onnxd_status pack_tree(struct node *node, struct graph *graph, struct arena *arena, onnxd_error *err)
{
    (void)graph;
    struct tree_op *op;
    onnxd_status status = build(node, arena, &op, err);
    if (status == ONNXD_OK) node->packed = op;
    return status;
}

static onnxd_status shapes_tree(struct op_shapes *s, onnxd_error *err)
{
    struct dim n, columns;
    onnxd_status status = ml_infer_rows(s, &n, &columns, err);
    if (status != ONNXD_OK) return status;
    struct ml_labels labels = labels_of(s->node);
    bool classifier = is_classifier(s->node);
    if (classifier) shapes_set(s, 0, ml_labels_type(&labels), 1, &n);
    ml_set_rows(s, classifier ? 1 : 0, ONNXD_FLOAT32, n, dim_constant(count_outputs(s->node)));
    return ONNXD_OK;
}

/* ---- adding up ------------------------------------------------------------------------------------ */

static inline float join_f32(enum aggregate aggregate, bool has, float a, float b)
{
    if (!has) return b;
    return aggregate == MIN ? (b < a ? b : a) : aggregate == MAX ? (b > a ? b : a) : a + b;
}

static inline double join_f64(enum aggregate aggregate, bool has, double a, double b)
{
    if (!has) return b;
    return aggregate == MIN ? (b < a ? b : a) : aggregate == MAX ? (b > a ? b : a) : a + b;
}

/* What a leaf says goes to the scores of row i. */
static void add_leaf(const struct tree_op *op, struct scores *s, size_t i, uint32_t leaf)
{
    const struct tree_ensemble *e = op->trees;
    for (uint32_t w = e->first_weight[leaf]; w < e->first_weight[leaf + 1]; w++) {
        size_t at = i * op->n_outputs + e->weights[w].output;
        if (s->f64 == NULL && op->aggregate <= SUM) {
            s->f32[at] += e->weights[w].weight;
        } else if (s->f64 != NULL) {
            double weight = e->weights_f64 != NULL ? e->weights_f64[w] : (double)e->weights[w].weight;
            s->f64[at] = join_f64(op->aggregate, s->has[at], s->f64[at], weight);
        } else {
            s->f32[at] = join_f32(op->aggregate, s->has[at], s->f32[at], e->weights[w].weight);
        }
        s->has[at] = 1;
    }
}

static void add_leaves(const struct tree_op *op, struct scores *s, size_t n, const uint32_t *leaves)
{
    const struct tree_ensemble *e = op->trees;
    if (e->one_output && op->n_outputs == 1 && op->aggregate <= SUM) {
        for (size_t i = 0; i < n; i++) s->f32[i] += e->nodes[leaves[i]].value;
        return;
    }
    for (size_t i = 0; i < n; i++) add_leaf(op, s, i, leaves[i]);
}

/* x: n rows of `stride`. Rows of a block go through one tree at a time while there are enough to go in step;
 * otherwise each row through all trees. */
static void score_f32(const struct tree_op *op, struct scores *s, const float *x, size_t stride, size_t n)
{
    const struct tree_ensemble *e = op->trees;
    if (n >= 8) {
        for (uint32_t t = 0; t < e->n_trees; t++) {
            tree_walk_rows(e, e->roots[t], x, stride, n, s->leaves);
            add_leaves(op, s, n, s->leaves);
        }
        return;
    }
    bool sum = e->one_output && op->n_outputs == 1 && op->aggregate <= SUM;
    for (size_t i = 0; i < n; i++)
        for (uint32_t t = 0; t < e->n_trees; t += BLOCK) {
            size_t n_trees = e->n_trees - t < BLOCK ? e->n_trees - t : BLOCK;
            tree_walk_trees(e, e->roots + t, n_trees, x + i * stride, s->leaves);
            if (sum)
                for (size_t k = 0; k < n_trees; k++) s->f32[i] += e->nodes[s->leaves[k]].value;
            else
                for (size_t k = 0; k < n_trees; k++) add_leaf(op, s, i, s->leaves[k]);
        }
}

static void score_f64(const struct tree_op *op, struct scores *s, const double *x, size_t stride, size_t n)
{
    for (uint32_t t = 0; t < op->trees->n_trees; t++)
        for (size_t i = 0; i < n; i++)
            add_leaf(op, s, i, tree_walk_f64(op->trees, op->trees->roots[t], x + i * stride));
}

/* ---- finishing ----------------------------------------------------------------------------------- */

/* Adds a base value as the scores are kept: in float32 unless they are float64. */
static double plus(const struct tree_op *op, double score, double base)
{
    return op->f64 ? score + base : (double)((float)score + (float)base);
}

static void finish_regressor(const struct tree_op *op, const double *row, float *out)
{
    for (size_t k = 0; k < op->n_outputs; k++) {
        double score = row[k];
        if (op->aggregate == AVERAGE)
            score = op->f64 ? score / op->trees->n_trees : (double)((float)score / (float)op->trees->n_trees);
        if (op->n_base == op->n_outputs) score = plus(op, score, op->base[k]);
        out[k] = (float)score;
    }
    if (op->n_outputs > 1 || op->transform == ML_PROBIT)
        ml_transform_scores(op->transform, out, op->n_outputs);
}

/* Two classes. Weights may name both, or one for both; *ret_scores is how many scores result. */
static size_t finish_two(const struct tree_op *op, const double *row, const uint8_t *has, float *out)
{
    bool positive = !op->trees->negative_weight, one = op->trees->only_output != UINT32_MAX;
    double score[2] = {row[0], row[1]};
    bool both = has[1] != 0;
    if (op->n_base == 2 && both) {
        score[1] = plus(op, row[0], op->base[1]);
        score[0] = -score[1];
    } else if (op->n_base == 2) {
        score[0] = plus(op, row[0], op->base[0]);
        score[1] = 0; /* what no weight names stays 0, whatever its base value */
    } else if (op->n_base == 1) {
        score[0] = plus(op, row[0], op->base[0]);
    }
    double weight = both ? score[1] : score[0];
    size_t label = weight > (one && positive ? 0.5 : 0) ? 1 : 0;
    if (both || op->n_base == 2) {
        out[0] = (float)score[0];
        out[1] = (float)score[1];
        ml_transform_scores(op->transform, out, 2);
    } else if (op->transform == ML_PROBIT) {
        out[0] = out[1] = (float)score[0];
        ml_transform_scores(op->transform, out, 1);
    } else {
        ml_two_scores(op->transform, one && positive, (float)score[0], out);
    }
    return label;
}

static size_t finish_classifier(const struct tree_op *op, const double *row, const uint8_t *has, float *out)
{
    size_t best = SIZE_MAX;
    if (op->n_outputs == 2) return finish_two(op, row, has, out);
    for (size_t k = 0; k < op->n_outputs; k++) {
        double score = k < op->n_base ? (has[k] ? plus(op, row[k], op->base[k]) : op->base[k]) : row[k];
        out[k] = (float)score;
        bool counts = has[k] || k < op->n_base;
        if (counts && (best == SIZE_MAX || out[k] > out[best])) best = k;
    }
    if (op->n_outputs > 1)
        ml_transform_scores(op->transform, out, op->n_outputs);
    else
        best = out[0] > 0;
    return best == SIZE_MAX ? 0 : best;
}

static void finish_rows(const struct tree_op *op, const struct scores *s, size_t n, int64_t first,
                        struct op_run *run)
{
    uint32_t z = op->classifier ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = i * op->n_outputs;
        for (size_t k = 0; k < op->n_outputs; k++)
            s->row[k] = s->f64 != NULL ? s->f64[at + k] : (double)s->f32[at + k];
        if (op->classifier) {
            size_t label = finish_classifier(op, s->row, s->has + at, s->out);
            if (run->out[0] != NULL) ml_write_label(&op->labels, label, run->out[0], first + (int64_t)i);
        } else {
            finish_regressor(op, s->row, s->out);
        }
        if (z < run->n_out && run->out[z] != NULL)
            memcpy((float *)run->out[z]->data + (size_t)first * op->n_outputs + at, s->out,
                   op->n_outputs * sizeof *s->out);
    }
}

/* ---- running ------------------------------------------------------------------------------------- */

static bool uses_f64(const struct tree_op *op, const onnxd_tensor *in)
{
    return op->f64 || in->type == ONNXD_FLOAT64;
}

/* The next n_bytes of a workspace, on a cache line; NULL while only its size is counted. */
static void *take(char *base, size_t *offset, size_t n_bytes)
{
    char *at = base == NULL ? NULL : base + *offset;
    *offset += (n_bytes + 63) & ~(size_t)63;
    return at;
}

/* Lays the workspace out and returns its size. base NULL: only counts. *ret_x: a block of converted rows. */
static size_t lay_out(const struct tree_op *op, const onnxd_tensor *in, char *base, struct scores *s,
                      void **ret_x)
{
    bool f64 = uses_f64(op, in);
    size_t k = op->n_outputs, size = f64 ? sizeof(double) : sizeof(float), offset = 0;
    void *sums = take(base, &offset, BLOCK * k * size);
    s->f64 = f64 ? sums : NULL;
    s->f32 = f64 ? NULL : sums;
    s->has = take(base, &offset, BLOCK * k);
    s->row = take(base, &offset, k * sizeof(double));
    s->out = take(base, &offset, (k + 1) * sizeof(float));
    s->leaves = take(base, &offset, BLOCK * sizeof(uint32_t));
    *ret_x = in->type == ONNXD_FLOAT32 && !f64
                 ? NULL
                 : take(base, &offset, BLOCK * (size_t)ml_rows_of(in).n_columns * size);
    return offset;
}

static onnxd_status prepare_tree(struct op_plan *plan, onnxd_error *err)
{
    struct tree_op *op = plan->node->packed;
    if (op == NULL) {
        onnxd_status status = build(plan->node, plan->arena, &op, err);
        if (status != ONNXD_OK) return status;
    }
    plan->state = op;
    struct ml_rows rows = ml_rows_of(plan->in[0]);
    if (rows.n_columns < (int64_t)op->trees->n_features)
        return op_error(err, plan->node, ONNXD_ERR_SHAPE, "input has %lld columns, the trees read %u",
                        (long long)rows.n_columns, op->trees->n_features);
    struct scores scores;
    void *x;
    plan->workspace_bytes = lay_out(op, plan->in[0], NULL, &scores, &x);
    return ONNXD_OK;
}

static onnxd_status run_tree(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct tree_op *op = run->state;
    const onnxd_tensor *in = run->in[0];
    struct ml_rows rows = ml_rows_of(in);
    struct scores s;
    void *x;
    lay_out(op, in, run->workspace, &s, &x);
    bool f64 = uses_f64(op, in);
    for (int64_t first = 0; first < rows.n; first += BLOCK) {
        size_t n = rows.n - first < BLOCK ? (size_t)(rows.n - first) : BLOCK;
        size_t n_scores = n * op->n_outputs, stride = (size_t)rows.n_columns;
        memset(s.has, 0, n_scores);
        memset(f64 ? (void *)s.f64 : (void *)s.f32, 0, n_scores * (f64 ? sizeof(double) : sizeof(float)));
        if (!f64 && in->type == ONNXD_FLOAT32) {
            score_f32(op, &s, (const float *)in->data + (size_t)first * stride, stride, n);
        } else {
            elements_load(f64 ? LANE_F64 : LANE_F32, in->type, in->data, first * rows.n_columns, 1,
                          (int64_t)(n * stride), x);
            if (f64)
                score_f64(op, &s, x, stride, n);
            else
                score_f32(op, &s, x, stride, n);
        }
        finish_rows(op, &s, n, first, run);
    }
    return ONNXD_OK;
}

const struct op_def ops_ml_tree[] = {
    {"ai.onnx.ml", "TreeEnsembleClassifier", 1, OP_LATEST, 1, 1, 1, 2, 0, check_tree, shapes_tree, pack_tree,
     prepare_tree, run_tree},
    {"ai.onnx.ml", "TreeEnsembleRegressor", 1, OP_LATEST, 1, 1, 1, 1, 0, check_tree, shapes_tree, pack_tree,
     prepare_tree, run_tree},
    {0},
};
