/* Attention and RotaryEmbedding as ai.onnx defines them.
 * Source: ONNX operator specification, ai.onnx, Attention-23 and -24, RotaryEmbedding-23. Sums are kept in
 * float64 per score and rounded once. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"

/* ---- Attention ------------------------------------------------------------------------------------- */

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_LENGTHS };
enum { OUT_Y, OUT_PRESENT_K, OUT_PRESENT_V, OUT_SCORES };
enum { SCORES_RAW, SCORES_CAPPED, SCORES_BIASED, SCORES_SOFTMAX }; /* qk_matmul_output_mode, as it acts */

static onnxd_status check_attention(const struct node *node, onnxd_error *err)
{
    int64_t mode = node_attribute_int(node, "qk_matmul_output_mode", 0);
    if (mode < 0 || mode > 3)
        return op_error(err, node, ONNXD_ERR_MODEL, "qk_matmul_output_mode is %lld", (long long)mode);
    if ((node->n_in > IN_PAST_K && node->in[IN_PAST_K] != GRAPH_NONE) !=
        (node->n_in > IN_PAST_V && node->in[IN_PAST_V] != GRAPH_NONE))
        return op_error(err, node, ONNXD_ERR_MODEL, "past_key and past_value belong together");
    return check_attributes(node, err);
}

/* Q, K or V as [batch, heads, steps, size]: of rank 4 it is that; of rank 3, [batch, steps, heads * size]. */
static onnxd_status head_dims(struct op_shapes *s, uint32_t in, const char *heads, struct dim *ret,
                              onnxd_error *err)
{
    const struct value_info *info = s->in[in];
    if (info->rank == 4) {
        memcpy(ret, info->dims, 4 * sizeof *ret);
        return ONNXD_OK;
    }
    int64_t n = node_attribute_int(s->node, heads, 0);
    if (info->rank != 3 || n < 1)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has rank %d: expected 4, or 3 with '%s'", in,
                        info->rank, heads);
    ret[0] = info->dims[0];
    ret[1] = dim_constant(n);
    ret[2] = info->dims[1];
    ret[3] = dim_div(info->dims[2], dim_constant(n));
    if (dim_is_constant(info->dims[2]) && !dim_is_known(ret[3]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u: %lld features for %lld heads", in,
                        (long long)info->dims[2].n, (long long)n);
    return ONNXD_OK;
}

static onnxd_status shapes_attention(struct op_shapes *s, onnxd_error *err)
{
    struct dim q[4], k[4], v[4], total, y[4];
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_FLOAT, err);
    onnxd_type type = s->in[IN_Q]->type;
    for (uint32_t i = 0; i < s->n_out; i++) shapes_set_type(s, i, type);
    if (status != ONNXD_OK || s->in[IN_Q]->rank < 0 || s->in[IN_K]->rank < 0 || s->in[IN_V]->rank < 0)
        return status;
    status = head_dims(s, IN_Q, "q_num_heads", q, err);
    if (status == ONNXD_OK) status = head_dims(s, IN_K, "kv_num_heads", k, err);
    if (status == ONNXD_OK) status = head_dims(s, IN_V, "kv_num_heads", v, err);
    if (status != ONNXD_OK) return status;
    if (dim_differs(q[0], k[0]) || dim_differs(q[0], v[0]) || dim_differs(q[3], k[3]) ||
        dim_differs(k[2], v[2]) || dim_differs(k[1], v[1]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "Q, K and V do not fit each other");
    if (dim_is_constant(q[1]) && dim_is_constant(k[1]) && (k[1].n < 1 || q[1].n % k[1].n != 0))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld query heads do not divide by %lld key heads",
                        (long long)q[1].n, (long long)k[1].n);
    total = k[2];
    if (shapes_has(s, IN_PAST_K)) {
        const struct value_info *past[2] = {s->in[IN_PAST_K], s->in[IN_PAST_V]};
        for (int i = 0; i < 2; i++) {
            const struct dim *want = i == 0 ? k : v;
            if (past[i]->rank >= 0 &&
                (past[i]->rank != 4 || dim_differs(past[i]->dims[0], want[0]) ||
                 dim_differs(past[i]->dims[1], want[1]) || dim_differs(past[i]->dims[3], want[3])))
                return op_error(err, s->node, ONNXD_ERR_SHAPE, "the past does not fit K and V");
        }
        if (past[0]->rank == 4 && past[1]->rank == 4 && dim_differs(past[0]->dims[2], past[1]->dims[2]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "past_key and past_value differ in length");
        total = past[0]->rank == 4 ? dim_add(past[0]->dims[2], k[2]) : dim_unknown();
    }
    if (shapes_known(s, IN_MASK) && (s->in[IN_MASK]->rank < 2 || s->in[IN_MASK]->rank > 4))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "attn_mask has rank %d, expected 2 to 4",
                        s->in[IN_MASK]->rank);
    if (s->in[IN_Q]->rank == 3) {
        y[0] = q[0], y[1] = q[2], y[2] = dim_mul(q[1], v[3]);
        shapes_set(s, OUT_Y, type, 3, y);
    } else {
        y[0] = q[0], y[1] = q[1], y[2] = q[2], y[3] = v[3];
        shapes_set(s, OUT_Y, type, 4, y);
    }
    k[2] = v[2] = total;
    shapes_set(s, OUT_PRESENT_K, type, 4, k);
    shapes_set(s, OUT_PRESENT_V, type, 4, v);
    y[0] = q[0], y[1] = q[1], y[2] = q[2], y[3] = total;
    shapes_set(s, OUT_SCORES, type, 4, y);
    return ONNXD_OK;
}

