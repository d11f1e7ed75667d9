/* MatMul with numpy's broadcasting of stacks, and Gemm.
 *
 * A constant float32 right operand is packed once per model; other element types are computed in their
 * lane, converted on the way in and rounded once on the way out.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "kernels/kernels.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/matrix.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define MATMUL_TYPES                                                                        \
    (TYPES_FLOAT | TYPE_BIT(ONNXD_INT32) | TYPE_BIT(ONNXD_INT64) | TYPE_BIT(ONNXD_UINT32) | \
     TYPE_BIT(ONNXD_UINT64))

/* ---- packed right operands --------------------------------------------------------------------------- */

/* B as the kernels want it, scaled by alpha. */
struct packed_matrix {
    int64_t n, k;
    const float *b;
};

static onnxd_status pack_right(struct node *node, struct graph *graph, struct arena *arena, bool transposed,
                               float alpha, onnxd_error *err)
{
    const onnxd_tensor *b = node->in[1] != GRAPH_NONE ? graph->values[node->in[1]].info.constant : NULL;
    if (b == NULL || b->type != ONNXD_FLOAT32 || b->rank != 2) return ONNXD_OK;
    const struct kernels *kernels = kernels_get();
    struct packed_matrix *packed = arena_alloc(arena, sizeof *packed);
    if (packed == NULL) return op_error(err, node, ONNXD_ERR_LIMIT, "no room to pack input 1");
    packed->k = b->dims[transposed];
    packed->n = b->dims[!transposed];
    size_t n_floats = kernels->f32_gemm_packed_size((size_t)packed->n, (size_t)packed->k);
    float *room = n_floats < SIZE_MAX / 8 ? arena_alloc(arena, n_floats * sizeof *room + ARENA_ALIGN) : NULL;
    if (room == NULL) return op_error(err, node, ONNXD_ERR_LIMIT, "no room to pack input 1");
    kernels->f32_gemm_pack(room, b->data, (size_t)b->dims[1], transposed, (size_t)packed->n,
                           (size_t)packed->k);
    for (size_t i = 0; alpha != 1.0f && i < n_floats; i++) room[i] *= alpha;
    packed->b = room;
    node->packed = packed;
    return ONNXD_OK;
}

/* ---- MatMul ----------------------------------------------------------------------------------------- */

static onnxd_status shapes_matmul(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, 2, MATMUL_TYPES, err);
    if (status != ONNXD_OK) return status;
    struct value_info a = *s->in[0], b = *s->in[1], out = value_info_unknown();
    shapes_set_type(s, 0, a.type);
    if (a.rank < 0 || b.rank < 0) return ONNXD_OK;
    if (a.rank == 0 || b.rank == 0)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "inputs have ranks %d and %d, expected 1 or more",
                        a.rank, b.rank);
    struct dim k_a = a.dims[a.rank - 1], k_b = b.dims[b.rank == 1 ? 0 : b.rank - 2];
    if (dim_differs(k_a, k_b))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "inner sizes %lld and %lld differ", (long long)k_a.n,
                        (long long)k_b.n);
    bool keeps_m = a.rank > 1, keeps_n = b.rank > 1;
    struct dim m = keeps_m ? a.dims[a.rank - 2] : dim_unknown(), n = b.dims[b.rank - 1];
    a.rank = a.rank > 2 ? a.rank - 2 : 0;
    b.rank = b.rank > 2 ? b.rank - 2 : 0;
    status = shapes_broadcast(s, &a, &b, out.dims, &out.rank, err);
    if (status != ONNXD_OK) return status;
    if (keeps_m) out.dims[out.rank++] = m;
    if (keeps_n) out.dims[out.rank++] = n;
    shapes_set(s, 0, a.type, out.rank, out.dims);
    return ONNXD_OK;
}

struct matmul_state {
    struct matrix_product product; /* without pointers */
    struct loops stack;            /* operands: out, a, b; strides in elements */
    size_t a_bytes, b_bytes;       /* of converted operands; 0: native */
    bool out_native;
};

