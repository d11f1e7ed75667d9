/* onnxd.Dense: Y = act(X W + b + C), what fusion makes of MatMul, Gemm and Einsum with constant weights.
 *
 * Inputs X [..., k], W [k, n] or with attribute `transposed` [n, k], b [n] or left out, C [..., n] or left
 * out. Attributes: activation (enum f32_activation), alpha, after_relu (X has many zeros), bf16
 * (weights kept in bfloat16). All float32. Weights are packed once. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

/* From this many on, leaving zeros out saves more than finding them costs. */
enum { MIN_SPARSE_ROWS = 64, MIN_SPARSE_COLUMNS = 32 };

struct dense_weights { /* node->packed */
    const float *packed, *bias;
    size_t n, k;
    bool finite; /* a zero times any weight is zero */
    bool bf16;
};

struct dense_state {
    f32_gemm_fn *fn;
    struct f32_gemm gemm;
    bool has_addend;
};

static onnxd_status shapes_dense(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *x = s->in[0], *w = s->in[1];
    bool transposed = node_attribute_int(s->node, "transposed", 0) != 0;
    shapes_set_type(s, 0, ONNXD_FLOAT32);
    if (x->rank < 1 || w->rank != 2) return ONNXD_OK;
    struct dim k = w->dims[transposed ? 1 : 0], x_k = x->dims[x->rank - 1];
    if (dim_is_known(x_k) && !dim_equal(k, x_k))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input has rows of %lld, weights need %lld",
                        (long long)x_k.n, (long long)k.n);
    struct dim dims[ONNXD_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank - 1] = w->dims[transposed ? 0 : 1];
    shapes_set(s, 0, ONNXD_FLOAT32, x->rank, dims);
    return ONNXD_OK;
}

static onnxd_status pack_dense(struct node *node, struct graph *graph, struct arena *arena, onnxd_error *err)
{
    const onnxd_tensor *w = graph->values[node->in[1]].info.constant;
    const onnxd_tensor *b = node->in[2] != GRAPH_NONE ? graph->values[node->in[2]].info.constant : NULL;
    bool transposed = node_attribute_int(node, "transposed", 0) != 0;
    const struct kernels *kernels = kernels_get();
    struct dense_weights *weights = arena_alloc_zeroed(arena, sizeof *weights);
    if (w == NULL || w->rank != 2) return op_error(err, node, ONNXD_ERR_INTERNAL, "weights must be constant");
    size_t k = (size_t)w->dims[transposed ? 1 : 0], n = (size_t)w->dims[transposed ? 0 : 1];
    bool bf16 = node_attribute_int(node, "bf16", 0) != 0 && kernels->has_bf16;
    size_t packed_size = bf16 ? kernels->bf16_gemm_packed_size(n, k) : kernels->f32_gemm_packed_size(n, k);
    float *packed = arena_alloc(arena, packed_size * sizeof *packed);
    float *bias = b != NULL ? arena_memdup(arena, b->data, n * sizeof *bias) : NULL;
    if (weights == NULL || packed == NULL || (b != NULL && bias == NULL))
        return op_error(err, node, ONNXD_ERR_LIMIT, "no room for packed weights");
    (bf16 ? kernels->bf16_gemm_pack : kernels->f32_gemm_pack)(packed, w->data, (size_t)w->dims[1], transposed,
                                                              n, k);
    *weights = (struct dense_weights){packed, bias, n, k, true, bf16};
    for (size_t i = 0; i < n * k && weights->finite; i++)
        weights->finite = isfinite(((const float *)w->data)[i]);
    node->packed = weights;
    return ONNXD_OK;
}

static void set_addresses(struct op_run *run)
{
    struct dense_state *state = run->state;
    state->gemm.a = run->in[0]->data;
    state->gemm.c = run->out[0]->data;
    if (state->has_addend) state->gemm.c0 = run->in[3]->data;
}

static onnxd_status run_dense(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct dense_state *state = run->state;
    set_addresses(run);
    state->fn(&state->gemm);
    return ONNXD_OK;
}

/* One row behind a ReLU: weights that meet a zero are not read. */
static onnxd_status run_sparse(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct dense_state *state = run->state;
    set_addresses(run);
    kernels_get()->f32_gemv_sparse(&state->gemm, run->workspace);
    return ONNXD_OK;
}

static onnxd_status prepare_dense(struct op_plan *plan, onnxd_error *err)
{
    const struct dense_weights *weights = plan->node->packed;
    struct dense_state *state = arena_alloc_zeroed(plan->arena, sizeof *state);
    if (state == NULL) return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for its state");
    size_t m = weights->n == 0 ? 0 : (size_t)onnxd_tensor_n_elements(plan->out[0]) / weights->n;
    state->fn = weights->bf16 ? kernels_get()->bf16_gemm : kernels_get()->f32_gemm;
    state->has_addend = plan->n_in > 3 && plan->in[3] != NULL;
    state->gemm = (struct f32_gemm){
        .m = m,
        .n = weights->n,
        .k = weights->k,
        .lda = weights->k,
        .b = weights->packed,
        .bias = weights->bias,
        .ldc0 = weights->n,
        .ldc = weights->n,
        .act = (enum f32_activation)node_attribute_int(plan->node, "activation", 0),
        .alpha = node_attribute_float(plan->node, "alpha", 0)};
    plan->state = state;
    if (m == 1 && weights->finite && !weights->bf16 && weights->k >= MIN_SPARSE_ROWS &&
        weights->n >= MIN_SPARSE_COLUMNS && node_attribute_int(plan->node, "after_relu", 0) != 0) {
        plan->run = run_sparse;
        plan->workspace_bytes = f32_gemv_sparse_scratch(weights->k);
    }
    return ONNXD_OK;
}

const struct op_def ops_dense[] = {
    {"onnxd", "Dense", 1, OP_LATEST, 2, 4, 1, 1, 0, NULL, shapes_dense, pack_dense, prepare_dense, run_dense},
    {0},
};