/* Where element (batch, head, step, 0) of an operand is, and how steps and batches follow. */
struct heads {
    int64_t n, steps, size, step_stride, head_stride, batch_stride;
};

static struct heads heads_of(const onnxd_tensor *t, int64_t n_heads)
{
    if (t->rank == 4)
        return (struct heads){t->dims[1],
                              t->dims[2],
                              t->dims[3],
                              t->dims[3],
                              t->dims[2] * t->dims[3],
                              t->dims[1] * t->dims[2] * t->dims[3]};
    int64_t size = n_heads > 0 ? t->dims[2] / n_heads : 0;
    return (struct heads){n_heads, t->dims[1], size, t->dims[2], size, t->dims[1] * t->dims[2]};
}

struct attention {
    struct heads q, k, v;
    int64_t n_batch, n_past, total;
    double scale, softcap;
    bool causal;
    int mode;
    float *keys, *values, *scores, *query; /* workspace: [total, size], [total, v size], [total], [size] */
};

static struct attention attention_of(const struct node *node, const onnxd_tensor *const *in, uint32_t n_in)
{
    struct attention a = {.q = heads_of(in[IN_Q], node_attribute_int(node, "q_num_heads", 0)),
                          .k = heads_of(in[IN_K], node_attribute_int(node, "kv_num_heads", 0)),
                          .v = heads_of(in[IN_V], node_attribute_int(node, "kv_num_heads", 0)),
                          .n_batch = in[IN_Q]->dims[0],
                          .n_past = tensor_given(in, n_in, IN_PAST_K) ? in[IN_PAST_K]->dims[2] : 0,
                          .softcap = (double)node_attribute_float(node, "softcap", 0),
                          .causal = node_attribute_int(node, "is_causal", 0) != 0,
                          .mode = (int)node_attribute_int(node, "qk_matmul_output_mode", 0)};
    a.total = a.n_past + a.k.steps;
    a.scale = node_attribute(node, "scale") != NULL ? (double)node_attribute_float(node, "scale", 1)
                                                    : 1 / sqrt((double)a.q.size);
    return a;
}

static onnxd_status prepare_attention(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    struct attention a = attention_of(plan->node, plan->in, plan->n_in);
    plan->workspace_bytes = (size_t)(a.total * (a.k.size + a.v.size + 1) + a.q.size) * sizeof(float);
    return ONNXD_OK;
}

