/* MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv: 8-bit operands, exact 32-bit sums.
 *
 * Operands are centred (their zero points taken off) into floats and multiplied by ops/quantized.h; a
 * constant right operand of a matrix product is centred and packed once per model.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/conv.h"
#include "ops/conv_flat.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/matrix.h"
#include "ops/quantized.h"
#include "tensor/shape.h"

enum { BYTE_TYPES = TYPE_BIT(ONNXD_INT8) | TYPE_BIT(ONNXD_UINT8) };

/* Which inputs hold what; 0: there is none (input 0 is always the left operand). */
struct q_inputs {
    uint32_t b, a_zero, b_zero;
    uint32_t a_scale, b_scale, y_scale, y_zero, bias; /* of the QLinear forms */
};

static const struct q_inputs integer_inputs = {.b = 1, .a_zero = 2, .b_zero = 3};
static const struct q_inputs linear_inputs = {
    .b = 3, .a_zero = 2, .b_zero = 5, .a_scale = 1, .b_scale = 4, .y_scale = 6, .y_zero = 7, .bias = 8};

static bool is_linear(const struct node *node)
{
    return strncmp(node->op_type, "QLinear", 7) == 0;
}

static const struct q_inputs *inputs_of(const struct node *node)
{
    return is_linear(node) ? &linear_inputs : &integer_inputs;
}

static const onnxd_tensor *given(const onnxd_tensor *const *in, uint32_t n_in, uint32_t i)
{
    return i > 0 && tensor_given(in, n_in, i) ? in[i] : NULL;
}

/* One element, or one for each of `n`. */
static onnxd_status check_count(const struct op_shapes *s, uint32_t in, struct dim n, onnxd_error *err)
{
    if (in == 0 || !shapes_known(s, in)) return ONNXD_OK;
    struct dim count = value_info_n_elements(s->in[in]);
    if (dim_equal(count, dim_constant(1)) || !dim_differs(count, n)) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has %lld elements, expected 1 or %lld", in,
                    (long long)count.n, (long long)n.n);
}

static onnxd_status infer_operands(const struct op_shapes *s, onnxd_type *ret_type, onnxd_error *err)
{
    const struct q_inputs *q = inputs_of(s->node);
    onnxd_status status = infer_type(s, 0, BYTE_TYPES, err);
    if (status == ONNXD_OK) status = infer_type(s, q->b, BYTE_TYPES, err);
    if (status == ONNXD_OK && s->in[0]->type != ONNXD_UNDEFINED)
        status = infer_type(s, q->a_zero, TYPE_BIT(s->in[0]->type), err);
    if (status == ONNXD_OK && s->in[q->b]->type != ONNXD_UNDEFINED)
        status = infer_type(s, q->b_zero, TYPE_BIT(s->in[q->b]->type), err);
    *ret_type = ONNXD_INT32;
    if (!is_linear(s->node) || status != ONNXD_OK) return status;
    *ret_type = s->in[q->y_zero]->type;
    status = infer_type(s, q->y_zero, BYTE_TYPES, err);
    if (status == ONNXD_OK) status = infer_type(s, q->a_scale, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, q->b_scale, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, q->y_scale, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, q->bias, TYPE_BIT(ONNXD_INT32), err);
    if (status == ONNXD_OK) status = check_count(s, q->y_scale, dim_constant(1), err);
    return status == ONNXD_OK ? check_count(s, q->y_zero, dim_constant(1), err) : status;
}

/* ---- matrix products ------------------------------------------------------------------------------------
 */

