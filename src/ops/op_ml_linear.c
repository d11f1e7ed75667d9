/* LinearClassifier, LinearRegressor, SVMClassifier and SVMRegressor of ai.onnx.ml.
 * Sums are kept in double. What the specification leaves open about two classes follows ONNX Runtime.
 * Source: ONNX operator specification, ai.onnx.ml-1; probabilities of more than two classes: Wu, Lin and
 * Weng, "Probability estimates for multi-class classification by pairwise coupling" (2004), second method. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/infer.h"
#include "ops/ml_common.h"

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static struct ml_labels labels_of(const struct node *node)
{
    return ml_labels_of(node, "classlabels_ints", "classlabels_strings");
}

static size_t best_of(const float *scores, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (scores[i] > scores[best]) best = i;
    return best;
}

/* Room for the converted input and n floats of a row's scratch. */
struct linear_state {
    size_t x_bytes; /* of the workspace, in front of the scratch */
};

static onnxd_status prepare_rows(struct op_plan *plan, int64_t n_columns, size_t scratch_bytes,
                                 onnxd_error *err)
{
    struct linear_state *state;
    struct ml_rows rows = ml_rows_of(plan->in[0]);
    if (rows.n_columns != n_columns)
        return op_error(err, plan->node, ONNXD_ERR_SHAPE, "input has %lld columns, expected %lld",
                        (long long)rows.n_columns, (long long)n_columns);
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    state->x_bytes = (ml_floats_bytes(plan->in[0]) + 63) & ~(size_t)63;
    plan->workspace_bytes = state->x_bytes + scratch_bytes;
    return ONNXD_OK;
}

static void *scratch_of(const struct op_run *run)
{
    return (char *)run->workspace + ((const struct linear_state *)run->state)->x_bytes;
}

/* ---- linear models ------------------------------------------------------------------------------- */

struct linear {
    const float *coefficients, *intercepts; /* [n_outputs, n_features], [n_outputs] or NULL */
    size_t n_outputs, n_features;
    enum ml_transform transform;
    struct ml_labels labels;
};

static bool is_classifier(const struct node *node)
{
    return strcmp(node->op_type, "LinearClassifier") == 0 || strcmp(node->op_type, "SVMClassifier") == 0;
}

static struct linear linear_of(const struct node *node)
{
    struct linear m = {.transform = ml_transform_of(node)};
    size_t n_coefficients, n_intercepts;
    m.coefficients = node_attribute_floats(node, "coefficients", &n_coefficients);
    m.intercepts = node_attribute_floats(node, "intercepts", &n_intercepts);
    if (is_classifier(node)) {
        m.labels = labels_of(node);
        m.n_outputs = n_intercepts > 0 ? n_intercepts : m.labels.n;
    } else {
        int64_t targets = node_attribute_int(node, "targets", 1);
        m.n_outputs = targets > 0 ? (size_t)targets : 0;
    }
    if (n_intercepts != m.n_outputs) m.intercepts = NULL;
    m.n_features = m.n_outputs > 0 && n_coefficients % m.n_outputs == 0 ? n_coefficients / m.n_outputs : 0;
    return m;
}

static onnxd_status check_linear(const struct node *node, onnxd_error *err)
{
    struct linear m = linear_of(node);
    if (m.coefficients == NULL || m.n_features == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'coefficients' does not fit %zu outputs",
                        m.n_outputs);
    if (is_classifier(node) && m.n_outputs > 1 && m.labels.n < m.n_outputs)
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu class labels for %zu classes", m.labels.n,
                        m.n_outputs);
    return ml_check_transform(node, err);
}

/* A classifier of one score with two labels answers with two scores. */
static size_t linear_width(const struct linear *m)
{
    return m->n_outputs == 1 && m->labels.n == 2 ? 2 : m->n_outputs;
}

static onnxd_status shapes_linear(struct op_shapes *s, onnxd_error *err)
{
    struct dim n, columns;
    onnxd_status status = ml_infer_rows(s, &n, &columns, err);
    if (status != ONNXD_OK) return status;
    struct linear m = linear_of(s->node);
    bool classifier = is_classifier(s->node);
    if (classifier) shapes_set(s, 0, ml_labels_type(&m.labels), 1, &n);
    ml_set_rows(s, classifier ? 1 : 0, ONNXD_FLOAT32, n, dim_constant((int64_t)linear_width(&m)));
    return ONNXD_OK;
}