static size_t operand_bytes(enum lane lane, const onnxd_tensor *tensor)
{
    if (lane_is_native(lane, tensor->type)) return 0;
    return ((size_t)onnxd_tensor_n_elements(tensor) * lane_size(lane) + 63) / 64 * 64;
}

/* Stacks of which the right operand is one matrix make one tall product. */
static void join_stack(struct matmul_state *state)
{
    struct loops *stack = &state->stack;
    int64_t rows = state->product.m;
    loops_simplify(stack);
    if (stack->rank == 1 && stack->strides[2][0] == 0 && stack->dims[0] > 1 &&
        stack->strides[1][0] == rows * state->product.k) {
        state->product.m = rows * stack->dims[0];
        stack->dims[0] = 1;
    }
}

static onnxd_status prepare_matmul(struct op_plan *plan, onnxd_error *err)
{
    struct matmul_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    const onnxd_tensor *a = plan->in[0], *b = plan->in[1], *out = plan->out[0];
    struct matrix_product *p = &state->product;
    p->lane = lane_of(a->type);
    p->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    p->k = p->lda = a->dims[a->rank - 1];
    p->n = p->ldb = p->ldc = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    uint32_t a_stack = a->rank > 2 ? a->rank - 2 : 0, b_stack = b->rank > 2 ? b->rank - 2 : 0;
    uint32_t stack = a_stack > b_stack ? a_stack : b_stack;
    loops_init(&state->stack, out->dims, stack, 3);
    loops_broadcast(&state->stack, 0, out->dims, stack);
    loops_broadcast(&state->stack, 1, a->dims, a_stack);
    loops_broadcast(&state->stack, 2, b->dims, b_stack);
    int64_t sizes[3] = {p->m * p->n, p->m * p->k, p->k * p->n};
    for (uint32_t k = 0; k < 3; k++)
        for (uint32_t i = 0; i < stack; i++) state->stack.strides[k][i] *= sizes[k];
    join_stack(state);
    state->a_bytes = operand_bytes(p->lane, a);
    state->b_bytes = operand_bytes(p->lane, b);
    state->out_native = lane_is_native(p->lane, out->type);
    size_t c_bytes = state->out_native ? 0 : (size_t)(p->m * p->n) * lane_size(p->lane) + 64;
    plan->workspace_bytes = matrix_scratch_bytes() + state->a_bytes + state->b_bytes + c_bytes;
    return ONNXD_OK;
}

static void multiply_packed(const struct matmul_state *state, const struct packed_matrix *packed,
                            const float *a, float *c)
{
    struct f32_gemm g = {.m = (size_t)state->product.m,
                         .n = (size_t)packed->n,
                         .k = (size_t)packed->k,
                         .a = a,
                         .lda = (size_t)packed->k,
                         .b = packed->b,
                         .c = c,
                         .ldc = (size_t)packed->n};
    kernels_get()->f32_gemm(&g);
}

static onnxd_status run_matmul(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct matmul_state *state = run->state;
    struct matrix_product p = state->product;
    const onnxd_tensor *out = run->out[0];
    size_t size = lane_size(p.lane);
    char *a_room = (char *)run->workspace + matrix_scratch_bytes(), *b_room = a_room + state->a_bytes;
    const char *a = matrix_operand(p.lane, run->in[0], a_room);
    const char *b = matrix_operand(p.lane, run->in[1], b_room);
    char *c = b_room + state->b_bytes;
    struct loops_cursor at;
    for (loops_start(&state->stack, &at); at.more; loops_next(&state->stack, &at))
        for (int64_t i = 0; i < loops_inner(&state->stack); i++) {
            int64_t offset[3];
            for (uint32_t k = 0; k < 3; k++)
                offset[k] = at.offset[k] + i * loops_inner_stride(&state->stack, k);
            p.a = a + (size_t)offset[1] * size;
            p.b = b + (size_t)offset[2] * size;
            p.c = state->out_native ? (char *)out->data + (size_t)offset[0] * size : c;
            if (run->node->packed != NULL)
                multiply_packed(state, run->node->packed, p.a, p.c);
            else
                matrix_multiply(&p, run->workspace);
            if (!state->out_native) elements_store(p.lane, out->type, out->data, offset[0], p.m * p.n, c);
        }
    return ONNXD_OK;
}

