/* BatchNormalization, InstanceNormalization, LpNormalization, LRN, MeanVarianceNormalization: statistics of
 * planes [N, C, ...]. Means and variances are summed in double.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/lines.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- scaling and shifting ------------------------------------------------------------------------------ */

/* out[first..] = in[first..] * scale + shift. */
static void affine(const onnxd_tensor *in, const onnxd_tensor *out, int64_t first, int64_t n, double scale,
                   double shift)
{
    if (in->type == ONNXD_FLOAT32) {
        kernels_get()->f32_unary[F32_UNARY_affine]((float *)out->data + first,
                                                   (const float *)in->data + first, (size_t)n, (float)scale,
                                                   (float)shift);
        return;
    }
    double block[ELEMENTS_BLOCK];
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        elements_load(LANE_F64, in->type, in->data, first + at, 1, m, block);
        for (int64_t i = 0; i < m; i++) block[i] = block[i] * scale + shift;
        elements_store(LANE_F64, out->type, out->data, first + at, m, block);
    }
}

struct moments {
    double mean, variance; /* of the population */
};

/* Of `planes` runs of n elements, `step` apart, as one population. */
static struct moments moments_of(const onnxd_tensor *in, int64_t first, int64_t n, int64_t planes,
                                 int64_t step)
{
    double block[ELEMENTS_BLOCK], sum = 0, squares = 0;
    double count = (double)n * (double)planes;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t p = 0; p < planes; p++)
            for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
                int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
                elements_load(LANE_F64, in->type, in->data, first + p * step + at, 1, m, block);
                for (int64_t i = 0; i < m; i++) {
                    double d = block[i] - sum / count;
                    if (pass == 0)
                        sum += block[i];
                    else
                        squares += d * d;
                }
            }
    return (struct moments){sum / count, squares / count};
}

/* ---- BatchNormalization: inputs X, scale, B, mean, var --------------------------------------------------
 */

/* Batch statistics are used and the running ones brought up to date. */
static bool trains(const struct node *node)
{
    if (node->opset >= 14) return node_attribute_int(node, "training_mode", 0) != 0;
    if (node->opset < 7) return node_attribute_int(node, "is_test", 0) == 0;
    return node->n_out > 1 && node->out[1] != GRAPH_NONE;
}

static onnxd_status shapes_batch(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < 5 && status == ONNXD_OK; i++) status = infer_type(s, i, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    for (uint32_t i = 1; i < s->n_out; i++) shapes_copy(s, i, i == 1 || i == 3 ? 3 : 4);
    if (in->rank < 0) return ONNXD_OK;
    struct dim channels = in->rank > 1 ? in->dims[1] : dim_constant(1), n = channels;
    if (s->node->opset < 9 && node_attribute_int(s->node, "spatial", 1) == 0)
        for (int32_t i = 2; i < in->rank; i++) n = dim_mul(n, in->dims[i]);
    for (uint32_t i = 1; i < 5; i++)
        if (shapes_known(s, i) && dim_differs(value_info_n_elements(s->in[i]), n))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has %lld elements for %lld channels", i,
                            (long long)value_info_n_elements(s->in[i]).n, (long long)n.n);
    return ONNXD_OK;
}

struct planes {
    int64_t batch, channels, n; /* elements of a plane */
};

static struct planes planes_of(const struct node *node, const onnxd_tensor *in)
{
    struct planes p = {in->rank > 0 ? in->dims[0] : 1, in->rank > 1 ? in->dims[1] : 1, 1};
    for (uint32_t i = 2; i < in->rank; i++) p.n *= in->dims[i];
    if (node->opset < 9 && node_attribute_int(node, "spatial", 1) == 0) { /* every element has its own */
        p.channels *= p.n;
        p.n = 1;
    }
    return p;
}

static void store_f64(const struct op_run *run, uint32_t out, int64_t at, double value)
{
    if (out < run->n_out && run->out[out] != NULL)
        elements_store(LANE_F64, run->out[out]->type, run->out[out]->data, at, 1, &value);
}

/* Running statistics, and in old opsets those of the batch as well. */
static struct moments update_moments(const struct op_run *run, const struct planes *p, int64_t c)
{
    const onnxd_tensor *in = run->in[0];
    double momentum = (double)node_attribute_float(run->node, "momentum", 0.9f);
    struct moments m = moments_of(in, c * p->n, p->n, p->batch, p->channels * p->n);
    store_f64(run, 1, c, momentum * element_f64(run->in[3], c) + (1 - momentum) * m.mean);
    store_f64(run, 2, c, momentum * element_f64(run->in[4], c) + (1 - momentum) * m.variance);
    store_f64(run, 3, c, m.mean);
    store_f64(run, 4, c, m.variance);
    return m;
}

