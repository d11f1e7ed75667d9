/* RNN, GRU and LSTM: all directions, layouts, sequence lengths, activations.
 *
 * The input's part of the gates is one product over all steps; each step then adds the state's part, with
 * weights packed once per model where they are constant float32.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "kernels/kernels.h"
#include "ops/infer.h"
#include "ops/matrix.h"
#include "ops/recurrent.h"
#include "tensor/dtype.h"

enum { IN_X, IN_W, IN_R, IN_B, IN_LENGTHS, IN_H, IN_C, IN_P, N_IN };

/* ---- packed weights ---------------------------------------------------------------------------------- */

/* Of each direction; R of a GRU is in two parts, the gates z and r and the hidden gate. */
struct packed_weights {
    const float *w[2], *r[2], *r_hidden[2];
};

static const float *pack_rows(struct arena *arena, const float *b, int64_t n, int64_t k)
{
    const struct kernels *kernels = kernels_get();
    size_t n_floats = kernels->f32_gemm_packed_size((size_t)n, (size_t)k);
    float *room = arena_alloc(arena, n_floats * sizeof *room + ARENA_ALIGN);
    if (room != NULL) kernels->f32_gemm_pack(room, b, (size_t)k, 1, (size_t)n, (size_t)k);
    return room;
}

static onnxd_status pack_recurrent(struct node *node, struct graph *graph, struct arena *arena,
                                   onnxd_error *err)
{
    const onnxd_tensor *w = graph->values[node->in[IN_W]].info.constant;
    const onnxd_tensor *r = graph->values[node->in[IN_R]].info.constant;
    enum recurrent kind = recurrent_kind(node);
    int64_t gates = recurrent_gates(kind), directions = recurrent_directions(node);
    if (w == NULL || r == NULL || w->type != ONNXD_FLOAT32 || r->type != ONNXD_FLOAT32 || w->rank != 3 ||
        r->rank != 3)
        return ONNXD_OK;
    int64_t inputs = w->dims[2], hidden = r->dims[2], rows = gates * hidden;
    if (w->dims[0] != directions || r->dims[0] != directions || w->dims[1] != rows || r->dims[1] != rows)
        return ONNXD_OK; /* shapes() says what is wrong */
    struct packed_weights *packed = arena_alloc_zeroed(arena, sizeof *packed);
    bool fits = packed != NULL;
    for (int64_t d = 0; d < directions && fits; d++) {
        const float *r_data = (const float *)r->data + d * rows * hidden;
        int64_t first = kind == RECURRENT_GRU ? 2 * hidden : rows;
        packed->w[d] = pack_rows(arena, (const float *)w->data + d * rows * inputs, rows, inputs);
        packed->r[d] = pack_rows(arena, r_data, first, hidden);
        if (kind == RECURRENT_GRU)
            packed->r_hidden[d] = pack_rows(arena, r_data + first * hidden, hidden, hidden);
        fits = packed->w[d] != NULL && packed->r[d] != NULL &&
               (kind != RECURRENT_GRU || packed->r_hidden[d] != NULL);
    }
    if (!fits) return op_error(err, node, ONNXD_ERR_LIMIT, "no room to pack its weights");
    node->packed = packed;
    return ONNXD_OK;
}

/* ---- programs --------------------------------------------------------------------------------------- */

struct recurrent_state {
    struct recurrent_shape shape;
    size_t operand[N_IN]; /* bytes of converted inputs; 0: native or absent */
    size_t projected, bias, gates, hidden, cell, product, room;
};

static size_t align_up(int64_t n, size_t size)
{
    return ((size_t)n * size + 63) / 64 * 64;
}