static onnxd_status prepare_linear(struct op_plan *plan, onnxd_error *err)
{
    struct linear m = linear_of(plan->node);
    return prepare_rows(plan, (int64_t)m.n_features, (m.n_outputs + 1) * sizeof(float), err);
}

static void linear_scores(const struct linear *m, const float *x, float *scores)
{
    for (size_t k = 0; k < m->n_outputs; k++) {
        double intercept = m->intercepts != NULL ? (double)m->intercepts[k] : 0;
        scores[k] = (float)(dot(x, m->coefficients + k * m->n_features, m->n_features) + intercept);
    }
}

static onnxd_status run_linear_classifier(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct linear m = linear_of(run->node);
    struct ml_rows rows = ml_rows_of(run->in[0]);
    const float *x = ml_floats(run->in[0], run->workspace);
    float *scores = scratch_of(run);
    size_t width = linear_width(&m);
    for (int64_t i = 0; i < rows.n; i++, x += m.n_features) {
        linear_scores(&m, x, scores);
        size_t best = m.n_outputs == 1 ? scores[0] > 0 : best_of(scores, m.n_outputs);
        if (run->out[0] != NULL) ml_write_label(&m.labels, best, run->out[0], i);
        if (width > m.n_outputs) {
            /* One score for two classes: its transform, and what is left to 1. */
            float score = scores[0];
            ml_two_scores(m.transform, true, score, scores);
        } else if (m.n_outputs > 1 || m.transform == ML_PROBIT || m.transform == ML_LOGISTIC) {
            ml_transform_scores(m.transform, scores, m.n_outputs);
        }
        if (run->n_out > 1 && run->out[1] != NULL)
            memcpy((float *)run->out[1]->data + (size_t)i * width, scores, width * sizeof *scores);
    }
    return ONNXD_OK;
}

static onnxd_status run_linear_regressor(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct linear m = linear_of(run->node);
    struct ml_rows rows = ml_rows_of(run->in[0]);
    const float *x = ml_floats(run->in[0], run->workspace);
    float *out = run->out[0]->data;
    for (int64_t i = 0; i < rows.n; i++, x += m.n_features, out += m.n_outputs) {
        linear_scores(&m, x, out);
        if (m.n_outputs > 1 || m.transform == ML_PROBIT) ml_transform_scores(m.transform, out, m.n_outputs);
    }
    return ONNXD_OK;
}

/* ---- support vector machines ----------------------------------------------------------------------- */

enum kernel { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF, KERNEL_SIGMOID };
static const char *const kernels[] = {"LINEAR", "POLY", "RBF", "SIGMOID", NULL};

struct svm {
    enum kernel kernel;
    double gamma, coef0, degree;
    const float *vectors, *coefficients, *rho, *prob_a, *prob_b;
    const int64_t *per_class; /* [n_classes] classifier */
    size_t n_vectors, n_features, n_classes, n_pairs, n_rho, n_coefficients, n_prob;
    struct ml_labels labels;
    enum ml_transform transform;
};