static onnxd_status prepare_batch(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    if (!trains(plan->node)) plan->in_place_of = 0;
    return ONNXD_OK;
}

static onnxd_status run_batch(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct planes p = planes_of(run->node, run->in[0]);
    double epsilon = (double)node_attribute_float(run->node, "epsilon", 1e-5f);
    bool training = trains(run->node);
    for (int64_t c = 0; c < p.channels; c++) {
        struct moments m = {element_f64(run->in[3], c), element_f64(run->in[4], c)};
        if (training) m = update_moments(run, &p, c);
        double scale = element_f64(run->in[1], c) / sqrt(m.variance + epsilon);
        double shift = element_f64(run->in[2], c) - m.mean * scale;
        for (int64_t b = 0; b < p.batch; b++)
            affine(run->in[0], run->out[0], (b * p.channels + c) * p.n, p.n, scale, shift);
    }
    return ONNXD_OK;
}

/* ---- InstanceNormalization: inputs X, scale, B ----------------------------------------------------------
 */

static onnxd_status shapes_instance(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    if (in->rank >= 0 && in->rank < 3)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 3 or more", in->rank);
    for (uint32_t i = 1; i < 3; i++)
        if (in->rank >= 3 && shapes_known(s, i) && dim_differs(value_info_n_elements(s->in[i]), in->dims[1]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has not one element for each channel",
                            i);
    shapes_copy(s, 0, 0);
    return ONNXD_OK;
}

static onnxd_status run_instance(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct planes p = planes_of(run->node, run->in[0]);
    double epsilon = (double)node_attribute_float(run->node, "epsilon", 1e-5f);
    for (int64_t i = 0; i < p.batch * p.channels; i++) {
        int64_t c = i % p.channels;
        struct moments m = moments_of(run->in[0], i * p.n, p.n, 1, 0);
        double scale = element_f64(run->in[1], c) / sqrt(m.variance + epsilon);
        affine(run->in[0], run->out[0], i * p.n, p.n, scale, element_f64(run->in[2], c) - m.mean * scale);
    }
    return ONNXD_OK;
}

/* ---- LpNormalization -------------------------------------------------------------------------------- */

static onnxd_status check_lp(const struct node *node, onnxd_error *err)
{
    int64_t p = node_attribute_int(node, "p", 2);
    if (p != 1 && p != 2)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'p' is %lld, expected 1 or 2", (long long)p);
    return check_attributes(node, err);
}

static onnxd_status shapes_lp(struct op_shapes *s, onnxd_error *err)
{
    uint32_t axis;
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK && s->in[0]->rank >= 0)
        status = op_axis(s->node, node_attribute_int(s->node, "axis", -1), (uint32_t)s->in[0]->rank, &axis,
                         err);
    shapes_copy(s, 0, 0);
    return status;
}

static onnxd_status run_lp(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    bool squares = node_attribute_int(run->node, "p", 2) == 2;
    uint32_t axis;
    onnxd_status status = op_axis(run->node, node_attribute_int(run->node, "axis", -1), in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    struct lines l = lines_of(in, axis);
    for (int64_t line = 0; line < l.outer * l.inner; line++) {
        int64_t first = line / l.inner * l.n * l.inner + line % l.inner;
        double norm = 0;
        for (int64_t k = 0; k < l.n; k++) {
            double v = element_f64(in, first + k * l.inner);
            norm += squares ? v * v : fabs(v);
        }
        if (squares) norm = sqrt(norm);
        for (int64_t k = 0; k < l.n; k++) {
            double v = norm == 0 ? 0 : element_f64(in, first + k * l.inner) / norm;
            elements_store(LANE_F64, out->type, out->data, first + k * l.inner, 1, &v);
        }
    }
    return ONNXD_OK;
}

/* ---- LRN: divides by a power of the sum of squares of neighbouring channels ------------------------------
 */

static onnxd_status check_lrn(const struct node *node, onnxd_error *err)
{
    if (node_attribute_int(node, "size", 0) < 1)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'size' is missing or not positive");
    return check_attributes(node, err);
}

static onnxd_status shapes_lrn(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK && s->in[0]->rank >= 0 && s->in[0]->rank < 2)
        status = op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 2 or more",
                          s->in[0]->rank);
    shapes_copy(s, 0, 0);
    return status;
}