static onnxd_status prepare_recurrent(struct op_plan *plan, onnxd_error *err)
{
    struct recurrent_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    struct recurrent_shape *s = &state->shape;
    recurrent_plan(plan->node, plan->in[IN_X], plan->in[IN_R], s);
    size_t size = lane_size(s->lane), total = matrix_scratch_bytes();
    for (uint32_t i = 0; i < N_IN; i++) {
        if (!tensor_given(plan->in, plan->n_in, i) || i == IN_LENGTHS) continue;
        if (!lane_is_native(s->lane, plan->in[i]->type))
            state->operand[i] = align_up(onnxd_tensor_n_elements(plan->in[i]), size);
        total += state->operand[i];
    }
    int64_t wide = s->gates * s->hidden, states = s->batch * s->hidden;
    state->projected = align_up(s->steps * s->batch * wide, size);
    state->bias = align_up(wide + s->hidden, size);
    state->gates = align_up(s->batch * wide, size);
    state->hidden = state->cell = state->product = state->room = align_up(states, size);
    plan->workspace_bytes = total + state->projected + state->bias + state->gates + 4 * state->hidden;
    return ONNXD_OK;
}

/* Where everything of one run lies; all in the lane's type. */
struct recurrent_run {
    const struct recurrent_shape *s;
    const struct op_run *run;
    const struct packed_weights *packed;
    const char *in[N_IN]; /* NULL: left out */
    char *scratch, *projected, *bias, *gates, *h, *c, *product, *room;
    const int32_t *lengths;
    size_t size;
};

static onnxd_status begin_run(const struct op_run *run, struct recurrent_run *r, onnxd_error *err)
{
    const struct recurrent_state *state = run->state;
    *r = (struct recurrent_run){.s = &state->shape, .run = run, .packed = run->node->packed};
    r->size = lane_size(r->s->lane);
    r->scratch = run->workspace;
    char *at = r->scratch + matrix_scratch_bytes();
    for (uint32_t i = 0; i < N_IN; i++) {
        if (!tensor_given(run->in, run->n_in, i) || i == IN_LENGTHS) continue;
        r->in[i] = matrix_operand(r->s->lane, run->in[i], at);
        at += state->operand[i];
    }
    r->projected = at;
    r->bias = r->projected + state->projected;
    r->gates = r->bias + state->bias;
    r->h = r->gates + state->gates;
    r->c = r->h + state->hidden;
    r->product = r->c + state->cell;
    r->room = r->product + state->product;
    if (!tensor_given(run->in, run->n_in, IN_LENGTHS)) return ONNXD_OK;
    r->lengths = run->in[IN_LENGTHS]->data;
    for (int64_t b = 0; b < r->s->batch; b++)
        if (r->lengths[b] < 0 || r->lengths[b] > r->s->steps)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "sequence_lens holds %d, there are %lld steps",
                            r->lengths[b], (long long)r->s->steps);
    return ONNXD_OK;
}

/* C[m,n] = A[m,k] * B^T + bias or C0, with B [n, k] packed or as it lies. */
static void multiply(const struct recurrent_run *r, int64_t m, int64_t n, int64_t k, const char *a,
                     const float *packed, const char *b, const char *bias, const char *c0, int64_t ldc0,
                     char *c)
{
    if (packed != NULL) {
        struct f32_gemm g = {.m = (size_t)m,
                             .n = (size_t)n,
                             .k = (size_t)k,
                             .a = (const float *)(const void *)a,
                             .lda = (size_t)k,
                             .b = packed,
                             .bias = (const float *)(const void *)bias,
                             .c0 = (const float *)(const void *)c0,
                             .ldc0 = (size_t)ldc0,
                             .c = (float *)(void *)c,
                             .ldc = (size_t)n};
        kernels_get()->f32_gemm(&g);
        return;
    }
    for (int64_t i = 0; i < m; i++) {
        char *row = c + (size_t)(i * n) * r->size;
        if (c0 != NULL || bias != NULL)
            memcpy(row, c0 != NULL ? c0 + (size_t)(i * ldc0) * r->size : bias, (size_t)n * r->size);
    }
    struct matrix_product p = {.lane = r->s->lane,
                               .m = m,
                               .n = n,
                               .k = k,
                               .a = a,
                               .lda = k,
                               .b = b,
                               .ldb = k,
                               .b_transposed = true,
                               .c = c,
                               .ldc = n,
                               .add = c0 != NULL || bias != NULL};
    matrix_multiply(&p, r->scratch);
}

