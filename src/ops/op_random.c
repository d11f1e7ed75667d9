/* RandomNormal, RandomUniform, their Like forms, Multinomial, Bernoulli.
 * The generator is base/rng.h's: with a seed the numbers are the same on every machine, though not those of
 * other engines; without one they start from the system's entropy. A program's generator moves on from
 * run to run.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "base/rng.h"
#include "ops/elements.h"
#include "ops/infer.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

enum { TYPES_DRAWN = TYPES_FLOAT };

static onnxd_status prepare_random(struct op_plan *plan, onnxd_error *err)
{
    struct rng *rng;
    onnxd_status status = plan_state(plan, sizeof *rng, (void **)&rng, err);
    if (status != ONNXD_OK) return status;
    uint64_t seed = 0;
    if (node_attribute(plan->node, "seed") != NULL)
        seed = bits_of_f32(node_attribute_float(plan->node, "seed", 0));
    else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return op_error(err, plan->node, ONNXD_ERR_IO, "the system gives no random numbers");
    *rng = rng_seed(seed);
    return ONNXD_OK;
}

static onnxd_type wanted_type(const struct node *node, onnxd_type otherwise)
{
    return (onnxd_type)node_attribute_int(node, "dtype", otherwise);
}

/* ---- normal and uniform --------------------------------------------------------------------------- */

static onnxd_status check_draw(const struct node *node, onnxd_error *err)
{
    onnxd_type type = wanted_type(node, ONNXD_FLOAT32);
    size_t n;
    const int64_t *dims = node_attribute_ints(node, "shape", &n);
    if ((TYPES_DRAWN & TYPE_BIT(type)) == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "dtype %d is no floating type", (int)type);
    if (node->n_in == 0 && (node_attribute(node, "shape") == NULL || n > ONNXD_MAX_RANK))
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'shape' is missing or too long");
    if (node->n_in == 0 && shape_n_elements(dims, (uint32_t)n) < 0)
        return op_error(err, node, ONNXD_ERR_LIMIT, "attribute 'shape' asks for too much");
    return check_attributes(node, err);
}

static onnxd_status shapes_draw(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    struct dim dims[ONNXD_MAX_RANK];
    size_t n;
    if (s->n_in == 0) {
        const int64_t *shape = node_attribute_ints(s->node, "shape", &n);
        for (size_t i = 0; i < n; i++) dims[i] = dim_constant(shape[i]);
        shapes_set(s, 0, wanted_type(s->node, ONNXD_FLOAT32), (int32_t)n, dims);
        return ONNXD_OK;
    }
    onnxd_type like = s->in[0]->type;
    shapes_copy(s, 0, 0);
    if (like != ONNXD_UNDEFINED && !type_is_float(like)) like = ONNXD_FLOAT32;
    shapes_set_type(s, 0, wanted_type(s->node, like));
    return ONNXD_OK;
}

static onnxd_status run_draw(struct op_run *run, onnxd_error *err)
{
    (void)err;
    struct rng *rng = run->state;
    const struct node *node = run->node;
    const onnxd_tensor *out = run->out[0];
    bool normal = strncmp(node->op_type, "RandomNormal", strlen("RandomNormal")) == 0;
    double a = (double)node_attribute_float(node, normal ? "mean" : "low", 0);
    double b = (double)node_attribute_float(node, normal ? "scale" : "high", 1);
    int64_t n = onnxd_tensor_n_elements(out);
    for (int64_t i = 0; i < n; i++) {
        double value = normal ? a + b * rng_normal(rng) : a + (b - a) * rng_f64(rng);
        elements_store(LANE_F64, out->type, out->data, i, 1, &value);
    }
    return ONNXD_OK;
}

/* ---- Bernoulli -------------------------------------------------------------------------------------- */

static onnxd_status shapes_bernoulli(struct op_shapes *s, onnxd_error *err)
{
    shapes_copy(s, 0, 0);
    shapes_set_type(s, 0, wanted_type(s->node, s->in[0]->type));
    return infer_type(s, 0, TYPES_FLOAT, err);
}

