/* onnxd.MultiHead: multi-head attention over rows that hold all heads side by side.
 *
 * What fusion makes of the Split/Concat or Reshape/Transpose nodes, two products and Softmax of an attention
 * block. Inputs q [..., tq, *], k [..., tk, *], v [..., tk, *], r [..., tq, *] (added to the result) or left
 * out; the same tensor may serve several. Attributes: heads, size (elements of a head), q_column, k_column,
 * v_column, r_column (where in a row each begins), scale, relu, leading (dimensions of 1 put in front).
 * Output [1 x leading, ..., tq, heads * size]. All float32. */
#include "ops/op.h"

#include <string.h>

#include "kernels/kernels.h"

struct heads_state {
    struct f32_attention one; /* of the first head */
    size_t n_heads, batch, width;
    size_t q_column, k_column, v_column, r_column;
    size_t ldr;
    bool has_residual, relu;
    f32_attention_fn *attention;
    f32_binary_fn *add;
    f32_unary_fn *rectify;
};

static onnxd_status shapes_heads(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *q = s->in[0];
    int64_t leading = node_attribute_int(s->node, "leading", 0);
    shapes_set_type(s, 0, ONNXD_FLOAT32);
    if (q->rank < 2) return ONNXD_OK;
    if (q->rank + leading > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "its rank is too high");
    struct dim dims[ONNXD_MAX_RANK];
    for (int64_t i = 0; i < leading; i++) dims[i] = dim_constant(1);
    memcpy(dims + leading, q->dims, (size_t)q->rank * sizeof *dims);
    dims[leading + q->rank - 1] = dim_constant(node_attribute_int(s->node, "heads", 1) *
                                               node_attribute_int(s->node, "size", 1));
    shapes_set(s, 0, ONNXD_FLOAT32, (int32_t)(q->rank + leading), dims);
    return ONNXD_OK;
}

static onnxd_status run_heads(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct heads_state *h = run->state;
    struct f32_attention one = h->one;
    const float *q = (const float *)run->in[0]->data + h->q_column;
    const float *k = (const float *)run->in[1]->data + h->k_column;
    const float *v = (const float *)run->in[2]->data + h->v_column;
    const float *r = h->has_residual ? (const float *)run->in[3]->data + h->r_column : NULL;
    float *out = run->out[0]->data;
    for (size_t b = 0; b < h->batch; b++) {
        for (size_t head = 0; head < h->n_heads; head++) {
            one.q = q + head * one.d;
            one.k = k + head * one.d;
            one.v = v + head * one.dv;
            one.o = out + head * one.dv;
            h->attention(&one, run->workspace);
        }
        if (r != NULL) h->add(out, h->width, out, h->width, r, h->ldr, one.tq, h->width);
        if (h->relu) h->rectify(out, out, one.tq * h->width, 0, 0);
        q += one.tq * one.ldq;
        k += one.tk * one.ldk;
        v += one.tk * one.ldv;
        if (r != NULL) r += one.tq * h->ldr;
        out += one.tq * h->width;
    }
    return ONNXD_OK;
}

static size_t dim_from_end(const onnxd_tensor *t, uint32_t i)
{
    return (size_t)t->dims[t->rank - i];
}

static onnxd_status prepare_heads(struct op_plan *plan, onnxd_error *err)
{
    const struct node *node = plan->node;
    const struct kernels *kernels = kernels_get();
    struct heads_state *h = arena_alloc_zeroed(plan->arena, sizeof *h);
    if (h == NULL) return op_error(err, node, ONNXD_ERR_LIMIT, "no room for its state");
    const onnxd_tensor *q = plan->in[0], *k = plan->in[1], *v = plan->in[2];
    size_t size = (size_t)node_attribute_int(node, "size", 1);
    h->n_heads = (size_t)node_attribute_int(node, "heads", 1);
    h->width = h->n_heads * size;
    h->one = (struct f32_attention){.tq = dim_from_end(q, 2),
                                    .tk = dim_from_end(k, 2),
                                    .d = size,
                                    .dv = size,
                                    .ldq = dim_from_end(q, 1),
                                    .ldk = dim_from_end(k, 1),
                                    .ldv = dim_from_end(v, 1),
                                    .scale = node_attribute_float(node, "scale", 1),
                                    .ldo = h->width};
    h->batch = h->one.tq == 0 ? 0 : (size_t)onnxd_tensor_n_elements(plan->out[0]) / (h->one.tq * h->width);
    h->q_column = (size_t)node_attribute_int(node, "q_column", 0);
    h->k_column = (size_t)node_attribute_int(node, "k_column", 0);
    h->v_column = (size_t)node_attribute_int(node, "v_column", 0);
    h->r_column = (size_t)node_attribute_int(node, "r_column", 0);
    h->has_residual = plan->n_in > 3 && plan->in[3] != NULL;
    if (h->has_residual) h->ldr = dim_from_end(plan->in[3], 1);
    h->relu = node_attribute_int(node, "relu", 0) != 0;
    h->attention = kernels->f32_attention;
    h->add = kernels->f32_binary[F32_BINARY_add].vv;
    h->rectify = kernels->f32_unary[F32_UNARY_relu];
    plan->workspace_bytes = f32_attention_scratch(h->one.tk, size) * sizeof(float);
    plan->state = h;
    return ONNXD_OK;
}

const struct op_def ops_heads[] = {
    {"onnxd", "MultiHead", 1, OP_LATEST, 3, 4, 1, 1, 0, NULL, shapes_heads, NULL, prepare_heads, run_heads},
    {0},
};