/* The past steps and then the new ones of one head, as floats in a row; also written to `present`. */
static void gather_head(const struct attention *a, const struct heads *h, const onnxd_tensor *new_steps,
                        const onnxd_tensor *past, int64_t batch, int64_t head, float *to,
                        const onnxd_tensor *present)
{
    if (a->n_past > 0)
        elements_load(LANE_F32, past->type, past->data, (batch * h->n + head) * a->n_past * h->size, 1,
                      a->n_past * h->size, to);
    for (int64_t i = 0; i < h->steps; i++)
        elements_load(LANE_F32, new_steps->type, new_steps->data,
                      batch * h->batch_stride + head * h->head_stride + i * h->step_stride, 1, h->size,
                      to + (a->n_past + i) * h->size);
    if (present != NULL)
        elements_store(LANE_F32, present->type, present->data, (batch * h->n + head) * a->total * h->size,
                       a->total * h->size, to);
}

/* What the mask adds to the score of query i and key j: 0, a number, or minus infinity. */
static double mask_bias(const struct attention *a, const struct op_run *run, int64_t batch, int64_t head,
                        int64_t i, int64_t j)
{
    double bias = 0;
    int64_t limit = a->n_past;
    if (tensor_given(run->in, run->n_in, IN_LENGTHS)) {
        int64_t length = element_i64(run->in[IN_LENGTHS], batch);
        if (j >= length) return -INFINITY;
        if (a->n_past == 0) limit = length - a->q.steps;
    }
    if (a->causal && j > i + limit) return -INFINITY;
    if (tensor_given(run->in, run->n_in, IN_MASK)) {
        const onnxd_tensor *m = run->in[IN_MASK];
        int64_t index[4] = {batch, head, i, j}, at = 0;
        if (j >= m->dims[m->rank - 1] && m->dims[m->rank - 1] != 1) return -INFINITY;
        for (uint32_t d = 0; d < m->rank; d++)
            at = at * m->dims[d] + (m->dims[d] == 1 ? 0 : index[4 - m->rank + d]);
        if (m->type == ONNXD_BOOL)
            bias = element_i64(m, at) != 0 ? 0 : -INFINITY;
        else
            bias = element_f64(m, at);
    }
    return bias;
}

static void softmax_row(float *x, int64_t n)
{
    float most = -INFINITY;
    double sum = 0;
    for (int64_t j = 0; j < n; j++) most = x[j] > most ? x[j] : most;
    for (int64_t j = 0; j < n; j++) {
        x[j] = isinf(most) && most < 0 ? NAN : expf(x[j] - most);
        sum += (double)x[j];
    }
    for (int64_t j = 0; j < n; j++) x[j] = (float)((double)x[j] / sum);
}

static void write_scores(const struct attention *a, const struct op_run *run, int64_t batch, int64_t head,
                         int64_t i, int mode)
{
    const onnxd_tensor *out = run->n_out > OUT_SCORES ? run->out[OUT_SCORES] : NULL;
    if (out != NULL && a->mode == mode)
        elements_store(LANE_F32, out->type, out->data, ((batch * a->q.n + head) * a->q.steps + i) * a->total,
                       a->total, a->scores);
}

/* One query: its scores against all keys, and the values weighted by them. */
static void attend(const struct attention *a, struct op_run *run, int64_t batch, int64_t head, int64_t i)
{
    const onnxd_tensor *q = run->in[IN_Q], *y = run->out[OUT_Y];
    elements_load(LANE_F32, q->type, q->data,
                  batch * a->q.batch_stride + head * a->q.head_stride + i * a->q.step_stride, 1, a->q.size,
                  a->query);
    for (int64_t j = 0; j < a->total; j++) {
        double sum = 0;
        for (int64_t c = 0; c < a->q.size; c++)
            sum += (double)a->query[c] * (double)a->keys[j * a->q.size + c];
        a->scores[j] = (float)(sum * a->scale);
    }
    write_scores(a, run, batch, head, i, SCORES_RAW);
    if (a->softcap > 0)
        for (int64_t j = 0; j < a->total; j++)
            a->scores[j] = (float)(a->softcap * tanh((double)a->scores[j] / a->softcap));
    write_scores(a, run, batch, head, i, SCORES_CAPPED);
    for (int64_t j = 0; j < a->total; j++) a->scores[j] += (float)mask_bias(a, run, batch, head, i, j);
    write_scores(a, run, batch, head, i, SCORES_BIASED);
    softmax_row(a->scores, a->total);
    write_scores(a, run, batch, head, i, SCORES_SOFTMAX);
    if (y == NULL) return;
    int64_t at = y->rank == 4 ? ((batch * a->q.n + head) * a->q.steps + i) * a->v.size
                              : (batch * a->q.steps + i) * a->q.n * a->v.size + head * a->v.size;
    for (int64_t c = 0; c < a->v.size; c++) {
        double sum = 0;
        for (int64_t j = 0; j < a->total; j++)
            sum += (double)a->scores[j] * (double)a->values[j * a->v.size + c];
        elements_store(LANE_F64, y->type, y->data, at + c, 1, &sum);
    }
}