static onnxd_status shapes_matmul(struct op_shapes *s, onnxd_error *err)
{
    const struct q_inputs *q = inputs_of(s->node);
    onnxd_type type;
    onnxd_status status = infer_operands(s, &type, err);
    if (status != ONNXD_OK) return status;
    struct value_info a = *s->in[0], b = *s->in[q->b], out = value_info_unknown();
    shapes_set_type(s, 0, type);
    if (a.rank < 0 || b.rank < 0) return ONNXD_OK;
    if (a.rank < 2 || b.rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "operands have ranks %d and %d, expected 2 or more",
                        a.rank, b.rank);
    struct dim m = a.dims[a.rank - 2], k = a.dims[a.rank - 1], n = b.dims[b.rank - 1];
    if (dim_differs(k, b.dims[b.rank - 2]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "inner sizes %lld and %lld differ", (long long)k.n,
                        (long long)b.dims[b.rank - 2].n);
    status = check_count(s, q->a_zero, m, err);
    if (status == ONNXD_OK) status = check_count(s, q->b_zero, n, err);
    if (status == ONNXD_OK) status = check_count(s, q->a_scale, m, err);
    if (status == ONNXD_OK) status = check_count(s, q->b_scale, n, err);
    a.rank -= 2;
    b.rank -= 2;
    if (status == ONNXD_OK) status = shapes_broadcast(s, &a, &b, out.dims, &out.rank, err);
    if (status != ONNXD_OK) return status;
    out.dims[out.rank++] = m;
    out.dims[out.rank++] = n;
    shapes_set(s, 0, type, out.rank, out.dims);
    return ONNXD_OK;
}

static void center_rows(const onnxd_tensor *a, const onnxd_tensor *zero, int64_t rows, int64_t n, float *to)
{
    int64_t all = n > 0 ? onnxd_tensor_n_elements(a) / n : 0;
    for (int64_t i = 0; i < all; i++)
        quantized_center(a, i * n, n, parameter_at(zero, i % rows, 0), to + i * n);
}

static void center_columns(const onnxd_tensor *b, const onnxd_tensor *zero, int64_t n, float *to)
{
    int64_t rows = n > 0 ? onnxd_tensor_n_elements(b) / n : 0;
    bool one = zero == NULL || onnxd_tensor_n_elements(zero) == 1;
    for (int64_t i = 0; i < rows; i++) {
        quantized_center(b, i * n, n, one ? parameter_at(zero, 0, 0) : 0, to + i * n);
        for (int64_t j = 0; j < n && !one; j++) to[i * n + j] -= (float)element_f64(zero, j);
    }
}

static onnxd_status pack_matmul(struct node *node, struct graph *graph, struct arena *arena, onnxd_error *err)
{
    const struct q_inputs *q = inputs_of(node);
    const onnxd_tensor *b = graph->values[node->in[q->b]].info.constant, *zero = NULL;
    if (b == NULL || b->rank != 2) return ONNXD_OK;
    if (q->b_zero < node->n_in && node->in[q->b_zero] != GRAPH_NONE) {
        zero = graph->values[node->in[q->b_zero]].info.constant;
        if (zero == NULL) return ONNXD_OK;
    }
    int64_t k = b->dims[0], n = b->dims[1];
    size_t n_floats = quantized_packed_floats(n, k);
    float *room = arena_alloc(arena, n_floats * sizeof *room + ARENA_ALIGN);
    struct arena scratch;
    arena_init(&scratch, 0);
    float *centered = arena_alloc_array(&scratch, (size_t)(k * n) + 1, sizeof *centered);
    if (room == NULL || centered == NULL) {
        arena_done(&scratch);
        return op_error(err, node, ONNXD_ERR_LIMIT, "no room to pack input %u", q->b);
    }
    center_columns(b, zero, n, centered);
    quantized_pack(centered, n, k, room);
    arena_done(&scratch);
    node->packed = room;
    return ONNXD_OK;
}

struct q_matmul {
    int64_t m, n, k;
    struct loops stack; /* operands: out, a, b */
    size_t a_floats, b_floats;
};

static size_t round_up(size_t n_floats)
{
    return (n_floats + 15) / 16 * 16;
}

static onnxd_status prepare_matmul(struct op_plan *plan, onnxd_error *err)
{
    struct q_matmul *state;
    const onnxd_tensor *a = plan->in[0], *b = plan->in[inputs_of(plan->node)->b], *out = plan->out[0];
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    state->m = a->dims[a->rank - 2];
    state->k = a->dims[a->rank - 1];
    state->n = b->dims[b->rank - 1];
    uint32_t rank = out->rank - 2;
    loops_init(&state->stack, out->dims, rank, 3);
    loops_broadcast(&state->stack, 0, out->dims, rank);
    loops_broadcast(&state->stack, 1, a->dims, a->rank - 2);
    loops_broadcast(&state->stack, 2, b->dims, b->rank - 2);
    loops_simplify(&state->stack);
    state->a_floats = round_up((size_t)onnxd_tensor_n_elements(a));
    state->b_floats = plan->node->packed != NULL ? 0 : round_up((size_t)onnxd_tensor_n_elements(b));
    plan->workspace_bytes = matrix_scratch_bytes() + (state->a_floats + state->b_floats) * sizeof(float) +
                            2 * round_up((size_t)(state->m * state->n)) * sizeof(float);
    return ONNXD_OK;
}

/* int32 sums to the output, as they are or requantised; scales vary by row and by column. */
static void put_products(const struct op_run *run, const int32_t *sums, int64_t first, int64_t m, int64_t n)
{
    const struct q_inputs *q = inputs_of(run->node);
    const onnxd_tensor *out = run->out[0];
    double y_scale = is_linear(run->node) ? element_f64(run->in[q->y_scale], 0) : 1;
    double y_zero = is_linear(run->node) ? element_f64(run->in[q->y_zero], 0) : 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double v = (double)sums[i * n + j];
            if (is_linear(run->node)) {
                double scale = parameter_at(run->in[q->a_scale], i, 1) *
                               parameter_at(run->in[q->b_scale], j, 1);
                v = quantized_round(v * scale / y_scale, y_zero, out->type);
            }
            elements_store(LANE_F64, out->type, out->data, first + i * n + j, 1, &v);
        }
}