/* Sums of the two biases of each gate; where a GRU is linear before reset, the hidden gate's second bias
 * stands behind them instead. */
static void join_biases(const struct recurrent_run *r, int64_t direction)
{
    const struct recurrent_shape *s = r->s;
    int64_t wide = s->gates * s->hidden;
    memset(r->bias, 0, (size_t)(wide + s->hidden) * r->size);
    if (r->in[IN_B] == NULL) return;
    bool apart = s->kind == RECURRENT_GRU && s->linear_before_reset;
    for (int64_t i = 0; i < wide; i++) {
        bool hidden = apart && i >= 2 * s->hidden;
        int64_t first = direction * 2 * wide + i, second = first + wide;
        if (s->lane == LANE_F32) {
            const float *b = (const float *)(const void *)r->in[IN_B];
            float *to = (float *)(void *)r->bias;
            to[i] = hidden ? b[first] : b[first] + b[second];
            if (hidden) to[i + s->hidden] = b[second];
        } else {
            const double *b = (const double *)(const void *)r->in[IN_B];
            double *to = (double *)(void *)r->bias;
            to[i] = hidden ? b[first] : b[first] + b[second];
            if (hidden) to[i + s->hidden] = b[second];
        }
    }
}

/* Element of [directions, batch, hidden] or, batch first, [batch, directions, hidden]. */
static int64_t state_at(const struct recurrent_shape *s, int64_t direction, int64_t b)
{
    return (s->batch_first ? b * s->directions + direction : direction * s->batch + b) * s->hidden;
}

static void load_state(const struct recurrent_run *r, uint32_t in, int64_t direction, char *to)
{
    size_t n_bytes = (size_t)r->s->hidden * r->size;
    for (int64_t b = 0; b < r->s->batch; b++) {
        if (r->in[in] != NULL)
            memcpy(to + (size_t)b * n_bytes, r->in[in] + (size_t)state_at(r->s, direction, b) * r->size,
                   n_bytes);
        else
            memset(to + (size_t)b * n_bytes, 0, n_bytes);
    }
}

static void store_state(const struct recurrent_run *r, uint32_t out, int64_t direction, const char *from)
{
    if (out >= r->run->n_out || r->run->out[out] == NULL) return;
    const onnxd_tensor *to = r->run->out[out];
    for (int64_t b = 0; b < r->s->batch; b++)
        elements_store(r->s->lane, to->type, to->data, state_at(r->s, direction, b), r->s->hidden,
                       from + (size_t)(b * r->s->hidden) * r->size);
}

/* The state's part of the gates of all rows, added to the input's part of this step. */
static void step_gates(const struct recurrent_run *r, int64_t t, int64_t direction)
{
    const struct recurrent_shape *s = r->s;
    int64_t wide = s->gates * s->hidden, h = s->hidden, row = s->batch_first ? t : t * s->batch;
    int64_t ld = s->batch_first ? s->steps * wide : wide, n = s->kind == RECURRENT_GRU ? 2 * h : wide;
    const char *weights = r->in[IN_R] + (size_t)(direction * wide * h) * r->size;
    const char *projected = r->projected + (size_t)(row * wide) * r->size;
    if (s->kind != RECURRENT_GRU) {
        multiply(r, s->batch, n, h, r->h, r->packed != NULL ? r->packed->r[direction] : NULL, weights, NULL,
                 projected, ld, r->gates);
        return;
    }
    /* z and r side by side, then spread to rows of z, r, h. */
    const struct unary_call *a = s->activations + direction * 2;
    multiply(r, s->batch, n, h, r->h, r->packed != NULL ? r->packed->r[direction] : NULL, weights, NULL,
             projected, ld, r->gates);
    for (int64_t b = s->batch; b-- > 0;) {
        char *to = r->gates + (size_t)(b * wide) * r->size;
        memmove(to, r->gates + (size_t)(b * n) * r->size, (size_t)n * r->size);
        memcpy(to + (size_t)n * r->size, projected + (size_t)(b * ld + n) * r->size, (size_t)h * r->size);
        size_t at = (size_t)(b * h) * r->size;
        recurrent_reset(s, a, to, r->h + at, r->room + at);
    }
    const char *left = s->linear_before_reset ? r->h : r->room;
    const char *bias = s->linear_before_reset ? r->bias + (size_t)wide * r->size : NULL;
    multiply(r, s->batch, h, h, left, r->packed != NULL ? r->packed->r_hidden[direction] : NULL,
             weights + (size_t)(n * h) * r->size, bias, NULL, 0, r->product);
}