static onnxd_status check_mask(const struct attention *a, const struct op_run *run, onnxd_error *err)
{
    if (tensor_given(run->in, run->n_in, IN_LENGTHS) &&
        onnxd_tensor_n_elements(run->in[IN_LENGTHS]) != a->n_batch)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "nonpad_kv_seqlen must be [%lld]",
                        (long long)a->n_batch);
    if (!tensor_given(run->in, run->n_in, IN_MASK)) return ONNXD_OK;
    const onnxd_tensor *m = run->in[IN_MASK];
    int64_t want[4] = {a->n_batch, a->q.n, a->q.steps, a->total};
    bool fits = m->dims[m->rank - 1] <= a->total;
    for (uint32_t d = 0; d + 1 < m->rank; d++)
        fits = fits && (m->dims[d] == 1 || m->dims[d] == want[4 - m->rank + d]);
    return fits ? ONNXD_OK : op_error(err, run->node, ONNXD_ERR_SHAPE, "attn_mask does not fit the scores");
}

static onnxd_status run_attention(struct op_run *run, onnxd_error *err)
{
    struct attention a = attention_of(run->node, run->in, run->n_in);
    onnxd_status status = check_mask(&a, run, err);
    if (status != ONNXD_OK) return status;
    a.keys = run->workspace;
    a.values = a.keys + a.total * a.k.size;
    a.scores = a.values + a.total * a.v.size;
    a.query = a.scores + a.total;
    bool past = tensor_given(run->in, run->n_in, IN_PAST_K);
    int64_t group = a.k.n > 0 ? a.q.n / a.k.n : 0;
    for (int64_t b = 0; b < a.n_batch; b++)
        for (int64_t h = 0; h < a.k.n; h++) {
            gather_head(&a, &a.k, run->in[IN_K], past ? run->in[IN_PAST_K] : NULL, b, h, a.keys,
                        run->n_out > OUT_PRESENT_K ? run->out[OUT_PRESENT_K] : NULL);
            gather_head(&a, &a.v, run->in[IN_V], past ? run->in[IN_PAST_V] : NULL, b, h, a.values,
                        run->n_out > OUT_PRESENT_V ? run->out[OUT_PRESENT_V] : NULL);
            for (int64_t g = 0; g < group; g++)
                for (int64_t i = 0; i < a.q.steps; i++) attend(&a, run, b, h * group + g, i);
        }
    return ONNXD_OK;
}

/* ---- RotaryEmbedding -------------------------------------------------------------------------------- */

struct rotary {
    int64_t n_batch, n_heads, n_steps, size, half, batch_stride, head_stride, step_stride;
    bool interleaved;
};

static struct rotary rotary_of(const struct node *node, const onnxd_tensor *x)
{
    struct rotary r = {.n_batch = x->dims[0], .interleaved = node_attribute_int(node, "interleaved", 0) != 0};
    struct heads h = heads_of(x, node_attribute_int(node, "num_heads", 0));
    r.n_heads = h.n;
    r.n_steps = h.steps;
    r.size = h.size;
    r.batch_stride = h.batch_stride;
    r.head_stride = h.head_stride;
    r.step_stride = h.step_stride;
    int64_t turned = node_attribute_int(node, "rotary_embedding_dim", 0);
    r.half = (turned > 0 ? turned : r.size) / 2;
    return r;
}