static struct svm svm_of(const struct node *node)
{
    struct svm m = {.transform = ml_transform_of(node)};
    size_t n_params, n_elements, n_per_class;
    const float *params = node_attribute_floats(node, "kernel_params", &n_params);
    m.kernel = (enum kernel)attribute_word(node, "kernel_type", kernels, KERNEL_LINEAR);
    if (n_params >= 3) m.gamma = (double)params[0], m.coef0 = (double)params[1], m.degree = (double)params[2];
    m.coefficients = node_attribute_floats(node, "coefficients", &m.n_coefficients);
    m.vectors = node_attribute_floats(node, "support_vectors", &n_elements);
    m.rho = node_attribute_floats(node, "rho", &m.n_rho);
    if (is_classifier(node)) {
        m.labels = labels_of(node);
        m.n_classes = m.labels.n;
        m.per_class = node_attribute_ints(node, "vectors_per_class", &n_per_class);
        for (size_t i = 0; i < n_per_class && m.per_class[i] >= 0 && m.per_class[i] <= INT32_MAX; i++)
            m.n_vectors += (size_t)m.per_class[i];
        if (n_per_class != m.n_classes && m.n_vectors > 0) m.n_classes = 0;
        m.n_pairs = m.n_classes * (m.n_classes - 1) / 2;
        size_t n_b;
        m.prob_a = node_attribute_floats(node, "prob_a", &m.n_prob);
        m.prob_b = node_attribute_floats(node, "prob_b", &n_b);
        if (m.n_prob == 0 || n_b != m.n_prob) m.prob_a = NULL;
    } else {
        int64_t n = node_attribute_int(node, "n_supports", 0);
        m.n_vectors = n > 0 ? (size_t)n : 0;
        m.n_classes = 1;
    }
    if (m.n_vectors > 0) {
        m.n_features = n_elements % m.n_vectors == 0 ? n_elements / m.n_vectors : 0;
    } else {
        m.kernel = KERNEL_LINEAR;
        m.n_features = m.n_classes > 0 && m.n_coefficients % m.n_classes == 0 ? m.n_coefficients / m.n_classes
                                                                              : 0;
    }
    return m;
}

static onnxd_status check_svm(const struct node *node, onnxd_error *err)
{
    struct svm m = svm_of(node);
    bool classifier = is_classifier(node), kernelised = m.n_vectors > 0;
    if (classifier && (m.labels.n < 2 || m.labels.n > 65535 || m.n_classes == 0))
        return op_error(err, node, ONNXD_ERR_MODEL,
                        "%zu class labels, or vectors_per_class does not fit them", m.labels.n);
    if (m.n_features == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "support_vectors or coefficients have the wrong length");
    size_t want = !kernelised  ? m.n_features * m.n_classes
                  : classifier ? (m.n_classes - 1) * m.n_vectors
                               : m.n_vectors;
    if (m.coefficients == NULL || m.n_coefficients < want)
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu coefficients, expected %zu", m.n_coefficients, want);
    size_t n_rho = kernelised && classifier ? m.n_pairs : 1;
    if (m.rho == NULL || m.n_rho < n_rho)
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu values of rho, expected %zu", m.n_rho, n_rho);
    if (m.prob_a != NULL && kernelised && m.n_prob < m.n_pairs)
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu values of prob_a, expected %zu", m.n_prob,
                        m.n_pairs);
    onnxd_status status = check_word(node, "kernel_type", kernels, err);
    return status != ONNXD_OK ? status : ml_check_transform(node, err);
}

/* Scores that the classifier writes a row. */
static size_t svm_width(const struct svm *m)
{
    bool pairs = m->n_vectors > 0 && m->prob_a == NULL;
    return pairs && m->n_classes > 2 ? m->n_pairs : m->n_classes;
}

static onnxd_status shapes_svm(struct op_shapes *s, onnxd_error *err)
{
    struct dim n, columns;
    onnxd_status status = ml_infer_rows(s, &n, &columns, err);
    if (status != ONNXD_OK) return status;
    struct svm m = svm_of(s->node);
    bool classifier = is_classifier(s->node);
    if (classifier) shapes_set(s, 0, ml_labels_type(&m.labels), 1, &n);
    ml_set_rows(s, classifier ? 1 : 0, ONNXD_FLOAT32, n,
                dim_constant(classifier ? (int64_t)svm_width(&m) : 1));
    return ONNXD_OK;
}

/* A row's scratch: kernel values, pair scores, votes, two square matrices and a vector for probabilities;
 * behind them the scores when nobody reads them. */
static size_t svm_scratch_floats(const struct svm *m)
{
    return m->n_vectors + m->n_pairs + 2 * m->n_classes + 2 * m->n_classes * m->n_classes;
}

static onnxd_status prepare_svm(struct op_plan *plan, onnxd_error *err)
{
    struct svm m = svm_of(plan->node);
    return prepare_rows(plan, (int64_t)m.n_features, (svm_scratch_floats(&m) + svm_width(&m)) * sizeof(float),
                        err);
}