static onnxd_status run_matmul(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct q_matmul *state = run->state;
    const struct q_inputs *q = inputs_of(run->node);
    int64_t m = state->m, n = state->n, k = state->k;
    float *a = (float *)((char *)run->workspace + matrix_scratch_bytes()), *b = a + state->a_floats;
    float *room = b + state->b_floats;
    int32_t *sums = (int32_t *)(room + round_up((size_t)(m * n)));
    center_rows(run->in[0], given(run->in, run->n_in, q->a_zero), m, k, a);
    if (run->node->packed == NULL) center_columns(run->in[q->b], given(run->in, run->n_in, q->b_zero), n, b);
    struct loops_cursor c;
    for (loops_start(&state->stack, &c); c.more; loops_next(&state->stack, &c))
        for (int64_t i = 0; i < loops_inner(&state->stack); i++) {
            int64_t at[3];
            for (uint32_t x = 0; x < 3; x++) at[x] = c.offset[x] + i * loops_inner_stride(&state->stack, x);
            struct quantized_product p = {.m = m,
                                          .n = n,
                                          .k = k,
                                          .a = a + at[1] * m * k,
                                          .lda = k,
                                          .b = b + at[2] * k * n,
                                          .ldb = n,
                                          .c = sums,
                                          .ldc = n};
            if (run->node->packed != NULL) {
                p.b = run->node->packed;
                p.b_packed = true;
            }
            quantized_multiply(&p, room, run->workspace);
            if (is_linear(run->node))
                put_products(run, sums, at[0] * m * n, m, n);
            else
                memcpy((int32_t *)run->out[0]->data + at[0] * m * n, sums, (size_t)(m * n) * sizeof *sums);
        }
    return ONNXD_OK;
}

/* ---- convolutions ----------------------------------------------------------------------------------------
 */

static onnxd_status shapes_conv(struct op_shapes *s, onnxd_error *err)
{
    const struct q_inputs *q = inputs_of(s->node);
    onnxd_type type;
    onnxd_status status = infer_operands(s, &type, err);
    if (status == ONNXD_OK) status = conv_infer(s, 0, q->b, q->bias > 0 ? q->bias : GRAPH_NONE, type, err);
    if (status != ONNXD_OK || !shapes_known(s, q->b)) return status;
    struct dim maps = s->in[q->b]->dims[0];
    status = check_count(s, q->a_zero, dim_constant(1), err);
    if (status == ONNXD_OK) status = check_count(s, q->a_scale, dim_constant(1), err);
    if (status == ONNXD_OK) status = check_count(s, q->b_zero, maps, err);
    return status == ONNXD_OK ? check_count(s, q->b_scale, maps, err) : status;
}

struct q_conv {
    struct conv_shape shape;
    struct conv_flat flat;
    bool is_flat;
    size_t x_floats, w_floats, columns_floats, product_floats;
};

static onnxd_status prepare_conv(struct op_plan *plan, onnxd_error *err)
{
    struct q_conv *state;
    const onnxd_tensor *x = plan->in[0], *w = plan->in[inputs_of(plan->node)->b];
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK) status = conv_plan(plan->node, x, w, plan->out[0], &state->shape, err);
    if (status != ONNXD_OK) return status;
    const struct conv_shape *c = &state->shape;
    state->is_flat = !c->pointwise && conv_flat_plan(c, &state->flat);
    int64_t columns = state->is_flat ? state->flat.columns : c->columns;
    state->x_floats = round_up((size_t)onnxd_tensor_n_elements(x));
    state->w_floats = round_up((size_t)onnxd_tensor_n_elements(w));
    state->columns_floats = round_up((size_t)(c->k * columns));
    state->product_floats = round_up((size_t)(c->maps * columns));
    size_t n_floats = state->x_floats + state->w_floats + state->columns_floats + 2 * state->product_floats +
                      round_up((size_t)(c->maps * c->positions)) +
                      (state->is_flat ? (size_t)state->flat.padded : 0);
    plan->workspace_bytes = matrix_scratch_bytes() + n_floats * sizeof(float);
    return ONNXD_OK;
}

