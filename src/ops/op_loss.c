/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
 * Sums are kept in double; the class axis is axis 1, and a mean is weighted by the classes' weights.
 * Source: ONNX operator specification, ai.onnx, both 12 and 13. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"

static const char *const reductions[] = {"mean", "sum", "none", NULL};
enum reduction { REDUCE_MEAN, REDUCE_SUM, REDUCE_NONE };

static onnxd_status check_loss(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_word(node, "reduction", reductions, err);
    return status != ONNXD_OK ? status : check_attributes(node, err);
}

static enum reduction reduction_of(const struct node *node)
{
    return (enum reduction)attribute_word(node, "reduction", reductions, REDUCE_MEAN);
}

/* scores [N, C, d...], targets [N, d...], weights [C]. */
static onnxd_status shapes_loss(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *scores = s->in[0], *targets = s->in[1];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_INDEX, err);
    if (status == ONNXD_OK) status = infer_rank(s, 2, 1, err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 1, 0); /* the logarithms of the softmax */
    shapes_set_type(s, 0, scores->type);
    if (scores->rank >= 0 && scores->rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected [N, C, ...]",
                        scores->rank);
    if (scores->rank >= 0 && targets->rank >= 0) {
        bool fits = targets->rank == scores->rank - 1;
        for (int32_t i = 0; fits && i < targets->rank; i++)
            fits = !dim_differs(targets->dims[i], scores->dims[i == 0 ? 0 : i + 1]);
        if (!fits) return op_error(err, s->node, ONNXD_ERR_SHAPE, "targets do not fit the scores");
    }
    if (shapes_known(s, 2) && scores->rank >= 0 && dim_differs(s->in[2]->dims[0], scores->dims[1]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld weights for %lld classes",
                        (long long)s->in[2]->dims[0].n, (long long)scores->dims[1].n);
    if (reduction_of(s->node) != REDUCE_NONE)
        shapes_set(s, 0, scores->type, 0, NULL);
    else
        shapes_set(s, 0, scores->type, targets->rank, targets->dims);
    return ONNXD_OK;
}

struct loss {
    enum reduction reduction;
    bool softmax, ignores;
    int64_t ignored, n_batch, n_classes, n_inner;
};

static struct loss loss_of(const struct op_run *run)
{
    const onnxd_tensor *scores = run->in[0];
    struct loss l = {
        .reduction = reduction_of(run->node), .n_batch = scores->dims[0], .n_classes = scores->dims[1]};
    l.softmax = strcmp(run->node->op_type, "SoftmaxCrossEntropyLoss") == 0;
    l.ignores = node_attribute(run->node, "ignore_index") != NULL;
    l.ignored = node_attribute_int(run->node, "ignore_index", 0);
    l.n_inner = 1;
    for (uint32_t i = 2; i < scores->rank; i++) l.n_inner *= scores->dims[i];
    return l;
}

/* log of the sum of the exponentials of one position's scores. */
static double log_sum_exp(const onnxd_tensor *scores, int64_t first, int64_t stride, int64_t n)
{
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < n; c++) {
        double x = element_f64(scores, first + c * stride);
        most = x > most ? x : most;
    }
    if (isinf(most)) return most;
    for (int64_t c = 0; c < n; c++) sum += exp(element_f64(scores, first + c * stride) - most);
    return most + log(sum);
}

static void write_log_softmax(const onnxd_tensor *scores, int64_t first, int64_t stride, int64_t n,
                              double log_sum, const onnxd_tensor *out)
{
    for (int64_t c = 0; c < n; c++) {
        double value = element_f64(scores, first + c * stride) - log_sum;
        elements_store(LANE_F64, out->type, out->data, first + c * stride, 1, &value);
    }
}

static onnxd_status run_loss(struct op_run *run, onnxd_error *err)
{
    struct loss l = loss_of(run);
    const onnxd_tensor *scores = run->in[0], *targets = run->in[1];
    const onnxd_tensor *weights = tensor_given(run->in, run->n_in, 2) ? run->in[2] : NULL;
    const onnxd_tensor *logs = run->n_out > 1 ? run->out[1] : NULL;
    double total = 0, total_weight = 0;
    for (int64_t i = 0; i < l.n_batch * l.n_inner; i++) {
        int64_t first = i / l.n_inner * l.n_classes * l.n_inner + i % l.n_inner;
        int64_t target = element_i64(targets, i);
        bool counts = !(l.ignores && target == l.ignored);
        double log_sum = l.softmax ? log_sum_exp(scores, first, l.n_inner, l.n_classes) : 0, loss = 0;
        if (logs != NULL) write_log_softmax(scores, first, l.n_inner, l.n_classes, log_sum, logs);
        if (counts) {
            if (target < 0 || target >= l.n_classes)
                return op_error(err, run->node, ONNXD_ERR_RANGE, "target %lld is outside %lld classes",
                                (long long)target, (long long)l.n_classes);
            double weight = weights != NULL ? element_f64(weights, target) : 1;
            loss = weight * (log_sum - element_f64(scores, first + target * l.n_inner));
            total += loss;
            total_weight += weight;
        }
        if (l.reduction == REDUCE_NONE && run->out[0] != NULL)
            elements_store(LANE_F64, run->out[0]->type, run->out[0]->data, i, 1, &loss);
    }
    if (l.reduction == REDUCE_MEAN) total /= total_weight;
    if (l.reduction != REDUCE_NONE && run->out[0] != NULL)
        elements_store(LANE_F64, run->out[0]->type, run->out[0]->data, 0, 1, &total);
    return ONNXD_OK;
}

const struct op_def ops_loss[] = {
    {"", "NegativeLogLikelihoodLoss", 12, OP_LATEST, 2, 3, 1, 1, 0, check_loss, shapes_loss, NULL, NULL,
     run_loss},
    {"", "SoftmaxCrossEntropyLoss", 12, OP_LATEST, 2, 3, 1, 2, 0, check_loss, shapes_loss, NULL, NULL,
     run_loss},
    {0},
};