static onnxd_status pack_matmul(struct node *node, struct graph *graph, struct arena *arena, onnxd_error *err)
{
    return pack_right(node, graph, arena, false, 1.0f, err);
}

/* ---- Gemm: alpha * A * B + beta * C ------------------------------------------------------------------- */

static bool transposes(const struct node *node, const char *name)
{
    return node_attribute_int(node, name, 0) != 0;
}

static onnxd_status shapes_gemm(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, 3, MATMUL_TYPES, err);
    if (status == ONNXD_OK) status = infer_rank(s, 0, 2, err);
    if (status == ONNXD_OK) status = infer_rank(s, 1, 2, err);
    if (status != ONNXD_OK) return status;
    const struct value_info *a = s->in[0], *b = s->in[1];
    bool ta = transposes(s->node, "transA"), tb = transposes(s->node, "transB");
    struct value_info out = {.type = a->type, .rank = 2, .dims = {dim_unknown(), dim_unknown()}};
    if (a->rank == 2) out.dims[0] = a->dims[ta];
    if (b->rank == 2) out.dims[1] = b->dims[!tb];
    if (a->rank == 2 && b->rank == 2 && dim_differs(a->dims[!ta], b->dims[tb]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "inner sizes %lld and %lld differ",
                        (long long)a->dims[!ta].n, (long long)b->dims[tb].n);
    shapes_set(s, 0, a->type, 2, out.dims);
    if (!shapes_known(s, 2)) return ONNXD_OK;
    struct dim dims[ONNXD_MAX_RANK];
    int32_t rank;
    status = shapes_broadcast(s, &out, s->in[2], dims, &rank, err);
    if (status != ONNXD_OK) return status;
    for (int i = 0; i < 2; i++)
        if (rank != 2 || dim_differs(dims[i], out.dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 2 does not broadcast to the product");
    return ONNXD_OK;
}

struct gemm_state {
    struct matrix_product product;
    size_t a_bytes, b_bytes, c_bytes;
    struct loops addend; /* operands: out, C */
    bool has_c, c_is_bias, out_native;
    float alpha, beta;
};

static onnxd_status prepare_gemm(struct op_plan *plan, onnxd_error *err)
{
    struct gemm_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    const onnxd_tensor *a = plan->in[0], *b = plan->in[1], *out = plan->out[0];
    struct matrix_product *p = &state->product;
    p->lane = lane_of(a->type);
    p->a_transposed = transposes(plan->node, "transA");
    p->b_transposed = transposes(plan->node, "transB");
    p->m = out->dims[0];
    p->n = p->ldc = out->dims[1];
    p->k = a->dims[!p->a_transposed];
    p->lda = a->dims[1];
    p->ldb = b->dims[1];
    state->alpha = node_attribute_float(plan->node, "alpha", 1.0f);
    state->beta = node_attribute_float(plan->node, "beta", 1.0f);
    state->has_c = tensor_given(plan->in, plan->n_in, 2) && state->beta != 0;
    if (state->has_c) {
        const onnxd_tensor *c = plan->in[2];
        loops_init(&state->addend, out->dims, 2, 2);
        loops_broadcast(&state->addend, 0, out->dims, 2);
        loops_broadcast(&state->addend, 1, c->dims, c->rank);
        state->c_is_bias = state->beta == 1 && c->rank > 0 && c->dims[c->rank - 1] == p->n &&
                           (c->rank == 1 || c->dims[0] == 1);
        loops_simplify(&state->addend);
    }
    state->out_native = lane_is_native(p->lane, out->type);
    state->a_bytes = operand_bytes(p->lane, a);
    state->b_bytes = operand_bytes(p->lane, b);
    state->c_bytes = state->out_native ? 0 : (size_t)(p->m * p->n) * lane_size(p->lane) + 64;
    plan->workspace_bytes = matrix_scratch_bytes() + state->a_bytes + state->b_bytes + state->c_bytes;
    return ONNXD_OK;
}

/* What stands in the lane's product becomes alpha * product + beta * C. */
static void finish_gemm(const struct gemm_state *state, const onnxd_tensor *c, float alpha, void *product,
                        const onnxd_tensor *out)
{
    enum lane lane = state->product.lane;
    int64_t n = state->product.m * state->product.n;
    onnxd_type type = lane == LANE_F32 ? ONNXD_FLOAT32 : lane == LANE_F64 ? ONNXD_FLOAT64 : ONNXD_INT64;
    if (alpha != 1.0f)
        for (int64_t i = 0; i < n; i++) {
            double v;
            elements_load(LANE_F64, type, product, i, 1, 1, &v);
            v *= (double)alpha;
            elements_store(LANE_F64, type, product, i, 1, &v);
        }
    struct loops_cursor at;
    if (c != NULL)
        for (loops_start(&state->addend, &at); at.more; loops_next(&state->addend, &at))
            for (int64_t i = 0; i < loops_inner(&state->addend); i++) {
                double v, w;
                int64_t here = at.offset[0] + i;
                elements_load(LANE_F64, type, product, here, 1, 1, &v);
                elements_load(LANE_F64, c->type, c->data,
                              at.offset[1] + i * loops_inner_stride(&state->addend, 1), 1, 1, &w);
                v += (double)state->beta * w;
                elements_store(LANE_F64, type, product, here, 1, &v);
            }
    if (!state->out_native) elements_store(lane, out->type, out->data, 0, n, product);
}

static onnxd_status run_gemm(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct gemm_state *state = run->state;
    const struct packed_matrix *packed = run->node->packed;
    const onnxd_tensor *out = run->out[0], *c = state->has_c ? run->in[2] : NULL;
    struct matrix_product p = state->product;
    if (packed != NULL && !p.a_transposed) {
        const float *bias = c != NULL && state->c_is_bias ? c->data : NULL;
        struct f32_gemm g = {.m = (size_t)p.m,
                             .n = (size_t)p.n,
                             .k = (size_t)p.k,
                             .a = run->in[0]->data,
                             .lda = (size_t)p.lda,
                             .b = packed->b,
                             .bias = bias,
                             .c = out->data,
                             .ldc = (size_t)p.n};
        kernels_get()->f32_gemm(&g);
        if (bias == NULL) finish_gemm(state, c, 1.0f, out->data, out);
        return ONNXD_OK;
    }
    char *a_room = (char *)run->workspace + matrix_scratch_bytes(), *b_room = a_room + state->a_bytes;
    p.a = matrix_operand(p.lane, run->in[0], a_room);
    p.b = matrix_operand(p.lane, run->in[1], b_room);
    p.c = state->out_native ? out->data : b_room + state->b_bytes;
    matrix_multiply(&p, run->workspace);
    finish_gemm(state, c, state->alpha, p.c, out);
    return ONNXD_OK;
}

static onnxd_status pack_gemm(struct node *node, struct graph *graph, struct arena *arena, onnxd_error *err)
{
    return pack_right(node, graph, arena, transposes(node, "transB"),
                      node_attribute_float(node, "alpha", 1.0f), err);
}

const struct op_def ops_matmul[] = {
    {"", "MatMul", 1, OP_LATEST, 2, 2, 1, 1, 0, NULL, shapes_matmul, pack_matmul, prepare_matmul, run_matmul},
    {"", "Gemm", 1, OP_LATEST, 2, 3, 1, 1, 0, check_attributes, shapes_gemm, pack_gemm, prepare_gemm,
     run_gemm},
    {0},
};