static double kernel_of(const struct svm *m, const float *x, const float *vector)
{
    double sum = 0;
    switch (m->kernel) {
    case KERNEL_LINEAR: return dot(x, vector, m->n_features);
    case KERNEL_POLY: return pow(m->gamma * dot(x, vector, m->n_features) + m->coef0, m->degree);
    case KERNEL_SIGMOID: return tanh(m->gamma * dot(x, vector, m->n_features) + m->coef0);
    case KERNEL_RBF:
        for (size_t i = 0; i < m->n_features; i++) {
            double d = (double)x[i] - (double)vector[i];
            sum += d * d;
        }
        return exp(-m->gamma * sum);
    }
    return sum;
}

/* The decision of every pair of classes, and the votes they give. */
static void pair_scores(const struct svm *m, const float *kernel, float *pairs, float *votes)
{
    size_t pair = 0, start_i = 0;
    memset(votes, 0, m->n_classes * sizeof *votes);
    for (size_t i = 0; i + 1 < m->n_classes; i++) {
        size_t n_i = (size_t)m->per_class[i], start_j = start_i + n_i;
        for (size_t j = i + 1; j < m->n_classes; j++, pair++) {
            size_t n_j = (size_t)m->per_class[j];
            double sum = dot(m->coefficients + m->n_vectors * (j - 1) + start_i, kernel + start_i, n_i) +
                         dot(m->coefficients + m->n_vectors * i + start_j, kernel + start_j, n_j) +
                         (double)m->rho[pair];
            pairs[pair] = (float)sum;
            votes[sum > 0 ? i : j] += 1;
            start_j += n_j;
        }
        start_i += n_i;
    }
}

/* Class probabilities from pairwise ones r[i, j] = P(i | i or j): the p that minimises the squared
 * disagreement, found by fixing one p at a time. */
static void couple(size_t n, const float *r, float *q, float *p)
{
    float eps = 0.005f / (float)n, *qp = q + n * n;
    for (size_t i = 0; i < n; i++) {
        p[i] = 1 / (float)n;
        q[i * n + i] = 0;
        for (size_t j = 0; j < n; j++) {
            if (j == i) continue;
            q[i * n + i] += r[j * n + i] * r[j * n + i];
            q[i * n + j] = j < i ? q[j * n + i] : -r[j * n + i] * r[i * n + j];
        }
    }
    for (int round = 0; round < 100; round++) {
        float pqp = 0, worst = 0;
        for (size_t i = 0; i < n; i++) {
            qp[i] = 0;
            for (size_t j = 0; j < n; j++) qp[i] += q[i * n + j] * p[j];
            pqp += p[i] * qp[i];
        }
        for (size_t i = 0; i < n; i++) worst = fmaxf(worst, fabsf(qp[i] - pqp));
        if (worst < eps) return;
        for (size_t i = 0; i < n; i++) {
            float d = (pqp - qp[i]) / q[i * n + i];
            p[i] += d;
            pqp = (pqp + d * (d * q[i * n + i] + 2 * qp[i])) / (1 + d) / (1 + d);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + d * q[i * n + j]) / (1 + d);
                p[j] /= 1 + d;
            }
        }
    }
}

static void probabilities(const struct svm *m, const float *pairs, float *r, float *q, float *p)
{
    size_t pair = 0, n = m->n_classes;
    for (size_t i = 0; i + 1 < n; i++)
        for (size_t j = i + 1; j < n; j++, pair++) {
            float v = 1 - ml_logistic(pairs[pair] * m->prob_a[pair] + m->prob_b[pair]);
            v = fminf(fmaxf(v, 1e-7f), 1 - 1e-7f);
            r[i * n + j] = v;
            r[j * n + i] = 1 - v;
        }
    couple(n, r, q, p);
}