static onnxd_status check_bernoulli(const struct node *node, onnxd_error *err)
{
    onnxd_type type = wanted_type(node, ONNXD_FLOAT32);
    if (lane_of(type) == LANE_NONE) return op_error(err, node, ONNXD_ERR_MODEL, "dtype %d", (int)type);
    return check_attributes(node, err);
}

static onnxd_status run_bernoulli(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t n = onnxd_tensor_n_elements(in);
    for (int64_t i = 0; i < n; i++) {
        double value = rng_f64(run->state) < element_f64(in, i) ? 1 : 0;
        elements_store(LANE_F64, out->type, out->data, i, 1, &value);
    }
    return ONNXD_OK;
}

/* ---- Multinomial: classes drawn by unnormalised log probabilities ------------------------------------- */

static int64_t n_samples(const struct node *node)
{
    return node_attribute_int(node, "sample_size", 1);
}

static onnxd_status check_multinomial(const struct node *node, onnxd_error *err)
{
    onnxd_type type = wanted_type(node, ONNXD_INT32);
    if (type != ONNXD_INT32 && type != ONNXD_INT64)
        return op_error(err, node, ONNXD_ERR_MODEL, "dtype %d, expected int32 or int64", (int)type);
    if (n_samples(node) < 1 || n_samples(node) > INT32_MAX)
        return op_error(err, node, ONNXD_ERR_MODEL, "sample_size is %lld", (long long)n_samples(node));
    return check_attributes(node, err);
}

static onnxd_status shapes_multinomial(struct op_shapes *s, onnxd_error *err)
{
    struct dim dims[2] = {dim_unknown(), dim_constant(n_samples(s->node))};
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_rank(s, 0, 2, err);
    if (status != ONNXD_OK) return status;
    if (s->in[0]->rank == 2) dims[0] = s->in[0]->dims[0];
    shapes_set(s, 0, wanted_type(s->node, ONNXD_INT32), 2, dims);
    return ONNXD_OK;
}

static onnxd_status prepare_multinomial(struct op_plan *plan, onnxd_error *err)
{
    plan->workspace_bytes = (size_t)plan->in[0]->dims[1] * sizeof(double);
    return prepare_random(plan, err);
}

static onnxd_status run_multinomial(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t n_rows = in->dims[0], n_classes = in->dims[1], n = out->dims[1];
    double *sums = run->workspace; /* of the probabilities up to each class */
    if (n_classes == 0 && n_rows > 0)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "there are no classes");
    for (int64_t r = 0; r < n_rows; r++) {
        double most = -INFINITY, sum = 0;
        for (int64_t c = 0; c < n_classes; c++) most = fmax(most, element_f64(in, r * n_classes + c));
        for (int64_t c = 0; c < n_classes; c++)
            sums[c] = sum += exp(element_f64(in, r * n_classes + c) - most);
        for (int64_t k = 0; k < n; k++) {
            double at = rng_f64(run->state) * sum;
            int64_t c = 0;
            while (c < n_classes - 1 && sums[c] <= at) c++;
            elements_store(LANE_I64, out->type, out->data, r * n + k, 1, &c);
        }
    }
    return ONNXD_OK;
}

const struct op_def ops_random[] = {
    {"", "RandomNormal", 1, OP_LATEST, 0, 0, 1, 1, OP_IMPURE, check_draw, shapes_draw, NULL, prepare_random,
     run_draw},
    {"", "RandomUniform", 1, OP_LATEST, 0, 0, 1, 1, OP_IMPURE, check_draw, shapes_draw, NULL, prepare_random,
     run_draw},
    {"", "RandomNormalLike", 1, OP_LATEST, 1, 1, 1, 1, OP_IMPURE, check_draw, shapes_draw, NULL,
     prepare_random, run_draw},
    {"", "RandomUniformLike", 1, OP_LATEST, 1, 1, 1, 1, OP_IMPURE, check_draw, shapes_draw, NULL,
     prepare_random, run_draw},
    {"", "Multinomial", 7, OP_LATEST, 1, 1, 1, 1, OP_IMPURE, check_multinomial, shapes_multinomial, NULL,
     prepare_multinomial, run_multinomial},
    {"", "Bernoulli", 15, OP_LATEST, 1, 1, 1, 1, OP_IMPURE, check_bernoulli, shapes_bernoulli, NULL,
     prepare_random, run_bernoulli},
    {0},
};