static onnxd_status shapes_rotary(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *x = s->in[0];
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 3, TYPES_INDEX, err);
    shapes_copy(s, 0, 0);
    if (status != ONNXD_OK || x->rank < 0) return status;
    if (x->rank != 4 && (x->rank != 3 || node_attribute_int(s->node, "num_heads", 0) < 1))
        return op_error(err, s->node, ONNXD_ERR_SHAPE,
                        "input 0 has rank %d: expected 4, or 3 with 'num_heads'", x->rank);
    return ONNXD_OK;
}

/* The row of the caches for a step: by position_ids, or the step's own. */
static onnxd_status cache_row(const struct op_run *run, const struct rotary *r, int64_t batch, int64_t step,
                              int64_t *ret, onnxd_error *err)
{
    const onnxd_tensor *cache = run->in[1];
    if (!tensor_given(run->in, run->n_in, 3)) {
        *ret = batch * r->n_steps + step;
        return ONNXD_OK;
    }
    int64_t position = element_i64(run->in[3], batch * r->n_steps + step), n = cache->dims[0];
    if (position < 0 || position >= n)
        return op_error(err, run->node, ONNXD_ERR_RANGE, "position %lld is outside a cache of %lld",
                        (long long)position, (long long)n);
    *ret = position;
    return ONNXD_OK;
}

static onnxd_status check_caches(const struct op_run *run, const struct rotary *r, onnxd_error *err)
{
    bool ids = tensor_given(run->in, run->n_in, 3);
    for (uint32_t i = 1; i <= 2; i++) {
        const onnxd_tensor *c = run->in[i];
        bool fits = c->rank == (ids ? 2u : 3u) && c->dims[c->rank - 1] == r->half && r->half > 0 &&
                    2 * r->half <= r->size &&
                    (ids || (c->dims[0] == r->n_batch && c->dims[1] == r->n_steps)) &&
                    c->dims[0] == run->in[1]->dims[0];
        if (!fits) return op_error(err, run->node, ONNXD_ERR_SHAPE, "input %u does not fit input 0", i);
    }
    if (ids && onnxd_tensor_n_elements(run->in[3]) != r->n_batch * r->n_steps)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "position_ids must be [%lld, %lld]",
                        (long long)r->n_batch, (long long)r->n_steps);
    return ONNXD_OK;
}

static void rotate(const struct op_run *run, const struct rotary *r, int64_t first, int64_t row)
{
    const onnxd_tensor *x = run->in[0], *y = run->out[0];
    for (int64_t c = 0; c < r->half; c++) {
        int64_t at = first + (r->interleaved ? 2 * c : c),
                other = first + (r->interleaved ? 2 * c + 1 : c + r->half);
        double a = element_f64(x, at), b = element_f64(x, other);
        double cosine = element_f64(run->in[1], row * r->half + c),
               sine = element_f64(run->in[2], row * r->half + c);
        double real = cosine * a - sine * b, imaginary = sine * a + cosine * b;
        elements_store(LANE_F64, y->type, y->data, at, 1, &real);
        elements_store(LANE_F64, y->type, y->data, other, 1, &imaginary);
    }
    for (int64_t c = 2 * r->half; c < r->size; c++) {
        double value = element_f64(x, first + c);
        elements_store(LANE_F64, y->type, y->data, first + c, 1, &value);
    }
}

static onnxd_status run_rotary(struct op_run *run, onnxd_error *err)
{
    struct rotary r = rotary_of(run->node, run->in[0]);
    onnxd_status status = check_caches(run, &r, err);
    for (int64_t b = 0; b < r.n_batch && status == ONNXD_OK; b++)
        for (int64_t i = 0; i < r.n_steps && status == ONNXD_OK; i++) {
            int64_t row = 0;
            status = cache_row(run, &r, b, i, &row, err);
            for (int64_t h = 0; h < r.n_heads && status == ONNXD_OK; h++)
                rotate(run, &r, b * r.batch_stride + h * r.head_stride + i * r.step_stride, row);
        }
    return status;
}

const struct op_def ops_attention[] = {
    {"", "Attention", 23, OP_LATEST, 3, 7, 1, 4, 0, check_attention, shapes_attention, NULL,
     prepare_attention, run_attention},
    {"", "RotaryEmbedding", 23, OP_LATEST, 3, 4, 1, 1, 0, check_attributes, shapes_rotary, NULL, NULL,
     run_rotary},
    {0},
};