static void put_step(const struct recurrent_run *r, int64_t t, int64_t direction, int64_t b, const char *h)
{
    const struct recurrent_shape *s = r->s;
    const onnxd_tensor *y = r->run->out[0];
    int64_t at = s->batch_first ? (b * s->steps + t) * s->directions + direction
                                : (t * s->directions + direction) * s->batch + b;
    if (h != NULL)
        elements_store(s->lane, y->type, y->data, at * s->hidden, s->hidden, h);
    else
        memset((char *)y->data + (size_t)(at * s->hidden) * type_size(y->type), 0,
               (size_t)s->hidden * type_size(y->type));
}

static void run_step(const struct recurrent_run *r, int64_t t, int64_t direction)
{
    const struct recurrent_shape *s = r->s;
    int64_t wide = s->gates * s->hidden, each = s->kind == RECURRENT_LSTM  ? 3
                                                : s->kind == RECURRENT_GRU ? 2
                                                                           : 1;
    const struct unary_call *a = s->activations + direction * each;
    step_gates(r, t, direction);
    for (int64_t b = 0; b < s->batch; b++) {
        size_t at = (size_t)(b * s->hidden) * r->size;
        if (r->lengths != NULL && t >= r->lengths[b]) {
            put_step(r, t, direction, b, NULL);
            continue;
        }
        const char *extra = s->kind == RECURRENT_GRU ? r->product + at : NULL;
        if (s->kind == RECURRENT_LSTM && r->in[IN_P] != NULL)
            extra = r->in[IN_P] + (size_t)(direction * 3 * s->hidden) * r->size;
        recurrent_cell(s, a, r->gates + (size_t)(b * wide) * r->size, r->h + at, r->c + at, extra,
                       r->room + at);
        put_step(r, t, direction, b, r->h + at);
    }
}

static onnxd_status run_recurrent(struct op_run *run, onnxd_error *err)
{
    struct recurrent_run r;
    onnxd_status status = begin_run(run, &r, err);
    if (status != ONNXD_OK) return status;
    const struct recurrent_shape *s = r.s;
    int64_t wide = s->gates * s->hidden;
    for (int64_t d = 0; d < s->directions; d++) {
        join_biases(&r, d);
        multiply(&r, s->steps * s->batch, wide, s->inputs, r.in[IN_X],
                 r.packed != NULL ? r.packed->w[d] : NULL,
                 r.in[IN_W] + (size_t)(d * wide * s->inputs) * r.size, r.bias, NULL, 0, r.projected);
        load_state(&r, IN_H, d, r.h);
        load_state(&r, IN_C, d, r.c);
        bool backwards = s->reverse || d == 1;
        for (int64_t t = 0; t < s->steps; t++) run_step(&r, backwards ? s->steps - 1 - t : t, d);
        store_state(&r, 1, d, r.h);
        store_state(&r, 2, d, r.c);
    }
    return ONNXD_OK;
}

#define RECURRENT(name, max_in, max_out)                                                                    \
    {                                                                                                       \
        "", name, 1, OP_LATEST, 3, max_in, 1, max_out, 0, recurrent_check, recurrent_infer, pack_recurrent, \
            prepare_recurrent, run_recurrent                                                                \
    }

const struct op_def ops_recurrent[] = {
    RECURRENT("RNN", 6, 2), RECURRENT("GRU", 6, 2), RECURRENT("LSTM", 8, 3), {0}};