/* One row with kernels: label and scores. */
static size_t classify(const struct svm *m, const float *x, float *scratch, float *scores)
{
    float *kernel = scratch, *pairs = kernel + m->n_vectors, *votes = pairs + m->n_pairs;
    float *r = votes + m->n_classes, *q = r + m->n_classes * m->n_classes;
    for (size_t v = 0; v < m->n_vectors; v++)
        kernel[v] = (float)kernel_of(m, x, m->vectors + v * m->n_features);
    pair_scores(m, kernel, pairs, votes);
    size_t best = best_of(votes, m->n_classes);
    if (m->prob_a != NULL) {
        probabilities(m, pairs, r, q, scores);
        ml_transform_scores(m->transform, scores, m->n_classes);
    } else if (m->n_classes == 2) {
        if (m->transform == ML_PROBIT) {
            scores[0] = scores[1] = pairs[0];
            ml_transform_scores(ML_PROBIT, scores, 1);
        } else {
            ml_two_scores(m->transform, m->transform != ML_NONE, pairs[0], scores);
        }
    } else {
        memcpy(scores, pairs, m->n_pairs * sizeof *scores);
        ml_transform_scores(m->transform, scores, m->n_pairs);
    }
    return best;
}

/* liblinear's form: one row of coefficients a class. */
static size_t classify_linear(const struct svm *m, const float *x, float *scores)
{
    bool positive = true;
    for (size_t k = 0; k < m->n_classes; k++)
        scores[k] = (float)(dot(x, m->coefficients + k * m->n_features, m->n_features) + (double)m->rho[0]);
    for (size_t i = 0; i < m->n_coefficients; i++) positive = positive && m->coefficients[i] >= 0;
    size_t best = best_of(scores, m->n_classes);
    if (m->n_classes == 2 && m->prob_a == NULL)
        if (positive ? scores[best] >= 0.5f : scores[best] > 0) best = 1;
    ml_transform_scores(m->transform, scores, m->n_classes);
    return best;
}

static onnxd_status run_svm_classifier(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct svm m = svm_of(run->node);
    struct ml_rows rows = ml_rows_of(run->in[0]);
    const float *x = ml_floats(run->in[0], run->workspace);
    float *scratch = scratch_of(run), *scores = scratch + svm_scratch_floats(&m);
    size_t width = svm_width(&m);
    bool wanted = run->n_out > 1 && run->out[1] != NULL;
    for (int64_t i = 0; i < rows.n; i++, x += m.n_features) {
        float *out = wanted ? (float *)run->out[1]->data + (size_t)i * width : scores;
        size_t label = m.n_vectors > 0 ? classify(&m, x, scratch, out) : classify_linear(&m, x, out);
        if (run->out[0] != NULL) ml_write_label(&m.labels, label, run->out[0], i);
    }
    return ONNXD_OK;
}

static onnxd_status run_svm_regressor(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct svm m = svm_of(run->node);
    struct ml_rows rows = ml_rows_of(run->in[0]);
    const float *x = ml_floats(run->in[0], run->workspace);
    bool one_class = node_attribute_int(run->node, "one_class", 0) != 0;
    float *out = run->out[0]->data;
    for (int64_t i = 0; i < rows.n; i++, x += m.n_features) {
        double sum = (double)m.rho[0];
        for (size_t v = 0; v < m.n_vectors; v++)
            sum += (double)m.coefficients[v] * kernel_of(&m, x, m.vectors + v * m.n_features);
        if (m.n_vectors == 0) sum += dot(x, m.coefficients, m.n_features);
        out[i] = one_class ? (sum > 0 ? 1 : -1) : (float)sum;
    }
    return ONNXD_OK;
}

const struct op_def ops_ml_linear[] = {
    {"ai.onnx.ml", "LinearClassifier", 1, OP_LATEST, 1, 1, 1, 2, 0, check_linear, shapes_linear, NULL,
     prepare_linear, run_linear_classifier},
    {"ai.onnx.ml", "LinearRegressor", 1, OP_LATEST, 1, 1, 1, 1, 0, check_linear, shapes_linear, NULL,
     prepare_linear, run_linear_regressor},
    {"ai.onnx.ml", "SVMClassifier", 1, OP_LATEST, 1, 1, 1, 2, 0, check_svm, shapes_svm, NULL, prepare_svm,
     run_svm_classifier},
    {"ai.onnx.ml", "SVMRegressor", 1, OP_LATEST, 1, 1, 1, 1, 0, check_svm, shapes_svm, NULL, prepare_svm,
     run_svm_regressor},
    {0},
};