/* The sums of one group of an image, [maps, positions], to the output. */
static void put_maps(const struct op_run *run, const struct conv_shape *c, const int32_t *sums,
                     int64_t image_group)
{
    const struct q_inputs *q = inputs_of(run->node);
    const onnxd_tensor *out = run->out[0], *bias = given(run->in, run->n_in, q->bias);
    int64_t n = c->positions, first_map = image_group % c->groups * c->maps;
    for (int64_t i = 0; i < c->maps; i++) {
        int64_t at = (image_group * c->maps + i) * n, map = first_map + i;
        if (!is_linear(run->node)) {
            memcpy((int32_t *)out->data + at, sums + i * n, (size_t)n * sizeof *sums);
            continue;
        }
        double scale = element_f64(run->in[q->a_scale], 0) * parameter_at(run->in[q->b_scale], map, 1) /
                       element_f64(run->in[q->y_scale], 0);
        double zero = element_f64(run->in[q->y_zero], 0), add = bias != NULL ? element_f64(bias, map) : 0;
        for (int64_t j = 0; j < n; j++) {
            double v = quantized_round(((double)sums[i * n + j] + add) * scale, zero, out->type);
            elements_store(LANE_F64, out->type, out->data, at + j, 1, &v);
        }
    }
}

/* Parts of the workspace behind the products' scratch. */
struct q_conv_room {
    float *x, *w; /* centred */
    float *columns, *product;
    int32_t *block; /* sums of one block of positions */
    int32_t *sums;  /* [maps, positions] */
    float *padded;
};

static struct q_conv_room lay_out(const struct op_run *run, const struct q_conv *state)
{
    struct q_conv_room r;
    r.x = (float *)((char *)run->workspace + matrix_scratch_bytes());
    r.w = r.x + state->x_floats;
    r.columns = r.w + state->w_floats;
    r.product = r.columns + state->columns_floats;
    r.block = (int32_t *)(r.product + state->product_floats);
    r.sums = r.block + state->product_floats;
    r.padded = (float *)(r.sums + round_up((size_t)(state->shape.maps * state->shape.positions)));
    return r;
}

/* One group of an image: x its channels and w its weights, both centred, to r->sums. */
static void sum_group(const struct op_run *run, const struct q_conv *state, const struct q_conv_room *r,
                      const float *x, const float *w)
{
    const struct conv_shape *c = &state->shape;
    const struct conv_flat *flat = &state->flat;
    int64_t all = state->is_flat ? flat->n : c->positions;
    int64_t most = state->is_flat ? flat->columns : c->columns;
    const uint32_t zero = 0;
    if (state->is_flat && flat->padded > 0) {
        conv_flat_pad(c, flat, x, zero, r->padded);
        x = r->padded;
    }
    for (int64_t first = 0; first < all; first += most) {
        int64_t n = all - first < most ? all - first : most;
        if (state->is_flat)
            conv_flat_columns(c, flat, x, first, n, r->columns);
        else
            im2col(&c->image, sizeof(float), x, first, n, &zero, r->columns);
        const struct quantized_product p = {.m = c->maps,
                                            .n = n,
                                            .k = c->k,
                                            .a = w,
                                            .lda = c->k,
                                            .b = r->columns,
                                            .ldb = n,
                                            .c = state->is_flat ? r->block : r->sums + first,
                                            .ldc = state->is_flat ? n : c->positions};
        quantized_multiply(&p, r->product, run->workspace);
        if (state->is_flat) conv_flat_store(c, flat, r->block, first, n, r->sums);
    }
}

static onnxd_status run_conv(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct q_conv *state = run->state;
    const struct conv_shape *c = &state->shape;
    const struct q_inputs *q = inputs_of(run->node);
    const onnxd_tensor *x = run->in[0], *w = run->in[q->b];
    const onnxd_tensor *x_zero = given(run->in, run->n_in, q->a_zero),
                       *w_zero = given(run->in, run->n_in, q->b_zero);
    const struct q_conv_room r = lay_out(run, state);
    quantized_center(x, 0, onnxd_tensor_n_elements(x), parameter_at(x_zero, 0, 0), r.x);
    for (int64_t i = 0; i < c->groups * c->maps; i++)
        quantized_center(w, i * c->k, c->k, parameter_at(w_zero, i, 0), r.w + i * c->k);
    for (int64_t i = 0; i < c->batch * c->groups; i++) {
        sum_group(run, state, &r, r.x + i * c->image.channels * c->plane,
                  r.w + i % c->groups * c->maps * c->k);
        put_maps(run, c, r.sums, i);
    }
    return ONNXD_OK;
}

const struct op_def ops_qlinear[] = {
    {"", "MatMulInteger", 10, OP_LATEST, 2, 4, 1, 1, 0, NULL, shapes_matmul, pack_matmul, prepare_matmul,
     run_matmul},
    {"", "QLinearMatMul", 10, OP_LATEST, 8, 8, 1, 1, 0, NULL, shapes_matmul, pack_matmul, prepare_matmul,
     run_matmul},
    {"", "ConvInteger", 10, OP_LATEST, 2, 4, 1, 1, 0, window_check, shapes_conv, NULL, prepare_conv,
     run_conv},
    {"", "QLinearConv", 10, OP_LATEST, 8, 9, 1, 1, 0, window_check, shapes_conv, NULL, prepare_conv,
     run_conv},
    {0},
};