static onnxd_status run_lrn(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    struct lines l = lines_of(in, 1);
    int64_t size = node_attribute_int(run->node, "size", 1);
    double alpha = (double)node_attribute_float(run->node, "alpha", 1e-4f) / (double)size;
    double beta = (double)node_attribute_float(run->node, "beta", 0.75f);
    double bias = (double)node_attribute_float(run->node, "bias", 1.0f);
    for (int64_t i = 0; i < l.outer * l.n * l.inner; i++) {
        int64_t c = i / l.inner % l.n, low = c - (size - 1) / 2, high = c + size / 2;
        double sum = 0;
        for (int64_t k = low < 0 ? 0 : low; k <= high && k < l.n; k++) {
            double v = element_f64(in, i + (k - c) * l.inner);
            sum += v * v;
        }
        double v = element_f64(in, i) / pow(bias + alpha * sum, beta);
        elements_store(LANE_F64, out->type, out->data, i, 1, &v);
    }
    return ONNXD_OK;
}

/* ---- MeanVarianceNormalization over any axes (default 0, 2, 3) -------------------------------------------
 */

static onnxd_status mark_mvn(const struct node *node, uint32_t rank, bool *marked, onnxd_error *err)
{
    static const int64_t usual[] = {0, 2, 3};
    size_t n;
    const int64_t *axes = node_attribute_ints(node, "axes", &n);
    return op_mark_axes(node, axes != NULL ? axes : usual, axes != NULL ? n : 3, rank, marked, err);
}

static onnxd_status shapes_mvn(struct op_shapes *s, onnxd_error *err)
{
    bool marked[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK && s->in[0]->rank >= 0)
        status = mark_mvn(s->node, (uint32_t)s->in[0]->rank, marked, err);
    shapes_copy(s, 0, 0);
    return status;
}

struct mvn_state {
    struct loops loops; /* operands: in, accumulator (stride 0 on the axes) */
    int64_t n_out, n_each;
};

static onnxd_status prepare_mvn(struct op_plan *plan, onnxd_error *err)
{
    struct mvn_state *state;
    const onnxd_tensor *in = plan->in[0];
    bool marked[ONNXD_MAX_RANK];
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK) status = mark_mvn(plan->node, in->rank, marked, err);
    if (status != ONNXD_OK) return status;
    loops_init(&state->loops, in->dims, in->rank, 2);
    shape_strides(in->dims, in->rank, state->loops.strides[0]);
    state->n_out = state->n_each = 1;
    for (uint32_t i = in->rank; i-- > 0;) {
        if (marked[i]) {
            state->n_each *= in->dims[i];
        } else {
            state->loops.strides[1][i] = state->n_out;
            state->n_out *= in->dims[i];
        }
    }
    loops_simplify(&state->loops);
    plan->workspace_bytes = 2 * sizeof(double) * (size_t)state->n_out;
    return ONNXD_OK;
}

static onnxd_status run_mvn(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct mvn_state *state = run->state;
    const struct loops *loops = &state->loops;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    double *mean = run->workspace, *variance = mean + state->n_out;
    struct loops_cursor c;
    memset(mean, 0, 2 * sizeof *mean * (size_t)state->n_out);
    for (int pass = 0; pass < 3; pass++) {
        for (loops_start(loops, &c); c.more; loops_next(loops, &c))
            for (int64_t i = 0; i < loops_inner(loops); i++) {
                int64_t at = c.offset[0] + i * loops_inner_stride(loops, 0);
                int64_t o = c.offset[1] + i * loops_inner_stride(loops, 1);
                double v = element_f64(in, at);
                if (pass == 0) {
                    mean[o] += v / (double)state->n_each;
                } else if (pass == 1) {
                    variance[o] += (v - mean[o]) * (v - mean[o]) / (double)state->n_each;
                } else {
                    v = (v - mean[o]) / (sqrt(variance[o]) + 1e-9);
                    elements_store(LANE_F64, out->type, out->data, at, 1, &v);
                }
            }
    }
    return ONNXD_OK;
}

const struct op_def ops_normalize[] = {
    {"", "BatchNormalization", 1, OP_LATEST, 5, 5, 1, 5, 0, check_attributes, shapes_batch, NULL,
     prepare_batch, run_batch},
    {"", "InstanceNormalization", 1, OP_LATEST, 3, 3, 1, 1, 0, check_attributes, shapes_instance, NULL, NULL,
     run_instance},
    {"", "LpNormalization", 1, OP_LATEST, 1, 1, 1, 1, 0, check_lp, shapes_lp, NULL, NULL, run_lp},
    {"", "LRN", 1, OP_LATEST, 1, 1, 1, 1, 0, check_lrn, shapes_lrn, NULL, NULL, run_lrn},
    {"", "MeanVarianceNormalization", 9, OP_LATEST, 1, 1, 1, 1, 0, check_attributes, shapes_mvn, NULL,
     prepare_mvn, run_mvn},
    {0},
};
